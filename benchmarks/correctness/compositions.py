"""Right gradients of random compositions of functions: how many are accused.

    python benchmarks/correctness/compositions.py             # seeds 0 to 3, about 20 seconds
    python benchmarks/correctness/compositions.py 7 --show    # one seed, with every accusation

Each function chains one to five of some thirty unary and binary ones over a vector of one to
seven entries between 1e-3 and 1e3, and reduces it to a number; autograd gives its gradient.
Nothing keeps such a function reasonable: cos(exp(x)) at large x has structure below the spacing
of floats, and no two evaluations say anything of its derivative.  Each right gradient that agrees
is checked once more with one entry off by 1e-4.
"""

from __future__ import annotations

import argparse
import collections
import warnings

import autograd.numpy as np
import autograd.scipy.special as special
import numpy
from autograd import grad

from pytest_gradcheck import check_gradients

UNARY = (
    np.sin,
    np.cos,
    np.tanh,
    np.exp,
    lambda x: np.log(np.abs(x) + 1e-3),
    lambda x: np.sqrt(np.abs(x) + 1e-6),
    lambda x: x**2,
    lambda x: x**3,
    lambda x: 1 / (1 + x**2),
    lambda x: np.logaddexp(0, x),
    np.abs,
    lambda x: np.maximum(x, 0),
    lambda x: special.gammaln(np.abs(x) + 0.1),
    special.erf,
    lambda x: np.sinh(np.clip(x, -20, 20)),
    np.arctan,
    special.expit,
    lambda x: x * 1e6,
    lambda x: x * 1e-6,
    lambda x: x + 1e3,
    np.cumsum,
    lambda x: x - np.mean(x),
    np.sort,
    lambda x: x[::-1],
    special.j0,
    lambda x: special.digamma(np.abs(x) + 0.5),
)
BINARY = (
    lambda x, y: x + y,
    lambda x, y: x * y,
    lambda x, y: x - y,
    lambda x, y: x / (1 + np.abs(y)),
    np.maximum,
    lambda x, y: np.arctan2(x, y + 0.5),
)
REDUCE = (
    np.sum,
    np.mean,
    lambda x: np.sum(x**2),
    lambda x: np.log(np.sum(np.exp(x - np.max(x)))) + np.max(x),
    np.max,
    lambda x: np.sqrt(np.sum(x**2) + 1e-8),
    np.prod,
)


def composition(rng):
    """Return a function of a vector, and a point."""
    n, depth = int(rng.integers(1, 8)), int(rng.integers(1, 6))
    plan = [
        (rng.choice(UNARY), rng.choice(BINARY) if rng.random() < 0.4 else None, rng.normal(size=n))
        for _ in range(depth)
    ]
    reduce = rng.choice(REDUCE)

    def func(x):
        y = x
        for unary, binary, factors in plan:
            y = unary(y) if binary is None else binary(unary(y), factors * x)
        return reduce(y)

    return func, rng.normal(size=n) * 10.0 ** rng.integers(-3, 3)


def check(seed, number, counts, show):
    rng = numpy.random.default_rng((seed, number))
    func, x = composition(rng)
    gradient = grad(func)
    found, value = gradient(x), func(x)
    if not (numpy.isfinite(found).all() and numpy.isfinite(value)):
        counts["not finite"] += 1
        return
    report = check_gradients(func, gradient, x)
    counts["right: " + report.verdict] += 1
    if report.verdict == "disagree" and show:
        print(f"  {seed}/{number}: {report.message().splitlines()[0]}")
    i = int(rng.integers(x.size))
    if report.verdict == "agree" and found[i]:
        wrong = found.copy()
        wrong[i] *= 1 + 1e-4
        counts["one entry 1e-4 off: " + check_gradients(func, wrong, x).verdict] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--count", type=int, default=1500, help="functions of each seed")
    parser.add_argument("--show", action="store_true", help="name every accusation")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for seed in options.seeds:
        counts = collections.Counter()
        for number in range(options.count):
            check(seed, number, counts, options.show)
        print(f"seed {seed}: " + ", ".join(f"{k} {v}" for k, v in sorted(counts.items())))


if __name__ == "__main__":
    main()
