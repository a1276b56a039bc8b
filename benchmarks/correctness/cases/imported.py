"""Functions and gradients of scipy and scikit-learn, where they are installed."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector

exp, log = np.exp, np.log


def from_scipy() -> list[Case]:
    from scipy import integrate, interpolate, linalg, optimize, special, stats

    x = vector(0.7, 1.9, 3.4)
    random = np.random.default_rng(1)
    grid = np.linspace(-3, 3, 13)
    spline = interpolate.CubicSpline(grid, np.sin(2 * grid))
    square = random.standard_normal((3, 3)) / 2

    def total(f: Any) -> Any:
        return lambda x: np.sum(f(x))

    def bessel(x: Any) -> Any:
        return (special.jv(1, x) - special.jv(3, x)) / 2

    def elliptic(m: Any) -> Any:
        return special.ellipe(m) / (2 * m * (1 - m)) - special.ellipk(m) / (2 * m)

    def lambert(x: Any) -> Any:
        w = special.lambertw(x).real
        return w / (x * (1 + w))

    def beta(p: Any) -> Any:
        return special.psi(p) - special.psi(np.sum(p))

    def decay(p: Any) -> Any:
        solved = integrate.solve_ivp(
            lambda t, y: -p[0] * y + p[1], (0, 2), [1.0], rtol=1e-8, atol=1e-10
        )
        return solved.y[0, -1]

    def settled(p: Any) -> Any:
        return p[1] / p[0] + (1 - p[1] / p[0]) * exp(-2 * p[0])

    def d_settled(p: Any) -> Any:
        k, c = p
        e = exp(-2 * k)
        return vector(-c / k**2 + c / k**2 * e - 2 * (1 - c / k) * e, (1 - e) / k)

    def area(p: Any) -> Any:
        return integrate.quad(lambda t: exp(-p[0] * t) * np.cos(p[1] * t), 0, 3)[0]

    def d_area(p: Any) -> Any:
        parts = (
            lambda t: -t * exp(-p[0] * t) * np.cos(p[1] * t),
            lambda t: -t * exp(-p[0] * t) * np.sin(p[1] * t),
        )
        return vector(*(integrate.quad(part, 0, 3, epsabs=1e-13)[0] for part in parts))

    truth = {"truth_rtol": 1e-7}
    rows: list[Any] = [
        ("scipy rosen of 10", optimize.rosen, optimize.rosen_der, random.uniform(-2, 2, 10)),
        ("scipy gammaln", total(special.gammaln), special.psi, x, truth),
        ("scipy gammaln near its pole", total(special.gammaln), special.psi, vector(1e-6, 30),
         truth),
        ("scipy erf", total(special.erf), lambda x: 2 / np.sqrt(np.pi) * exp(-(x**2)), x),
        ("scipy log_ndtr in its tail", total(special.log_ndtr),
         lambda x: exp(stats.norm.logpdf(x) - special.log_ndtr(x)), vector(-12, -1, 2), truth),
        ("scipy jv", total(lambda x: special.jv(2, x)), bessel, x, truth),
        ("scipy i0e", total(special.i0e), lambda x: special.i1e(x) - special.i0e(x), x, truth),
        ("scipy ellipk", total(special.ellipk), elliptic, vector(0.2, 0.9, 0.999), truth),
        ("scipy lambertw", lambda x: np.sum(special.lambertw(x).real), lambert, x, truth),
        ("scipy expit", total(special.expit), lambda x: special.expit(x) * special.expit(-x), x,
         truth),
        ("scipy logsumexp", special.logsumexp, special.softmax, 100 * x, truth),
        ("scipy betaln", lambda p: special.betaln(p[0], p[1]), beta, vector(1.7, 0.4), truth),
        ("scipy xlogy", total(lambda x: special.xlogy(x, x)), lambda x: log(x) + 1, x, truth),
        ("scipy entropy of a beta", lambda p: stats.beta.logpdf(0.3, p[0], p[1]),
         lambda p: vector(log(0.3), log(0.7)) - beta(p), vector(2.5, 1.5), truth),
        ("scipy cubic spline", total(spline), spline.derivative(), vector(0.26, -1.1, 2.2), truth),
        ("scipy expm, trace", lambda a: np.trace(linalg.expm(a)), lambda a: linalg.expm(a).T,
         square, truth),
        ("scipy solve_ivp, rtol 1e-8", decay, d_settled, vector(1.3, 0.6),
         {"expect": "inconclusive-ok", "reference": settled, "category": "noisy"}),
        ("scipy quad", area, d_area, vector(0.5, 4), truth),
    ]  # fmt: skip
    return named("imported", rows)


def from_sklearn() -> list[Case]:
    from sklearn._loss import loss as losses
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    random = np.random.default_rng(2)
    x = random.standard_normal((20, 3))
    truth = {"truth_rtol": 1e-7}

    def linear(loss: Any, y: Any, classes: int = 1) -> tuple[Any, Any]:
        """Return (func, grad) of a linear model's total loss."""

        def func(w: Any) -> Any:
            return np.sum(loss.loss(y_true=y, raw_prediction=x @ w))

        def grad(w: Any) -> Any:
            return x.T @ loss.gradient(y_true=y, raw_prediction=x @ w)

        return func, grad

    w = random.standard_normal(3)
    counts = random.poisson(2, 20).astype(float)
    coins = random.integers(2, size=20).astype(float)
    three = random.integers(3, size=20).astype(float)
    rows: list[Any] = []
    for name, loss, y, start in (
        ("HalfSquaredError", losses.HalfSquaredError(), counts, w),
        ("HalfPoissonLoss", losses.HalfPoissonLoss(), counts, w),
        ("HalfGammaLoss", losses.HalfGammaLoss(), counts + 0.5, w),
        ("HalfTweedieLoss", losses.HalfTweedieLoss(power=1.5), counts, w),
        ("HalfBinomialLoss", losses.HalfBinomialLoss(), coins, w),
        ("ExponentialLoss", losses.ExponentialLoss(), coins, w),
        ("PinballLoss", losses.PinballLoss(quantile=0.3), counts, w),
        ("AbsoluteError", losses.AbsoluteError(), counts, w),
        ("HalfMultinomialLoss", losses.HalfMultinomialLoss(n_classes=3), three,
         random.standard_normal((3, 3))),
    ):  # fmt: skip
        rows.append((f"sklearn {name}", *linear(loss, y), start, truth))
    kernel = ConstantKernel(1.0) * RBF(1.0) + WhiteKernel(0.1)
    model = GaussianProcessRegressor(kernel, optimizer=None).fit(x, np.sin(x).sum(axis=1))
    rows.append(("sklearn gaussian process", model.log_marginal_likelihood,
                 lambda t: model.log_marginal_likelihood(t, eval_gradient=True)[1],
                 vector(0.3, 0.2, -2), truth))  # fmt: skip
    return named("imported", rows)


def cases() -> list[Case]:
    made = []
    for source in (from_scipy, from_sklearn):
        try:
            made += source()
        except ImportError as error:
            print(f"skipped, {source.__name__.replace('_', ' ')}: {error}")
    return made
