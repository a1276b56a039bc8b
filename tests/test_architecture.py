"""The layout: who may import whom, what a run without checks pays for, what is public."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pytest_gradcheck

PACKAGE = Path(pytest_gradcheck.__file__).parent

ORDER = (
    "_version",
    "hookspecs",
    "_names",
    "_options",
    "_stencils",
    "_probes",
    "_kinds",
    "_nodes",
    "_structure",
    "_blocks",
    "adapters.containers",
    "adapters.dlpack",
    "adapters.array_api",
    "adapters.jax_arrays",
    "adapters.jax_trees",
    "adapters.torch_modules",
    "adapters.torch_tensors",
    "adapters.torch_autodiff",
    "adapters.jax_autodiff",
    "adapters.autograd_autodiff",
    "adapters",
    "_analytic",
    "_work",
    "_call",
    "_differences",
    "_batched",
    "_recipe",
    "_task",
    "_parallel",
    "_steps",
    "_noise",
    "_ladder",
    "_grain",
    "_question",
    "_climb",
    "_refine",
    "_watch",
    "_compare",
    "_problem",
    "_evaluated",
    "_coordinates",
    "_complex",
    "_judge",
    "_numeric",
    "_gradient",
    "_screen",
    "_calibrate",
    "_patterns",
    "_exchanges",
    "_match",
    "_split",
    "_localise",
    "_evidence",
    "_repair",
    "_fits",
    "_repairs",
    "_terms",
    "_slices",
    "_chains",
    "_rearranged",
    "_places",
    "_causes",
    "_diagnose",
    "_map",
    "_report",
    "_text",
    "_picture",
    "_draw",
    "_figure",
    "_page",
    "_writing",
    "_saved",
    "_advice",
    "_assemble",
    "_upstream",
    "_found",
    "_given",
    "_again",
    "_scale",
    "_scale_diagnoses",
    "_scale_report",
    "_stale",
    "_points",
    "_check",
    "_outputs",
    "_matrix",
    "_rows",
    "_jacobian",
    "_pairs",
    "_combined",
    "_derivatives",
    "_products",
    "_slopes",
    "_hessian",
    "_adjoint",
    "_taylor",
    "_manifold",
    "strategies",
    "compat",
    "compat._real",
    "compat.scipy",
    "compat.autograd",
    "compat.jax",
    "compat.torch",
    "_config",
    "_results",
    "_result_hook",
    "_keeping",
    "_progress",
    "_memory",
    "_recorder",
    "_shown",
    "_fixtures",
    "plugin",
)
"""A module imports, when it is imported itself, only from those above it."""

HOST = {
    "plugin",
    "_config",
    "_fixtures",
    "_keeping",
    "_memory",
    "_progress",
    "_recorder",
    "_result_hook",
    "_results",
    "_shown",
}
"""All that may import pytest."""

LATE = {
    ("hookspecs", "adapters"),  # the manager registers them at its first use
    ("hookspecs", "hookspecs"),
    ("_report", "_text"),  # a report is a value first; its text is made when asked for
    ("_report", "_figure"),
    ("_gradient", "_report"),  # for the class of a warning alone
    ("_report", "_picture"),
    ("_work", "_structure"),
}
"""Imports inside a function that go down the list, each for a reason."""

EXTRAS = {
    "_draw": {"matplotlib"},
    "_figure": {"matplotlib"},
    "_page": {"jinja2", "markupsafe"},
}
"""Packages of an extra, imported inside functions of these modules."""

MOST_LINES = 350
MOST_LINES_OF_A_FUNCTION = 60
"""Of a function's body: its signature and docstring are as long as what they have to say."""

NETWORK = {
    "asyncio",
    "ftplib",
    "http",
    "smtplib",
    "socket",
    "socketserver",
    "ssl",
    "urllib",
    "xmlrpc",
}
"""Modules of the standard library that nothing here may import: a check asks no other machine."""


def module_name(path):
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path, name):
    """Yield (module of ours or top-level package, whether at import time) of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late, typing_only = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            late.update(map(id, ast.walk(node)))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only.update(map(id, ast.walk(node)))
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in late
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, id(node) in late
        elif isinstance(node, ast.ImportFrom):
            base = [*parts[: len(parts) - node.level + 1], *(node.module or "").split(".")]
            target = ".".join(part for part in base if part)
            for alias in node.names:
                inner = f"{target}.{alias.name}".strip(".")
                home = target or pytest_gradcheck._HOMES.get(alias.name, "")
                yield f"pytest_gradcheck.{inner if inner in MODULES else home}", id(node) in late


def ours(found):
    return (
        found.removeprefix("pytest_gradcheck.") if found.startswith("pytest_gradcheck.") else None
    )


def test_the_list_holds_every_module_once():
    assert sorted(ORDER) == sorted(set(MODULES) - {"__init__"})


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_those_above_it(name):
    above = set(ORDER[: ORDER.index(name)])
    for found, late in imports(MODULES[name], name):
        target = ours(found)
        if target is not None and not (late and (name, target) in LATE):
            assert target in above, f"{name} imports {target}"


def test_the_exceptions_are_all_in_use():
    used = {
        (name, ours(found))
        for name in ORDER
        for found, late in imports(MODULES[name], name)
        if late
    }
    assert not LATE.difference(used)


@pytest.mark.parametrize("name", sorted(set(MODULES) - HOST))
def test_only_the_host_layer_imports_pytest(name):
    roots = {found.split(".")[0] for found, _ in imports(MODULES[name], name)}
    assert not roots & {"pytest", "_pytest", "xdist"}


def test_the_host_layer_is_what_it_says():
    assert HOST.issubset(MODULES)
    assert "pytest" in {found for found, _ in imports(MODULES["plugin"], "plugin")}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_frameworks_are_imported_nowhere_but_in_an_adapter(name):
    known = {"numpy", "pluggy", "pytest", "_pytest", "xdist", "pytest_gradcheck", "attr", "attrs"}
    roots = {found.split(".")[0] for found, _ in imports(MODULES[name], name)}
    foreign = roots - set(sys.stdlib_module_names) - known - EXTRAS.get(name, set())
    assert not foreign or name.startswith(("adapters.", "compat.", "strategies"))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_are_short_and_say_what_they_are(name):
    text = MODULES[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert ast.get_docstring(ast.parse(text)) or not text.strip()


def functions(tree):
    return [
        node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def lines_of_body(function):
    documented = ast.get_docstring(function) is not None and len(function.body) > 1
    return function.end_lineno - function.body[documented].lineno + 1


@pytest.mark.parametrize("name", sorted(MODULES))
def test_functions_fit_in_the_eye(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    lengths = {function.name: lines_of_body(function) for function in functions(tree)}
    assert {
        name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION
    } == {}


def test_the_length_of_a_function_is_its_body_s():
    (function,) = functions(
        ast.parse('def f(\n  a,\n):\n  """One\n\n  two."""\n  b = a\n  return b')
    )
    assert lines_of_body(function) == 2


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_can_ask_the_network(name):
    roots = {found.split(".")[0] for found, _ in imports(MODULES[name], name)}
    assert not roots & NETWORK


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("adapters.")))
def test_an_adapter_stays_small(name):
    lines = MODULES[name].read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) < 70


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_or_the_plugin_loads_no_numpy():
    code = (
        "import sys, pytest_gradcheck, pytest_gradcheck.plugin, pytest_gradcheck._options\n"
        "pytest_gradcheck.plugin_manager; pytest_gradcheck.hookimpl; pytest_gradcheck.Options\n"
        "dir(pytest_gradcheck)\n"
        "print('numpy' in sys.modules)"
    )
    assert run(code) == ["False"]


def test_importing_the_package_alone_loads_neither_pytest_nor_pluggy_managers():
    code = "import sys, pytest_gradcheck; print('pytest' in sys.modules, 'numpy' in sys.modules)"
    assert run(code) == ["False", "False"]


def test_a_check_in_a_script_loads_no_pytest():
    code = (
        "import sys\n"
        "from pytest_gradcheck import check_gradients\n"
        "report = check_gradients(lambda x: x**2, lambda x: 2*x, 3.0)\n"
        "print(report.verdict, 'pytest' in sys.modules)"
    )
    assert run(code) == ["agree", "False"]


def test_all_is_sorted_complete_and_lazy():
    names = pytest_gradcheck.__all__
    assert names == sorted(set(names))
    assert set(names) == {*pytest_gradcheck._HOMES, "__version__"}
    for name in names:
        assert getattr(pytest_gradcheck, name) is not None
        assert name in dir(pytest_gradcheck)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = pytest_gradcheck.nothing


def test_type_checkers_find_each_name_where_it_is_loaded_from():
    tree = ast.parse(MODULES["__init__"].read_text(encoding="utf-8"))
    (block,) = (
        node for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )  # fmt: skip
    told = {alias.name: statement.module for statement in block.body for alias in statement.names}
    assert told == pytest_gradcheck._HOMES


@pytest.mark.parametrize(
    "name",
    ["strategies", *(name for name in ORDER if name.startswith("compat.") and "._" not in name)],
)
def test_public_modules_say_which_of_their_functions_are_public(name):
    module = import_module(f"pytest_gradcheck.{name}")
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    public = [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    assert module.__all__ == sorted(public)
    for one in public:
        assert "Parameters\n" in getattr(module, one).__doc__


def test_star_import_gives_what_all_says():
    scope = {}
    exec("from pytest_gradcheck import *", scope)  # the statement is a module's alone
    assert set(pytest_gradcheck.__all__) <= set(scope)


def test_public_objects_are_documented_and_say_where_they_live():
    for name in set(pytest_gradcheck.__all__) - {"__version__", "hookimpl"}:
        value = getattr(pytest_gradcheck, name)
        assert value.__doc__, name
        assert not value.__doc__.startswith(f"{name}("), f"{name} has only a made-up docstring"


def test_the_version_is_one():
    from importlib.metadata import version

    assert pytest_gradcheck.__version__ == version("pytest-gradcheck")
