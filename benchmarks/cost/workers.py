"""Time checks whose func costs 5 ms, evaluated here and by two processes or threads.

    python benchmarks/cost/workers.py [--quick]

All in one run, in turn; the table shows the median time and, within a round, the ratio of the check
without workers to that with them.  func computes in pure Python, which holds the interpreter's
lock, so that threads can't help; and once it waits, as for a disk or a simulation elsewhere, so
that they can.  Gradients entry by entry, along directions, and Jacobians are checked.  Dask's
executor, of two processes, is there where dask is.  Every report must be that of the check without
workers, bit for bit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any

import numpy as np

from pytest_gradcheck import GradientReport, check_gradients, check_jacobian

SECONDS = 0.005
SIZE = 200
ROUNDS = 3


def computes(turns: int) -> None:
    total = 0.0
    for _ in range(turns):
        total += 1e-9


def total(theta: np.ndarray, spend: Callable[[Any], None], cost: float) -> float:
    spend(cost)
    return float(np.sum(np.sin(theta)))


def slopes(theta: np.ndarray, *_: Any) -> np.ndarray:
    return np.cos(theta)


def each(theta: np.ndarray, spend: Callable[[Any], None], cost: float) -> np.ndarray:
    spend(cost)
    return np.sin(theta[:20]) + theta.sum()


def matrix(theta: np.ndarray, *_: Any) -> np.ndarray:
    return np.eye(20, theta.size) * np.cos(theta) + 1.0


def gradient(args: tuple[Any, ...], workers: Any) -> GradientReport:
    return check_gradients(total, slopes, np.linspace(0.1, 1.4, SIZE), args=args, workers=workers)


def along_directions(args: tuple[Any, ...], workers: Any) -> GradientReport:
    theta = np.linspace(0.1, 1.4, 100 * SIZE)
    return check_gradients(total, slopes, theta, args=args, workers=workers)


def jacobian(args: tuple[Any, ...], workers: Any) -> GradientReport:
    return check_jacobian(each, matrix, np.linspace(0.1, 1.4, SIZE), args=args, workers=workers)


CHECKS = {"gradient": gradient, "along directions": along_directions, "Jacobian": jacobian}


def turns_for(seconds: float) -> int:
    """Return how long a loop takes so many seconds."""
    best = min(timed(computes, 100_000)[0] for _ in range(5))
    return int(100_000 * seconds / best)


def timed(function: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    start = perf_counter()
    found = function(*args)
    return perf_counter() - start, found


@contextmanager
def ways() -> Iterator[dict[str, Any]]:
    """Make what evaluates func, by name."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(2, mp_context=context))
        found: dict[str, Any] = {"1": 1, "two threads": 2, "two processes": pool}
        try:
            from dask.distributed import Client
        except ImportError:
            print("dask.distributed is not installed")
        else:
            client = Client(n_workers=2, threads_per_worker=1, dashboard_address=None)
            found["Dask"] = stack.enter_context(client).get_executor()
        for workers in found.values():  # starts the processes and imports numpy in all of them
            gradient((computes, 1), workers)
        yield found


def without_time(report: GradientReport) -> dict[str, Any]:
    assert report.ok, report.message()
    return {**report.to_dict(), "seconds": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, for a first look")
    rounds = 1 if parser.parse_args().quick else ROUNDS
    print(
        f"Python {sys.version.split()[0]}, {os.cpu_count()} processors; {SIZE} parameters, "
        f"{100 * SIZE:,} along directions, {SECONDS * 1e3:.0f} ms a call"
    )
    print("func      check             workers          seconds   speed-up   aim")
    with ways() as executors:
        for name, args in (
            ("computes", (computes, turns_for(SECONDS))),
            ("waits", (time.sleep, SECONDS)),
        ):
            for kind, check in CHECKS.items():
                found: dict[str, list[float]] = {way: [] for way in executors}
                for _ in range(rounds):
                    alone = None
                    for way, workers in executors.items():
                        seconds, report = timed(check, args, workers)
                        found[way].append(seconds)
                        alone = alone or without_time(report)
                        assert without_time(report) == alone, f"{kind}, {way}: another report"
                for way, times in found.items():
                    gain = statistics.median(
                        one / many for one, many in zip(found["1"], times, strict=True)
                    )
                    aim = "1.8" if (name, kind, way) == AIMED else ""
                    print(
                        f"{name:9} {kind:17} {way:15} {statistics.median(times):8.2f}"
                        f"   {gain:8.2f}   {aim:>3}",
                        flush=True,
                    )


AIMED = ("computes", "gradient", "two processes")

if __name__ == "__main__":
    main()
