"""Several entries at one kink: each between its own two slopes, and no subgradient together.

max at a tie has slopes 0 and 1 in each of the entries, and yet (1, 1) is no subgradient of it.
What is one lies, along every direction d, between the two one-sided derivatives: g·d does.  Along a
direction in which the one-sided slopes of the entries just add up their kinks are separate, and
nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._constants import MOST_TIES, ROUNDING_FACTOR, TIE_SLOPE, TIE_WITHIN
from .._difference.sweep import Sweep
from .._evaluate.problem import Problem
from .comparison import Array, Comparison
from .tolerance import AGREE, DISAGREE, TOGETHER


def judge_ties(found: Comparison, sweep: Sweep, problem: Problem) -> None:
    """Accuse entries on a kink that agree one by one and not together."""
    ties = _Ties(found, sweep, problem)
    members = [i for i in sorted(found.slopes) if found.verdict[i] == AGREE and sweep.step[i] > 0]
    # What bends upwards and what bends downwards apart: of their sum there are no such bounds.
    for sign in (1, -1):
        alike = [i for i in members if sign * (found.slopes[i][1] - found.slopes[i][0]) > 0]
        for group in ties.wrong(np.array(alike, dtype=np.intp)):
            found.verdict[group] = DISAGREE
            found.reasons.update(dict.fromkeys(group.tolist(), TOGETHER))


class _Ties:
    """Directions through some entries, in which the kink of each is of size 1."""

    def __init__(self, found: Comparison, sweep: Sweep, problem: Problem) -> None:
        self.found, self.sweep, self.problem = found, sweep, problem
        self.left = MOST_TIES

    def wrong(self, members: Array) -> Iterator[Array]:
        """Yield the smallest groups of entries that are no subgradient together."""
        if members.size < 2 or not self.left:
            return
        self.left -= 1
        separate, outside = self._along(members)
        if separate:
            return
        parts: list[Array] = []
        if members.size > 2:
            half = members.size // 2
            parts = [one for part in (members[:half], members[half:]) for one in self.wrong(part)]
        yield from parts or ([members] if outside else [])

    def _along(self, members: Array) -> tuple[bool, bool]:
        """Return whether the kinks are separate, and whether g·d is outside its two bounds."""
        slopes = np.array([self.found.slopes[i] for i in members.tolist()])
        g, low, high = self.found.analytic[members], slopes.min(axis=1), slopes.max(axis=1)
        # To the side to which each entry is farther from the middle of its slopes, as far as makes
        # all kinks alike: what is right by itself is then farthest from being so together.
        d = np.where(g >= 0.5 * (low + high), 1.0, -1.0) / (high - low)
        step = float(np.min(self.sweep.step[members] / np.abs(d)))
        shift = np.zeros(self.problem.size)
        shift[members] = d
        center = self.problem.center
        up, down = self.problem.evaluator.along(shift, (step, -step))
        forward, backward = float((up - center) / step), float((center - down) / step)
        sigma = float(self.sweep.noise.at(np.array([up, down, center])).max())
        allowed = TIE_WITHIN + TIE_SLOPE * float(np.abs(g * d).sum())
        allowed += ROUNDING_FACTOR * 2 * sigma / step
        if not np.isfinite([forward, backward]).all():
            return True, False
        behind, ahead = slopes[:, 0], slopes[:, 1]
        alone = (
            float(np.sum(d * np.where(d > 0, ahead, behind))),
            float(np.sum(d * np.where(d > 0, behind, ahead))),
        )
        separate = max(abs(forward - alone[0]), abs(backward - alone[1])) <= allowed
        told = float(np.sum(g * d))
        bounds = min(forward, backward) - allowed, max(forward, backward) + allowed
        return separate, not bounds[0] <= told <= bounds[1]
