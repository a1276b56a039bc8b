"""Models and bugs that no test knows, so that tuning to the tests can be told from being right.

As in `tests/planted`: above each model the table of its bugs, with the hints that are right,
decided from what the numbers alone can tell; to three ("last step dropped", "expectation
forgotten", "clipped") a code was added after its hint was seen, a true one.  Hints are not tuned
to these; who does loses what they are for, and has to write new ones.
"""

from __future__ import annotations

import held_out_steps
import numpy as np
from planted import Plan, away_from_zero, double, planted, sigmoid, single, softmax

PLANS: list[Plan] = [*held_out_steps.PLANS]

KALMAN = {
    "last step only": ("zero none backward", "the adjoint is not carried: start gets nothing"),
    "exp forgotten": ("chain", "by the variance q, not by its logarithm"),
    "exp forgotten, r": ("chain", "by the variance r, not by its logarithm"),
    "sign": ("factor", "of the log likelihood"),
    "½ lost": ("factor", "in all blocks"),
    "determinant forgotten": ("none backward", "log s is taken for a constant"),
    "gain taken for a constant": ("none backward", "its derivative is left out"),
    "last loading never written": ("entry slice", "range(n - 1)"),
    "loadings averaged": ("factor", "mean over the steps"),
    "r never written": ("zero", "held fixed, yet returned"),
    "q and r swapped": ("swapped", "one shape, returned in the other order"),
    "loadings off by one": ("rolled", "np.roll"),
    "start over everything": ("reduction", "a sum, broadcast"),
    "a decays": ("theta", "0.1 a, which isn't in the cost"),
}


@planted(PLANS, "Kalman filters", KALMAN)
def kalman(rng):
    """Build independent local filters, one for each series, with inputs."""
    n, T = int(rng.integers(6, 11)), int(rng.integers(5, 9))
    params = {
        "a": 0.8 * away_from_zero(rng, n),
        "start": rng.normal(size=n),
        "log_q": rng.uniform(-1.2, 0.6, n),
        "log_r": rng.uniform(-0.9, 0.9, n),
    }
    y = rng.normal(size=(T, n))

    def forward(p):
        mean, var, steps = p["start"], np.ones(n), []
        q, r = np.exp(p["log_q"]), np.exp(p["log_r"])
        for t in range(T):
            m, v = p["a"] * mean, p["a"] ** 2 * var + q
            s = v + r
            steps.append((mean, var, m, v, s, y[t] - m))
            mean, var = m + v / s * (y[t] - m), v - v**2 / s
        return steps

    def cost(p):
        return sum(np.sum(0.5 * np.log(s) + 0.5 * e**2 / s) for *_, s, e in forward(p))

    def backward(p, bug=""):
        q, r, a = np.exp(p["log_q"]), np.exp(p["log_r"]), p["a"]
        da, dq, dr = np.zeros(n), np.zeros(n), np.zeros(n)
        dmean, dvar = np.zeros(n), np.zeros(n)
        for mean, var, _m, v, s, e in reversed(forward(p)):
            gain = v / s
            de = e / s + dmean * gain
            ds = -0.5 * e**2 / s**2 - dmean * v * e / s**2 + dvar * gain**2
            dv = dmean * e / s + dvar * (1 - 2 * gain)
            if bug == "gain taken for a constant":
                ds = -0.5 * e**2 / s**2
                dv = dvar * (1 - gain)
            if bug != "determinant forgotten":
                ds = ds + 0.5 / s
            dv, dm = dv + ds, dmean - de
            da += dm * mean + dv * 2 * a * var
            dq, dr = dq + dv, dr + ds
            dmean, dvar = dm * a, dv * a**2
            if bug == "last step only":
                dmean, dvar = np.zeros(n), np.zeros(n)
        g = {"a": da, "start": dmean, "log_q": dq * q, "log_r": dr * r}
        if bug == "exp forgotten":
            g["log_q"] = dq
        if bug == "exp forgotten, r":
            g["log_r"] = dr
        if bug in ("sign", "½ lost"):
            g = {name: (-1 if bug == "sign" else 2) * value for name, value in g.items()}
        if bug == "last loading never written":
            g["a"][-1] = 0
        if bug == "loadings averaged":
            g["a"] = g["a"] / T
        if bug == "r never written":
            g["log_r"] = np.zeros(n)
        if bug == "q and r swapped":
            g["log_q"], g["log_r"] = g["log_r"], g["log_q"]
        if bug == "loadings off by one":
            g["a"] = np.roll(g["a"], -1)
        if bug == "start over everything":
            g["start"] = np.full(n, g["start"].sum())
        if bug == "a decays":
            g["a"] = g["a"] + 0.1 * p["a"]
        return g

    return params, cost, backward


MIXTURE = {
    "responsibilities forgotten": ("none backward", "each component gets every sample whole"),
    "responsibilities over the wrong axis": ("none backward", "normalised over samples"),
    "softmax of the weights forgotten": ("none", "-r for w - r, averaged: in the logits alone"),
    "weights averaged": ("factor", "mean for sum over samples, in the logits"),
    "exp forgotten": ("chain", "by the deviation, not by its logarithm"),
    "determinant forgotten": ("none", "of the deviations"),
    "σ for σ²": ("none chain", "in the means: each is off by its σ"),
    "sign of the means": ("factor", "y - μ the other way"),
    "last component never written": ("slice entry", "range(k - 1), in all blocks"),
    "missing 1/m": ("factor", "in all blocks"),
    "means and scales swapped": ("swapped", "one shape"),
    "means transposed": ("transposed", "as many components as dimensions"),
    "one scale for all dimensions": ("reduction", "the sum over dimensions, broadcast"),
    "scales never written": ("zero", "held fixed"),
    "components off by one": ("rolled", "in all blocks"),
    "means with decay": ("theta", "0.02 μ, which isn't in the cost"),
    "one sample dropped": ("none backward", "in all blocks"),
}


@planted(PLANS, "mixture of Gaussians", MIXTURE)
def mixture(rng):
    """Build a mixture with softmax weights and logarithms of deviations."""
    k, m = int(rng.integers(4, 6)), int(rng.integers(12, 25))
    params = {
        "logits": rng.normal(size=k) / 2,
        "mean": rng.normal(size=(k, k)),
        "log_scale": rng.uniform(-0.5, 0.6, (k, k)),
    }
    X = rng.normal(size=(m, k)) * 1.3

    def parts(p):
        z = (X[:, None, :] - p["mean"]) * np.exp(-p["log_scale"])
        joint = -0.5 * (z**2).sum(axis=2) - p["log_scale"].sum(axis=1) + p["logits"]
        return z, joint

    def cost(p):
        joint = parts(p)[1]
        total = np.log(np.exp(joint).sum(axis=1)) - np.log(np.exp(p["logits"]).sum())
        return -np.mean(total)

    def backward(p, bug=""):
        z, joint = parts(p)
        r = softmax(joint, axis=0 if bug == "responsibilities over the wrong axis" else 1)
        if bug == "responsibilities forgotten":
            r = np.ones_like(r) / k
        if bug == "one sample dropped":
            r[-1] = 0
        scale = np.exp(p["log_scale"])
        over = scale**2 if bug == "σ for σ²" else scale
        weights = softmax(p["logits"], axis=0)
        n = 1 if bug == "missing 1/m" else m
        g = {
            "logits": (r.sum(axis=1, keepdims=True) * weights - r).sum(axis=0) / n,
            "mean": -(r[:, :, None] * z).sum(axis=0) / over / n,
            "log_scale": (r[:, :, None] * (1 - z**2)).sum(axis=0) / n,
        }
        if bug == "softmax of the weights forgotten":
            g["logits"] = -r.mean(axis=0)
        if bug == "weights averaged":
            g["logits"] = g["logits"] / m
        if bug == "exp forgotten":
            g["log_scale"] = g["log_scale"] / scale
        if bug == "determinant forgotten":
            g["log_scale"] = (r[:, :, None] * -(z**2)).sum(axis=0) / n
        if bug == "sign of the means":
            g["mean"] = -g["mean"]
        if bug == "last component never written":
            for value in g.values():
                value[-1] = 0
        if bug == "means and scales swapped":
            g["mean"], g["log_scale"] = g["log_scale"], g["mean"]
        if bug == "means transposed":
            g["mean"] = g["mean"].T.copy()
        if bug == "one scale for all dimensions":
            total = g["log_scale"].sum(axis=1, keepdims=True)
            g["log_scale"] = np.repeat(total, k, axis=1)
        if bug == "scales never written":
            g["log_scale"] = np.zeros((k, k))
        if bug == "components off by one":
            g = {name: np.roll(value, 1, axis=0) for name, value in g.items()}
        if bug == "means with decay":
            g["mean"] = g["mean"] + 0.02 * p["mean"]
        return g

    return params, cost, backward


WORD2VEC = {
    "negatives' sign": ("none backward", "1 - σ for σ: both tables are wrong"),
    "negatives forgotten": ("none backward", "the positive pairs alone"),
    "repeated words lost": ("none slice", "U[ids] += counts a repeated word once"),
    "centre for context": ("swapped", "the tables have one shape"),
    "words off by one": ("rolled", "numbered from 1, in both"),
    "last word never written": ("slice", "in both tables"),
    "context with the new centre": ("none", "updated too early"),
    "context never written": ("zero", "held fixed"),
    "missing 1/m": ("factor", "in both"),
    "centre doubled": ("factor", "one table"),
    "shared negatives counted once": ("none slice", "= for +="),
    "centre reshape order": ("reshaped", "memory order of the transpose"),
    "float32": ("float32", "computed in single precision", {"rtol": 1e-9}),
    "one word": ("slice", "word 2 is taken for the unknown word, and skipped"),
}


@planted(PLANS, "word2vec", WORD2VEC)
def word2vec(rng):
    """Build skip-grams with negative sampling."""
    v, d, m, k = int(rng.integers(8, 12)), int(rng.integers(4, 6)), 25, 3
    params = {"centre": rng.normal(size=(v, d)) / 2, "context": rng.normal(size=(v, d)) / 2}
    pairs = rng.integers(v, size=(m, 2 + k))
    pairs[:v, 0], pairs[:v, 1] = np.arange(v), rng.permutation(v)
    signs = np.array([1.0] + [-1.0] * k)

    def scores(p):
        return np.einsum("md,mkd->mk", p["centre"][pairs[:, 0]], p["context"][pairs[:, 1:]])

    def cost(p):
        return np.sum(np.logaddexp(0, -signs * scores(p))) / m

    def backward(p, bug=""):
        if bug == "float32":
            p = single(p)
        s = scores(p)
        ds = sigmoid(s) - (signs > 0).astype(s.dtype)
        if bug == "negatives' sign":
            ds[:, 1:] = 1 - sigmoid(s[:, 1:])
        if bug == "negatives forgotten":
            ds[:, 1:] = 0
        if bug != "missing 1/m":
            ds = ds / m
        g = {name: np.zeros_like(value) for name, value in p.items()}
        u = p["centre"]
        near = p["context"][pairs[:, 1:]]
        dcentre = np.einsum("mk,mkd->md", ds, near)
        if bug == "repeated words lost":
            g["centre"][pairs[:, 0]] += dcentre
        else:
            np.add.at(g["centre"], pairs[:, 0], dcentre)
        if bug == "context with the new centre":
            u = u - 0.1 * g["centre"]
        dcontext = ds[:, :, None] * u[pairs[:, 0]][:, None, :]
        if bug == "shared negatives counted once":
            g["context"][pairs[:, 1:]] = dcontext
        else:
            np.add.at(g["context"], pairs[:, 1:], dcontext)
        if bug == "centre for context":
            g["centre"], g["context"] = g["context"], g["centre"]
        if bug == "words off by one":
            g = {name: np.roll(value, 1, axis=0) for name, value in g.items()}
        if bug == "last word never written":
            g["centre"][-1], g["context"][-1] = 0, 0
        if bug == "context never written":
            g["context"][:] = 0
        if bug == "centre doubled":
            g["centre"] *= 2
        if bug == "centre reshape order":
            g["centre"] = g["centre"].T.reshape(v, d)
        if bug == "one word":
            g["centre"][2] = 0
        return double(g) if bug == "float32" else g

    return params, cost, backward


MACHINE = {
    "own square not subtracted": ("none", "of the pairwise term, in V alone"),
    "square lost": ("none", "x for x² in what is subtracted, in V alone"),
    "pairs counted twice": ("factor theta", "½ lost: V's data term doubled, beside its decay"),
    "sigmoid's derivative kept": ("none backward", "which the cross entropy cancels"),
    "missing 1/m": ("factor theta", "in all blocks, V has its decay beside it"),
    "decay missing": ("theta", "of V"),
    "decay doubled": ("theta", "of V"),
    "decay on w": ("theta", "which has none in the cost"),
    "V's last factor": ("slice", "range(k - 1)"),
    "first feature skipped": ("slice entry", "in w and V"),
    "w never written": ("zero", "left at zero"),
    "offset never written": ("zero", "left at zero"),
    "w averaged": ("factor", "over features"),
    "w over everything": ("reduction", "a sum, broadcast"),
    "V in the other order": ("flipped", "features from the last"),
    "V reshape order": ("reshaped", "memory order of the transpose"),
    "one sample dropped": ("none backward", "in all blocks"),
    "w constant": ("constant", "the offset's gradient is added to each"),
}


@planted(PLANS, "factorisation machine", MACHINE)
def machine(rng):
    """Build a logistic factorisation machine of second order."""
    d, k, m, lam = int(rng.integers(8, 13)), int(rng.integers(3, 5)), 25, 0.05
    params = {"offset": 0.2, "w": rng.normal(size=d) / 2, "V": rng.normal(size=(d, k)) / 2}
    X, y = rng.normal(size=(m, d)), (rng.random(m) < 0.5).astype(float)

    def forward(p):
        s = X @ p["V"]
        pairs = 0.5 * (s**2 - X**2 @ p["V"] ** 2).sum(axis=1)
        return s, p["offset"] + X @ p["w"] + pairs

    def cost(p):
        z = forward(p)[1]
        return np.mean(np.logaddexp(0, z) - y * z) + lam / 2 * np.sum(p["V"] ** 2)

    def backward(p, bug=""):
        s, z = forward(p)
        dz = sigmoid(z) - y
        if bug == "sigmoid's derivative kept":
            dz = dz * sigmoid(z) * (1 - sigmoid(z))
        if bug == "one sample dropped":
            dz[0] = 0
        if bug != "missing 1/m":
            dz = dz / m
        own = (dz @ (X if bug == "square lost" else X**2))[:, None] * p["V"]
        dV = X.T @ (dz[:, None] * s) - (0 if bug == "own square not subtracted" else own)
        if bug == "pairs counted twice":
            dV = 2 * dV
        dV = dV + lam * {"decay missing": 0, "decay doubled": 2}.get(bug, 1) * p["V"]
        g = {"offset": float(dz.sum()), "w": X.T @ dz, "V": dV}
        if bug == "decay on w":
            g["w"] = g["w"] + lam * p["w"]
        if bug == "V's last factor":
            g["V"][:, -1] = 0
        if bug == "first feature skipped":
            g["w"][0], g["V"][0] = 0, 0
        if bug == "w never written":
            g["w"] = np.zeros(d)
        if bug == "offset never written":
            g["offset"] = 0.0
        if bug == "w averaged":
            g["w"] = g["w"] / d
        if bug == "w over everything":
            g["w"] = np.full(d, g["w"].sum())
        if bug == "V in the other order":
            g["V"] = g["V"][::-1].copy()
        if bug == "V reshape order":
            g["V"] = g["V"].T.reshape(d, k)
        if bug == "w constant":
            g["w"] = g["w"] + g["offset"]
        return g

    return params, cost, backward
