"""Time a check whose func costs 5 ms, evaluated here and by two processes or threads.

    python benchmarks/cost/workers.py

All in one run, in turn, three rounds; the table shows the median time and, within a round, the
ratio of the check without workers to that with them.  func computes in pure Python, which holds
the interpreter's lock, so that threads can't help; and once it waits, as for a disk or a
simulation elsewhere, so that they can.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

import numpy as np

from pytest_gradcheck import check_gradients

SECONDS = 0.005
SIZE = 200
ROUNDS = 3


def computes(theta: np.ndarray, turns: int) -> float:
    total = 0.0
    for _ in range(turns):
        total += 1e-9
    return float(np.sum(np.sin(theta)))


def waits(theta: np.ndarray, seconds: float) -> float:
    time.sleep(seconds)
    return float(np.sum(np.sin(theta)))


def gradient(theta: np.ndarray, _: float) -> np.ndarray:
    return np.cos(theta)


def turns_for(seconds: float) -> int:
    """Return how long a loop takes so many seconds."""
    theta = np.ones(1)
    best = min(timed(computes, theta, 100_000) for _ in range(5))
    return int(100_000 * seconds / best)


def timed(function, *args, **kwargs) -> float:
    start = perf_counter()
    function(*args, **kwargs)
    return perf_counter() - start


def check(func, argument, workers) -> None:
    theta = np.linspace(0.1, 1.4, SIZE)
    report = check_gradients(func, gradient, theta, args=(argument,), workers=workers)
    assert report.ok, report.message()


def main() -> None:
    cases = [(computes, turns_for(SECONDS)), (waits, SECONDS)]
    context = multiprocessing.get_context("spawn")
    print(
        f"Python {sys.version.split()[0]}, {os.cpu_count()} processors; {SIZE} parameters, "
        f"{SECONDS * 1e3:.0f} ms a call"
    )
    print("func      workers          seconds   speed-up   aim")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        check(computes, 1, pool)  # starts the processes and imports numpy in both
        ways = {"1": 1, "two threads": 2, "two processes": pool}
        for func, argument in cases:
            times: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, workers in ways.items():
                    times[name].append(timed(check, func, argument, workers))
            for name, found in times.items():
                gain = statistics.median(
                    one / many for one, many in zip(times["1"], found, strict=True)
                )
                aim = "1.8" if name == "two processes" and func is computes else ""
                print(
                    f"{func.__name__:9} {name:15} {statistics.median(found):8.2f}"
                    f"   {gain:8.2f}   {aim:>3}"
                )


if __name__ == "__main__":
    main()
