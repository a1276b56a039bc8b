"""Negative log-likelihoods of one formula each, constants in the parameters dropped."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector

exp, log = np.exp, np.log


def digamma(x: Any) -> Any:
    """Return ψ(x), x > 0, by recurrence to x ≥ 12 and the asymptotic series there."""
    shift: Any = 0.0
    for k in range(12):
        shift = shift - 1 / (x + k)
    z = x + 12
    tail = 1 / 12 - 1 / z**2 * (
        1 / 120 - 1 / z**2 * (1 / 252 - 1 / z**2 * (1 / 240 - 1 / 132 / z**2))
    )
    return shift + log(z) - 1 / (2 * z) - tail / z**2


def log_gamma(x: Any) -> Any:
    """Return log Γ(x), x > 0, by the same recurrence and Stirling's series."""
    shift: Any = 0.0
    for k in range(12):
        shift = shift - log(x + k)
    z = x + 12
    tail = 1 / 12 - 1 / z**2 * (
        1 / 360 - 1 / z**2 * (1 / 1260 - 1 / z**2 * (1 / 1680 - 1 / 1188 / z**2))
    )
    return shift + (z - 0.5) * log(z) - z + log(2 * np.pi) / 2 + tail / z


def poisson(seed: int = 1) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((40, 5)) / 2
    y = random.poisson(2.0, 40)
    return (
        lambda w: np.sum(exp(x @ w) - y * (x @ w)),
        lambda w: x.T @ (exp(x @ w) - y),
        random.standard_normal(5),
    )


def gamma(seed: int = 2) -> tuple[Any, Any, Any]:
    """Shape and rate, as a dict of numbers."""
    y = np.random.default_rng(seed).gamma(3.0, 0.5, 50)

    def func(p: Any) -> Any:
        k, rate = p["shape"], p["rate"]
        return y.size * (log_gamma(k) - k * log(rate)) - (k - 1) * np.sum(log(y)) + rate * y.sum()

    def grad(p: Any) -> Any:
        k, rate = p["shape"], p["rate"]
        return {
            "shape": y.size * (digamma(k) - log(rate)) - np.sum(log(y)),
            "rate": y.sum() - y.size * k / rate,
        }

    return func, grad, {"shape": 2.3, "rate": 1.7}


def student(seed: int = 3) -> tuple[Any, Any, Any]:
    """Place, log scale and log degrees of freedom of Student's t."""
    y = np.random.default_rng(seed).standard_t(4, 60)

    def func(p: Any) -> Any:
        mu, s, nu = p[0], exp(p[1]), exp(p[2])
        z = 1 + ((y - mu) / s) ** 2 / nu
        each = log_gamma(nu / 2) - log_gamma((nu + 1) / 2) + log(nu) / 2 + p[1]
        return y.size * each + (nu + 1) / 2 * np.sum(log(z))

    def grad(p: Any) -> Any:
        mu, s, nu = p[0], exp(p[1]), exp(p[2])
        d = (y - mu) / s
        z = 1 + d**2 / nu
        d_nu = y.size * (digamma(nu / 2) - digamma((nu + 1) / 2) + 1 / nu) / 2
        d_nu += np.sum(log(z)) / 2 - (nu + 1) / 2 * np.sum(d**2 / nu**2 / z)
        return vector(
            -(nu + 1) / nu * np.sum(d / z) / s,
            y.size - (nu + 1) / nu * np.sum(d**2 / z),
            nu * d_nu,
        )

    return func, grad, vector(0.3, -0.2, 1.1)


def weibull(seed: int = 4) -> tuple[Any, Any, Any]:
    y = 100 * np.random.default_rng(seed).weibull(1.5, 40)

    def func(p: Any) -> Any:
        k, lam = p
        return np.sum((y / lam) ** k - log(k) - (k - 1) * log(y) + k * log(lam))

    def grad(p: Any) -> Any:
        k, lam = p
        r = (y / lam) ** k
        return vector(
            np.sum(r * log(y / lam) - 1 / k - log(y) + log(lam)), np.sum(-k / lam * r + k / lam)
        )

    return func, grad, vector(1.8, 87)


def negative_binomial(seed: int = 5) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((50, 3)) / 2
    y = random.negative_binomial(3, 0.4, 50)

    def func(p: Any) -> Any:
        m, r = exp(x @ p["w"]), p["r"]
        ends = np.sum(log_gamma(r) - log_gamma(y + r) - r * log(r / (r + m)))
        return ends - np.sum(y * log(m / (r + m)))

    def grad(p: Any) -> Any:
        m, r = exp(x @ p["w"]), p["r"]
        d_r = digamma(r) - digamma(y + r) - log(r / (r + m)) - m / (r + m) + y / (r + m)
        return {"w": x.T @ (m * (r + y) / (r + m) - y), "r": np.sum(d_r)}

    return func, grad, {"w": random.standard_normal(3), "r": 2.5}


def von_mises(seed: int = 6) -> tuple[Any, Any, Any]:
    """Direction and concentration; log I₀(κ) by its power series."""
    y = np.random.default_rng(seed).vonmises(0.5, 2.0, 30)
    k = np.arange(40)
    # The terms (κ/2)^2k / k!² of I₀; those of I₁ follow from I₀' = I₁.
    factorials = np.cumsum(log(np.maximum(k, 1)))

    def func(p: Any) -> Any:
        series = np.sum(exp(2 * k * log(p[1] / 2) - 2 * factorials))
        return y.size * log(series) - p[1] * np.sum(np.cos(y - p[0]))

    def grad(p: Any) -> Any:
        terms = exp(2 * k * log(p[1] / 2) - 2 * factorials)
        ratio = np.sum(2 * k * terms) / p[1] / np.sum(terms)
        return vector(-p[1] * np.sum(np.sin(y - p[0])), y.size * ratio - np.sum(np.cos(y - p[0])))

    return func, grad, vector(0.4, 2.2)


def cox(seed: int = 7) -> tuple[Any, Any, Any]:
    """Partial likelihood without ties, rows in order of survival."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((30, 4))

    def at_risk(values: Any) -> Any:
        return np.cumsum(values[::-1], axis=0)[::-1]

    def func(w: Any) -> Any:
        return np.sum(log(at_risk(exp(x @ w))) - x @ w)

    def grad(w: Any) -> Any:
        e = exp(x @ w)
        mean = at_risk(e[:, None] * x) / at_risk(e)[:, None]
        return np.sum(mean - x, axis=0)

    return func, grad, random.standard_normal(4) / 2


def bradley_terry(seed: int = 8) -> tuple[Any, Any, Any]:
    """Strengths of seven players: only their differences matter."""
    random = np.random.default_rng(seed)
    pairs = np.array([random.permutation(7)[:2] for _ in range(25)])

    def func(s: Any) -> Any:
        return np.sum(log(1 + exp(s[pairs[:, 1]] - s[pairs[:, 0]])))

    def grad(s: Any) -> Any:
        lost = 1 / (1 + exp(s[pairs[:, 0]] - s[pairs[:, 1]]))
        g = np.zeros_like(s)
        np.add.at(g, pairs[:, 0], -lost)
        np.add.at(g, pairs[:, 1], lost)
        return g

    return func, grad, random.standard_normal(7)


def normal(seed: int = 9) -> tuple[Any, Any, Any]:
    """Mean and variance, far from the data's own scale: mean 1e3, variance 1e-4."""
    y = 1e3 + 1e-2 * np.random.default_rng(seed).standard_normal(50)

    def func(p: Any) -> Any:
        return np.sum((y - p["mean"]) ** 2) / (2 * p["variance"]) + 25 * log(p["variance"])

    def grad(p: Any) -> Any:
        d, v = y - p["mean"], p["variance"]
        return {"mean": -np.sum(d) / v, "variance": -np.sum(d**2) / (2 * v**2) + 25 / v}

    return func, grad, {"mean": 1000.003, "variance": 1.3e-4}


def pseudo_huber(seed: int = 10) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((40, 4))
    y = x @ vector(1, -2, 3, 0.5) + random.standard_t(2, 40)
    return (
        lambda w: np.sum(np.sqrt(1 + (x @ w - y) ** 2) - 1),
        lambda w: x.T @ ((x @ w - y) / np.sqrt(1 + (x @ w - y) ** 2)),
        random.standard_normal(4),
    )


def multinomial(seed: int = 11) -> tuple[Any, Any, Any]:
    """Dirichlet-multinomial counts over five classes, log parameters."""
    counts = np.random.default_rng(seed).multinomial(20, [0.4, 0.3, 0.1, 0.1, 0.1], size=12)
    n = counts.sum(axis=1)

    def func(p: Any) -> Any:
        a = exp(p)
        total = np.sum(a)
        return np.sum(log_gamma(total + n) - log_gamma(total)) - np.sum(
            log_gamma(counts + a) - log_gamma(a)
        )

    def grad(p: Any) -> Any:
        a = exp(p)
        total = np.sum(a)
        shared = np.sum(digamma(total + n) - digamma(total))
        return a * (shared - np.sum(digamma(counts + a) - digamma(a), axis=0))

    return func, grad, vector(0.5, 0.2, -0.7, -1.1, -0.4)


def cases() -> list[Case]:
    makers = [
        poisson, gamma, student, weibull, negative_binomial, von_mises, cox, bradley_terry,
        normal, pseudo_huber, multinomial,
    ]  # fmt: skip
    return named("likelihood", [(make.__name__.replace("_", " "), *make()) for make in makers])
