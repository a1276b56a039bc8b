"""Models with a right gradient each, and the wrong ones that people really write.

A model is a function of a seed that returns parameters, cost and ``backward(params, bug="")``:
the right gradient, unless one of its bugs is named.  Above it stands the table of its bugs: what
was done wrong in a line, and which hints are right.  Those were decided by hand, from what an
expert could conclude from the numbers alone (analytic, numeric and its error bars, parameters of
all blocks), before any hint was computed; in 24 rows a code was added afterwards, where the hint
that was given turned out to be a true statement.  Among the codes of a bug:

- several: each is true of these numbers, and any of them is right as the first hint;
- ``none``: no pattern in the numbers can tell, so that saying nothing is right; a code beside it
  is a statement that would be true nevertheless.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

Params = dict[str, Any]
Cost = Callable[[Params], float]
Gradient = Callable[[Params], Params]
Build = Callable[[np.random.Generator], tuple[Params, Cost, Callable[..., Params]]]

CODES = frozenset(
    {
        *("not-finite", "zero", "factor", "transposed", "reshaped", "rolled", "flipped"),
        *("swapped", "slice", "entry", "theta", "sign-theta", "constant", "reduction", "chain"),
        *("backward", "shared", "stale", "float32", "kink", "noise"),
        *("mask", "approximate", "clipped", "target", "group", "rounded"),
    }
)

FAMILIES = ("linear", "networks", "images", "sequences", "language", "likelihoods", "matrices")


@dataclass(frozen=True)
class Model:
    """A cost and its right gradient."""

    name: str
    params: Params
    cost: Cost
    gradient: Gradient


@dataclass(frozen=True)
class Bug:
    """A wrong gradient of a model.

    Parameters
    ----------
    model : Model
    name : str
    gradient : callable
    codes : tuple of str
        The hints that are right, the likeliest first; "none" where it is right to give none.
    why : str
        What was done wrong.
    options : mapping
        Of the check, where it needs any.
    """

    model: Model
    name: str
    gradient: Gradient
    codes: tuple[str, ...]
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> tuple[str, ...]:
        """Names of the blocks in which the two gradients differ by more than rounding."""
        params = self.model.params
        self.gradient(params)  # what accumulates is right at its first call
        right, wrong = self.model.gradient(params), self.gradient(params)
        least = 1e-9 if self.options else 1e-6
        return tuple(name for name in right if not _close(right[name], wrong[name], least))

    def right(self, diagnoses: tuple[Any, ...], among: int = 1) -> bool:
        """Return whether one of the first hints is right, or rightly none is given."""
        given = {diagnosis.code for diagnosis in diagnoses[:among]}
        return not given.isdisjoint(self.codes) or (not given and "none" in self.codes)

    def misled(self, diagnoses: tuple[Any, ...]) -> bool:
        """Return whether the first hint is wrong, which is worse than none."""
        return bool(diagnoses) and diagnoses[0].code not in self.codes


def _close(right: Any, wrong: Any, least: float) -> bool:
    right, wrong = np.asarray(right, dtype=float), np.asarray(wrong, dtype=float)
    if right.shape != wrong.shape:
        raise ValueError(f"a gradient of shape {wrong.shape} for one of shape {right.shape}")
    return bool(np.max(np.abs(right - wrong)) <= least * np.max(np.abs(right)))  # False for NaN


@dataclass(frozen=True)
class Plan:
    """A model before its seed is known."""

    name: str
    build: Build
    table: Mapping[str, tuple[Any, ...]]

    def _built(self, seed: int) -> tuple[Params, Cost, Callable[..., Params]]:
        return self.build(np.random.default_rng([seed, zlib.crc32(self.name.encode())]))

    def model(self, seed: int) -> Model:
        """Return the model with the right gradient."""
        params, cost, backward = self._built(seed)
        return Model(self.name, params, cost, backward)

    def bug(self, name: str, seed: int) -> Bug:
        """Return one bug, in a model that no other bug has touched."""
        codes, why, *options = self.table[name]
        params, cost, backward = self._built(seed)
        model = Model(self.name, params, cost, backward)
        fresh = self._built(seed)[2]
        return Bug(
            model,
            name,
            lambda params: fresh(params, name),
            tuple(codes.split()),
            why,
            *options,
        )


def planted(
    plans: list[Plan], name: str, table: Mapping[str, tuple[Any, ...]]
) -> Callable[[Build], Build]:
    """Enter a model and its bugs, ``name: (codes, what was done wrong[, options])``."""

    def enter(build: Build) -> Build:
        plans.append(Plan(name, build, table))
        return build

    return enter


def load() -> list[Plan]:
    """Return all models."""
    return [plan for name in FAMILIES for plan in import_module(f"planted.{name}").PLANS]


def sigmoid(z: Any) -> Any:
    """Return 1 / (1 + exp(−z))."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def softmax(z: Any, axis: int) -> Any:
    """Return exp(z) over its sum along an axis."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def away_from_zero(rng: np.random.Generator, *shape: int) -> Any:
    """Return values of both signs, none of them within 0.1 of zero."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 1.0, shape)


def single(params: Params) -> Params:
    """Return the parameters in single precision."""
    return {name: np.asarray(value, dtype=np.float32) for name, value in params.items()}


def double(gradient: Params) -> Params:
    """Return a gradient in double precision, its values as they are."""
    return {name: np.asarray(value, dtype=np.float64) for name, value in gradient.items()}
