"""What each constant of `pytest_gradcheck/_constants.py` decides: half of it, twice it, what flips.

What flips nothing by a factor of two is well chosen, or it decides nothing: by a factor of 1,000,
which takes a threshold out of the way, the two are told apart.

The cases are a sample of those of `recording.py`, drawn by the checksums of their names, and more
of accuracy's right gradients than of others.  The numbers of the engine alone are held to the
gradient that comes with the case: each within three of its error bars, or the case is *missed*.

An unchanged run notes which functions each case calls, and a constant is tried on those cases alone
that call one which reads it: it can change no other.  Each value is tried in a process of its own,
forked before any case was run, so that nothing is left behind.
"""

from __future__ import annotations

import ast
import json
import math
import multiprocessing
import re
import signal
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import pytest_gradcheck as pg
from pytest_gradcheck import _constants

GROUPS = ("accuracy", "planted", "held_out", "scale", "jacobian", "situations")

SAMPLE = 0.03
"""Part of the cases that are taken."""

RIGHT = 20
"""Times as large a part of the right gradients of the accuracy suite, and of the engine alone."""

MOST_ALONE = 40
"""Parameters of a case of the engine alone, which takes a dozen evaluations for each."""

MOST_CALLS = 10_000
"""Calls of the package's functions in one case: a twentieth of the cases takes half of the time."""

LONGEST = 20
"""Times what an unchanged run takes: beyond that a value does not end."""

FLIPS = {
    ("agree", "disagree"): "right accused",
    ("agree", "inconclusive"): "right left open",
    ("disagree", "agree"): "wrong passed",
    ("disagree", "inconclusive"): "wrong left open",
    ("inconclusive", "agree"): "open one passed",
    ("inconclusive", "disagree"): "open one accused",
    ("met", "missed"): "bar missed",
    ("missed", "met"): "bar met",
}
"""By the verdicts of the unchanged run and of the changed one; others are "other"."""

Verdicts = dict[str, tuple[str, str, int]]
"""By case: verdict, codes of the hints, evaluations."""

Place = tuple[str, int]
"""A function: its file and first line."""

Case = tuple[str, Callable[[], tuple[str, str, int]]]


def chosen(sample: float) -> list[Case]:
    """Return the cases of a sample, in order."""
    sys.path.append(str(Path(__file__).parents[2]))
    import recording

    found: list[Case] = []
    for group in GROUPS:
        for title, call in recording.GROUPS[group]():
            right = group == "accuracy" and title.endswith(": right")
            if drawn(name := f"{group}: {title}", sample * (RIGHT if right else 1)):
                found.append((name, partial(said_by, call)))
    return found + [case for case in of_numbers() if drawn(case[0], sample * RIGHT)]


def drawn(name: str, part: float) -> bool:
    """Return whether a case is in a sample of so large a part."""
    return zlib.crc32(name.encode()) < part * 2**32


def of_numbers() -> Iterator[Case]:
    """Yield the engine alone on cases of the accuracy suite."""
    import cases

    from suite.flat import flatten, kind

    for case in cases.load().values():
        if case.expect == "agree" and flatten(case.params, kind(case.params)).size <= MOST_ALONE:
            yield f"numeric: {case.name}", partial(met, case)


def said_by(call: Callable[[], Any]) -> tuple[str, str, int]:
    """Return what a check says."""
    try:
        report = call()
    except pg.GradientMismatch as mismatch:
        report = mismatch.report
    if not isinstance(report, pg.GradientReport):
        return "no report", "", 0
    codes = sorted({diagnosis.code for diagnosis in report.diagnoses})
    return report.verdict, " ".join(codes), report.evaluations


def met(case: Any) -> tuple[str, str, int]:
    """Return whether every number is within three error bars of the gradient."""
    from suite.flat import flatten, kind

    numeric, bar = pg.numerical_gradient_with_error(case.func, case.params)
    of = kind(case.params)
    gap = np.abs(flatten(numeric, of) - flatten(case.grad(case.params), of))
    allowed = 3 * np.abs(flatten(bar, of)) + 1e-12 * np.abs(flatten(numeric, of))
    return ("met" if bool((gap <= allowed).all()) else "missed"), "", 0


def values() -> dict[str, float]:
    """Return the constants, in the order of their table."""
    tree = ast.parse(source())
    return {
        name: getattr(_constants, name)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for name in re.findall(r"[A-Z]\w*", ast.unparse(node.targets[0]))
    }


def source() -> str:
    """Return the text of the table."""
    return Path(_constants.__file__).read_text(encoding="utf-8")


def scaled(value: float, factor: float) -> float:
    """Return a value times a factor: of a factor just above 1, what it is above 1."""
    if isinstance(value, int):
        return max(1, int(value * factor))
    return 1 + (value - 1) * factor if 1 < value < 1.3 else value * factor


def changed(name: str, value: float) -> dict[str, float]:
    """Return the constants that another value of one changes: itself, and what follows from it."""

    class Change(ast.NodeTransformer):
        def visit_Assign(self, node: ast.Assign) -> ast.AST:
            targets = re.findall(r"[A-Z]\w*", ast.unparse(node.targets[0]))
            if name in targets:
                old = [getattr(_constants, one) if one != name else value for one in targets]
                node.value = ast.parse(", ".join(map(repr, old)), mode="eval").body
            return node

    made: dict[str, Any] = {}
    tree = ast.fix_missing_locations(Change().visit(ast.parse(source())))
    exec(compile(tree, "constants", "exec"), made)
    return {one: made[one] for one, old in values().items() if made[one] != old}


def readers(names: Iterable[str]) -> set[Place]:
    """Return the functions of the package that read any of some constants."""
    found: set[Place] = set()
    for path in Path(pg.__file__).parent.rglob("*.py"):
        waiting = [compile(path.read_text(encoding="utf-8"), str(path), "exec")]
        while waiting:
            code = waiting.pop()
            waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
            if code.co_name != "<module>" and not set(code.co_names).isdisjoint(names):
                found.add((code.co_filename, code.co_firstlineno))
    return found


def run(cases: list[Case], new: dict[str, float], seconds: int, send: Any) -> None:
    """Answer all cases with some constants changed, and send what was said, and what called."""
    warnings.simplefilter("ignore")
    signal.alarm(seconds)  # a value with which the engine does not end ends here
    for key, module in list(sys.modules.items()):
        if key.startswith("pytest_gradcheck"):
            for one in new.keys() & vars(module).keys():
                setattr(module, one, new[one])
    send.send(answers(cases, noted=not new))


def answers(cases: list[Case], noted: bool) -> tuple[Verdicts, dict[str, Counter[Place]]]:
    """Return what is said of every case, and if it is to be noted which functions it calls."""
    said: Verdicts = {}
    called: dict[str, Counter[Place]] = {}
    inside = str(Path(pg.__file__).parent)

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(inside):
            now[code.co_filename, code.co_firstlineno] += 1

    np.random.seed(0)
    with np.errstate(all="ignore"):
        for title, call in cases:
            now = called[title] = Counter()
            sys.setprofile(note if noted else None)
            try:
                said[title] = call()
            except Exception as error:
                said[title] = (f"raised {type(error).__name__}", "", 0)
            finally:
                sys.setprofile(None)
    return said, called


def tried(cases: list[Case], new: dict[str, float], seconds: int) -> Any:
    """Return what is said with changed constants, or None where it does not end."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(cases, new, seconds, send))
    process.start()
    send.close()
    try:
        said = receive.recv()
    except EOFError:
        said = None
    process.join()
    return said


def flips(before: Verdicts, after: Verdicts | None) -> dict[str, list[str]]:
    """Return the cases that flip, by how; "hints" are others that are explained differently."""
    if after is None:
        return {"does not end": [""]}
    found: dict[str, list[str]] = {}
    for title, (now, codes, _) in after.items():
        verdict, others, _ = before[title]
        if now != verdict:
            found.setdefault(FLIPS.get((verdict, now), "other"), []).append(title)
        elif codes != others:
            found.setdefault("hints", []).append(title)
    return found


def more_spent(before: Verdicts, after: Verdicts | None) -> float:
    """Return by what part evaluations rise on what agrees in the unchanged run."""
    right = {title: count for title, (verdict, _, count) in before.items() if verdict == "agree"}
    more = sum(after[title][2] - right[title] for title in right.keys() & after) if after else 0
    return more / sum(right.values())


def counted(found: dict[str, list[str]]) -> str:
    """Return how many cases flip, by how, and in which groups."""
    parts = []
    for what, titles in found.items():
        groups = Counter(title.partition(":")[0] for title in titles)
        where = ", ".join(f"{n} {group}" for group, n in groups.items() if group)
        parts.append(f"{what}: {where}" if where else what)
    return "; ".join(parts) or "nothing"


def report(
    names: list[str], sample: float, by: float, kept: Path | None, everything: bool
) -> Iterator[str]:
    """Yield the rows of the table, and the cases that flip where a few constants are asked for."""
    known = values()
    unknown = sorted(set(names) - set(known) - {"all"})
    if unknown:
        raise SystemExit(f"no constant is called {', '.join(unknown)}")
    cases = chosen(sample)
    started = time.perf_counter()
    before, called = tried(cases, {}, 3600)
    cases = [case for case in cases if called[case[0]].total() <= MOST_CALLS]
    before = {title: before[title] for title, _ in cases}
    seconds = math.ceil(LONGEST * (time.perf_counter() - started))
    kinds = Counter(verdict for verdict, _, _ in before.values())
    yield f"{len(cases)} cases: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    yield ""
    yield f"| constant | value | read in | / {by:g} | x {by:g} | evaluations on what agrees |"
    yield "|---|---|---|---|---|---|"
    whole: dict[str, Any] = {}
    for name in known if "all" in names else names:
        found, cost, some = [], [], []
        for factor in (1 / by, by):
            new = changed(name, scaled(known[name], factor))
            reading = readers(new)
            some = [case for case in cases if not reading.isdisjoint(called[case[0]])]
            after = tried(some, new, seconds) if some and new else ({}, {})
            after = None if after is None else after[0]
            found.append(flips(before, after))
            cost.append(more_spent(before, after))
        whole[name] = {"value": known[name], "less": found[0], "more": found[1], "cost": cost}
        more = ", ".join(f"{100 * part:+.1f} %" for part in cost)
        texts = " | ".join(counted(one) for one in found)
        yield f"| `{name}` | {known[name]:.5g} | {len(some)} | {texts} | {more} |"
        if everything:
            for which, one in zip(("less", "more"), found, strict=True):
                for what, titles in one.items():
                    yield from (f"  {which}: {what}: {title}" for title in titles)
        if kept is not None:
            kept.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
