"""The table of repairs by a derivative in θ: what a parametrisation leaves of the chain rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from ._repair import Array, BlockData, Predicted, Repair


def _sigmoid(t: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-t)))


CHAINS: tuple[tuple[str, Callable[[Array], Array], float], ...] = (
    ("exp({})", np.exp, 0.0),
    ("{}", lambda t: t, 1.0),
    ("2 x {}", lambda t: 2 * t, 1.0),
    ("{}^2", lambda t: t * t, 1.0),
    ("3 x {}^2", lambda t: 3 * t * t, 3.0),
    ("-1 / {}^2", lambda t: -1 / (t * t), 1.0),
    ("sigmoid({})", _sigmoid, 0.0),
    ("(1 - sigmoid({}))", lambda t: _sigmoid(-t), 2.0),
    ("sigmoid({}) x (1 - sigmoid({}))", lambda t: _sigmoid(t) * _sigmoid(-t), 0.0),
    ("(1 - tanh({})^2)", lambda t: 1 - np.tanh(t) ** 2, 1.0),
    ("2 exp(2 x {})", lambda t: 2 * np.exp(2 * t), 1.0),
    ("exp(2 x {})", lambda t: np.exp(2 * t), 2.0),
    ("exp({} / 2) / 2", lambda t: np.exp(t / 2) / 2, 2.0),
    ("sqrt({})", lambda t: np.sqrt(t), 2.0),
    ("1 / (2 sqrt({}))", lambda t: 1 / (2 * np.sqrt(t)), 2.0),
    ("ln(10) x 10^{}", lambda t: np.log(10) * 10**t, 2.0),
    ("log({})", np.log, 3.0),
    ("softplus({})", lambda t: np.logaddexp(0, t), 3.0),
)
"""Derivatives of parametrisations, and how much odder than the plainest each is, in bits."""

CHAIN = 10.0

TOLD_BY_NAME = (
    (("log", "ln_"), "exp"),
    (("logit", "raw", "unconstrained"), "sigmoid"),
    (("rho", "softplus"), "sigmoid({})"),
)
"""Words in a parameter's name, and the derivative that they make likely."""

LIKELY = 5.0
"""Bits that such a name is worth."""


def chain(block: BlockData) -> Iterator[Repair]:
    """Name the derivative of a parametrisation, in θ, that is missing or once too much."""
    if block.theta is None:
        return
    for (name, derivative, odd), missing, sign in itertools.product(
        CHAINS, (True, False), (1.0, -1.0)
    ):
        with np.errstate(all="ignore"):
            shape = derivative(block.theta[block.valid])
        if not shape.size or not np.isfinite(shape).all():
            continue
        if shape.size > 1 and np.ptp(shape) <= 1e-6 * np.abs(shape).max():
            continue  # the same everywhere: a factor

        def apply(
            other: BlockData,
            derivative: Callable[[Array], Array] = derivative,
            missing: bool = missing,
            sign: float = sign,
        ) -> Predicted | None:
            if other.theta is None:
                return None
            with np.errstate(all="ignore"):
                by = sign * derivative(other.theta)
                values = other.analytic * by if missing else other.analytic / by
            return Predicted(values) if np.isfinite(values[other.valid]).all() else None

        prior = CHAIN + odd + (0.0 if sign > 0 else 2.0)
        if any(
            name.startswith(begin) and any(word in block.name.lower() for word in words)
            for words, begin in TOLD_BY_NAME
        ):
            prior -= LIKELY
        yield Repair(
            "chain",
            ("chain", name, missing, sign),
            _chain_words(name, missing, sign).replace("{}", "{0}"),
            apply,
            prior,
            told=_chain_words(name, missing, sign).replace("{}", "{names}"),
        )
    yield from _softmax(block)


def _chain_words(name: str, missing: bool, sign: float) -> str:
    minus = "-" if sign < 0 else ""
    if missing:
        return f"numeric = {minus}analytic x {name}: that factor of the chain rule is missing"
    return f"numeric = {minus}analytic / {name}: that factor of the chain rule is once too many"


def _softmax(block: BlockData) -> Iterator[Repair]:
    for axis in range(len(block.shape)):
        if block.shape[axis] < 2:
            continue

        def apply(other: BlockData, axis: int = axis) -> Predicted | None:
            if other.theta is None or axis >= other.analytic.ndim:
                return None
            e = np.exp(other.theta - other.theta.max(axis=axis, keepdims=True))
            p = e / e.sum(axis=axis, keepdims=True)
            mean = (p * other.analytic).sum(axis=axis, keepdims=True)
            return Predicted(p * (other.analytic - mean))

        yield Repair(
            "chain",
            ("softmax", axis),
            "numeric = analytic through the derivative of softmax({}), which is missing",
            apply,
            CHAIN + 4,
            told="numeric = analytic through the derivative of softmax, which is missing, in "
            "{names}",
        )
