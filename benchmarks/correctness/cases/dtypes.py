"""Single and half precision, long double, complex parameters, and mixtures of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector
from cases.networks import binary_cross_entropy, cross_entropy, net

exp, log = np.exp, np.log
F32, F16 = np.float32, np.float16


def cast(tree: Any, dtype: Any) -> Any:
    if isinstance(tree, dict):
        return {key: cast(value, dtype) for key, value in tree.items()}
    return np.asarray(tree).astype(dtype)[()]


def inside(func: Any, dtype: Any) -> Any:
    """Return func as code that casts its parameters to a coarse dtype and answers in it."""
    return lambda p: dtype(func(cast(p, dtype)))


def coarse_functions() -> list[Case]:
    """float64 parameters, a coarse J, and the exact gradient of what J rounds."""
    x = vector(0.3, -1.2, 2.1, 0.8)
    random = np.random.default_rng(1)
    data = random.standard_normal((2000, 2))
    sources: list[Any] = [
        ("sines", lambda x: np.sum(np.sin(x) + x**2), lambda x: np.cos(x) + 2 * x, x, F32),
        ("exp", lambda x: np.sum(exp(x)), exp, x, F32),
        ("mlp tanh", *net(31, (5, 6, 2)), F32),
        ("mlp relu", *net(32, (6, 8, 3), "relu", cross_entropy), F32),
        ("logistic", *net(33, (5, 1), loss=binary_cross_entropy, rows=40), F32),
        ("sum of 2000", lambda w: np.sum((data @ w - 1) ** 2),
         lambda w: 2 * data.T @ (data @ w - 1), vector(0.7, -0.4), F32),
        ("sines", lambda x: np.sum(np.sin(x) + x**2), lambda x: np.cos(x) + 2 * x, x, F16),
    ]  # fmt: skip
    rows: list[Any] = []
    for name, func, grad, params, dtype in sources:

        def exact(p: Any, func: Any = func) -> Any:
            return func(p)

        more = {"expect": "inconclusive-ok", "reference": exact}
        title = f"{np.dtype(dtype).name} function: {name}"
        rows.append((title, inside(func, dtype), grad, params, more))
    last = {"expect": "inconclusive-ok", "reference": lambda x: np.sum(x**3) + 5}
    rows.append(("float64 function, J stored as float32", lambda x: F32(np.sum(x**3) + 5),
                 lambda x: 3 * x**2, x, last))  # fmt: skip
    return named("coarse dtype", rows)


def coarse_parameters() -> list[Case]:
    """float32 and float16 parameters; func follows their dtype, or float64 if it is given that.

    The gradient is in their dtype too, as backward code in that dtype would return it.
    """
    random = np.random.default_rng(2)
    y = random.standard_normal(30)
    design = random.standard_normal((30, 4))
    singles: list[Any] = [
        ("mlp tanh", *net(34, (5, 6, 2))),
        ("mlp softmax", *net(35, (6, 8, 3), "tanh", cross_entropy)),
        ("exp", lambda x: np.sum(exp(x)), exp, vector(0.3, -1.2, 2.1)),
        ("least squares", lambda w: np.sum((design @ w - y) ** 2),
         lambda w: 2 * design.T @ (design @ w - y), random.standard_normal(4)),
    ]  # fmt: skip
    rows: list[Any] = []
    for name, func, grad, params in singles:

        def rounded(p: Any, grad: Any = grad) -> Any:
            return cast(grad(cast(p, np.float64)), F32)

        rows.append((f"float32 parameters: {name}", func, rounded, cast(params, F32),
                     {"truth_rtol": 2e-7}))  # fmt: skip
    kept = {"truth_rtol": 2e-3, "expect": "inconclusive-ok"}
    half = vector(0.3, -1.2, 2.1).astype(F16)
    rows.append(("float16 parameters: sines", lambda x: np.sum(np.sin(x)),
                 lambda x: np.cos(x.astype(np.float64)).astype(F16), half, kept))  # fmt: skip
    block = {"W": random.standard_normal((3, 2)).astype(F32), "b": random.standard_normal(2)}
    mixed = random.standard_normal((9, 3))

    def func(p: Any) -> Any:
        return np.sum(np.tanh(mixed @ p["W"] + p["b"]) ** 2)

    def grad(p: Any) -> Any:
        a = np.tanh(mixed @ p["W"].astype(np.float64) + p["b"])
        back = 2 * a * (1 - a**2)
        return {"W": (mixed.T @ back).astype(F32), "b": np.sum(back, axis=0)}

    rows.append(("float32 and float64 blocks", func, grad, block, {"truth_rtol": 2e-7}))
    return named("coarse dtype", rows)


def wide() -> list[Case]:
    x = np.array([0.3, -1.2, 2.1], dtype=np.longdouble) + np.longdouble(1) / 7

    def mixed_grad(p: Any) -> Any:
        return {"a": np.cos(p["a"]) * p["b"], "b": np.sum(np.sin(p["a"])) + 0 * p["b"]}

    rows = [
        ("long double sines", lambda x: np.sum(np.sin(x) + x**2), lambda x: np.cos(x) + 2 * x, x),
        ("long double exp", lambda x: np.sum(exp(x)), exp, x),
        ("long double and float64 blocks", lambda p: np.sum(np.sin(p["a"])) * p["b"], mixed_grad,
         {"a": x, "b": 1.7}),
    ]  # fmt: skip
    return named("long double", rows)


def complex_parameters() -> list[Case]:
    random = np.random.default_rng(3)

    def complexes(*shape: int) -> Any:
        return random.standard_normal(shape) + 1j * random.standard_normal(shape)

    a, b, z = complexes(6, 4), complexes(6), complexes(4)
    signal = complexes(8)
    fourier = exp(-2j * np.pi * np.outer(np.arange(8), np.arange(8)) / 8)

    def phases(z: Any) -> Any:
        return np.sum((np.abs(a @ z) ** 2 - 3) ** 2)

    def d_phases(z: Any) -> Any:
        r = a @ z
        return 4 * a.conj().T @ ((np.abs(r) ** 2 - 3) * r)

    def mixed(p: Any) -> Any:
        return np.sum(np.abs(p["z"] * exp(1j * p["t"]) - b[:4]) ** 2) + np.sum(p["t"] ** 2)

    def d_mixed(p: Any) -> Any:
        r = p["z"] * exp(1j * p["t"]) - b[:4]
        back = 2 * r * exp(-1j * p["t"])
        return {"z": back, "t": np.real(np.conj(2 * r) * 1j * p["z"] * exp(1j * p["t"]))
                + 2 * p["t"]}  # fmt: skip

    rows: list[Any] = [
        ("complex |z|²", lambda z: np.sum(np.abs(z) ** 2), lambda z: 2 * z, z),
        ("complex least squares", lambda z: np.sum(np.abs(a @ z - b) ** 2),
         lambda z: 2 * a.conj().T @ (a @ z - b), z),
        ("real part of exp z", lambda z: np.sum(np.real(exp(z))), lambda z: np.conj(exp(z)), z),
        ("phase retrieval", phases, d_phases, z),
        ("power spectrum", lambda s: np.sum(np.abs(fourier @ s) ** 4) / 100,
         lambda s: fourier.conj().T @ (4 * np.abs(fourier @ s) ** 2 * (fourier @ s)) / 100,
         signal),
        ("log |z|", lambda z: np.sum(log(np.abs(z))), lambda z: z / np.abs(z) ** 2, z),
        ("complex and real blocks", mixed, d_mixed, {"z": z, "t": random.standard_normal(4)}),
    ]  # fmt: skip
    conjugate = [(*row[:4], _conjugated(row)) for row in rows[2:4]]
    single = ("complex64 parameters", lambda z: np.sum(np.abs(z) ** 2), lambda z: 2 * z,
              z.astype(np.complex64), {"truth_rtol": 2e-7})  # fmt: skip
    return named("complex", rows[:2] + conjugate + rows[4:] + [single])


def _conjugated(row: Any) -> dict[str, Any]:
    """Return the other convention, ∂J/∂Re − i ∂J/∂Im, as a wrong gradient."""
    return {"wrong": (("conjugate", np.conj(row[2](row[3]))),)}


def cases() -> list[Case]:
    return coarse_functions() + coarse_parameters() + wide() + complex_parameters()
