"""Time checks of torch's and JAX's gradients over 2N raw calls of func, beside their own checkers.

    python benchmarks/cost/adapters.py [--quick]

func is a network with a tanh layer and N parameters, in float64, one dict of tensors or arrays.  A
round times, in turn: 2N bare calls of func, a check here that differences every parameter, and the
framework's own checkers, all with the framework's gradient.  Ratios are taken within a round, from
processor time on one thread; the table has their medians.  `overhead` is what a check takes beyond
its own calls of func, in microseconds for each.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np

from pytest_gradcheck import check_gradients, jax_gradients, torch_gradients

SIZES = (100, 1_000)
EVERY_ONE = 10**9
"""``max_evals`` that lets every parameter be differenced, whatever their number."""

Work = Callable[[], Any]


def arrays(size: int) -> dict[str, np.ndarray]:
    """Return the parameters of a network of about `size` parameters."""
    rng, width = np.random.default_rng(0), size // 10
    return {"W": rng.normal(size=(width, 9)) / 3, "v": rng.normal(size=width) / width**0.5}


X = np.random.default_rng(1).normal(size=(9, 8))


def torch_case(size: int) -> tuple[Work, dict[str, Work], int]:
    """Return one call of func, the checks by name, and N."""
    import torch

    torch.set_num_threads(1)
    x = torch.from_numpy(X)
    params = {name: torch.from_numpy(value) for name, value in arrays(size).items()}

    def loss(p):
        return (p["v"] @ torch.tanh(p["W"] @ x)).square().sum()

    def positional(W, v):
        return loss({"W": W, "v": v})

    inputs = [value.clone().requires_grad_() for value in params.values()]
    grad = torch_gradients(loss)
    checks = {
        "this": lambda: check_gradients(loss, grad, params, max_evals=EVERY_ONE),
        "this, vectorized": lambda: check_gradients(
            loss, grad, params, max_evals=EVERY_ONE, vectorized="vmap"
        ),
        "this, along directions": lambda: check_gradients(loss, grad, params, max_evals=size),
        "torch gradcheck": lambda: torch.autograd.gradcheck(positional, inputs),
        "torch gradcheck, fast": lambda: torch.autograd.gradcheck(
            positional, inputs, fast_mode=True
        ),
    }
    return lambda: loss(params), checks, sum(value.numel() for value in params.values())


def jax_case(size: int) -> tuple[Work, dict[str, Work], int]:
    """Return one call of func, the checks by name, and N."""
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    params = {name: jnp.asarray(value) for name, value in arrays(size).items()}

    @jax.jit
    def loss(p):
        return jnp.sum((p["v"] @ jnp.tanh(p["W"] @ X)) ** 2)

    grad = jax.jit(jax_gradients(loss))
    checks = {
        "this": lambda: check_gradients(loss, grad, params, max_evals=EVERY_ONE),
        "this, vectorized": lambda: check_gradients(
            loss, grad, params, max_evals=EVERY_ONE, vectorized="vmap"
        ),
        "this, along directions": lambda: check_gradients(loss, grad, params, max_evals=size),
        "jax check_grads": lambda: check_grads(loss, (params,), order=1, modes=["rev"]),
    }
    return (
        lambda: loss(params).block_until_ready(),
        checks,
        sum(value.size for value in params.values()),
    )


def timed(work: Work) -> float:
    """Return the processor time of a piece of work."""
    start = process_time()
    work()
    return process_time() - start


def measure(case: tuple[Work, dict[str, Work], int], rounds: int) -> None:
    """Print a row for each check."""
    call, checks, size = case
    reports = {name: check() for name, check in checks.items()}  # compiles, too

    def raw() -> None:
        for _ in range(2 * size):
            call()

    found: dict[str, list[tuple[float, float]]] = {name: [] for name in checks}
    gc.disable()
    for _ in range(rounds):
        gc.collect()
        base = timed(raw)
        for name, check in checks.items():
            found[name].append((timed(check), base))
    gc.enable()
    per_call = statistics.median(base for _, base in next(iter(found.values()))) / (2 * size)
    for name, pairs in found.items():
        ratio = statistics.median(spent / base for spent, base in pairs)
        report = reports[name]
        evaluations = overhead = "-"
        if hasattr(report, "evaluations"):
            assert report.ok, report.message()
            evaluations = f"{report.evaluations:,}"
            more = [
                (spent - base / (2 * size) * report.evaluations) / report.evaluations
                for spent, base in pairs
            ]
            overhead = f"{statistics.median(more) * 1e6:.1f}"
        print(
            f"{size:6,}  {per_call * 1e6:7.1f}  {name:24}{ratio:9.2f}  {evaluations:>11}"
            f"  {overhead:>8}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    rounds = 3 if parser.parse_args().quick else 9
    for title, case in (("torch", torch_case), ("jax", jax_case)):
        try:
            version = __import__(title).__version__
        except ImportError:
            print(f"{title} is not installed")
            continue
        print(f"{title} {version}")
        print("     N  func µs  check                   time / 2N calls  evaluations  overhead")
        for size in SIZES:
            measure(case(size), rounds)


if __name__ == "__main__":
    main()
