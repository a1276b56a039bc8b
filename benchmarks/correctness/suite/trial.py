"""One case before one checker: a plain record of what was said, and of what should have been."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np
from cases import Case, load

from suite import mutants, oracle
from suite.checkers import OURS, PEERS, Answer, Checker
from suite.flat import complex_entries, flatten, kind

WELCOME = {
    "agree": {"agree"},
    "inconclusive-ok": {"agree", "inconclusive"},
    "inconclusive": {"inconclusive"},
    "kink": {"kink"},
    "nonrepeatable": {"nonrepeatable"},
    "vacuous": {"vacuous"},
}


def detail(answer: Answer) -> str:
    """Return the numbers behind one of our answers."""
    report = answer.report
    if report is None:
        return ""
    lines = [f"{report.evaluations} evaluations, noise {number(report.noise)}, "
             f"rtol used {number(report.rtol_used)}"]  # fmt: skip
    lines += [f"reason: {text}" for text in report.reasons]
    for entry in report.worst[:2]:
        lines.append(
            f"{entry.label}: a {number(entry.analytic, 10)}, n {number(entry.numeric, 10)} +- "
            f"{number(entry.error_bar)}, {entry.verdict}, {entry.reason}"
        )
    return "; ".join(lines)


def number(value: Any, digits: int = 2) -> str:
    return "none" if value is None else f"{value:.{digits}g}"


def resolvable(
    mutant: mutants.Mutant, g: np.ndarray, floors: dict[int, float]
) -> tuple[bool, float, float]:
    """Return whether the oracle resolves a mutant, with its error and the floor there."""
    if mutant.column == "given":
        return True, float(np.max(np.abs(mutant.gradient - g))), 0.0
    ratios = []
    for i, floor in floors.items():
        error = float(abs(mutant.gradient[i] - g[i]))
        if error and (mutant.entry in (-1, i)):
            ratios.append((error / floor if floor else np.inf, error, floor))
    ratio, error, floor = max(ratios, default=(0.0, 0.0, np.inf))
    return ratio > oracle.MARGIN, error, floor


def available() -> tuple[list[str], list[str]]:
    """Return the names of the peers that are installed, and a line for each that is not."""
    found = [name for name, (module, _) in PEERS.items() if importlib.util.find_spec(module)]
    return found, [
        f"{name}: {module} is not installed" for name, (module, _) in PEERS.items()
        if name not in found
    ]  # fmt: skip


_made: dict[str, Checker] = {}


def checker(name: str) -> Checker:
    if name not in _made:
        _made[name] = OURS[name]() if name in OURS else PEERS[name][1]()
    return _made[name]


def examine(case: Case, names: list[str]) -> dict[str, Any]:
    """Put a case, its right gradient and its mutants, before each checker."""
    with np.errstate(all="ignore"):
        wrong = mutants.make(case)
        g = flatten(case.grad(case.params), kind(case.params))
        entries = {m.entry for m in wrong if m.entry >= 0}
        floors, noise = oracle.floors(case, entries) if entries else ({}, 0.0)
    size = g.size + int(complex_entries(case.params).sum())
    judged = [(m, *resolvable(m, g, floors)) for m in wrong]
    record: dict[str, Any] = {
        "case": case.name, "category": case.category, "expect": case.expect, "size": size,
        "noise": noise, "checkers": {},
        "floors": {i: [floor, float(abs(g[i]))] for i, floor in floors.items()},
    }  # fmt: skip
    for name in names:
        judge = checker(name)(case)
        if judge is None:
            record["checkers"][name] = None
            continue
        start = time.perf_counter()
        right = _safely(judge, None)
        said = []
        for mutant, clear, error, floor in judged:
            answer = _safely(judge, mutant.gradient)
            row = {"label": mutant.label, "column": mutant.column, "clear": clear, "error": error,
                   "floor": floor, "verdict": answer.verdict}  # fmt: skip
            if name in OURS and clear and answer.verdict != "disagree":
                row["detail"] = detail(answer)
            said.append(row)
        welcome = WELCOME[case.expect] | set(case.also)
        record["checkers"][name] = {
            "right": right.verdict, "welcome": right.verdict in welcome,
            "evaluations": right.evaluations, "mutants": said,
            "detail": detail(right) if name in OURS else "", "leaked": right.leaked,
            "seconds": time.perf_counter() - start,
        }  # fmt: skip
    return record


def _safely(judge: Any, gradient: np.ndarray | None) -> Answer:
    """Answer, or the name of what our checker raised: that is a finding, not an end."""
    try:
        answer: Answer = judge(gradient)
    except Exception as error:
        return Answer(f"raised {type(error).__name__}: {error}"[:200], 0)
    return answer


def examine_by_name(name: str, names: list[str]) -> dict[str, Any]:
    return examine(load()[name], names)
