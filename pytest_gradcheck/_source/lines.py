"""Which lines of the user's code an error may come from, of all that `trace` has seen."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from types import CodeType, MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from .._params.arrays_and_structure import ROOT, Array, joined, same_bits, taken_apart
from .._quoting import distinct, shown
from .trace import Node, Recorder, items


@dataclass(frozen=True)
class SourceLine:
    """A line of the user's code that has to do with a wrong gradient.

    Attributes
    ----------
    blocks : tuple of str
        The blocks that it is about.
    file : str
        As Python knows it: most often a whole path.
    line : int
        The first of the statement, counted from 1.
    source : str
        The statement, or the entry of a dict that is written out, on one line.
    role : str
        "shared": all of these blocks come from it, and no right one does; "made": it computed the
        array; "changed": it is the last that changed that array in place; "replaced": it put the
        array in the place of another; "from": what it computed goes into this block and no right
        one; "right": it made the right block next to which the error enters a backward pass;
        "wrong": with `mended` in its place these blocks agree.
    mended : str
        What the statement would be: "pass" where it is left out. Empty for the other roles.

    Examples
    --------
    >>> from pytest_gradcheck import SourceLine
    >>> line = SourceLine(("W2",), "/code/network.py", 71, 'grads["W2"] *= 2', "changed")
    >>> f"{line.file}:{line.line}"
    '/code/network.py:71'
    """

    blocks: tuple[str, ...]
    file: str
    line: int
    source: str
    role: str
    mended: str = ""


class Leaf(NamedTuple):
    """An array of a gradient, with the nodes that put it there and made it, the last one last."""

    value: Any = None
    nodes: Sequence[Node] = ()

    def spared(self, wrong: Array | None) -> set[Node]:
        """Return what changed none of the wrong entries (bool), of all that changed the array."""
        chain: set[Node] = set()
        left = [*self.nodes]
        while left:
            node = left.pop()
            if node not in chain:
                chain.add(node)
                left += node.before
        own = [node for node in chain if node.array == id(self.value)]
        known = {node: hits for node in own if (hits := node.hits(wrong)) is not None}
        # Where no other writes to all that is wrong, one of these may have to reach farther.
        others = any(hits.all() for hits in known.values())
        return {node for node, hits in known.items() if others and not hits.any()}


def leaves(value: Any, seen: Recorder, name: str = "", place: Any = None) -> dict[str, Leaf]:
    """Return the leaves of a gradient by name."""
    node = None
    if not isinstance(value, (np.ndarray, np.generic, int, float, complex)) and value is not None:
        node = taken_apart(value)
    if node is None:
        known = [seen.places[place]] if place in seen.places else []
        made = seen.made.get(id(value), ()) or (() if known else _copied(value, seen))
        nodes = [*known, *sorted(made, key=lambda one: one.order)]
        return {name or ROOT: Leaf(value, nodes)}
    found: dict[str, Leaf] = {}
    inside = items(value)
    for step, child in node.children:
        key = next((key for key, item in inside if item is child and str(key) in step), None)
        key = next((key for key, item in inside if item is child), None) if key is None else key
        found |= leaves(child, seen, joined(name, step), (id(value), key))
    return found


def placed_by(gradient: Any, seen: Recorder) -> set[CodeType]:
    """Return the code that puts the leaves in a gradient: where func runs it, it does both."""
    return {leaf.nodes[0].code for leaf in leaves(gradient, seen).values() if leaf.nodes}


def _copied(value: Any, seen: Recorder) -> frozenset[Node]:
    """Return what made the last array with the same bits: a library may have made a copy of it."""
    if not isinstance(value, np.ndarray) or not value.any():  # zeros are like any others
        return frozenset()
    for other in reversed(seen.kept):
        alike = isinstance(other, np.ndarray) and other.shape == value.shape
        if alike and seen.made.get(id(other)) and same_bits(other, value):
            return seen.made[id(other)]
    return frozenset()


def parts_of(
    value: Any, wrong: Array | None, seen: Recorder
) -> tuple[Sequence[Node], Sequence[Node]]:
    """Return what made the wrong and the right parts of a vector, if each was seen alone."""
    # It holds `dW.ravel()` and `db` one behind the other, bit for bit; it is `wrong` there (bool).
    bad: list[Node] = []
    good: list[Node] = []
    if wrong is None or not isinstance(value, np.ndarray) or value.shape != (wrong.size,):
        return bad, good
    left = np.ones(wrong.size, dtype=bool)
    for other in reversed(seen.kept[-MOST_PARTS:]):
        made = seen.made.get(id(other))
        if not made or not isinstance(other, np.ndarray) or not 1 < other.size < value.size:
            continue
        part = other.ravel()
        for start in np.flatnonzero(value[: value.size - part.size + 1] == part[0]).tolist():
            here = slice(start, start + part.size)
            if left[here].all() and np.array_equal(value[here], part) and part.any():
                left[here] = False
                (bad if wrong[here].any() else good).extend(made)
    # Where no part is right, the vector as a whole is as good a name for what is wrong; numbers
    # are no parts, and what of it is none is right where nothing else is wrong.
    known = bad and (good or (left.any() and not wrong[left].any()))
    return (bad, good) if known else ((), ())


def behind(nodes: Collection[Node], spared: Collection[Node] = ()) -> set[Node]:
    """Return nodes with all that they depend on, but for changes to an array that are spared."""
    found: set[Node] = set()
    open_ = list(nodes)
    while open_:
        node = open_.pop()
        if node not in found:
            found.add(node)
            open_ += node.before if node in spared else node.read
    return found - set(spared)


MOST_PARTS = 500  # arrays, the last, that may be parts of a vector
MOST_SHARED = 4  # lines that are named of those that all wrong blocks, or the only one, come from
MOST_BLOCKS = 20  # wrong blocks whose lines are named
# Codes of hints on a term or a factor that stands by itself: rather in a line before the last.
TERMS = ("theta", "sign-theta", "chain")


# Codes of blocks that are wrong as a whole: rather for one reason.
VAGUE = ("", "backward", "factor")


def lines_of(
    gradient: Any,
    seen: Recorder,
    wrong: Mapping[str, str],
    right: Sequence[str],
    innocent: Collection[CodeType] = (),
    after: str = "",
    where: Mapping[str, Array] = MappingProxyType({}),
) -> tuple[SourceLine, ...]:
    """Return the lines that the wrong blocks of a gradient come from, the likeliest first."""
    # `wrong` has the code of each block's hint, or an empty text; `innocent` are functions that
    # func itself runs. A statement that a right block comes from as well is not named, but for what
    # made the block `after`, between which and the wrong ones the error enters a backward pass.
    # `where` says which entries of a block are wrong (bool); what made its right ones is right.
    known = _known(gradient, seen, [*wrong, *right])
    bad_parts, right_parts = parts_of(gradient, where.get(next(iter(wrong), "")), seen)
    spared = {name: known[name].spared(where.get(name)) for name in wrong if name in known}
    beside = [known[name] for name in right if name in known]
    of_right = behind([*right_parts, *(node for leaf in beside for node in leaf.nodes)])
    of_right |= _beside_wrong(known, spared)
    told = [name for name in spared if known[name].nodes]
    own = {name: behind(known[name].nodes, spared[name]) - of_right for name in told}
    if not own:
        return ()
    by_line = [
        {
            node.place: node
            for node in sorted(nodes, key=lambda node: node.order)
            if node.tells and node.code not in innocent
        }
        for nodes in own.values()
    ]
    common = set.intersection(*map(set, by_line))
    elsewhere = {node.place for node in of_right}
    codes = set(wrong.values())
    data = set.intersection(*own.values())
    times = Counter(node.place for node in set().union(*own.values()))
    unseen = codes.isdisjoint(("factor", *TERMS))  # a wrong factor, or term, would have been seen

    def doubt(node: Node) -> tuple[int, ...]:
        """Return what is to be said for a node's innocence, the weightiest first."""
        scales = unseen and node.kind == "scales"
        # ``dW, db = ...`` is one line, and no reason why both are wrong.
        apart = node.how == "made" and not node.replaced and node not in data
        apart = apart and (node.apart or "factor" not in codes) and not codes.isdisjoint(VAGUE)
        # What only puts together others' work is right more often than that work.
        plain = node.kind == "combines" or (unseen and node.kind == "sets")
        # A second name, outside of loops, for what was computed: a step is missing.
        renames = node.alias and bool(node.read) and times[node.place] == 1
        last = plain and not node.replaced
        return node.place in elsewhere, scales, apart, last, not renames, -node.order

    last_first = sorted((by_line[0][place] for place in common), key=doubt)
    made = {
        name: _made(known[name], spared[name], where.get(name)) for name in list(own)[:MOST_BLOCKS]
    }
    if len(own) > 1:
        shared = [(node, "shared") for node in last_first[:MOST_SHARED]]
        places = {node.place for node, _ in shared}
        rest = {n: each for n, each in made.items() if each[0][0].place not in places}
        several = (SourceLine(tuple(own), *node.place, role) for node, role in shared)
        there = known[after].nodes[-1:] if after in known else ()
        next_to = [SourceLine((after,), *node.place, "right") for node in there]
        return (*several, *_rows(rest), *next_to)
    for name, each in made.items():
        # What is put in the place of what it was computed from was likely meant to mend it.
        last = any(node.replaced or node.how == "changed" for node, _ in each)
        each = [*((node, node.how) for node in bad_parts if node.how != "placed"), *each]
        places = {node.place for node, _ in each}
        before = [(node, "from") for node in last_first if node.place not in places][:MOST_SHARED]
        early = wrong[name] in TERMS or each[0][0].kind == "combines"
        made[name] = [*before, *each] if early and not last else [*each, *before]
    return tuple(_rows(made))


def _known(gradient: Any, seen: Recorder, names: Sequence[str]) -> Mapping[str, Leaf]:
    """Return the leaves of a gradient by the names of its blocks."""
    known = leaves(gradient, seen)
    if set(known) != {ROOT}:
        return known
    # It is one array, whatever the only block is called.
    leaf = Leaf(gradient, known[ROOT].nodes or ([seen.result] if seen.result else []))
    return dict.fromkeys(names, leaf) if len(names) == 1 else {}


def _beside_wrong(known: Mapping[str, Leaf], spared: Mapping[str, Collection[Node]]) -> set[Node]:
    """Return what was computed for the right entries of wrong arrays, zeros aside."""
    written = [
        node for name in spared for node in spared[name] if known[name].value[node.where].any()
    ]
    return behind([node for each in written for node in each.read - each.before])


def _made(leaf: Leaf, spared: Collection[Node], wrong: Array | None) -> list[tuple[Node, str]]:
    """Return what put a leaf in another's place, last changed it, and made it."""
    # What has changed only some of the wrong entries comes behind what has computed all of them.
    placed, made = leaf.nodes[0], leaf.nodes[-1]
    while made in spared and made.before:
        made = max(made.before, key=lambda one: one.order)
    found = [(placed, "replaced")] if placed.replaced and placed is not made else []
    found.append((made, "made" if made.how == "placed" else made.how))
    while made.before:
        made = max(made.before, key=lambda one: one.order)
    last = found[-1][0]
    if made is not last:
        hits = last.hits(wrong)
        first = made.read and hits is not None and not hits.all()
        found.insert(len(found) - bool(first), (made, "made"))
    return found


def _rows(made: Mapping[str, Sequence[tuple[Node, str]]]) -> list[SourceLine]:
    """Return the lines of each block, once for those that have the same ones."""
    alike: dict[Any, list[str]] = {}
    for name, each in made.items():
        alike.setdefault(tuple((node.place, role) for node, role in each), []).append(name)
    return [
        SourceLine(tuple(names), *node.place, role)
        for names in alike.values()
        for node, role in made[names[0]]
    ]


def with_repairs(
    lines: Sequence[SourceLine], found: Sequence[SourceLine]
) -> tuple[SourceLine, ...]:
    """Return lines with those first that were found to be wrong, and no line twice for a block."""
    told = {(one.file, one.line, name) for one in found for name in one.blocks}
    rest = []
    for line in lines:
        left = (name for name in line.blocks if (line.file, line.line, name) not in told)
        if names := tuple(left):
            rest.append(replace(line, blocks=names))
    return (*found, *rest)


# Before the number of a line that is told behind another.
WORDS = {"made": "made at", "from": "from", "shared": "from", "changed": "changed at"}
# Columns of a statement, however narrow the terminal is: rather fewer lines are told behind it.
LEAST_SOURCE = 16
MOST_BELOW = 3  # lines of a statement as it would be
MOST_ROWS = 8


def source_table(lines: Sequence[SourceLine], width: int) -> list[str]:
    """Return the lines as rows of text: the blocks, the first statement, and where all of them are.

    Rows take `width` columns, if that leaves enough of the statement.
    """
    groups: dict[tuple[str, ...], list[SourceLine]] = {}
    for line in lines:
        groups.setdefault(line.blocks, []).append(line)
    told = list(groups.items())[:MOST_ROWS]
    longest = max(len(own[0].source) for _, own in told)
    for count in range(MOST_SHARED + 1, 0, -1):
        places = ["at", *(_where(own[:count], width // 4) for _, own in told)]
        free = width - max(map(len, places)) - 4
        names = ["block", *_named([names for names, _ in told], max(width // 4, free - longest))]
        room = free - max(map(len, names))
        if room >= LEAST_SOURCE:
            break
    sources = ["is made by", *(own[0].source for _, own in told)]
    first = max(map(len, names))
    room = min(max(room, LEAST_SOURCE // 2), max(map(len, sources)))
    rows = []
    for name, source, place, mended in zip(
        names, sources, places, ["", *(own[0].mended for _, own in told)], strict=True
    ):
        rows.append(f"{name:<{first}}  {_cut(source, room):<{room}}  {place}".rstrip())
        if mended:
            would = "without it" if mended == "pass" else f"as {mended}"
            rows += _below(f"would agree {would}", first + 2, width)
    return rows


def _below(text: str, indent: int, width: int) -> list[str]:
    """Return lines below a row's first column, at most `MOST_BELOW`."""
    begin = " " * indent
    return textwrap.wrap(
        shown(text[:1000], 1000),
        width,
        initial_indent=begin,
        subsequent_indent=f"{begin}  ",
        max_lines=MOST_BELOW,
        placeholder=" ...",
        break_on_hyphens=False,
    )


def _named(groups: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the names of the blocks of each row, or how many they are."""
    listed = [(len(names), ", ".join(names)) for names in groups]
    told = [f"{n} blocks" if n > 1 and len(text) > width else text for n, text in listed]
    return distinct(told, width)


def _cut(source: str, width: int) -> str:
    clean = shown(source[:1000], 1000)
    return clean if len(clean) <= width else clean[: width - 3].rstrip() + "..."


def _where(lines: Sequence[SourceLine], width: int) -> str:
    """Return file and number of the first line, and the numbers of the others."""
    file, told, word = lines[0].file, f"{_file(lines[0].file, width)}:{lines[0].line}", ""
    if lines[0].role == "right":
        return f"{told}, right"
    for line in lines[1:]:
        name = "" if line.file == file else _file(line.file, width)
        own = WORDS.get(line.role, "")
        told += f", {own if own != word else ''} {name}:{line.line}".replace(",  ", ", ")
        file, word = line.file, own
    return told


def _file(file: str, width: int) -> str:
    return shown(PurePath(file).name, width)
