"""Run every block of code in the documentation, and every example in a docstring.

How a fenced block is run follows from its language:

``python``
    With ``>>>``: as a doctest.  With a test in it: by pytest, in a folder of its own.  Else as a
    script.  A first line such as ``# conftest.py`` names the file; a named file that is not a test
    is kept for the next block.  An HTML comment on the line above the fence may say
    ``<!-- continues -->``, the block is read after the one before it, or ``<!-- fails -->``, it
    must fail; ``<!-- needs torch -->``: it is skipped where torch is not installed.
``text``
    What the block before it prints; a line ``...`` stands for any lines.  Spaces don't count, and
    a rounded number may differ by 20 %; an error bar, and the ratio to a tolerance that holds it,
    by a factor of 100, as they do between processors and builds of numpy.
``sh``
    Commands, run one by one in a folder that holds the examples and pyproject.toml; an install is
    left to .ci/run, which runs the block that opens the README.
``toml``, ``ini``
    A configuration, under which an example must pass.
"""

from __future__ import annotations

import doctest
import html
import importlib
import inspect
import io
import os
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import traceback
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from test_architecture import ROOMS

import pytest_gradcheck
from pytest_gradcheck import Options, plugin_manager

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(pytest_gradcheck.__path__, "pytest_gradcheck.")
)
FENCE = re.compile(
    r"^(?:<!-- (?P<note>.*?) -->\n)?```(?P<language>\S*)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass
class Block:
    """A fenced block, with the comment above it and the blocks it needs."""

    name: str
    language: str
    note: str
    text: str
    before: str = ""
    files: tuple[tuple[str, str], ...] = ()
    output: str = ""

    @property
    def fails(self) -> bool:
        return "fails" in self.note

    @property
    def file(self) -> str:
        named = re.match(r"# (\w+\.py)\n", self.text)
        return named[1] if named else "test_block.py"


def blocks_of(document: Path) -> list[Block]:
    """Return the blocks to run; text blocks are attached to the block that prints them."""
    text = document.read_text(encoding="utf-8") if document.exists() else ""
    found: list[Block] = []
    kept: tuple[tuple[str, str], ...] = ()
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        block = Block(
            f"{document.name}:{line}", match["language"], match["note"] or "", match["text"]
        )
        if block.language == "text" and found and not found[-1].output:
            found[-1].output = block.text
            continue
        if block.language == "python":
            if "continues" in block.note:
                previous = next(old for old in reversed(found) if old.language == "python")
                block.before = previous.before + previous.text + "\n"
            block.files = kept
            kept = ()
            if block.file != "test_block.py" and not block.file.startswith("test_"):
                kept = (*block.files, (block.file, block.text))
        found.append(block)
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]


def each_block(*languages: str) -> pytest.MarkDecorator:
    """Return the mark that runs a test for each block of a language, where what it needs is."""
    blocks = [block for block in BLOCKS if block.language in languages]
    needs = [re.findall(r"needs (\w+)", block.note) for block in blocks]
    return pytest.mark.parametrize(
        "block",
        [
            pytest.param(block, id=block.name, marks=[pytest.mark.extra(*names)] if names else ())
            for block, names in zip(blocks, needs, strict=True)
        ],
    )


def at_a_terminal(**more: str) -> dict[str, str]:
    """Return an environment of 80 columns; where CI is set, pytest would shorten no line."""
    kept = {name: text for name, text in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    return {**kept, "COLUMNS": "80", **more}


def run(folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        # That plugin would import all of hypothesis at the end of every run.
        env=at_a_terminal(PYTHONPATH="", PYTEST_ADDOPTS="-p no:hypothesispytest"),
    )
    return done.returncode, done.stdout + done.stderr


def same_word(shown: str, wanted: str, *, is_of_noise: bool) -> bool:
    """Return whether two words are equal; numbers that were rounded may be rounded elsewhere."""
    if shown == wanted or all(re.fullmatch(r"\d+\.\d+s", word) for word in (shown, wanted)):
        return True
    shown, wanted = shown.rstrip(",;:"), wanted.rstrip(",;:")
    if not all(re.fullmatch(r"[-+]?\d+\.?\d*(e[-+]\d+)?", word) for word in (shown, wanted)):
        return False
    if not re.search(r"[.e]", wanted):
        return False  # a count
    a, b = float(shown), float(wanted)
    return 0.01 < a / b < 100 if is_of_noise else abs(a - b) <= 0.2 * abs(b)


def of_noise(words: list[str]) -> set[int]:
    """Return where a line has an error bar, or a ratio to the tolerance that holds it."""
    ratios = {i - 1 for i in range(1, len(words)) if words[i : i + 2] == ["x", "tolerance"]}
    bars = {i + 1 for i, word in enumerate(words) if word == "+-"}
    return ratios | bars | {bar + 2 for bar in bars}  # error bar, error, ratio: a row of a table


def same_line(shown: str, wanted: str) -> bool:
    words, others = shown.split(), wanted.split()
    noise = of_noise([other.rstrip(",;:") for other in others])
    return len(words) == len(others) and all(
        same_word(word, other, is_of_noise=i in noise)
        for i, (word, other) in enumerate(zip(words, others, strict=True))
    )


def shows(lines: list[str], wanted: list[str]) -> bool:
    if not wanted:
        return True
    if wanted[0].strip() in ("...", "…"):
        return any(shows(lines[start:], wanted[1:]) for start in range(len(lines) + 1))
    return bool(lines) and same_line(lines[0], wanted[0]) and shows(lines[1:], wanted[1:])


def assert_shows(output: str, wanted: str) -> None:
    """Assert that the wanted lines stand in output one after the other, `...` for any."""
    lines, expected = output.splitlines(), wanted.strip("\n").splitlines()
    found = any(shows(lines[start:], expected) for start in range(len(lines)))
    assert found, f"{wanted}\n--- is not in ---\n{output}"


def run_python_block(block: Block, suite: pytest.Pytester) -> tuple[int, str]:
    """Run a block in this process, or in one of its own if it needs another package or makes some.

    A session of pytest inside this one drops what it was the first to import, and frameworks
    can't be imported twice.
    """
    for name, text in (*block.files, ("pytest.ini", "[pytest]\nfilterwarnings = error\n")):
        (suite.path / name).write_text(text, encoding="utf-8")
    source = block.before + block.text
    (suite.path / block.file).write_text(source, encoding="utf-8")
    is_test = re.search(r"^\s*def test_", source, re.M)
    if "needs" in block.note or re.search(r"Executor|hypothesis|\.plot\(", source):
        how = ["-m", "pytest", "-p", "no:cacheprovider"] if is_test else ["-W", "error"]
        return run(suite.path, sys.executable, *how, block.file)
    if is_test:
        for name in (block.file, *(name for name, _ in block.files)):
            sys.modules.pop(Path(name).stem, None)  # an example may have the same name
        result = suite.runpytest_inprocess(block.file)
        return result.ret, "\n".join([*result.outlines, *result.errlines])
    with redirect_stdout(io.StringIO()) as output, warnings.catch_warnings():
        warnings.simplefilter("error")
        registered = plugin_manager().get_plugins()
        try:
            runpy.run_path(str(suite.path / block.file), run_name="__main__")
        except Exception:
            return 1, output.getvalue() + traceback.format_exc()
        finally:
            for plugin in plugin_manager().get_plugins() - registered:
                plugin_manager().unregister(plugin)
    return 0, output.getvalue()


# The README and docs/


@each_block("python")
def test_python_block(block, suite):
    if ">>>" in block.text:
        test = doctest.DocTestParser().get_doctest(
            block.before + block.text, {}, block.name, block.name, 0
        )
        log: list[str] = []
        failed, attempted = doctest.DocTestRunner(verbose=False).run(test, out=log.append)
        assert attempted
        assert not failed, "".join(log)
        return
    code, output = run_python_block(block, suite)
    assert code == (1 if block.fails else 0), output
    if block.output:
        assert_shows(output, block.output)


@each_block("sh")
def test_shell_block(block, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    output = ""
    for command in block.text.splitlines():
        steps = [step for step in re.split(r"\s*&&\s*", command) if "pip install" not in step]
        code, printed = run(tmp_path, "env", f"PATH={path}", "bash", "-c", " && ".join(steps))
        assert code == (1 if block.fails else 0), f"{command}\n{printed}"
        output += printed
    if block.output:
        assert_shows(output, block.output)


@each_block("toml", "ini")
def test_configuration_block(block, tmp_path):
    name = {"toml": "pyproject.toml", "ini": "pytest.ini"}[block.language]
    (tmp_path / name).write_text(block.text, encoding="utf-8")
    for example in ("network.py", "test_network.py"):
        shutil.copy(ROOT / "examples" / example, tmp_path)
    code, output = run(
        tmp_path, sys.executable, "-m", "pytest", "--strict-config", "test_network.py"
    )
    assert code == 0, output


def test_every_block_is_run():
    assert BLOCKS, "the README has no code"
    languages = {"python", "sh", "toml", "ini"}
    assert [block.name for block in BLOCKS if block.language not in languages] == []
    for document in DOCUMENTS:
        fences = re.findall(r"^\s*(?:```|~~~)", document.read_text(encoding="utf-8"), re.M)
        found = blocks_of(document)
        assert len(fences) == 2 * (len(found) + sum(bool(block.output) for block in found))


def test_readme_is_read_in_a_minute():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150


def test_every_option_is_explained_once():
    text = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    explained = re.findall(r"^- ((?:`\w+`(?:, )?)+):", text, re.M)
    names = [name for group in explained for name in re.findall(r"\w+", group)]
    assert sorted(names) == sorted(item.name for item in fields(Options))


def test_pictures_of_the_failure_say_what_the_failure_says():
    """They are drawings of what the README's text block has: see docs/site/pictures.py."""
    block = next(block for block in BLOCKS if block.fails)
    wanted = [word for line in block.output.splitlines() for word in line.split()]
    for theme in ("light", "dark"):
        picture = (ROOT / "docs" / "assets" / f"failure-{theme}.svg").read_text(encoding="utf-8")
        drawn = html.unescape("".join(re.findall(r"<text [^>]*>(.*?)</text>", picture)))
        assert "".join(wanted) in drawn.replace(" ", ""), "run docs/site/pictures.py"


def test_readme_opens_with_the_commands_that_ci_runs():
    first = next(block for block in BLOCKS if block.language == "sh")
    commands = first.text.strip().splitlines()
    assert any("pytest examples/test_network.py" in command for command in commands)
    assert re.search(r"python -m pytest -n auto\s*(#.*)?$", commands[-1])
    assert "README.md" in (ROOT / ".ci" / "readme").read_text(encoding="utf-8")


# CONTRIBUTING.md


def test_the_rooms_are_listed_in_the_order_that_is_enforced():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\S+`(?:, )?)+) \|", text, re.M)
    listed = [name for row in rows for name in re.findall(r"`(\w+)(?:\.py|/)`", row)]
    assert len(rows) == 13
    assert listed == list(reversed(ROOMS))


def test_files_that_contributors_are_sent_to_are_there():
    kept = [
        ROOT,
        ROOT / "tests",
        ROOT / "pytest_gradcheck",
        *(ROOT / "pytest_gradcheck").glob("_*/"),
    ]
    for name in ("CONTRIBUTING.md", "docs/architecture.md"):
        text = re.sub(
            r"^```.*?^```$", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.M | re.S
        )
        paths = set(re.findall(r"`([\w.][\w./]*/[\w./]*|\w+\.(?:py|md))`", text)) - {"conftest.py"}
        assert len(paths) > 15
        assert [path for path in paths if not any((root / path).exists() for root in kept)] == []


# docs/architecture.md


def test_what_a_check_is_followed_through_stands_where_the_page_says():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (?:\w* ?\| )?((?:`\w+`(?:, )?)+) \| ((?:`\S+\.py`(?:, )?)+) \|", text, re.M
    )
    assert len(rows) > 25
    for names, files in rows:
        paths = [ROOT / "pytest_gradcheck" / path for path in re.findall(r"`(\S+)`", files)]
        code = "".join(path.read_text(encoding="utf-8") for path in paths)
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"^ *(?:def|class) {name}\b", code, re.M), (name, files)


# Docstrings


NEEDS = {
    f"pytest_gradcheck.adapters.{name}": pytest.mark.extra(*name.split("_and_"))
    for name in ("jax_and_autograd", "torch")
}


class Finder(doctest.DocTestFinder):
    """Goes by the module that a function names: an assertion is made of a check elsewhere."""

    def _from_module(self, module, object):
        return getattr(object, "__module__", module.__name__) == module.__name__


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=NEEDS.get(name, ())) for name in MODULES]
)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    log: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in Finder(exclude_empty=True).find(module, name):
        runner.run(test, out=log.append)
    assert not runner.failures, "".join(log)


def test_every_public_function_has_an_example():
    public = {name: getattr(pytest_gradcheck, name) for name in pytest_gradcheck.__all__}
    functions = [name for name, value in public.items() if inspect.isfunction(value)]
    assert "assert_gradients_close" in functions
    assert [name for name in functions if ">>> " not in (public[name].__doc__ or "")] == []
