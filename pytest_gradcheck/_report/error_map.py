"""The error of a block as a small grid, so that a wrong row, edge or stripe can be seen.

A block is folded to two dimensions, and each cell of its grid is the worst of the entries that it
stands for.  Pictures are drawn from the grid, and here it becomes text.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._params.arrays_and_structure import Array
from .._params.layout import Block
from .._quoting import shown
from .._verdict.tolerance_and_comparison import Evidence
from .report import GradientReport

# What a cell is: the largest of its entries', so that nothing wrong is pooled away.
BLANK, AGREES, OPEN, WRONG, NOT_FINITE = range(5)
# Powers of ten of the error over what would have passed at which the next mark begins. A gross
# error is beyond the last whatever its entry's error bar, so that a block off by a factor is even.
DECADES = (1, 2, 4)
MARKS = " ·?░▒▓█N"  # of what is wrong, four
# The marks, and what else our texts use, where a terminal has ASCII alone.
ASCII = str.maketrans({"·": ".", "░": "-", "▒": "+", "▓": "*", "█": "#", "…": "..."})
MOST_COLUMNS = 64
MOST_ROWS = 16
MOST_MAPS = 6
SCREEN = 80
LEAST_ROWS = 3  # rows below which the map of a matrix says little


@dataclass(frozen=True)
class Grid:
    """A block's error, folded into rows and columns, then pooled into cells.

    `kind`, shape (r, c), is `BLANK`, `AGREES`, `OPEN`, `WRONG` or `NOT_FINITE`; `ratio`, shape (r,
    c), the largest error over what would have passed: 0 where unknown, infinity where the analytic
    gradient is not finite. `folded` says how the block became two-dimensional, if it was not.
    """

    rows: int
    columns: int
    kind: Array
    ratio: Array
    folded: str

    @property
    def marks(self) -> list[list[str]]:
        """A mark for each cell, row by row."""
        level = sum(self.ratio > 10.0**power for power in DECADES)
        beyond = np.where(self.kind == WRONG, level, len(DECADES) * (self.kind > WRONG))
        return [[MARKS[place] for place in row] for row in (self.kind + beyond).tolist()]

    @property
    def pooled(self) -> str:
        """What a cell stands for; empty where it is one entry."""
        r, c = self.kind.shape
        if (r, c) == (self.rows, self.columns):
            return ""
        return f"the worst of up to {-(-self.rows // r)} x {-(-self.columns // c)} entries"


def folding(shape: Sequence[int]) -> tuple[int, int, str]:
    """Return rows, columns, and how the axes were folded."""
    if len(shape) < 2:
        return 1, math.prod(shape), ""
    *leading, columns = shape
    if len(leading) == 1:
        return leading[0], columns, ""
    told = " x ".join(map(str, leading))
    rows = math.prod(leading)
    return rows, columns, f"rows: axes 0 to {len(leading) - 1} flattened ({told} = {rows:,})"


def grid_of(evidence: Evidence, block: Block, most_rows: int, most_columns: int) -> Grid:
    """Return the error of a block, which has an entry, as a grid of at most so many cells."""
    # Of a complex block it has the worse of real and imaginary part.
    rows, columns, folded = folding(block.shape)
    parts = evidence.arrays(block)
    with np.errstate(all="ignore"):
        gap = np.abs(parts["analytic"] - parts["numeric"]) / parts["allowed"]
    ratio = np.asarray(np.nan_to_num(gap, nan=0.0, posinf=math.inf), dtype=np.float64)
    wrong = parts["verdict"] == 1
    ratio = np.where(wrong, np.maximum(ratio, 1.0), ratio)
    kind = np.where(wrong, WRONG, np.where(parts["verdict"] == 2, OPEN, AGREES))
    kind = np.where(parts["evaluated"], kind, BLANK)
    finite = np.isfinite(parts["analytic"])
    kind, ratio = np.where(finite, kind, NOT_FINITE), np.where(finite, ratio, math.inf)
    if block.is_complex:
        kind, ratio = kind.max(axis=-1), ratio.max(axis=-1)
    # What agrees or is open does not lend its ratio to a wrong neighbour.
    ratio = np.where(kind >= WRONG, ratio, 0.0)
    pooled = [
        _worst(array.reshape(rows, columns), most_rows, most_columns) for array in (kind, ratio)
    ]
    return Grid(rows, columns, pooled[0].astype(np.int8), pooled[1], folded)


def counts_of(evidence: Evidence, block: Block) -> str:
    """Return in words how much of a block is wrong, and how much can't be told."""
    verdict = evidence.verdict[block.window]
    counts = [(int((verdict == 1).sum()), "wrong"), (int((verdict == 2).sum()), "can't be told")]
    return ", ".join(f"{n:,} of {block.size:,} {words}" for n, words in counts if n)


def _worst(array: Array, most_rows: int, most_columns: int) -> Array:
    for axis, most in enumerate((most_rows, most_columns)):
        size = array.shape[axis]
        if size > most:
            # Cells of one size, or a pattern would look irregular.
            starts = np.arange(0, size, -(-size // most))
            array = np.maximum.reduceat(array, starts, axis=axis)
    return array


def plain(text: str) -> str:
    """Return a text in ASCII: marks by others, and what else there is as escapes."""
    return text.translate(ASCII).encode("ascii", "backslashreplace").decode()


def drawn(report: GradientReport) -> list[Block]:
    """Return the blocks that get a map: wrong or open, of several entries, the worst first."""
    if report.evidence is None or not report.checked:
        return []
    names = dict.fromkeys(entry.block for entry in report.worst if entry.verdict != "agree")
    # Of a million that are wrong the report has the worst.
    names |= dict.fromkeys(block.name for block in report.blocks if block.wrong or block.open)
    by_name = {block.name: block for block in report.evidence.blocks}
    # An entry of a complex block is two coordinates.
    return [by_name[name] for name in names if math.prod(by_name[name].shape) > 1]


def maps_of(report: GradientReport, width: int) -> list[str]:
    """Return lines with maps of at most `MOST_MAPS` blocks; none where there is none."""
    evidence, found = report.evidence, drawn(report)
    if evidence is None or not found:
        return []
    grids = [grid_of(evidence, block, MOST_ROWS, _across(width)) for block in found[:MOST_MAPS]]
    lines = _legend(grids, width)
    for block, grid in zip(found, grids, strict=False):
        lines += ["", *_map(evidence, block, grid, _across(width))]
    if len(found) > len(grids):
        lines += ["", f"and {len(found) - len(grids):,} more blocks without a map"]
    return lines


def small_map(report: GradientReport, width: int, most: int) -> list[str]:
    """Return at most so many lines with the map of the first block that isn't even."""
    if (evidence := report.evidence) is None:
        return []
    for block in drawn(report):
        for rows in range(MOST_ROWS, 0, -1):
            grid = grid_of(evidence, block, rows, _across(width))
            if len(grid.kind) < min(LEAST_ROWS, grid.rows) or _is_even(grid):
                break
            what = f"{shown(block.name)} {block.shape}, x tolerance:"  # as the column is called
            _, *rest = _map(evidence, block, grid, _across(width))
            lines = [*_legend([grid], width, what), *rest]
            if len(lines) <= most:
                return lines
    return []


def _across(width: int) -> int:
    """Return how many cells go across a screen, beside the numbers of the rows."""
    return max(min(width - SCREEN + MOST_COLUMNS, MOST_COLUMNS), 8)


def _is_even(grid: Grid) -> bool:
    """Return whether a block is wrong everywhere alike, so that a map says nothing."""
    return len(set().union(*grid.marks) - {MARKS[BLANK]}) == 1


def _legend(
    grids: Sequence[Grid], width: int, title: str = "error over what would have passed:"
) -> list[str]:
    """Return what the marks mean that are in any of the grids."""
    there = set().union(*(row for grid in grids for row in grid.marks))
    over = ("> 1", *(f"> {10**power:,}" for power in DECADES))
    meaning = [(MARKS[AGREES], "agrees"), *zip(MARKS[WRONG:-1], over, strict=True)]
    meaning += [(MARKS[OPEN], "can't be told"), (MARKS[-1], "not finite")]
    told = [f"{mark} {words}" for mark, words in meaning if mark in there]
    told += ["blank not differenced"] if MARKS[BLANK] in there else []
    marks = ", ".join(told)
    whole = f"{title} {marks}"
    if len(whole) <= width:
        return [whole]
    return [title, *textwrap.wrap(marks, width)]


def _map(evidence: Evidence, block: Block, grid: Grid, across: int) -> list[str]:
    notes = [grid.folded, f"each mark {grid.pooled}" if grid.pooled else ""]
    title = f"{shown(block.name)} {block.shape}", counts_of(evidence, block)
    lines = [", ".join(filter(None, title))]
    lines += ["; ".join(filter(None, notes))] if any(notes) else []
    height, width = grid.kind.shape
    # A character is twice as high as wide: two for a cell where there is room.
    wide = 2 if 2 * width <= across else 1
    ends = "0" + (str(grid.columns - 1).rjust(max(width * wide - 1, 2)) if grid.columns > 1 else "")
    sides = _rows(grid.rows, height) if len(block.shape) > 1 else [""]
    margin = max(map(len, sides))
    lines.append(f"{'':{margin}}  {ends}")
    for side, row in zip(sides, grid.marks, strict=True):
        lines.append(f"{side:>{margin}}  {''.join(mark * wide for mark in row)}".rstrip())
    return lines


def _rows(rows: int, height: int) -> list[str]:
    """Return the numbers beside the lines: each, or the ends where lines are pooled."""
    if rows == height:
        return [str(row) for row in range(rows)]
    return ["0", *[""] * (height - 2), str(rows - 1)]
