"""A network of a chosen size, and the wrong gradients that the scale benchmarks plant in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Gradient = dict[str, np.ndarray]

LAYERS = {
    1_000: (16, 24, 20, 5),
    10_000: (64, 96, 32, 10),
    50_000: (160, 220, 60, 10),
    100_000: (256, 256, 128, 10),
    1_000_000: (784, 900, 300, 10),
}


def layers(size: int) -> tuple[int, ...]:
    """Return the widths of a network of about so many parameters."""
    return LAYERS[min(LAYERS, key=lambda known: abs(known - size))]


class Network:
    """Dense layers with a softmax and cross entropy at the end.

    Parameters
    ----------
    sizes : tuple of int
        Widths, from input to classes.
    activation : {"tanh", "relu", "softmax"}
        Of the hidden layers; "softmax" normalises each over its units.
    seed : int
    dtype : dtype
        Of the parameters, the data and the arithmetic.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        activation: str = "tanh",
        seed: int = 0,
        samples: int = 32,
        dtype: Any = np.float64,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        self.activation, self.depth, self.samples = activation, len(sizes) - 1, samples
        self.x = rng.normal(size=(sizes[0], samples)).astype(dtype)
        self.y = np.eye(sizes[-1], dtype=dtype)[:, rng.integers(sizes[-1], size=samples)]
        self.params: Gradient = {}
        for k, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            w = rng.normal(size=(fan_out, fan_in)) / np.sqrt(fan_in)
            self.params[f"W{k}"] = w.astype(dtype)
            self.params[f"b{k}"] = (0.1 * rng.normal(size=(fan_out, 1))).astype(dtype)

    @property
    def size(self) -> int:
        """How many parameters."""
        return sum(value.size for value in self.params.values())

    def forward(self, params: Gradient) -> list[np.ndarray]:
        """Return the input, the hidden layers and the logits."""
        a = [self.x]
        for k in range(1, self.depth + 1):
            w, b = (params[f"{x}{k}"].astype(self.dtype, copy=False) for x in "Wb")
            z = w @ a[-1] + b
            a.append(z - z.max(axis=0) if k == self.depth else self._activate(z))
        return a

    def _activate(self, z: np.ndarray) -> np.ndarray:
        if self.activation == "relu":
            return np.maximum(z, 0)
        if self.activation == "tanh":
            return np.tanh(z)
        e = np.exp(z - z.max(axis=0))
        return z.shape[0] * e / e.sum(axis=0)

    def _backward(self, a: np.ndarray, da: np.ndarray) -> np.ndarray:
        if self.activation == "relu":
            return da * (a > 0)
        if self.activation == "tanh":
            return da * (1 - a**2)
        return a * (da - (a * da).sum(axis=0) / a.shape[0])

    def cost(self, params: Gradient) -> Any:
        """Return the mean cross entropy."""
        z = self.forward(params)[-1]
        return np.mean(np.log(np.exp(z).sum(axis=0)) - (self.y * z).sum(axis=0))

    def gradient(self, params: Gradient) -> Gradient:
        """Return the gradient by backpropagation."""
        a = self.forward(params)
        e = np.exp(a[-1])
        dz = (e / e.sum(axis=0) - self.y) / self.samples
        grads: Gradient = {}
        for k in range(self.depth, 0, -1):
            grads[f"W{k}"] = dz @ a[k - 1].T
            grads[f"b{k}"] = dz.sum(axis=1, keepdims=True)
            if k > 1:
                dz = self._backward(a[k - 1], params[f"W{k}"].T @ dz)
        return {name: grads[name] for name in self.params}


@dataclass(frozen=True)
class Planted:
    """A gradient, and whether one of our reports names what is wrong with it."""

    gradient: Gradient
    named: Callable[[Any], bool]


def median_size(gradient: Gradient) -> float:
    """Return the median |gradient| over all blocks."""
    return float(np.median(np.abs(np.concatenate([g.ravel() for g in gradient.values()]))))


def _labels(report: Any) -> set[str]:
    return {entry.label for entry in report.worst}


def _said(report: Any, *texts: str) -> bool:
    """Return whether one line of what the report says has all of these."""
    lines = [f"{block.name}: {block.hint}" for block in report.blocks]
    lines += report.patterns
    return any(all(text in line for text in texts) for line in lines)


def _blocks(report: Any) -> set[str]:
    return {block.name for block in report.blocks if block.wrong}


def _entries(count: int, change: Callable[[float, float], float]) -> Callable[..., Planted]:
    def plant(network: Network, rng: np.random.Generator) -> Planted:
        gradient = network.gradient(network.params)
        median = median_size(gradient)
        flat = rng.permutation(network.size)
        labels: set[str] = set()
        for i in flat.tolist():
            name, index = _place(network, i)
            # An entry that is zero can't be doubled; one far below the median hardly is.
            if abs(gradient[name][index]) < 0.1 * median:
                continue
            gradient[name][index] = change(gradient[name][index], median)
            labels.add(f"{name}[{', '.join(map(str, index))}]")
            if len(labels) == count:
                break
        return Planted(gradient, lambda report: _labels(report) == labels)

    return plant


def _place(network: Network, i: int) -> tuple[str, tuple[int, ...]]:
    for name, value in network.params.items():
        if i < value.size:
            return name, tuple(int(k) for k in np.unravel_index(i, value.shape))
        i -= value.size
    raise IndexError(i)


def _right(network: Network, rng: np.random.Generator) -> Planted:
    return Planted(network.gradient(network.params), lambda report: False)


def _row(random: bool) -> Callable[..., Planted]:
    def plant(network: Network, rng: np.random.Generator) -> Planted:
        gradient = network.gradient(network.params)
        w = gradient["W2"]
        # relu: a row whose unit is dead is zero, and twice that is right
        alive = np.flatnonzero(np.abs(w).max(axis=1))
        row = int(rng.choice(alive))
        w[row] = median_size(gradient) * rng.normal(size=w.shape[1]) if random else 2 * w[row]
        factor = "" if random else "= 2 x"
        return Planted(gradient, lambda report: _said(report, "W2", f"[{row}, :]", factor))

    return plant


def _block(network: Network, rng: np.random.Generator) -> Planted:
    gradient = network.gradient(network.params)
    gradient["W2"] *= 2
    return Planted(gradient, lambda r: _said(r, "W2:", "= 2 x") and _blocks(r) == {"W2"})


def _decay(everywhere: bool) -> Callable[..., Planted]:
    def plant(network: Network, rng: np.random.Generator) -> Planted:
        gradient = network.gradient(network.params)
        names = [name for name in gradient if everywhere or name.startswith("W")]
        for name in names:
            gradient[name] -= 0.01 * network.params[name]

        def named(report: Any) -> bool:
            return _said(report, "-0.01 x the parameters") and _blocks(report) == set(names)

        return Planted(gradient, named)

    return plant


def _column(network: Network, rng: np.random.Generator) -> Planted:
    gradient = network.gradient(network.params)
    last = int(np.flatnonzero(np.abs(gradient["W2"]).max(axis=0))[-1])
    gradient["W2"][:, last] = 0.0
    return Planted(gradient, lambda report: _said(report, "W2", f"[:, {last}]"))


def _dense(network: Network, rng: np.random.Generator) -> Planted:
    gradient = network.gradient(network.params)
    gradient["W2"] += median_size(gradient) * rng.normal(size=gradient["W2"].shape)
    return Planted(gradient, lambda report: _blocks(report) == {"W2"})


def _changed(
    change: Callable[[np.ndarray, float], np.ndarray], *texts: str
) -> Callable[..., Planted]:
    """Plant a change of all of W2, given the root mean square of it; `texts` are said of it."""

    def plant(network: Network, rng: np.random.Generator) -> Planted:
        gradient = network.gradient(network.params)
        size = float(np.sqrt(np.mean(gradient["W2"] ** 2)))
        gradient["W2"] = change(gradient["W2"], size)
        return Planted(gradient, lambda r: _said(r, "W2:", *texts) and _blocks(r) == {"W2"})

    return plant


def _first_half_zero(g: np.ndarray, _: float) -> np.ndarray:
    return np.where(np.arange(len(g))[:, np.newaxis] < len(g) // 2, 0.0, g)


def _two_rows(network: Network, rng: np.random.Generator) -> Planted:
    gradient = network.gradient(network.params)
    alive = np.flatnonzero(np.abs(gradient["W2"]).max(axis=1))
    rows = sorted(rng.choice(alive, 2, replace=False).tolist())
    gradient["W2"][rows] = 0.0
    return Planted(gradient, lambda r: _said(r, "W2:", *(f"[{row}, :]" for row in rows)))


PLANTED: dict[str, Callable[[Network, np.random.Generator], Planted]] = {
    "right": _right,
    "one entry doubled": _entries(1, lambda g, median: 2 * g),
    "one entry, 1e-2 of median": _entries(1, lambda g, median: g + 1e-2 * median),
    "one entry, 1e-4 of median": _entries(1, lambda g, median: g + 1e-4 * median),
    "five entries doubled": _entries(5, lambda g, median: 2 * g),
    "row x 2": _row(random=False),
    "row of random values": _row(random=True),
    "block x 2": _block,
    "weight decay, all": _decay(everywhere=True),
    "weight decay, weights only": _decay(everywhere=False),
    "last column never written": _column,
    "dense block, no pattern": _dense,
    "two rows never written": _two_rows,
    "block clipped": _changed(lambda g, size: np.clip(g, -size, size), "numeric clipped to"),
    "block reversed": _changed(lambda g, _: g[::-1].copy(), "reversed along axis 0"),
    "block, signs lost": _changed(lambda g, _: np.abs(g), "= -numeric in all"),
    "first half of rows zero": _changed(_first_half_zero, "analytic is zero in"),
    "negative entries zero": _changed(lambda g, _: np.maximum(g, 0), "analytic is zero in"),
}
