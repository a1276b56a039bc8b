"""The table of constants: each number once, with its reason and what decides it."""

import ast
import re
from pathlib import Path

import pytest

from pytest_gradcheck import _constants

PACKAGE = Path(_constants.__file__).parent

ROOMS = ("_difference", "_verdict", "_gradient", "_jacobian")
"""Where numbers decide verdicts."""

ELSEWHERE = {
    "_difference.sweep": {"STEP"},
    "_gradient.random_directions": {"PATTERN", "FEW_NAMED"},
    "_gradient.worst_so_far": {"STANDS_OUT"},
    "_jacobian.check": {"OVERHEAD"},
}
"""Numbers that decide none: of a step that is as good as any, of texts and of progress."""


DECIDES = "derived|cost|accuracy|numeric|planted|held_out|scale|jacobian"
"""What may stand in brackets, beside a test: why it follows, or the cases whose verdicts flip."""


def names(node):
    for target in node.targets:
        for one in target.elts if isinstance(target, ast.Tuple) else [target]:
            yield one.id


def table():
    """Return {name: what is said of it}; a text stands for all names since the one before."""
    found, waiting = {}, []
    for node in ast.parse((PACKAGE / "_constants.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            waiting += names(node)
        elif isinstance(node, ast.Expr):
            found |= dict.fromkeys(waiting, node.value.value)
            waiting = []
    assert not waiting
    return found


TABLE = table()


@pytest.mark.parametrize("name", TABLE)
def test_each_says_why_and_what_decides_it(name):
    value = getattr(_constants, name)
    assert isinstance(value, (int, float))
    why, decided = re.fullmatch(r"(.{8,}?)\s+\[(.+)\]", TABLE[name], re.DOTALL).groups()
    assert why.strip()
    kind = re.match(rf"({DECIDES}|tests/[\w/]+\.py)($|:|,)", decided)
    assert kind, decided
    for test in re.findall(r"tests/[\w/]+\.py", decided):
        assert (PACKAGE.parent / test).exists()


def test_each_is_read():
    read = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "_constants":
                read |= {alias.name for alias in node.names}
    assert read | {"EPS"} == set(TABLE)


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_has_numbers_of_its_own(room):
    for path in (PACKAGE / room).rglob("*.py"):
        name = f"{room}.{path.stem}"
        numbers = set()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and all(
                isinstance(part, (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop))
                and not isinstance(getattr(part, "value", 0), str)
                for part in ast.walk(node.value)
            ):
                numbers |= set(names(node))
        assert numbers == ELSEWHERE.get(name, set()), name
