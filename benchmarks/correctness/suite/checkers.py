"""The checkers, ours and its peers, behind one signature.

A checker is prepared with a case and answers gradients: (answer, evaluations), where the answer
is ``"agree"``, ``"disagree"``, or one of ours: ``"inconclusive"``, ``"kink"``, ``"vacuous"``,
``"nonrepeatable"``.  Peers see one flat float64 vector.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from cases import Case

from suite.flat import flatten, kind, leaves, rebuild


@dataclass
class Answer:
    """What a checker said of one gradient."""

    verdict: str
    evaluations: int
    report: Any = None
    leaked: tuple[str, ...] = ()


Judge = Callable[[np.ndarray | None], Answer]
Checker = Callable[[Case], Judge | None]


def ours(rtol: float | None) -> Checker:
    """Make our checker; it is passed params in their own structure and dtypes.

    The right gradient goes in as a callable, mutants as arrays.
    """
    from pytest_gradcheck import check_gradients

    def prepare(case: Case) -> Judge:
        right = case.grad(case.params)

        def judge(flat: np.ndarray | None) -> Answer:
            grad = case.grad if flat is None else rebuild(right, flat, as_given=True)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                report = check_gradients(case.func, grad, case.params, rtol=rtol)
            leaked = tuple(str(w.message) for w in caught if issubclass(w.category, RuntimeWarning))
            return Answer(classify(report), report.evaluations, report, leaked)

        return judge

    return prepare


def classify(report: Any) -> str:
    """Return the class of one of our reports."""
    if report.verdict == "disagree":
        return "disagree"
    said = " ".join(report.reasons).lower()
    if "repeat" in said:
        return "nonrepeatable"
    if report.vacuous or "nothing was checked" in said:
        return "vacuous"
    if report.verdict == "agree" and report.kinks:
        return "kink"
    return str(report.verdict)


@dataclass(eq=False)
class Flat:
    """A case's func over one float64 vector, counting its calls."""

    case: Case
    theta: np.ndarray = field(init=False)
    right: np.ndarray = field(init=False)
    calls: int = 0

    def __post_init__(self) -> None:
        self.theta = flatten(self.case.params, np.float64)
        self.right = flatten(self.case.grad(self.case.params), np.float64)

    def __call__(self, x: Any) -> float:
        """Evaluate func at a flat vector."""
        self.calls += 1
        value = self.case.func(rebuild(self.case.params, np.asarray(x, dtype=np.float64)))
        return float(value)


def peer(build: Callable[[Flat], Callable[[np.ndarray], bool]]) -> Checker:
    """Make a checker of a rule over flat vectors; n/a for complex and long double."""

    def prepare(case: Case) -> Judge | None:
        wide = any(leaf.dtype == np.longdouble for leaf in leaves(case.params))
        if not case.copies or wide or kind(case.params) != np.float64:
            return None
        flat = Flat(case)
        accepts = build(flat)

        def judge(gradient: np.ndarray | None) -> Answer:
            flat.calls = 0
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    agreed = accepts(flat.right if gradient is None else gradient)
                except Exception:
                    agreed = False
            return Answer("agree" if agreed else "disagree", flat.calls)

        return judge

    return prepare


def course(func: Flat) -> Callable[[np.ndarray], bool]:
    """Apply the course's rule: centred, ε = 1e-7, ‖a − n‖ / (‖a‖ + ‖n‖) < 1e-7."""

    def accepts(g: np.ndarray) -> bool:
        n = np.empty_like(g)
        for i in range(g.size):
            up, down = func.theta.copy(), func.theta.copy()
            up[i] += 1e-7
            down[i] -= 1e-7
            n[i] = (func(up) - func(down)) / 2e-7
        sizes = np.linalg.norm(g) + np.linalg.norm(n)
        return bool(sizes == 0 or np.linalg.norm(g - n) / sizes < 1e-7)

    return accepts


def scipy_check(func: Flat) -> Callable[[np.ndarray], bool]:
    """scipy.optimize.check_grad gives a float and no verdict; here ≤ 1e-6 · ‖analytic‖."""
    from scipy.optimize import check_grad

    return lambda g: bool(check_grad(func, lambda _: g, func.theta) <= 1e-6 * np.linalg.norm(g))


def torch_check(fast: bool) -> Callable[[Flat], Callable[[np.ndarray], bool]]:
    """torch.autograd.gradcheck at its default tolerances, over a custom Function."""

    def build(func: Flat) -> Callable[[np.ndarray], bool]:
        import torch

        torch.set_num_threads(1)
        held: dict[str, Any] = {}

        class Wrapped(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return torch.tensor(func(x.detach().numpy()), dtype=torch.float64)

            @staticmethod
            def backward(ctx: Any, seed: Any) -> Any:
                return seed * held["g"]

        def accepts(g: np.ndarray) -> bool:
            held["g"] = torch.tensor(g)
            x = torch.tensor(func.theta, requires_grad=True)
            return bool(
                torch.autograd.gradcheck(Wrapped.apply, (x,), fast_mode=fast, raise_exception=False)
            )

        return accepts

    return build


@cache
def _jax_function() -> tuple[dict[str, Any], Any]:
    """Return a jax function of one vector that calls ``held["func"]``, with its gradient held.

    One for all cases, so that jax compiles it once for each length of the vector.
    """
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    # A func that raises off its domain fails the check; its traceback need not be logged too.
    logging.getLogger("jax").setLevel(logging.CRITICAL)
    held: dict[str, Any] = {}

    def callback(x: Any) -> Any:
        return np.float64(held["func"](x))

    evaluate = jax.jit(
        lambda x: jax.pure_callback(callback, jax.ShapeDtypeStruct((), jnp.float64), x)
    )

    @jax.custom_vjp
    def wrapped(x: Any) -> Any:
        return evaluate(x)

    def forward(x: Any) -> Any:
        return evaluate(x), jnp.asarray(held["g"])

    wrapped.defvjp(forward, lambda kept, seed: (seed * kept,))
    return held, wrapped


def jax_check(func: Flat) -> Callable[[np.ndarray], bool]:
    """jax.test_util.check_grads in float64, reverse mode, over a custom_vjp and a callback."""
    from jax.test_util import check_grads

    held, wrapped = _jax_function()

    def accepts(g: np.ndarray) -> bool:
        held["func"], held["g"] = func, g
        try:
            check_grads(wrapped, (func.theta,), order=1, modes=["rev"])
        except AssertionError:
            return False
        return True

    return accepts


def autograd_check(func: Flat) -> Callable[[np.ndarray], bool]:
    """autograd.test_util.check_grads, reverse mode; its unseeded direction is seeded here."""
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    held: dict[str, Any] = {}
    wrapped = primitive(func)
    defvjp(wrapped, lambda ans, x: lambda seed: seed * held["g"])

    def accepts(g: np.ndarray) -> bool:
        held["g"] = g
        np.random.seed(0)
        try:
            check_grads(wrapped, modes=["rev"], order=1)(func.theta)
        except AssertionError:
            return False
        return True

    return accepts


OURS: dict[str, Callable[[], Checker]] = {
    "ours": lambda: ours(None),
    "ours, rtol 1e-5": lambda: ours(1e-5),
}
PEERS: dict[str, tuple[str, Callable[[], Checker]]] = {
    "course, 1e-7": ("numpy", lambda: peer(course)),
    "scipy check_grad": ("scipy", lambda: peer(scipy_check)),
    "torch slow": ("torch", lambda: peer(torch_check(False))),
    "torch fast": ("torch", lambda: peer(torch_check(True))),
    "jax": ("jax", lambda: peer(jax_check)),
    "autograd": ("autograd", lambda: peer(autograd_check)),
}
