"""The layout: who may import whom, what a run without checks pays for, what is public."""

import ast
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import pytest_gradcheck

PACKAGE = Path(pytest_gradcheck.__file__).parent

ROOMS = (
    "_constants",
    "_quoting",
    "_options",
    "hookspecs",
    "_params",
    "adapters",
    "_source",
    "_evaluate",
    "_difference",
    "_verdict",
    "_diagnosis",
    "_report",
    "_gradient",
    "_jacobian",
    "_api",
    "compat",
    "strategies",
    "plugin",
)
"""Folders and files of the package, from the ground up: each imports only from those before it."""

UPWARD = {
    ("hookspecs", "adapters"),  # the manager registers those that come with the package
    # What hooks are given and what they return, for type checkers alone.
    ("hookspecs", "_params"),
    ("hookspecs", "_diagnosis"),
    ("hookspecs", "_report"),
}
"""And these, each for a reason."""

FRAMEWORKS = {"adapters", "compat", "strategies"}
"""Where other libraries may be imported."""

EXTRAS = {
    "_report.pictures_and_page": {"jinja2", "matplotlib"},
}
"""And packages of an extra, inside functions of these modules."""

MOST_MODULES = 8
"""Of a room, beside its ``__init__``."""

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


def room_of(name):
    return name.partition(".")[0]


def imports(path, name):
    """Yield all that a file imports, modules of ours or top-level packages.

    Imports inside functions and those for type checkers alone count like any other.
    """
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
        elif isinstance(node, ast.ImportFrom):
            base = [*parts[: len(parts) - node.level + 1], *(node.module or "").split(".")]
            target = ".".join(part for part in base if part)
            for alias in node.names:
                inner = f"{target}.{alias.name}".strip(".")
                home = target or pytest_gradcheck._HOMES.get(alias.name, "")
                yield f"pytest_gradcheck.{inner if inner in MODULES else home}"


@cache
def between_rooms():
    """Return (room, room it imports from) for every import that leaves a room."""
    found = set()
    for name in set(MODULES) - {"__init__"}:
        for target in imports(MODULES[name], name):
            if target.startswith("pytest_gradcheck."):
                found.add((room_of(name), room_of(target.removeprefix("pytest_gradcheck."))))
    return {(a, b) for a, b in found if a != b}


def test_the_list_holds_every_room_once():
    assert sorted(ROOMS) == sorted({room_of(name) for name in MODULES} - {"__init__"})


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_those_below_it(room):
    above = set(ROOMS[ROOMS.index(room) :])
    up = {(a, b) for a, b in between_rooms() if a == room and b in above}
    assert up <= UPWARD


def test_the_exceptions_are_all_in_use():
    assert between_rooms() >= UPWARD


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_can_be_taken_in_at_a_glance(room):
    inside = [name for name in MODULES if name.startswith(f"{room}.")]
    assert len(inside) <= MOST_MODULES


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_the_plugin_imports_pytest(name):
    roots = {found.split(".")[0] for found in imports(MODULES[name], name)}
    assert room_of(name) == "plugin" or not roots & {"pytest", "_pytest", "xdist"}


def test_the_plugin_is_what_it_says():
    assert "pytest" in set(imports(MODULES["plugin"], "plugin"))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_frameworks_are_imported_nowhere_but_in_an_adapter(name):
    known = {"numpy", "pluggy", "pytest", "_pytest", "xdist", "pytest_gradcheck", "attr", "attrs"}
    roots = {found.split(".")[0] for found in imports(MODULES[name], name)}
    foreign = roots - set(sys.stdlib_module_names) - known - EXTRAS.get(name, set())
    assert not foreign or room_of(name) in FRAMEWORKS


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_say_what_they_are(name):
    assert ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8")))


def functions(tree):
    return [
        node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def lines_of_body(function):
    body = function.body[ast.get_docstring(function) is not None :]
    return function.end_lineno - body[0].lineno + 1 if body else 0


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
    roots = {found.split(".")[0] for found in imports(MODULES[name], name)}
    assert not roots & NETWORK


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


def test_a_gradient_that_is_right_loads_nothing_that_tells_what_is_wrong():
    code = (
        "import sys\n"
        "from pytest_gradcheck import assert_gradients_close\n"
        "assert_gradients_close(lambda x: x**2, lambda x: 2*x, 3.0)\n"
        "loaded = {name for name in sys.modules if name.startswith('pytest_gradcheck.')}\n"
        "rooms = {name.split('.')[1] for name in loaded}\n"
        "print(*sorted(rooms & {'_diagnosis', '_jacobian', '_source', 'compat', 'plugin'}))"
    )
    assert run(code) == []


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
    [
        "strategies",
        *(name for name in sorted(MODULES) if name.startswith("compat.")),
    ],
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
