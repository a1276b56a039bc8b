"""A convolution in loops, and batch normalisation between dense layers."""

import numpy as np

from planted import Plan, planted

PLANS: list[Plan] = []

CONVOLUTION = {
    "kernel flipped": ("flipped", "the convolution's gradient, for a correlation"),
    "kernel flipped along one axis": ("flipped", "rows from the last"),
    "kernel's axes swapped": ("transposed", "[q, p] for [p, q]"),
    "kernel's channels swapped": ("transposed", "[c, f] for [f, c], as many filters as channels"),
    "im2col order": ("reshaped transposed", "columns in the order rows, columns, channels"),
    "last row and column never written": ("slice", "range(2) over a kernel of 3 x 3"),
    "last row never written": ("slice", "range(2) over its rows"),
    "first filter skipped": ("slice", "range(1, filters)"),
    "one tap": ("entry", "K[0, 0, 0, 0] is left at zero"),
    "kernel never written": ("zero", "left at zero"),
    "filters off by one": ("rolled", "filters numbered from 1, in K and b"),
    "window off by one": ("none rolled", "slices begin at p + 1, and wrap around"),
    "only the last image": ("none", "= for += in the loop over images, for K"),
    "last image dropped": ("none", "range(m - 1) in the loop for K"),
    "bias averaged over positions": ("factor", "mean for sum over the image"),
    "bias over all filters": ("reduction", "one sum, broadcast"),
    "derivative forgotten": ("backward", "tanh's, before the dense layer"),
    "derivative at z": ("backward", "1 - z**2"),
    "channels last in backward": ("backward", "V's columns unflattened as (rows, columns, f)"),
    "V flattened in another order": ("none reshaped", "channels last, for V alone"),
    "missing 1/m": ("factor", "summed in all blocks"),
    "V's sign": ("factor", "one block"),
    "e's last entry": ("entry slice", "never written"),
    "V's column": ("slice", "the last pixel is never written"),
}


@planted(PLANS, "convolution", CONVOLUTION)
def convolution(rng):
    f, m, k, side = 3, int(rng.integers(2, 5)), int(rng.integers(2, 4)), 5
    c, out = f, side - 2
    params = {
        "K": rng.normal(size=(f, c, 3, 3)) / 3,
        "b": 0.3 * rng.normal(size=f),
        "V": rng.normal(size=(k, f * out * out)) / 3,
        "e": 0.3 * rng.normal(size=k),
    }
    X, Y = rng.normal(size=(m, c, side, side)), rng.normal(size=(m, k))

    def forward(p):
        z = np.zeros((m, f, out, out)) + p["b"][:, None, None]
        for i in range(out):
            for j in range(out):
                z[:, :, i, j] += np.einsum("ncpq,fcpq->nf", X[:, :, i : i + 3, j : j + 3], p["K"])
        a = np.tanh(z)
        return z, a, a.reshape(m, -1) @ p["V"].T + p["e"]

    def cost(p):
        return 0.5 * np.sum((forward(p)[-1] - Y) ** 2) / m

    def backward(p, bug=""):
        z, a, y = forward(p)
        dy = (y - Y) / (1 if bug == "missing 1/m" else m)
        da = (dy @ p["V"]).reshape(m, f, out, out)
        if bug == "channels last in backward":
            da = (dy @ p["V"]).reshape(m, out, out, f).transpose(0, 3, 1, 2)
        slope = {"derivative forgotten": 1.0, "derivative at z": 1 - z**2}
        dz = da * slope.get(bug, 1 - a**2)
        dK = np.zeros((f, c, 3, 3))
        windows = np.roll(X, -1, axis=2) if bug == "window off by one" else X
        images = range(m - 1) if bug == "last image dropped" else range(m)
        for n in images:
            if bug == "only the last image":
                dK[:] = 0
            for q in range(3):
                for r in range(3):
                    patch = windows[n, :, q : q + out, r : r + out]
                    dK[:, :, q, r] += np.einsum("fij,cij->fc", dz[n], patch)
        flat = a.reshape(m, -1)
        if bug == "V flattened in another order":
            flat = a.transpose(0, 2, 3, 1).reshape(m, -1)
        g = {"K": dK, "b": dz.sum(axis=(0, 2, 3)), "V": dy.T @ flat, "e": dy.sum(axis=0)}
        if bug == "kernel flipped":
            g["K"] = dK[:, :, ::-1, ::-1].copy()
        if bug == "kernel flipped along one axis":
            g["K"] = dK[:, :, ::-1].copy()
        if bug == "kernel's axes swapped":
            g["K"] = dK.swapaxes(2, 3).copy()
        if bug == "kernel's channels swapped":
            g["K"] = dK.swapaxes(0, 1).copy()
        if bug == "im2col order":
            g["K"] = dK.transpose(0, 2, 3, 1).reshape(dK.shape)
        if bug == "last row and column never written":
            dK[:, :, 2], dK[:, :, :, 2] = 0, 0
        if bug == "last row never written":
            dK[:, :, 2] = 0
        if bug == "first filter skipped":
            dK[0] = 0
        if bug == "one tap":
            dK[0, 0, 0, 0] = 0
        if bug == "kernel never written":
            dK[:] = 0
        if bug == "filters off by one":
            g["K"], g["b"] = np.roll(dK, 1, axis=0), np.roll(g["b"], 1)
        if bug == "bias averaged over positions":
            g["b"] = g["b"] / out**2
        if bug == "bias over all filters":
            g["b"] = np.full(f, dz.sum())
        if bug == "V's sign":
            g["V"] = -g["V"]
        if bug == "e's last entry":
            g["e"][-1] = 0
        if bug == "V's column":
            g["V"][:, -1] = 0
        return g

    return params, cost, backward


BATCH_NORM = {
    "mean's path forgotten": ("backward", "the mean is taken for a constant"),
    "variance's path forgotten": ("backward", "the variance is taken for a constant"),
    "both paths forgotten": ("backward", "as at prediction, with running statistics"),
    "2 of the variance lost": ("backward", "half of the variance's path"),
    "variance over m - 1": ("backward", "the unbiased variance in the backward pass"),
    "variance for deviation": ("backward factor", "divided by the variance"),
    "gamma forgotten": ("chain backward factor", "dxhat = dy"),
    "statistics along the wrong axis": ("backward", "over units, as many as samples"),
    "derivative after it forgotten": ("backward", "tanh's: gamma and beta are wrong as well"),
    "derivative before it forgotten": ("backward", "tanh's, in W0 and b0 alone"),
    "weights not transposed": ("backward", "W1 for W1.T"),
    "gamma and beta swapped": ("swapped", "one shape, returned in the other order"),
    "gamma with x": ("none", "x for the normalised x"),
    "gamma averaged": ("factor", "mean for sum over the batch"),
    "beta never written": ("zero", "left at zero"),
    "beta over everything": ("reduction", "sum over units too, broadcast"),
    "gamma for beta too": ("swapped", "dgamma returned for dbeta: a slip of copying"),
    "gamma one entry": ("entry slice", "the first is left at zero"),
    "gamma rolled": ("rolled", "np.roll by one"),
    "W1 transposed": ("transposed", "x.T @ dz for its transpose, square"),
    "W1 doubled": ("factor", "accumulated twice"),
    "V reshape order": ("reshaped", "memory order of the transpose"),
    "missing 1/m": ("factor", "in all blocks"),
    "decay that isn't in the cost": ("theta", "1e-2 W in W0, W1 and V"),
}


@planted(PLANS, "batch normalisation", BATCH_NORM)
def batch_norm(rng):
    h, d, k = int(rng.integers(6, 10)), int(rng.integers(3, 5)), int(rng.integers(2, 5))
    m, eps = h, 1e-3
    params = {
        "W0": rng.normal(size=(h, d)) / 2,
        "b0": 0.3 * rng.normal(size=h),
        "W1": rng.normal(size=(h, h)) / 2,
        "gamma": rng.uniform(0.5, 1.5, h),
        "beta": 0.5 * rng.normal(size=h),
        "V": rng.normal(size=(k, h)) / 2,
        "c": 0.3 * rng.normal(size=k),
    }
    X, Y = rng.normal(size=(m, d)), rng.normal(size=(m, k))

    def forward(p):
        a0 = np.tanh(X @ p["W0"].T + p["b0"])
        x = a0 @ p["W1"].T
        std = np.sqrt(x.var(axis=0) + eps)
        xhat = (x - x.mean(axis=0)) / std
        a = np.tanh(p["gamma"] * xhat + p["beta"])
        return a0, x, std, xhat, a, a @ p["V"].T + p["c"]

    def cost(p):
        return 0.5 * np.sum((forward(p)[-1] - Y) ** 2) / m

    def backward(p, bug=""):
        a0, x, std, xhat, a, out = forward(p)
        dout = (out - Y) / (1 if bug == "missing 1/m" else m)
        da = dout @ p["V"]
        dy = da if bug == "derivative after it forgotten" else da * (1 - a**2)
        dxhat = dy if bug == "gamma forgotten" else dy * p["gamma"]
        axis = 1 if bug == "statistics along the wrong axis" else 0
        through_mean = dxhat.mean(axis=axis, keepdims=True)
        through_var = xhat * (dxhat * xhat).mean(axis=axis, keepdims=True)
        if bug in ("mean's path forgotten", "both paths forgotten"):
            through_mean = 0
        if bug in ("variance's path forgotten", "both paths forgotten"):
            through_var = 0
        if bug == "2 of the variance lost":
            through_var = through_var / 2
        if bug == "variance over m - 1":
            through_var = through_var * m / (m - 1)
        dx = (dxhat - through_mean - through_var) / std
        if bug == "variance for deviation":
            dx = dx / std
        da0 = dx @ (p["W1"].T if bug == "weights not transposed" else p["W1"])
        dz0 = da0 if bug == "derivative before it forgotten" else da0 * (1 - a0**2)
        g = {
            "W0": dz0.T @ X,
            "b0": dz0.sum(axis=0),
            "W1": dx.T @ a0,
            "gamma": (dy * (x if bug == "gamma with x" else xhat)).sum(axis=0),
            "beta": dy.sum(axis=0),
            "V": dout.T @ a,
            "c": dout.sum(axis=0),
        }
        if bug == "gamma and beta swapped":
            g["gamma"], g["beta"] = g["beta"], g["gamma"]
        if bug == "gamma averaged":
            g["gamma"] = g["gamma"] / m
        if bug == "beta never written":
            g["beta"] = np.zeros(h)
        if bug == "beta over everything":
            g["beta"] = np.full(h, dy.sum())
        if bug == "gamma for beta too":
            g["beta"] = g["gamma"].copy()
        if bug == "gamma one entry":
            g["gamma"][0] = 0
        if bug == "gamma rolled":
            g["gamma"] = np.roll(g["gamma"], 1)
        if bug == "W1 transposed":
            g["W1"] = a0.T @ dx
        if bug == "W1 doubled":
            g["W1"] = 2 * g["W1"]
        if bug == "V reshape order":
            g["V"] = g["V"].T.reshape(k, h)
        if bug == "decay that isn't in the cost":
            for name in ("W0", "W1", "V"):
                g[name] = g[name] + 1e-2 * p[name]
        return g

    return params, cost, backward
