"""Time a check over the 2N raw calls of func that it cannot do without.

    python benchmarks/cost/overhead.py [--quick] [--fixed]

func idles, then takes a dot product over all N parameters, so that a call costs about 1, 10 or
100 µs; the table gives what it does cost.  A round times, in turn, 2N calls of func in a bare
loop, a check at a fixed step, and a check at the automatic step.  Ratios are taken within a
round, where the machine's speed is the same, from processor time; the table shows their median
over the rounds and, in brackets, the middle half of them.  Before it stands what a check of three
parameters takes, beside scipy's check_grad in the same process.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections.abc import Callable
from functools import partial
from itertools import repeat
from time import perf_counter, process_time

import numpy as np

from pytest_gradcheck import check_gradients

MICROSECONDS = (1, 10, 100)
SIZES = (100, 1_000, 10_000)
AIM = {1: 1.5, 10: 1.05, 100: 1.05}


def idle(turns: int) -> None:
    """Take the same time at every call, in C: a loop in Python is at the mercy of memory layout."""
    sum(repeat(0.0, turns))


def seconds_per_turn() -> float:
    """Return how long one turn of the idle loop takes."""
    turns = 100_000
    return min(timed(lambda: idle(turns)) for _ in range(20)) / turns


def make_func(size: int, microseconds: float, per_turn: float) -> tuple[Callable, np.ndarray]:
    """Return func of the wanted cost, and its gradient."""
    slope = np.random.default_rng(0).uniform(0.5, 1.5, size)
    dot = slope.dot

    def bare(params):
        return dot(params)

    point = np.ones(size)
    calls = 2_000
    cost = min(timed(lambda: [bare(point) for _ in range(calls)]) for _ in range(10)) / calls
    turns = round((microseconds * 1e-6 - cost) / per_turn)
    if turns < 5:  # the dot product alone takes that long
        return bare, slope

    def padded(params):
        sum(repeat(0.0, turns))
        return dot(params)

    return padded, slope


def timed(work: Callable[[], object]) -> float:
    """Return the processor time of a piece of work: what else the machine does is left out."""
    start = process_time()
    work()
    return process_time() - start


def raw_calls(func: Callable, point: np.ndarray) -> None:
    for _ in range(2 * point.size):
        func(point)


def measure(func: Callable, slope: np.ndarray, seconds: float) -> dict[str, object]:
    """Time rounds for about so many seconds, and return medians of the ratios."""
    rng = np.random.default_rng(1)
    memory = rng.uniform(0.5, 2.0, slope.size + 8)
    point = memory[: slope.size]
    raw: list[float] = []
    fixed: list[float] = []
    automatic: list[float] = []
    reports = [check_gradients(func, slope, point, eps=1e-6), check_gradients(func, slope, point)]
    assert all(report.ok for report in reports), [report.message() for report in reports]
    end = perf_counter() + seconds
    gc.disable()
    try:
        while len(raw) < 5 or (perf_counter() < end and len(raw) < 300):
            gc.collect()
            # Where an array begins in a cache line changes a dot product's time by 15 %: each
            # round begins elsewhere.
            start = rng.integers(8)
            point = memory[start : start + slope.size]
            base = timed(partial(raw_calls, func, point))
            raw.append(base)
            fixed.append(timed(partial(check_gradients, func, slope, point, eps=1e-6)) / base)
            automatic.append(timed(partial(check_gradients, func, slope, point)) / base)
    finally:
        gc.enable()
    return {
        "per call": statistics.median(raw) / (2 * slope.size),
        "fixed": fixed,
        "automatic": automatic,
        "evaluations": [report.evaluations for report in reports],
        "rounds": len(raw),
    }


def shown(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:6.3f} ({low:.2f}-{high:.2f})"


def fixed_cost(rounds: int) -> None:
    """Print what a check of three parameters takes, beside scipy's where that is installed."""
    point = np.array([1.0, -2.0, 2.0])

    def func(x):
        return float(x @ x)

    def grad(x):
        return 2 * x

    checks = {"a check of three parameters": check_gradients}
    try:
        from scipy.optimize import check_grad
    except ImportError:
        pass
    else:
        checks["scipy's check_grad of them"] = check_grad
    # Among other code, as in a test, and many in a row, when all of it is in the cache.
    for count, how in ((1, "one in turn"), (20, "20 in a row")):
        times: dict[str, list[float]] = {name: [] for name in checks}
        for _ in range(rounds // count):
            for name, check in checks.items():
                for _ in range(count):
                    start = perf_counter()  # one is too short for processor time
                    check(func, grad, point)
                    times[name].append(perf_counter() - start)
        # What else the machine does makes a time longer, and never shorter.
        low = {name: statistics.quantiles(taken, n=20)[0] for name, taken in times.items()}
        base = list(low.values())[-1]
        for name, taken in low.items():
            print(f"{name:28} {how} {taken * 1e6:7.0f} µs   x {taken / base:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--fixed", action="store_true", help="the cost of a small check alone")
    given = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}")
    fixed_cost(500 if given.quick else 3_000)
    if given.fixed:
        return
    seconds = 0.3 if given.quick else 5.0
    per_turn = seconds_per_turn()
    print(
        "      N   func µs   fixed step            aim    evals - 2N"
        "   automatic step        evals - 2N   rounds"
    )
    for microseconds in MICROSECONDS:
        for size in SIZES:
            func, slope = make_func(size, microseconds, per_turn)
            found = measure(func, slope, seconds)
            more = [count - 2 * size for count in found["evaluations"]]
            print(
                f"{size:7,}  {found['per call'] * 1e6:8.2f}   {shown(found['fixed']):20}"
                f"  {AIM[microseconds]:4}  {more[0]:10}   {shown(found['automatic']):20}"
                f"  {more[1]:10}  {found['rounds']:7}",
                flush=True,
            )


if __name__ == "__main__":
    main()
