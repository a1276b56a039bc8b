"""False alarms and misses of checks along random directions, counted.

    python benchmarks/correctness/scale_alarms.py  # about three minutes on two cores
    python benchmarks/correctness/scale_alarms.py --seeds 200 --tries 100

False alarms: right gradients of networks of about 50,000 parameters, a new network and a new seed
of the check each time.  "disagree" is a false alarm; what is inconclusive is counted apart.

Misses: errors of 10 and 100 times the resolution that the report of the *right* gradient states
for a block, as a share of the block's gradient, entries weighed by their parameters' scales.  A
miss is a wrong gradient that agrees; it is held against the chance that the report states for 10
times.  The check gets 60 evaluations, so that it need not name what it found.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})

import numpy as np
from suite.planted import Network, layers

from pytest_gradcheck import check_gradients
from pytest_gradcheck._params.layout import scale_of

SIZE = 50_000

KINDS: dict[str, tuple[str, Any]] = {
    "tanh": ("tanh", np.float64),
    "relu": ("relu", np.float64),
    "softmax": ("softmax", np.float64),
    "tanh, float32": ("tanh", np.float32),
    "relu, float32": ("relu", np.float32),
}

RATIOS = (10, 100)

ENOUGH = 60

Gradient = dict[str, np.ndarray]


def alarm(task: tuple[str, int]) -> tuple[str, str, int, float]:
    """Check one right gradient: (verdict, reason, evaluations, resolution)."""
    kind, seed = task
    activation, dtype = KINDS[kind]
    network = Network(layers(SIZE), activation, seed, dtype=dtype)
    report = check_gradients(network.cost, network.gradient, network.params, seed=seed)
    reason = report.reasons[0] if report.reasons else ""
    return report.verdict, reason, report.evaluations, report.resolution


Shape = Callable[[dict[str, np.ndarray], np.random.Generator], Gradient]
"""From the parameters' scales to an error of any size."""


def _zeros(s: Gradient) -> Gradient:
    return {name: np.zeros(value.shape) for name, value in s.items()}


def dense(s: Gradient, rng: np.random.Generator) -> Gradient:
    return {**_zeros(s), "W2": rng.normal(size=s["W2"].shape) / s["W2"]}


def orthogonal(s: Gradient, rng: np.random.Generator) -> Gradient:
    """Draw one that an all-positive direction in proportion to the parameters never sees."""
    drawn = rng.normal(size=s["W2"].shape)
    return {**_zeros(s), "W2": (drawn - drawn.mean()) / s["W2"]}


def alternating(s: Gradient, rng: np.random.Generator) -> Gradient:
    signs = 1.0 - 2.0 * (np.arange(s["W2"].size) % 2)
    return {**_zeros(s), "W2": signs.reshape(s["W2"].shape) / s["W2"]}


def one_entry(s: Gradient, rng: np.random.Generator) -> Gradient:
    error = _zeros(s)
    error["W2"].flat[rng.integers(error["W2"].size)] = 1.0
    return error


def two_entries(s: Gradient, rng: np.random.Generator) -> Gradient:
    error = _zeros(s)
    for i in rng.choice(error["W2"].size, 2, replace=False):
        error["W2"].flat[i] = 1.0 / s["W2"].flat[i]
    return error


def tiny_block(s: Gradient, rng: np.random.Generator) -> Gradient:
    return {**_zeros(s), "b3": rng.normal(size=s["b3"].shape) / s["b3"]}


SHAPES: dict[str, Shape] = {
    "dense, random": dense,
    "orthogonal to a fixed direction": orthogonal,
    "alternating signs": alternating,
    "one entry": one_entry,
    "two entries": two_entries,
    "a whole tiny block": tiny_block,
}


def miss(task: tuple[str, int, int]) -> tuple[str, float, int]:
    """Check one wrong gradient: (verdict, stated chance of a miss, evaluations)."""
    shape, ratio, seed = task
    network = Network(layers(SIZE), "tanh", seed)
    right = network.gradient(network.params)
    stated = check_gradients(network.cost, right, network.params, seed=seed)
    s = {name: scale_of(value.ravel()).of(value) for name, value in network.params.items()}
    error = SHAPES[shape](s, np.random.default_rng(seed))
    name = next(name for name, value in error.items() if value.any())
    resolution = next(block.resolution for block in stated.blocks if block.name == name)
    wanted = ratio * resolution * np.linalg.norm(right[name] * s[name])
    factor = wanted / np.linalg.norm(error[name] * s[name])
    wrong = {key: value + factor * error[key] for key, value in right.items()}
    report = check_gradients(network.cost, wrong, network.params, seed=seed, max_evals=ENOUGH)
    return report.verdict, report.miss, report.evaluations


def alarms(pool: ProcessPoolExecutor, seeds: int) -> None:
    n = Network(layers(SIZE)).size
    print(f"right gradients, N = {n:,}, {seeds} seeds")
    print(f"{'func':16} {'agree':>6} {'inconcl.':>8} {'ALARMS':>6}  evals median, most  "
          "resolution median, 95 %, most")  # fmt: skip
    for kind in KINDS:
        found = list(pool.map(alarm, [(kind, seed) for seed in range(seeds)], chunksize=10))
        said = Counter(item[0] for item in found)
        evals = [item[2] for item in found]
        reached = sorted(item[3] for item in found)
        print(
            f"{kind:16} {said['agree']:6} {said['inconclusive']:8} {said['disagree']:6}  "
            f"{statistics.median(evals):12.0f} {max(evals):5}  "
            f"{statistics.median(reached):8.0e} {reached[int(0.95 * seeds)]:.0e} {reached[-1]:.0e}",
            flush=True,
        )
        for seed in [k for k, item in enumerate(found) if item[0] == "disagree"][:3]:
            print(f"    false alarm: seed {seed}")
        for reason, count in Counter(item[1] for item in found if item[1]).most_common(2):
            print(f"    {count} x {reason[:110]}")


def misses(pool: ProcessPoolExecutor, tries: int) -> None:
    print(f"\nerrors of so many times the stated resolution of their block, {tries} seeds, tanh")
    print(f"{'error':34} {'x':>4} {'missed':>6} {'expected':>9}  evals most  within the statement")
    for shape in SHAPES:
        for ratio in RATIOS:
            tasks = [(shape, ratio, seed) for seed in range(tries)]
            found = list(pool.map(miss, tasks, chunksize=10))
            missed = sum(item[0] == "agree" for item in found)
            chance = max(item[1] for item in found)
            expected = tries * chance
            within = missed <= expected + 3 * math.sqrt(expected) + 1
            print(
                f"{shape:34} {ratio:4} {missed:6} {'<= ' if ratio > 10 else '':>3}{expected:6.2f}  "
                f"{max(item[2] for item in found):10}  {'yes' if within else 'NO'}",
                flush=True,
            )
            for seed in [k for k, item in enumerate(found) if item[0] == "agree"][:3]:
                print(f"    missed: seed {seed}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000, help="right gradients of each func")
    parser.add_argument("--tries", type=int, default=500, help="wrong gradients of each kind")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args()
    start = time.perf_counter()
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        alarms(pool, given.seeds)
        misses(pool, given.tries)
    print(f"\n{time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
