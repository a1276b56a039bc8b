"""How much of a table the quick run of the tests asks; the rest is marked `long`."""

import os
from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def long(*values: Any) -> Any:
    """Return a row for `parametrize` that only a run of everything asks."""
    return pytest.param(*values, marks=pytest.mark.long)


def first_quick(values: Iterable[Any], count: int = 1) -> list[Any]:
    """Return values for `parametrize`, `long` but for so many at the start."""
    made = list(values)
    return made[:count] + [long(value) for value in made[count:]]


def woven(*tables: Iterable[Any], every: int = 3) -> list[Any]:
    """Return rows of all combinations for `parametrize`, `long` but for one of `every` so many.

    The sum of a row's indices decides: where a table has `every` values, or a multiple, each
    combination of the others' is among the quick ones.
    """
    found = []
    for row in product(*map(enumerate, map(list, tables))):
        values = [value for _, value in row]
        is_quick = sum(i for i, _ in row) % every == 0
        found.append(pytest.param(*values) if is_quick else long(*values))
    return found


def examples(count: int) -> int:
    """Return how many examples hypothesis makes; `.ci/extras` asks for all."""
    return count if "GRADCHECK_ALL_EXAMPLES" in os.environ else -(-count // 3)
