"""A million parameters before our checker and its peers, in one run.

    python benchmarks/correctness/scale.py                     # about six minutes on two cores
    python benchmarks/correctness/scale.py --ours-only --seeds 50 --sizes 1000000
    python benchmarks/correctness/scale.py --error 'one*'      # only some errors
    python benchmarks/correctness/scale.py --growth            # only time over N, blocks, memory

A numpy network of about 1e3 to 1e6 parameters; its right gradient, and wrong ones.  Printed per
checker and error, over seeds that change the network, the error's place and the check's own
directions: evaluations of func (median, most), seconds (median), how often the answer was right,
and how often what is wrong was named: the entries by index and no other, the row, column or block
with its pattern.  Peers name nothing.  A row stops taking further seeds after ``--seconds``.
Peers need ``pip install -e ".[bench]"``; those that are missing are left out and said so.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

# One thread each, read when numpy and jax are imported.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
}
os.environ.update(ENVIRONMENT)

import numpy as np  # noqa: E402
from suite import trial  # noqa: E402
from suite.at_scale import DIRECTIONS, Peer, ours  # noqa: E402
from suite.memory import peaks  # noqa: E402
from suite.planted import PLANTED, Network, layers  # noqa: E402

from pytest_gradcheck import check_gradients  # noqa: E402

SIZES = (1_000, 10_000, 100_000, 1_000_000)

LARGEST = {"torch slow": 1_000, "scipy check_grad": 10_000}
"""Peers that difference every parameter, and the size up to which there is time for it."""

SLOW_TO_FAIL = {"torch fast": 10_000}
"""Peers that difference every parameter once something is wrong, and the size up to which there is
time for that."""

LEFT_OUT = ("course, 1e-7",)

GROWN = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
"""Sizes over which the growth of time is measured."""

Record = dict[str, Any]


def measure(
    check: Any, networks: list[Network], size: int, error: str, seconds: float
) -> Record | None:
    """Put one kind of gradient before one checker, seed after seed."""
    told: list[tuple[bool, bool, int, float]] = []
    spent = 0.0
    for seed, network in enumerate(networks):
        if spent > seconds:
            break
        planted = PLANTED[error](network, np.random.default_rng(1000 + seed))
        if isinstance(check, Peer):
            check.judge(network)
        start = time.perf_counter()
        verdict, evaluations, report = check(network, planted.gradient, seed, size)
        took = time.perf_counter() - start
        spent += took
        right = verdict == ("agree" if error == "right" else "disagree")
        told.append((right, report is not None and planted.named(report), evaluations, took))
    counts = [item[2] for item in told]
    return {
        "n": len(told),
        "right": sum(item[0] for item in told),
        "named": sum(item[1] for item in told),
        "evaluations": statistics.median(counts),
        "most": max(counts),
        "seconds": statistics.median(item[3] for item in told),
    }


def show(name: str, error: str, found: Record, names: bool) -> None:
    named = f"{found['named']}/{found['n']}" if names and error != "right" else "-"
    print(
        f"{name:17} {error:26} {found['evaluations']:8,.0f} {found['most']:8,} "
        f"{found['seconds']:9.4f} {found['right']:4}/{found['n']:<4}{named:>8}",
        flush=True,
    )


def tables(given: argparse.Namespace, peers: list[str]) -> dict[tuple[str, int, str], Record]:
    """Print the table of every size; return ours on tanh and the peers'."""
    errors = [name for name in PLANTED if name == "right" or fnmatch(name, given.error)]
    kept: dict[tuple[str, int, str], Record] = {}
    judges = {name: Peer(name) for name in peers}
    for size in given.sizes:
        for activation in ("tanh", "relu"):
            networks = [Network(layers(size), activation, seed) for seed in range(given.seeds)]
            one = networks[0]
            one.cost(one.params)
            calls = [timed(lambda n=one: n.cost(n.params)) for _ in range(9)]
            cost = statistics.median(calls)
            print(f"\nN = {one.size:,}, {activation}; one call of func: {cost * 1e3:.3f} ms")
            print(
                f"{'checker':17} {'gradient':26} {'evals':>8} {'most':>8} {'seconds':>9} "
                f"{'answered right':>9}{'named':>5}"
            )
            for error in errors:
                found = measure(ours, networks, size, error, given.seconds)
                show("ours", error, found, True)
                kept["ours " + activation, size, error] = {**found, "cost": cost, "N": one.size}
            if activation == "relu":
                continue
            for name, judge in judges.items():
                if size > LARGEST.get(name, size):
                    continue
                for error in errors:
                    if error != "right" and size > SLOW_TO_FAIL.get(name, size):
                        continue
                    found = measure(judge, networks, size, error, given.seconds / 4)
                    show(name, error, found, False)
                    kept[name, size, error] = found
    return kept


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def own_time(func: Any, grad: Any, params: Any) -> tuple[float, int]:
    """Return seconds of a check without func's share, the least of five, and its evaluations.

    It is processor time, of which other work on the machine takes none.
    """
    inside = 0.0

    def timed(p: Any) -> Any:
        nonlocal inside
        start = time.process_time()
        value = func(p)
        inside += time.process_time() - start
        return value

    found = []
    for _ in range(6):
        start, inside = time.process_time(), 0.0
        report = check_gradients(timed, grad, params, max_evals=DIRECTIONS)
        found.append(time.process_time() - start - inside)
    return min(found[1:]), report.evaluations


def growth(sizes: list[int]) -> list[tuple[int, float]]:
    """Return (N, seconds) of a check whose func costs the same for every N."""
    found = []
    for size in sizes:
        theta = np.random.default_rng(0).normal(size=size)
        slope = np.zeros(size)
        slope[:1000] = 1 - np.tanh(theta[:1000]) ** 2
        found.append((size, own_time(lambda x: np.tanh(x[:1000]).sum(), slope, theta)[0]))
    return found


def many_blocks() -> list[tuple[int, int, float, int]]:
    """Return (blocks, entries of each, seconds, evaluations) of checks."""
    found = []
    for count, each in ((1, 200_000), (1_000, 200), (10_000, 20), (1, 10_000), (10_000, 1)):
        theta = np.random.default_rng(0).normal(size=count * each)
        params = {f"p{i}": part for i, part in enumerate(np.split(theta, count))}

        def func(p: Any) -> Any:
            return np.tanh(np.concatenate(list(p.values()))).sum()

        grad = {name: 1 - np.tanh(part) ** 2 for name, part in params.items()}
        found.append((count, each, *own_time(func, grad, params)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours-only", action="store_true", help="leave the peers out")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="time per row, about")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--error", default="*", metavar="GLOB", help="which wrong gradients")
    parser.add_argument("--growth", action="store_true", help="only time over N, blocks, memory")
    given = parser.parse_args()
    start = time.perf_counter()
    peers, missing = ([], []) if given.ours_only else trial.available()
    peers = [name for name in peers if name not in LEFT_OUT]
    for line in missing:
        print(f"left out, {line}")
    kept = {} if given.growth else tables(given, peers)
    largest = max(given.sizes)
    print(f"\npeak memory over what the {Network(layers(largest)).size:,} parameters take")
    held = peaks(["ours", *[p for p in peers if p not in LARGEST]], largest)
    for (name, error), (resident, traced) in held.items():
        more = f", {traced:.1f} by tracemalloc" if traced is not None else ""
        print(f"{name:17} {error:26} {resident:6.1f} resident{more}")
    print("\ntime beside a func of fixed cost")
    times = growth([size for size in GROWN if size <= 3 * largest])
    for size, seconds in times:
        print(f"{size:10,} {seconds * 1e3:9.2f} ms")
    print("\ntime beside func of so many blocks")
    for count, each, seconds, evaluations in many_blocks():
        print(f"{count:10,} of {each:7,} {seconds * 1e3:9.2f} ms {evaluations:6,} evaluations")
    aims(kept, held, times, largest)
    print(f"\n{time.perf_counter() - start:.0f} s")
    return 0


def aims(kept: Any, held: Any, times: Any, size: int) -> None:
    """Print what was aimed at beside what was found."""
    ours = {error: found for (name, n, error), found in kept.items()
            if n == size and name == "ours tanh"}  # fmt: skip
    rows: list[tuple[str, float, float]] = []
    if ours:
        rows.append(("evaluations to pass", ours["right"]["most"], 30))
    rows += [
        (f"evaluations, {error} (median)", ours[error]["evaluations"], aim)
        for error, aim in AIMS.items()
        if error in ours
    ]
    for error, found in ours.items():
        if error != "right":
            rows.append((f"not caught, {error}", found["n"] - found["right"], 0))
            rows.append((f"not named, {error}", found["n"] - found["named"], 0))
    rows.append(("memory to pass / parameters", held["ours", "right"][0], 3.5))
    rows.append(("memory to fail / parameters", held["ours", "one entry doubled"][0], 4))
    if len(times) > 1:
        x, y = np.log([n for n, _ in times]), np.log([s for _, s in times])
        rows.append(("growth exponent, whole range", float(np.polyfit(x, y, 1)[0]), 1.03))
        last = (y[-1] - y[-2]) / (x[-1] - x[-2])
        rows.append(("growth exponent, last two", float(last), 1.03))
    for name in ("torch fast", "jax"):
        if (name, size, "right") in kept:
            ratio = ours["right"]["seconds"] / kept[name, size, "right"]["seconds"]
            rows.append((f"time to pass / {name}", ratio, 10))
    if ours:
        found = ours["right"]
        share = found["seconds"] / (2 * found["N"] * found["cost"])
        rows.append(("time to pass / 2N calls (reckoned)", share, 1e-3))
    print("\naims at the largest N, tanh")
    for text, value, aim in rows:
        met = "met" if value <= aim + 1e-12 and math.isfinite(value) else "NOT MET"
        print(f"  {text:46} {value:10.4g}  aim {aim:g}  {met}")


AIMS = {
    "one entry doubled": 45,
    "one entry, 1e-2 of median": 45,
    "one entry, 1e-4 of median": 45,
    "five entries doubled": 150,
    "row x 2": 40,
    "block x 2": 40,
    "weight decay, all": 40,
    "weight decay, weights only": 40,
}


if __name__ == "__main__":
    sys.exit(main())
