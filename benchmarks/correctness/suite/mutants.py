"""Wrong gradients made from a right one."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from cases import Case

from suite.flat import flatten, kind, rebuild

DELTAS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
FEW = (1e-2, 1e-4, 1e-5, 1e-6)
GROSS = (("doubled", 1.0), ("zeroed", -1.0), ("flipped", -2.0))


@dataclass(frozen=True)
class Mutant:
    """One wrong gradient, flat.

    Attributes
    ----------
    label : str
        What was done, for the listing.
    column : str
        Where it is counted: ``"one 1e-02"``, ``"all 1e-02"``, ``"gross"``, ``"given"``.
    gradient : array
        As a user would pass it: already rounded to the dtype of the right gradient.
    entry : int
        The entry whose error decides whether it can be resolved; -1: any of the probed ones.
    """

    label: str
    column: str
    gradient: np.ndarray
    entry: int


def probed(theta: np.ndarray, g: np.ndarray, name: str) -> dict[str, int]:
    """Choose the entries to falsify: largest and median by |g·s|, and a random one."""
    size = np.abs(g) * np.where(theta != 0, np.abs(theta), 1)
    order = np.argsort(-size, kind="stable")
    alive = [int(i) for i in order if g[i] != 0]
    if not alive:
        return {}
    chosen = {"largest": alive[0], "median": alive[len(alive) // 2]}
    chosen["random"] = alive[zlib.crc32(name.encode()) % len(alive)]
    kept: dict[str, int] = {}
    for label, i in chosen.items():
        if i not in kept.values():
            kept[label] = i
    return kept


def spurious(theta: np.ndarray, g: np.ndarray) -> tuple[int, float] | None:
    """Choose a zero entry, and 1 % of the root mean square of the gradient at its scale."""
    zero = np.flatnonzero(g == 0)
    unit = np.where(theta != 0, np.abs(theta), 1.0)
    size = np.sqrt(np.mean(np.abs(g * unit) ** 2))
    if zero.size == 0 or size == 0:
        return None
    return int(zero[0]), float(0.01 * size / unit[zero[0]])


def make(case: Case) -> list[Mutant]:
    """Return every mutant of a case's right gradient that differs from it in its own dtype."""
    dtype = kind(case.params)
    right = case.grad(case.params)
    theta, g = flatten(case.params, dtype), flatten(right, dtype)
    made = []

    def add(label: str, column: str, entry: int, wrong: np.ndarray) -> None:
        # float32 gradients can't hold an error of 1e-8.
        stored = flatten(rebuild(right, wrong, as_given=True), dtype)
        if not np.array_equal(stored, g):
            made.append(Mutant(label, column, stored, entry))

    if case.mutants != "none":
        for which, i in probed(theta, g, case.name).items():
            for delta in DELTAS if case.mutants == "all" else FEW:
                wrong = g.copy()
                wrong[i] *= 1 + delta
                add(f"{which} entry {i} x (1 + {delta:.0e})", f"one {delta:.0e}", i, wrong)
            for verb, change in GROSS if which != "random" else ():
                wrong = g.copy()
                wrong[i] += change * g[i]
                add(f"{which} entry {i} {verb}", "gross", i, wrong)
        for delta in DELTAS if case.mutants == "all" else FEW:
            add(f"all x (1 + {delta:.0e})", f"all {delta:.0e}", -1, g * (1 + delta))
        extra = spurious(theta, g)
        if extra is not None:
            wrong = g.copy()
            wrong[extra[0]] = extra[1]
            add(f"zero entry {extra[0]} made {extra[1]:.1e}", "gross", extra[0], wrong)
    for label, given in case.wrong:
        add(label, "given", -1, flatten(given, dtype))
    return made
