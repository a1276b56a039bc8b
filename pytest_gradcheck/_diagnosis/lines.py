"""Which lines of the user's code an error may come from, of all that `trace` has seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

import numpy as np

from .._evaluate.trace import Node, Recorder, items
from .._params.structure import ROOT, joined, taken_apart


@dataclass(frozen=True)
class SourceLine:
    """A line of the user's code that has to do with a wrong gradient.

    Attributes
    ----------
    blocks : tuple of str
        The blocks that it is about.
    file : str
    line : int
        From 1.
    source : str
        The statement, or the entry of a dict that is written out, on one line.
    role : str
        "shared": all of these blocks come from it, and no right one does; "made": it computed the
        block's array; "changed": it is the last that changed that array in place; "replaced": it
        put the array in the place of another.
    """

    blocks: tuple[str, ...]
    file: str
    line: int
    source: str
    role: str


def leaves(value: Any, seen: Recorder, name: str = "", place: Any = None) -> dict[str, list[Node]]:
    """Return by name, for each leaf of a gradient, the nodes that put it there and made it."""
    node = None
    if not isinstance(value, (np.ndarray, np.generic, int, float, complex)) and value is not None:
        node = taken_apart(value)
    if node is None:
        known = [seen.places[place]] if place in seen.places else []
        made = sorted(seen.made.get(id(value), ()), key=lambda one: one.order)
        return {name or ROOT: [*known, *made]}
    found: dict[str, list[Node]] = {}
    inside = items(value)
    for step, child in node.children:
        key = next((key for key, item in inside if item is child and str(key) in step), None)
        key = next((key for key, item in inside if item is child), None) if key is None else key
        found |= leaves(child, seen, joined(name, step), (id(value), key))
    return found


def behind(nodes: Collection[Node]) -> set[Node]:
    """Return nodes with all that they depend on."""
    found: set[Node] = set()
    open_ = list(nodes)
    while open_:
        node = open_.pop()
        if node not in found:
            found.add(node)
            open_ += node.read
    return found


MOST_SHARED = 4
"""Lines that are named of those that all wrong blocks, or the only one, come from."""


def lines_of(
    gradient: Any,
    seen: Recorder,
    codes: Mapping[str, str],
    right: Sequence[str],
    innocent: Collection[CodeType] = (),
) -> tuple[SourceLine, ...]:
    """Return the lines that the wrong blocks of a gradient come from, the likeliest first.

    `codes` are the wrong blocks, each with the code of its hint or an empty text; `right` are the
    right ones, and `innocent` functions that func itself runs.
    """
    known = leaves(gradient, seen)
    if set(known) == {ROOT} and not known[ROOT] and seen.result:
        known = {ROOT: [seen.result]}
    of_right = behind([node for name in right for node in known.get(name, ())])
    own = {name: behind(known[name]) - of_right for name in codes if known.get(name)}
    by_line = [
        {
            node.place: node
            for node in sorted(nodes, key=lambda node: node.order)
            if node.tells and node.code not in innocent
        }
        for nodes in own.values()
    ]
    common = set.intersection(*map(set, by_line)) if by_line else set()
    lines_of_right = {node.place for node in of_right}
    shared = sorted(
        (by_line[0][place] for place in common),
        key=lambda node: (node.place in lines_of_right, -node.order),
    )[:MOST_SHARED]
    names = tuple(own)
    made = [_line((name,), *each) for name in own for each in _made(known[name])]
    if len(own) > 1:
        return merged([*(_line(names, node, "shared") for node in shared), *made])
    return merged([*made, *(_line(names, node, "from") for node in shared)])


def _line(blocks: tuple[str, ...], node: Node, role: str) -> SourceLine:
    return SourceLine(blocks, node.file, node.line, node.text, role)


def _made(nodes: Sequence[Node]) -> list[tuple[Node, str]]:
    """Return what made a leaf, last changed it, or put it in another's place."""
    placed, made = nodes[0], nodes[-1]
    found = []
    if placed.replaced and placed is not made:
        found.append((placed, "replaced"))
    found.append((made, made.how))
    while made.how == "changed" and made.before:
        made = max(made.before, key=lambda one: one.order)
    if made is not found[-1][0]:
        found.append((made, made.how))
    return found


def merged(lines: Sequence[SourceLine]) -> tuple[SourceLine, ...]:
    """Return the lines with each once."""
    found: dict[Any, SourceLine] = {}
    for one in lines:
        key = one.file, one.line, one.source
        before = found.get(key)
        if before is None:
            found[key] = one
        else:
            blocks = tuple(dict.fromkeys((*before.blocks, *one.blocks)))
            found[key] = SourceLine(blocks, one.file, one.line, one.source, before.role)
    return tuple(found.values())
