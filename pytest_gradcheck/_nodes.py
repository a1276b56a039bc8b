"""A container taken apart, by whichever adapter knows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._names import quoted
from .hookspecs import plugin_manager


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
