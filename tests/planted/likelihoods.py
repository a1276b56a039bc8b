"""Likelihoods whose scales are parametrised: a Gaussian process, and Gaussians with priors."""

import numpy as np

from planted import Plan, away_from_zero, planted, sigmoid

PLANS: list[Plan] = []

PROCESS = {
    "exp forgotten, lengths": ("chain", "the derivative by the length, not by its logarithm"),
    "exp forgotten, noise": ("chain", "by the noise's deviation, not by its logarithm"),
    "exp twice, lengths": ("chain", "multiplied by the length twice"),
    "power of the length": ("chain", "d²/ℓ for d²/ℓ², a power too few"),
    "2 of the signal lost": ("factor", "of σ² = exp(2θ)"),
    "2 of the noise lost": ("factor", "of σ² = exp(2θ)"),
    "sign of the lengths": ("factor", "of the kernel's derivative"),
    "sign": ("factor", "of the log likelihood, everywhere"),
    "½ lost": ("factor", "in all hyperparameters"),
    "½ of the trace lost": ("none", "the quadratic term has its own"),
    "determinant forgotten": ("none", "the quadratic term alone, in all hyperparameters"),
    "quadratic term forgotten": ("none", "the determinant's alone"),
    "noise left out of K": ("none backward", "the inverse of another matrix, in all blocks"),
    "noise left in the signal": ("none entry", "K with its diagonal for the kernel alone"),
    "mean not subtracted": ("none", "y for y - Xβ in the quadratic term"),
    "sign of the mean": ("factor", "of β's block"),
    "mean without the inverse": ("none", "residuals for K⁻¹ residuals, in β"),
    "one length for all": ("reduction", "the sum over dimensions, broadcast"),
    "last length never written": ("entry slice", "range(dimensions - 1)"),
    "β over n": ("factor", "an average"),
    "noise never written": ("zero", "held fixed, yet returned"),
    "prior counted": ("theta", "the logarithms of the lengths have no prior in the cost"),
}


@planted(PLANS, "Gaussian process", PROCESS)
def gaussian_process(rng):
    n, d = int(rng.integers(10, 20)), int(rng.integers(4, 7))
    params = {
        "beta": rng.normal(size=d),
        "log_length": rng.uniform(0.2, 1.2, d),
        "log_signal": float(rng.uniform(0.2, 0.6)),
        "log_noise": float(rng.uniform(-1.2, -0.6)),
    }
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    squares = (X[:, None, :] - X[None, :, :]) ** 2

    def kernel(p):
        scaled = squares / np.exp(2 * np.asarray(p["log_length"]))
        return np.exp(2 * p["log_signal"] - 0.5 * scaled.sum(axis=2))

    def cost(p):
        K = kernel(p) + np.exp(2 * p["log_noise"]) * np.eye(n)
        r = y - X @ p["beta"]
        return 0.5 * r @ np.linalg.solve(K, r) + 0.5 * np.linalg.slogdet(K)[1]

    def backward(p, bug=""):
        k, noise = kernel(p), np.exp(2 * p["log_noise"])
        diagonal = 1e-6 if bug == "noise left out of K" else noise
        r = y - X @ p["beta"]
        inverse = np.linalg.inv(k + diagonal * np.eye(n))
        alpha = inverse @ (y if bug == "mean not subtracted" else r)
        quadratic = -0.5 * np.outer(alpha, alpha)
        trace = 0.5 * inverse
        if bug == "½ of the trace lost":
            trace = 2 * trace
        if bug == "determinant forgotten":
            trace = 0 * trace
        if bug == "quadratic term forgotten":
            quadratic = 0 * quadratic
        dK = quadratic + trace
        if bug == "½ lost":
            dK = 2 * dK
        length = np.exp(np.asarray(p["log_length"]))
        signal = k + noise * np.eye(n) if bug == "noise left in the signal" else k
        g = {
            "beta": -X.T @ (inverse @ r),
            "log_length": np.einsum("ij,ij,ijk->k", dK, k, squares) / length**2,
            "log_signal": (1 if bug == "2 of the signal lost" else 2) * np.sum(dK * signal),
            "log_noise": (1 if bug == "2 of the noise lost" else 2) * noise * np.trace(dK),
        }
        if bug == "exp forgotten, lengths":
            g["log_length"] = g["log_length"] / length
        if bug == "exp forgotten, noise":
            g["log_noise"] = g["log_noise"] / np.exp(p["log_noise"])
        if bug in ("exp twice, lengths", "power of the length"):
            g["log_length"] = g["log_length"] * length
        if bug == "sign of the lengths":
            g["log_length"] = -g["log_length"]
        if bug == "sign":
            g = {name: -value for name, value in g.items()}
        if bug == "sign of the mean":
            g["beta"] = -g["beta"]
        if bug == "mean without the inverse":
            g["beta"] = -X.T @ r
        if bug == "one length for all":
            g["log_length"] = np.full(d, g["log_length"].sum())
        if bug == "last length never written":
            g["log_length"][-1] = 0
        if bug == "β over n":
            g["beta"] = g["beta"] / n
        if bug == "noise never written":
            g["log_noise"] = 0.0
        if bug == "prior counted":
            g["log_length"] = g["log_length"] + 0.1 * p["log_length"]
        return g

    return params, cost, backward


GAUSSIANS = {
    "softplus's derivative forgotten": ("chain", "σ(ρ) left out, for the deviations"),
    "softplus for its derivative": ("none chain", "softplus(ρ) where sigmoid(ρ) belongs"),
    "derivative of exp for softplus": ("none chain", "the deviation's parametrisation mistaken"),
    "exp's derivative forgotten": ("chain", "by the precision, not by its logarithm"),
    "exp twice": ("chain", "multiplied by the precision twice"),
    "square's derivative forgotten": ("chain", "2s left out, for the scales s²"),
    "square's 2 lost": ("factor", "s for 2s"),
    "square's s lost": ("chain", "2 for 2s"),
    "sigmoid's derivative forgotten": ("chain", "p(1 - p) left out, for the weights"),
    "half of the sigmoid's": ("none chain", "p for p(1 - p)"),
    "determinant of the prior forgotten": ("constant", "-½ for each precision"),
    "determinant of the likelihood": ("none", "log σ left out of the deviations"),
    "σ for σ²": ("none", "in the means' residuals"),
    "prior of the means missing": ("none", "τμ left out: a coefficient of its own for each"),
    "means and deviations swapped": ("swapped", "one shape, returned in the other order"),
    "mean for sum": ("factor", "all blocks over the number of observations"),
    "sign": ("factor", "of the log likelihood, everywhere"),
    "sign of the weights": ("factor", "one block"),
    "last deviation never written": ("entry slice", "range(n - 1)"),
    "precisions never written": ("zero", "held fixed, yet returned"),
    "means over everything": ("reduction", "sum over items, broadcast"),
    "scales rolled": ("rolled", "np.roll by one"),
    "means in the other order": ("flipped", "sorted the other way"),
    "decay of the scales": ("theta", "0.5 s, which isn't in the cost"),
}


@planted(PLANS, "Gaussians with priors", GAUSSIANS)
def gaussians(rng):
    n, m = int(rng.integers(7, 15)), 6
    params = {
        "mu": 2 * away_from_zero(rng, n),
        "rho": rng.uniform(-0.8, 1.2, n),
        "log_tau": rng.uniform(-0.7, 0.9, n),
        "s": rng.uniform(0.5, 1.6, n),
        "odds": rng.uniform(-1.5, 1.5, n),
    }
    y, z = rng.normal(size=(m, n)), rng.normal(size=(m, n)) ** 2
    hits = rng.random((m, n)) < 0.4

    def cost(p):
        sigma, tau, scale, w = (
            np.logaddexp(0, p["rho"]),
            np.exp(p["log_tau"]),
            p["s"] ** 2,
            sigmoid(p["odds"]),
        )
        return (
            np.sum(0.5 * ((y - p["mu"]) / sigma) ** 2 + np.log(sigma))
            + np.sum(0.5 * tau * p["mu"] ** 2 - 0.5 * p["log_tau"])
            + np.sum(z / scale + np.log(scale))
            - np.sum(np.where(hits, np.log(w), np.log1p(-w)))
        )

    def backward(p, bug=""):
        sigma, tau, w = np.logaddexp(0, p["rho"]), np.exp(p["log_tau"]), sigmoid(p["odds"])
        scale = p["s"] ** 2
        r = p["mu"] - y
        dmu = (r / (sigma if bug == "σ for σ²" else sigma**2)).sum(axis=0)
        if bug != "prior of the means missing":
            dmu = dmu + tau * p["mu"]
        dsigma = (-(r**2) / sigma**3).sum(axis=0)
        if bug != "determinant of the likelihood":
            dsigma = dsigma + m / sigma
        dtau = 0.5 * p["mu"] ** 2
        if bug != "determinant of the prior forgotten":
            dtau = dtau - 0.5 / tau
        dscale = (1 / scale - z / scale**2).sum(axis=0)
        dw = np.where(hits, -1 / w, 1 / (1 - w)).sum(axis=0)
        drho = {
            "softplus's derivative forgotten": 1.0,
            "softplus for its derivative": sigma,
            "derivative of exp for softplus": np.exp(p["rho"]),
        }.get(bug, sigmoid(p["rho"]))
        dlog = {"exp's derivative forgotten": 1.0, "exp twice": tau**2}.get(bug, tau)
        ds = {
            "square's derivative forgotten": 1.0,
            "square's 2 lost": p["s"],
            "square's s lost": 2.0,
        }.get(bug, 2 * p["s"])
        dodds = {"sigmoid's derivative forgotten": 1.0, "half of the sigmoid's": w}
        g = {
            "mu": dmu,
            "rho": dsigma * drho,
            "log_tau": dtau * dlog,
            "s": dscale * ds,
            "odds": dw * dodds.get(bug, w * (1 - w)),
        }
        if bug == "means and deviations swapped":
            g["mu"], g["rho"] = g["rho"], g["mu"]
        if bug == "mean for sum":
            g = {name: value / m for name, value in g.items()}
        if bug == "sign":
            g = {name: -value for name, value in g.items()}
        if bug == "sign of the weights":
            g["odds"] = -g["odds"]
        if bug == "last deviation never written":
            g["rho"][-1] = 0
        if bug == "precisions never written":
            g["log_tau"] = np.zeros(n)
        if bug == "means over everything":
            g["mu"] = np.full(n, dmu.sum())
        if bug == "scales rolled":
            g["s"] = np.roll(g["s"], 1)
        if bug == "means in the other order":
            g["mu"] = g["mu"][::-1].copy()
        if bug == "decay of the scales":
            g["s"] = g["s"] + 0.5 * p["s"]
        return g

    return params, cost, backward
