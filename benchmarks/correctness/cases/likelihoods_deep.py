"""Likelihoods with linear algebra or recursions inside: Gaussian processes, mixtures, chains."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector

exp, log = np.exp, np.log


def gaussian_process(
    seed: int, n: int, point: Any, jitter: float = 0.0
) -> tuple[Any, Any, Any, Any]:
    """Log length scale, log amplitude and log noise of a squared-exponential kernel.

    The reference for the self-test takes log det by LU, which complex numbers allow.
    """
    random = np.random.default_rng(seed)
    x = np.sort(random.uniform(0, 5, n))
    y = np.sin(2 * x) + 0.1 * random.standard_normal(n)
    d2 = (x[:, None] - x) ** 2

    def kernel(p: Any) -> tuple[Any, Any]:
        smooth = exp(2 * p[1]) * exp(-d2 / (2 * exp(2 * p[0])))
        return smooth, smooth + (exp(2 * p[2]) + jitter) * np.eye(n)

    def func(p: Any) -> Any:
        lower = np.linalg.cholesky(kernel(p)[1])
        z = np.linalg.solve(lower, y)
        return z @ z / 2 + np.sum(log(np.diag(lower)))

    def reference(p: Any) -> Any:
        k = kernel(p)[1]
        return y @ np.linalg.solve(k, y) / 2 + log(np.linalg.det(k)) / 2

    def grad(p: Any) -> Any:
        smooth, k = kernel(p)
        inverse = np.linalg.inv(k)
        alpha = inverse @ y
        weight = inverse - np.outer(alpha, alpha)
        parts = (smooth * d2 / exp(2 * p[0]), 2 * smooth, 2 * exp(2 * p[2]) * np.eye(n))
        return vector(*(np.sum(weight * part) / 2 for part in parts))

    return func, grad, point, reference


def mixture(seed: int = 2, spread: float = 1.0) -> tuple[Any, Any, Any]:
    """Three one-dimensional Gaussians: logits, means and log deviations."""
    random = np.random.default_rng(seed)
    y = np.concatenate([random.normal(m, s, 20) for m, s in ((-2, 0.5), (0, 1), (3, 0.7))])

    def parts(p: Any) -> tuple[Any, Any, Any]:
        z = (y[:, None] - p["mean"]) / exp(p["logsd"])
        logits = p["logit"] - np.max(p["logit"].real)
        weight = exp(logits) / np.sum(exp(logits))
        return z, weight, weight * exp(-(z**2) / 2 - p["logsd"])

    def func(p: Any) -> Any:
        return -np.sum(log(np.sum(parts(p)[2], axis=1)))

    def grad(p: Any) -> Any:
        z, weight, density = parts(p)
        share = density / np.sum(density, axis=1, keepdims=True)
        return {
            "logit": y.size * weight - np.sum(share, axis=0),
            "mean": -np.sum(share * z, axis=0) / exp(p["logsd"]),
            "logsd": np.sum(share * (1 - z**2), axis=0),
        }

    p = {
        "logit": spread * vector(0.3, -0.1, 0.2),
        "mean": vector(-1.5, 0.2, 2.5),
        "logsd": vector(-0.5, 0.3, -0.1),
    }
    return func, grad, p


def hidden_markov(seed: int = 3) -> tuple[Any, Any, Any]:
    """Forward algorithm, two states, Gaussian emissions; the gradient by forward-backward."""
    random = np.random.default_rng(seed)
    y = np.concatenate([random.normal(m, 1, 6) for m in (-1, 2, -1)])
    start = vector(0.5, 0.5)

    def passes(p: Any) -> tuple[Any, Any, Any, Any]:
        e = exp(p["logit"])
        move = e / np.sum(e, axis=1, keepdims=True)
        emit = exp(-((y[:, None] - p["mean"]) ** 2) / 2)
        alpha = [start * emit[0]]
        for row in emit[1:]:
            alpha.append((alpha[-1] @ move) * row)
        return move, emit, alpha, np.sum(alpha[-1])

    def func(p: Any) -> Any:
        return -log(passes(p)[3])

    def grad(p: Any) -> Any:
        move, emit, alpha, total = passes(p)
        beta = [np.ones(2)]
        for row in emit[:0:-1]:
            beta.append(move @ (row * beta[-1]))
        beta.reverse()
        pairs = sum(np.outer(alpha[t], emit[t + 1] * beta[t + 1]) * move for t in range(len(y) - 1))
        states = np.array(alpha) * np.array(beta) / total
        expected = pairs / total
        return {
            "logit": -(expected - move * np.sum(expected, axis=1, keepdims=True)),
            "mean": -np.sum(states * (y[:, None] - p["mean"]), axis=0),
        }

    return func, grad, {"logit": vector(1, -0.5, 0.2, 0.8).reshape(2, 2), "mean": vector(-0.7, 1.6)}


def autoregression(seed: int = 4) -> tuple[Any, Any, Any]:
    """AR(2) with its innovations' log variance, conditional on the first two."""
    random = np.random.default_rng(seed)
    y = np.cumsum(random.standard_normal(60)) / 4
    lagged = np.stack([y[1:-1], y[:-2]], axis=1)

    def func(p: Any) -> Any:
        r = y[2:] - lagged @ p["phi"]
        return np.sum(r**2) / (2 * exp(p["logv"])) + r.size * p["logv"] / 2

    def grad(p: Any) -> Any:
        r = y[2:] - lagged @ p["phi"]
        v = exp(p["logv"])
        return {"phi": -lagged.T @ r / v, "logv": -np.sum(r**2) / (2 * v) + r.size / 2}

    return func, grad, {"phi": vector(0.8, 0.1), "logv": -1.3}


def covariance(seed: int = 5, d: int = 4) -> tuple[Any, Any, Any, Any]:
    """Multivariate normal by the lower factor of its precision; the upper part has no effect."""
    random = np.random.default_rng(seed)
    y = random.standard_normal((20, d)) @ random.standard_normal((d, d))
    mask = np.tril(np.ones((d, d)))

    def func(p: Any) -> Any:
        lower = p["L"] * mask
        z = (y - p["mean"]) @ lower
        return np.sum(z**2) / 2 - len(y) * np.sum(log(np.diag(lower)))

    def grad(p: Any) -> Any:
        lower = p["L"] * mask
        c = y - p["mean"]
        z = c @ lower
        return {
            "mean": -np.sum(z @ lower.T, axis=0),
            "L": (c.T @ z) * mask - len(y) * np.diag(1 / np.diag(lower)),
        }

    p = {"mean": random.standard_normal(d), "L": np.eye(d) + 0.2 * random.standard_normal((d, d))}
    return func, grad, p, None


def wishart(seed: int = 6, d: int = 3) -> tuple[Any, Any, Any, Any]:
    """Log det and trace of a symmetric matrix given whole, as `slogdet` and `inv` see it."""
    random = np.random.default_rng(seed)
    a = random.standard_normal((d, d))
    s = a @ a.T

    def func(m: Any) -> Any:
        return np.sum(s * np.linalg.inv(m)) + 2 * np.linalg.slogdet(m)[1]

    def reference(m: Any) -> Any:
        return np.sum(s * np.linalg.inv(m)) + 2 * log(np.linalg.det(m))

    def grad(m: Any) -> Any:
        inverse = np.linalg.inv(m)
        return -inverse.T @ s @ inverse.T + 2 * inverse.T

    return func, grad, 2 * np.eye(d) + 0.3 * a @ a.T, reference


def factorisation(seed: int = 7) -> tuple[Any, Any, Any]:
    """Matrix factorisation with half of the entries seen, and a penalty."""
    random = np.random.default_rng(seed)
    y, seen = random.standard_normal((8, 6)), random.random((8, 6)) < 0.5

    def func(p: Any) -> Any:
        r = (p["U"] @ p["V"].T - y) * seen
        return np.sum(r**2) / 2 + 0.05 * (np.sum(p["U"] ** 2) + np.sum(p["V"] ** 2))

    def grad(p: Any) -> Any:
        r = (p["U"] @ p["V"].T - y) * seen
        return {"U": r @ p["V"] + 0.1 * p["U"], "V": r.T @ p["U"] + 0.1 * p["V"]}

    return func, grad, {"U": random.standard_normal((8, 2)), "V": random.standard_normal((6, 2))}


def predator_prey() -> tuple[Any, Any, Any]:
    """Make a fixed-step Euler simulation and its forward sensitivities."""

    def step(z: Any, p: Any) -> Any:
        return z + 0.05 * np.stack([p[0] * z[0] - p[1] * z[0] * z[1],
                                    p[2] * z[0] * z[1] - p[3] * z[1]])  # fmt: skip

    def func(p: Any) -> Any:
        z = np.stack([p[0] * 0 + 1.0, p[0] * 0 + 0.5])
        for _ in range(60):
            z = step(z, p)
        return np.sum(z**2)

    def grad(p: Any) -> Any:
        z, s = vector(1, 0.5), np.zeros((2, 4))
        for _ in range(60):
            a, b = z
            field = np.array([[p[0] - p[1] * b, -p[1] * a], [p[2] * b, p[2] * a - p[3]]])
            direct = np.array([[a, -a * b, 0, 0], [0, 0, a * b, -b]])
            s = s + 0.05 * (field @ s + direct)
            z = step(z, p)
        return 2 * z @ s

    return func, grad, vector(1.1, 0.4, 0.1, 0.4)


def cases() -> list[Case]:
    with_reference = [
        ("gaussian process", *gaussian_process(1, 15, vector(-0.3, 0.2, -1.5))),
        ("gaussian process, little noise", *gaussian_process(9, 10, vector(-0.6, 0.1, -5))),
        ("normal by a precision factor", *covariance()),
        ("wishart", *wishart()),
    ]
    rows: list[Any] = [(*row[:4], {"reference": row[4]}) for row in with_reference]
    rows += [
        ("gaussian mixture", *mixture()),
        ("hidden markov chain", *hidden_markov()),
        ("autoregression", *autoregression()),
        ("matrix factorisation", *factorisation()),
        ("predator and prey", *predator_prey()),
    ]
    return named("likelihood", rows)
