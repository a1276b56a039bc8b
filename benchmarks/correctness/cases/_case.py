"""What a case of the accuracy suite is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

EXPECTATIONS = {
    "agree": "smooth and float64: the right gradient is to be found right",
    "inconclusive-ok": "float32, noise, a kink or a jump within reach: agree or inconclusive",
    "inconclusive": "on a jump: there is no derivative to agree with",
    "kink": "on a kink, with a subgradient: agrees, and is marked",
    "nonrepeatable": "func or grad answers differently each time: to be said so",
    "vacuous": "nothing can be checked: to be said so",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One right gradient, and what a checker should say of it.

    Attributes
    ----------
    name, category : str
        The name is unique in the whole suite.
    func, grad : callable
        Of params alone; grad returns params' structure.
    params : array, number, dict or list
        The point.
    expect : str
        A key of `EXPECTATIONS`.
    also : tuple of str
        Other classes that are right answers too.
    reference : callable, optional
        The same mathematics as func for the self-test, where func itself can't be evaluated in
        complex or long double arithmetic, or is noisy on purpose.
    wrong : tuple of (str, gradient)
        Wrong gradients beside (or, with ``mutants="none"``, instead of) the usual mutants.
    mutants : str
        ``"all"``, ``"few"`` for an expensive func, or ``"none"`` where "1 % off" may be right.
    slopes : bool
        Whether the self-test is to compare with one-sided slopes (a kink) or derivatives.
    truth_rtol : float
        How well the self-test must confirm grad; coarser only where grad is float32.
    copies : bool
        Whether peers may be shown the case as a flat float64 vector.
    """

    name: str
    category: str
    func: Callable[[Any], Any]
    grad: Callable[[Any], Any]
    params: Any
    expect: str = "agree"
    also: tuple[str, ...] = ()
    reference: Callable[[Any], Any] | None = None
    wrong: tuple[tuple[str, Any], ...] = ()
    mutants: str = "all"
    slopes: bool = False
    truth_rtol: float = 1e-9
    copies: bool = True

    def __post_init__(self) -> None:
        if self.expect not in EXPECTATIONS or self.mutants not in ("all", "few", "none"):
            raise ValueError(f"case {self.name}: {self.expect!r}, {self.mutants!r}")


def least_squares(
    residual: Callable[[Any], Any], jacobian: Callable[[Any], Any]
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Make (func, grad) of a sum of squared residuals."""

    def func(x: Any) -> Any:
        return np.sum(residual(x) ** 2)

    def grad(x: Any) -> Any:
        return 2 * np.asarray(jacobian(x)).T @ residual(x)

    return func, grad


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def stack(*values: Any) -> np.ndarray:
    """Make one array of numbers that may be float64, complex or long double."""
    return np.array(values)


def named(category: str, rows: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> list[Case]:
    """Make cases of ``(name, func, grad, params)`` or ``(…, {other fields})``."""
    made = []
    for name, func, grad, params, *more in rows:
        fields = {"category": category, **(more[0] if more else {})}
        made.append(Case(name=name, func=func, grad=grad, params=params, **fields))
    return made
