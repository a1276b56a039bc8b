"""The table of constants: each number once, with its reason and what decides it."""

import ast
import re
import sys
from pathlib import Path

import pytest

from pytest_gradcheck import _constants

PACKAGE = Path(_constants.__file__).parent

ROOMS = ("_difference", "_verdict", "_gradient", "_jacobian")
"""Where numbers decide verdicts."""

ELSEWHERE = {
    "_difference.every_coordinate": {"STEP"},
    "_gradient.check": {"MANY_DIRECTIONS", "STANDS_OUT"},
    "_gradient.along_directions": {"PATTERN", "FEW_NAMED"},
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


@pytest.fixture
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(str(PACKAGE.parent / "benchmarks" / "correctness"))
    before = set(sys.modules)
    from suite import ablation

    yield ablation
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "suite":
            del sys.modules[name]


def test_what_follows_from_a_constant_is_ablated_with_it(ablation):
    assert ablation.values().keys() == TABLE.keys()
    assert ablation.changed("MOVES_TOLD", 8.0) == {"MOVES_TOLD": 8.0}
    new = ablation.changed("EPS", 1.0)
    assert (new["EPS"], new["LEAST_BAR"], new["QUIETEST"]) == (1.0, 4.0, 0.25)
    assert ablation.changed("GRAIN_ROUGH", 6.0) == {"GRAIN_ROUGH": 6.0}


def test_half_and_twice_of_a_count_and_of_a_factor_just_above_one(ablation):
    assert [ablation.scaled(3, factor) for factor in (0.5, 2.0)] == [1, 6]
    assert ablation.scaled(1, 0.5) == 1
    assert ablation.scaled(0.6, 0.5) == 0.3
    assert ablation.scaled(1.25, 0.5) == 1.125


def test_the_functions_that_read_a_constant_are_found(ablation):
    refine = PACKAGE / "_verdict" / "further_steps.py"
    lines = refine.read_text(encoding="utf-8").splitlines()
    places = ablation.readers({"MOVES_TOLD"})
    assert [(path, lines[line - 1].split("(")[0]) for path, line in places] == [
        (str(refine), "def until_it_moves")
    ]


def test_flips_are_named_by_both_verdicts(ablation):
    before = {"a": ("agree", "", 5), "b": ("disagree", "x", 5), "c": ("agree", "", 5)}
    after = {"a": ("disagree", "", 9), "b": ("disagree", "y", 5)}
    assert ablation.flips(before, after) == {"right accused": ["a"], "hints": ["b"]}
    assert ablation.more_spent(before, after) == 0.4
    assert ablation.flips(before, None) == {"does not end": [""]}
