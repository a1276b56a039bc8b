"""How often the first hint is right: planted bugs, and others that no test knows.

    python benchmarks/correctness/hints.py  # three seeds, a few minutes on two cores
    python benchmarks/correctness/hints.py --seeds 1 --show  # and each that is wrong or missing
    python benchmarks/correctness/hints.py --model 'LSTM'

For `tests/planted` and for `held_out_bugs.py`, each in a table of its own: what is expected
(rows) and the first hint that is given (columns); then per model and in all how often the first
hint is right, one of the first two, how often none is given where one was expected (missed), and
how often the first is wrong.  A row of the confusion table is named after the likeliest of the
codes that are right; beside its diagonal may stand another that is as right, so that its last two
columns count.  Each right gradient is checked too, and must agree without a hint.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import held_out_bugs
import planted

from pytest_gradcheck import check_gradients

PARTS = {"planted": planted.load, "held out": lambda: held_out_bugs.PLANS}

RIGHT = "(right gradient)"


@dataclass(frozen=True)
class Row:
    """What became of one gradient."""

    model: str
    bug: str
    seed: int
    verdict: str
    codes: tuple[str, ...]
    given: tuple[str, ...]
    right: bool
    right_of_two: bool
    misled: bool
    sentence: str

    @property
    def first(self) -> str:
        """The first hint's code."""
        return self.given[0] if self.given else "none"

    @property
    def outcome(self) -> str:
        """One of "right", "missed" and "wrong"."""
        return "right" if self.right else "wrong" if self.misled else "missed"


def check(task: tuple[str, str, int]) -> list[Row]:
    """Check one model's right gradient, and every wrong one."""
    part, name, seed = task
    plan = next(plan for plan in PARTS[part]() if plan.name == name)
    model = plan.model(seed)
    nothing = planted.Bug(model, RIGHT, model.gradient, ("none",), "")
    bugs = [nothing, *(plan.bug(kind, seed) for kind in plan.table)]
    return [examined(bug, seed) for bug in bugs]


def examined(bug: planted.Bug, seed: int) -> Row:
    model = bug.model
    report = check_gradients(model.cost, bug.gradient, model.params, **bug.options)
    hints = report.diagnoses
    return Row(
        model.name,
        bug.name,
        seed,
        report.verdict,
        bug.codes,
        tuple(hint.code for hint in hints),
        bug.right(hints),
        bug.right(hints, among=2),
        bug.misled(hints),
        hints[0].sentence if hints else "",
    )


def confusion(rows: list[Row]) -> Iterable[str]:
    """Yield the lines of the table of what is expected and what is given."""
    cells: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        cells[row.codes[0]][row.first] += 1
    order = [*sorted(planted.CODES), "none"]
    given = [code for code in order if any(line[code] for line in cells.values())]
    outcomes = {code: Counter(r.outcome for r in rows if r.codes[0] == code) for code in cells}
    heads = [*(code[:7] for code in given), "rows", "right", "wrong"]
    yield f"{'expected':<12}" + "".join(f"{head:>8}" for head in heads)
    for code in (code for code in order if code in cells):
        counts = [cells[code][other] for other in given]
        counts += [sum(cells[code].values()), outcomes[code]["right"], outcomes[code]["wrong"]]
        yield f"{code:<12}" + "".join(f"{count or '.':>8}" for count in counts)


def rates(name: str, rows: list[Row]) -> str:
    """Return one line of the table of models."""
    real = [row for row in rows if "none" not in row.codes]
    silent = [row for row in rows if "none" in row.codes]
    cells = [
        f"{len(rows):>6}",
        share(row.right for row in real),
        share(row.right_of_two for row in real),
        share(row.outcome == "missed" for row in real),
        share(row.right for row in silent),
        share(row.misled for row in rows),
    ]
    return f"{name:<26}" + "".join(cells)


def share(found: Iterable[bool]) -> str:
    flags = list(found)
    return f"{100 * sum(flags) / len(flags):>8.1f} %" if flags else f"{'-':>10}"


def show(part: str, rows: list[Row], everything: bool) -> None:
    bugs = [row for row in rows if row.bug != RIGHT]
    print(f"\n{part}: {len(bugs)} wrong gradients\n")
    print("\n".join(confusion(bugs)))
    heads = ("1st right", "of two", "missed", "'none'", "wrong")
    print(f"\n{'':<26}{'rows':>6}" + "".join(f"{head:>10}" for head in heads))
    for name in dict.fromkeys(row.model for row in rows):
        print(rates(name, [row for row in bugs if row.model == name]))
    print(rates("all", bugs))
    agree = [row for row in rows if row.bug == RIGHT]
    accused = [row for row in agree if row.verdict != "agree" or row.given]
    escaped = [row for row in bugs if row.verdict == "agree"]
    print(f"\nright gradients accused, or given a hint: {len(accused)} of {len(agree)}")
    print(f"wrong gradients that agree: {len(escaped)} of {len(bugs)}")
    for row in accused + escaped:
        print(f"  {row.model}: {row.bug}, seed {row.seed}: {row.verdict} {row.sentence}")
    if everything:
        for row in (row for row in bugs if not row.right):
            print(
                f"  {row.outcome:<7}{row.model}: {row.bug}, seed {row.seed}: "
                f"{'/'.join(row.codes)}, given {'/'.join(row.given) or 'none'}: {row.sentence}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="draws of each model (3)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--model", metavar="PATTERN", default="*", help="glob on models' names")
    parser.add_argument("--part", choices=list(PARTS), help="one part alone")
    parser.add_argument("--show", action="store_true", help="list what is not right")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args()
    started = time.perf_counter()
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        for part in [given.part] if given.part else PARTS:
            tasks = [
                (part, plan.name, seed)
                for plan in PARTS[part]()
                if fnmatch(plan.name, given.model)
                for seed in range(given.first, given.first + given.seeds)
            ]
            rows = [row for found in pool.map(check, tasks) for row in found]
            if rows:
                show(part, rows, given.show)
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
