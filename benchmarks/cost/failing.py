"""Count the evaluations of func that a check of a wrong gradient takes, beside 2N.

    python benchmarks/cost/failing.py [--sizes 100 300 1000 2000]

A sum of tanh² and a cubic over N parameters, by size and kind of error: of a func that takes no
time, and of one that takes 5 ms by the clock that the check reads, for which a direction is looked
along first.  Below it a func whose slopes are spread over twelve decades, most of them below its
noise, and sparse Jacobians, bands of n columns.  Nothing here depends on the machine.
"""

from __future__ import annotations

import argparse
from itertools import count

import numpy as np

from pytest_gradcheck import check_gradients, check_jacobian
from pytest_gradcheck._evaluate import evaluator

KINDS = {
    "right": lambda g: g,
    "x 2": lambda g: 2 * g,
    "x -1": lambda g: -g,
    "x 1.001": lambda g: 1.001 * g,
    "rolled": lambda g: np.roll(g, 1),
    "zeros": lambda g: 0 * g,
    "every third zero": lambda g: np.where(np.arange(g.size) % 3, g, 0.0),
    "half x 1.01": lambda g: np.where(np.arange(g.size) < g.size // 2, g, 1.01 * g),
    "noise": lambda g: g + np.random.default_rng(1).normal(size=g.size),
    "one entry x 1.5": lambda g: np.where(np.arange(g.size) == g.size // 3, 1.5 * g, g),
}

OFF = {"off by 1e-6": lambda g: g * (1 + 1e-6 * np.random.default_rng(1).normal(size=g.size))}


def bowl(size: int):
    rng = np.random.default_rng(0)
    slope, theta = rng.normal(size=size), rng.normal(size=size)

    def func(p):
        return float(np.sum(np.tanh(slope * p) ** 2 + 0.1 * p**3))

    def grad(p):
        t = np.tanh(slope * p)
        return 2 * t * (1 - t**2) * slope + 0.3 * p**2

    return func, grad, theta


def decades(size: int):
    rng = np.random.default_rng(0)
    slope, theta = 10.0 ** (-12 * rng.uniform(size=size)), rng.normal(size=size)
    return lambda p: float(np.sum(slope * np.sin(p))), lambda p: slope * np.cos(p), theta


def evaluations(made, spoil, clock, **options) -> int:
    func, grad, theta = made
    kept, evaluator.perf_counter = evaluator.perf_counter, clock
    try:
        report = check_gradients(func, lambda p: spoil(grad(p)), theta, **options)
    finally:
        evaluator.perf_counter = kept
    right = spoil is KINDS["right"] or options
    assert report.verdict == ("agree" if right else "disagree")
    return report.evaluations


def band(size: int, width: int, factor: float) -> int:
    from scipy import sparse

    theta = np.random.default_rng(0).normal(size=size)
    each = range(2 * width + 1)

    def func(x):
        y = np.pad(x, width)
        return sum((k + 1.3) * np.sin(y[k : k + size] * (1 + 0.1 * k)) for k in each)

    def jac(x):
        y = np.pad(x, width)
        rows = [(k + 1.3) * (1 + 0.1 * k) * np.cos(y[k : k + size] * (1 + 0.1 * k)) for k in each]
        cut = [
            r[max(width - k, 0) : size - max(k - width, 0)] for k, r in zip(each, rows, strict=True)
        ]
        return factor * sparse.diags(cut, [k - width for k in each]).tocsr()

    report = check_jacobian(func, jac, theta)
    assert report.ok == (factor == 1)
    return report.evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 300, 1000, 2000])
    sizes = parser.parse_args().sizes
    print(f"{'gradient':18}" + "".join(f"{f'N = {n:,}':>12}{'at 5 ms':>9}" for n in sizes))
    print(f"{'2N':18}" + "".join(f"{2 * n:12,}{'':9}" for n in sizes))
    for name, spoil in KINDS.items():
        cells = []
        for n in sizes:
            ticks = count()
            still, slow = (lambda: 0.0), (lambda ticks=ticks: 0.005 * next(ticks))
            cells += [
                f"{evaluations(bowl(n), spoil, clock):{w},}"
                for clock, w in ((still, 12), (slow, 9))
            ]
        print(f"{name:18}" + "".join(cells), flush=True)
    print("\nslopes over twelve decades")
    for name, spoil in {**KINDS, **OFF}.items():
        cells = [f"{evaluations(decades(n), spoil, lambda: 0.0):12,}{'':9}" for n in sizes]
        print(f"{name:18}" + "".join(cells), flush=True)
    allowed = [evaluations(decades(n), *OFF.values(), lambda: 0.0, rtol=1e-5) for n in sizes]
    print(f"{'with rtol=1e-5':18}" + "".join(f"{n:12,}{'':9}" for n in allowed))
    try:
        import scipy  # noqa: F401
    except ModuleNotFoundError:
        return
    print("\nband: n, entries of a row        right       x 2")
    for n, width in ((300, 1), (1000, 1), (1000, 3)):
        print(f"{n:7,}{2 * width + 1:4}{'':16}{band(n, width, 1.0):9,}{band(n, width, 2.0):10,}")


if __name__ == "__main__":
    main()
