"""How much of a table the quick run of the tests asks; the rest is marked `long`."""

from collections.abc import Iterable
from typing import Any

import pytest


def long(*values: Any) -> Any:
    """Return a row for `parametrize` that only a run of everything asks."""
    return pytest.param(*values, marks=pytest.mark.long)


def first_quick(values: Iterable[Any], count: int = 1) -> list[Any]:
    """Return values for `parametrize`, `long` but for so many at the start."""
    made = list(values)
    return made[:count] + [long(value) for value in made[count:]]
