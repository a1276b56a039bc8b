"""Any nested structure of parameters as named leaves, and the way back.

A *leaf* is an array or a number with its name in the structure, `W2` or ``layers[3].bias``.

The hook ``gradcheck_flatten`` takes containers apart, ``gradcheck_array`` knows arrays of other
libraries; adapters implement both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._kinds import NUMBER, ArrayKind, foreign_kind, kind_of, read
from ._names import brief, quoted
from ._nodes import Node, taken_apart

ROOT = "params"

DEEPEST = 200
"""Containers in containers: each takes two of the 1,000 frames that Python has, there and back."""


@dataclass(frozen=True)
class Leaf:
    """One value of a structure, with its name."""

    name: str
    value: Any
    kind: ArrayKind | None = None

    @property
    def numeric(self) -> bool:
        """Whether the value is an array or a number."""
        return self.kind is not None

    @property
    def is_array(self) -> bool:
        """Whether the value is an array, of whatever library."""
        return self.kind is not None and self.kind is not NUMBER

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The value as numpy has it, not to be written to.  TypeError: it can't have it."""
        return read(self.kind, self.value, self.name)


@dataclass(frozen=True)
class Structure:
    """A nested structure as leaves in order, and the way back."""

    leaves: tuple[Leaf, ...]
    rebuild: Callable[[Sequence[Any]], Any]


def flatten(value: Any, what: str = ROOT) -> Structure:
    """Take a nested structure apart.

    Parameters
    ----------
    value : object
        An array, a number, or containers of them, nested up to `DEEPEST`; None is an empty
        container.
    what : str, optional
        How an error calls `value`.

    Returns
    -------
    Structure
        The leaves in the containers' order.  What no adapter takes apart is a leaf too.

    Raises
    ------
    TypeError
        When a ``gradcheck_flatten`` returns no `Node`.
    ValueError
        When a container holds itself or is nested too deeply, or two leaves would have the same
        name.
    """
    leaves: list[Leaf] = []
    open_containers: list[int] = []

    def visit(item: Any, name: str) -> Callable[[Sequence[Any]], Any]:
        if isinstance(item, (np.ndarray, np.generic, int, float, complex)):
            kind, node = kind_of(item), None
        elif item is None:
            kind, node = None, Node((), lambda _: None)
        else:
            node = taken_apart(item)
            kind = foreign_kind(item) if node is None else None
        if node is None:
            position = len(leaves)
            leaves.append(Leaf(name or ROOT, item, kind))
            return lambda values: values[position]
        if id(item) in open_containers:
            at = f" at {brief(name)}" if name else ""
            place = brief(name or ROOT) if what == ROOT else what + at
            raise ValueError(f"{place} holds itself: a structure of parameters must be a tree")
        if len(open_containers) == DEEPEST:
            raise ValueError(
                f"{what} is nested too deeply to be taken apart, more than {DEEPEST} containers; "
                "pass its arrays in one dict"
            )
        open_containers.append(id(item))
        builders = [visit(child, _joined(name, step)) for step, child in node.children]
        open_containers.pop()
        return lambda values: node.rebuild([build(values) for build in builders])

    rebuild = visit(value, "")
    names = [leaf.name for leaf in leaves]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"two parameters have the same name {quoted(twice)}: rename a key, so that a report "
            "can tell them apart"
        )
    return Structure(tuple(leaves), rebuild)


def _joined(name: str, step: str) -> str:
    if name:
        return name + step
    return step[1:] if step.startswith(".") else ROOT + step
