"""Any nested structure of parameters as named leaves, and the way back.

A *leaf* is an array or a number with its name in the structure, `W2` or ``layers[3].bias``.

The hook ``gradcheck_flatten`` takes containers apart and returns a `Node`, ``gradcheck_array``
knows arrays of other libraries; adapters implement both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from .._quoting import brief, quoted
from ..hookspecs import plugin_manager
from .arrays import ASKED, NUMBER, ArrayKind, foreign_kind, kind_of, read


@dataclass(frozen=True)
class Node:
    """A container taken apart.

    Parameters
    ----------
    children : sequence of (str, object)
        Each child with the step to it from its container: ``".bias"``, ``"[3]"``.
    rebuild : callable
        Takes the list of new children, in the same order, and returns a new container.
    """

    children: Sequence[tuple[str, Any]]
    rebuild: Callable[[list[Any]], Any]


def taken_apart(item: Any) -> Node | None:
    """Ask the adapters; TypeError for an answer that is neither None nor a sound Node."""
    node = plugin_manager().hook.gradcheck_flatten(value=item)
    if node is None:
        return None
    kind = type(item).__name__
    if not isinstance(node, Node):
        raise TypeError(
            f"gradcheck_flatten returned {type(node).__name__} for a value of type {kind}; "
            "return a Node(children, rebuild), or None for what is not yours"
        )
    if not callable(node.rebuild):
        raise TypeError(
            f"gradcheck_flatten: rebuild of {kind} is {quoted(node.rebuild)}; it must be a "
            "function of the list of new children"
        )
    try:
        children = [(step, child) for step, child in node.children]
    except (TypeError, ValueError):
        children = [(None, None)]  # type: ignore[list-item]
    if not all(isinstance(step, str) for step, _ in children):
        raise TypeError(
            f"gradcheck_flatten: children of {kind} must be pairs of the step to each, a str "
            "('.bias', '[3]'), and the child"
        )
    return Node(children, node.rebuild)


ROOT = "params"

DEEPEST = 200
"""Containers in containers: each takes two of the 1,000 frames that Python has, there and back."""


class Leaf(NamedTuple):
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

    @property
    def size(self) -> int:
        """How many entries; 1 of what is no array."""
        return math.prod(np.shape(self.value)) if self.numeric else 1

    @property
    def eps(self) -> float:
        """The machine epsilon of the value's own type, of which numpy may have no equal."""
        assert self.kind is not None
        return self.kind.eps(self.value)


@dataclass(frozen=True)
class Structure:
    """A nested structure as leaves in order, and the way back."""

    leaves: tuple[Leaf, ...]
    rebuild: Callable[[Sequence[Any]], Any]


_LEAVES = (np.ndarray, np.generic, int, float, complex)


def flatten(value: Any, what: str = ROOT) -> Structure:
    """Take a nested structure apart; leaves are in the containers' order.

    What no adapter takes apart is a leaf; None is an empty container. TypeError when a
    ``gradcheck_flatten`` returns no `Node`, ValueError when a container holds itself or is nested
    deeper than `DEEPEST`, or two leaves would have the same name; errors call the structure `what`.
    """
    if isinstance(value, _LEAVES):  # most often, and at every look at what func left behind
        return Structure((Leaf(ROOT, value, kind_of(value)),), itemgetter(0))
    leaves: list[Leaf] = []
    rebuild = _visit(value, "", what, leaves, [])
    names = [leaf.name for leaf in leaves]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"two parameters have the same name {quoted(twice)}: rename a key, so that a report "
            "can tell them apart"
        )
    return Structure(tuple(leaves), rebuild)


def _visit(
    item: Any, name: str, what: str, leaves: list[Leaf], inside: list[int]
) -> Callable[[Sequence[Any]], Any]:
    """Add the leaves of an item to `leaves` and return what rebuilds it of all values.

    `inside` are the ids of the containers that it is in. No closure that calls itself: the cycle
    would keep a gradient of a million entries alive.
    """
    if isinstance(item, _LEAVES) or type(item) in ASKED:
        kind, node = kind_of(item), None
    elif item is None:
        kind, node = None, Node((), lambda _: None)
    else:
        node = taken_apart(item)
        kind = foreign_kind(item) if node is None else None
    if node is None:
        leaves.append(Leaf(name or ROOT, item, kind))
        return itemgetter(len(leaves) - 1)
    if id(item) in inside:
        at = f" at {brief(name)}" if name else ""
        place = brief(name or ROOT) if what == ROOT else what + at
        raise ValueError(f"{place} holds itself: a structure of parameters must be a tree")
    if len(inside) == DEEPEST:
        raise ValueError(
            f"{what} is nested too deeply to be taken apart, more than {DEEPEST} containers; "
            "pass its arrays in one dict"
        )
    within = [*inside, id(item)]
    builders = [
        _visit(child, joined(name, step), what, leaves, within) for step, child in node.children
    ]
    return lambda values: node.rebuild([build(values) for build in builders])


def joined(name: str, step: str) -> str:
    """Return the name of what is one step further inside: ``layers[3].bias``."""
    if name:
        return name + step
    return step[1:] if step.startswith(".") else ROOT + step
