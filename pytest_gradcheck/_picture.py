"""What pictures of a check are drawn from: small, and builtins alone.

It is made in the process that ran the check, because the evidence stays there, and drawn
elsewhere: by `_figure`, for the HTML page, for pytest-html, and for `GradientReport.plot`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ._blocks import Block, labels, position_of
from ._evidence import Evidence
from ._map import MOST_MAPS, WRONG, grid_of
from ._names import shown
from ._report import VERDICTS, GradientReport

Array = np.ndarray[Any, Any]

MOST_CELLS = 64
"""Rows, and columns, of a map."""

MOST_POINTS = 500
MOST_TOLD = 300
"""Of the points, so many at most are wrong or open; the others show what right ones look like."""

MOST_BARS = 30
NAME_IN_LEGEND = 24


def picture_of(report: GradientReport) -> dict[str, Any]:
    """Return what the pictures of a check are drawn from.

    Parameters
    ----------
    report : GradientReport

    Returns
    -------
    dict
        Builtins, no float that is not finite.  "maps": blocks with something wrong or open, the
        worst first, each with its "kind" (rows of cells, as in `_map`) and "power" (rows of
        log10 of the error over what would have passed, None where that is unknown);
        "undrawn": how many more such blocks there are.  "points": "analytic", "numeric" and
        "verdict", of at most 500 parameters of "size".  "ladders": "label", "analytic",
        "numeric" and "steps", pairs of step and difference.  "bars": "name", "wrong" and "size"
        of blocks, where parameters were checked along directions and so have no map.
    """
    picture: dict[str, Any] = {
        "maps": [],
        "undrawn": 0,
        "points": {},
        "ladders": [],
        "bars": [],
        "size": int(report.size),
    }
    evidence = report.evidence
    if evidence is None:
        picture["points"] = _points_of_entries(report)
        picture["bars"] = [
            {"name": shown(block.name), "wrong": int(block.wrong), "size": int(block.size)}
            for block in sorted(report.blocks, key=lambda block: -block.wrong)[:MOST_BARS]
            if block.wrong
        ]
        return picture
    if report.checked:
        names = dict.fromkeys(entry.block for entry in report.worst if entry.verdict != "agree")
        # Of a million that are wrong the report has the worst.
        names |= dict.fromkeys(block.name for block in report.blocks if block.wrong or block.open)
        by_name = {block.name: block for block in evidence.blocks}
        found = [by_name[name] for name in names if math.prod(by_name[name].shape) > 1]
        picture["maps"] = [_map(evidence, block) for block in found[:MOST_MAPS]]
        picture["undrawn"] = max(len(found) - MOST_MAPS, 0)
    picture["points"] = _points(evidence)
    picture["ladders"] = _ladders(evidence)
    return picture


def _map(evidence: Evidence, block: Block) -> dict[str, Any]:
    grid = grid_of(evidence, block, MOST_CELLS, MOST_CELLS)
    verdict = evidence.verdict[block.window]
    powers = [
        [
            round(math.log10(ratio), 2) if kind == WRONG and math.isfinite(ratio) else None
            for kind, ratio in zip(kinds, ratios, strict=True)
        ]
        for kinds, ratios in zip(grid.kind.tolist(), grid.ratio.tolist(), strict=True)
    ]
    return {
        "name": shown(block.name),
        "shape": str(block.shape),
        "rows": grid.rows,
        "columns": grid.columns,
        "folded": grid.folded,
        "pooled": grid.pooled,
        "wrong": int((verdict == 1).sum()),
        "open": int((verdict == 2).sum()),
        "size": block.size,
        "kind": grid.kind.tolist(),
        "power": powers,
    }


def _points(evidence: Evidence) -> dict[str, list[Any]]:
    finite = np.isfinite(evidence.analytic) & np.isfinite(evidence.numeric) & evidence.evaluated
    told = np.flatnonzero(finite & (evidence.verdict > 0))
    fine = np.flatnonzero(finite & (evidence.verdict == 0))
    told = _spread(told, MOST_TOLD)
    chosen = np.concatenate([_spread(fine, MOST_POINTS - told.size), told])
    return _builtin(
        evidence.analytic[chosen].tolist(),
        evidence.numeric[chosen].tolist(),
        (VERDICTS[int(verdict)] for verdict in evidence.verdict[chosen]),
    )


def _points_of_entries(report: GradientReport) -> dict[str, list[Any]]:
    entries = [e for e in report.worst if math.isfinite(e.analytic) and math.isfinite(e.numeric)]
    entries = entries[:MOST_POINTS]
    return _builtin(
        (e.analytic for e in entries), (e.numeric for e in entries), (e.verdict for e in entries)
    )


def _builtin(
    analytic: Iterable[Any], numeric: Iterable[Any], verdict: Iterable[str]
) -> dict[str, list[Any]]:
    return {
        "analytic": [float(value) for value in analytic],
        "numeric": [float(value) for value in numeric],
        "verdict": list(verdict),
    }


def _spread(places: Array, most: int) -> Array:
    """Return at most so many of the places, evenly spread."""
    if places.size <= most:
        return places
    return places[np.arange(most) * places.size // most]


def _ladders(evidence: Evidence) -> list[dict[str, Any]]:
    label = labels(evidence.blocks)
    found: list[dict[str, Any]] = []
    for i, steps in evidence.ladders.items():
        # A name may be shortened, an index never.
        name = evidence.blocks[position_of(evidence.blocks, i)].name
        a, n = float(evidence.analytic[i]), float(evidence.numeric[i])
        if len(steps) > 1 and math.isfinite(a) and math.isfinite(n):
            found.append(
                {
                    "label": shown(name, NAME_IN_LEGEND) + label(i)[len(name) :],
                    "analytic": a,
                    "numeric": n,
                    "steps": [[float(h), float(value)] for h, value in steps],
                }
            )
    return found
