"""Dense networks: tanh, relu, and an autoencoder with tied weights."""

import numpy as np

from planted import Plan, away_from_zero, double, planted, sigmoid, single

PLANS: list[Plan] = []

TANH = {
    "derivative forgotten, layer 1": ("backward", "dz1 = da1"),
    "derivative forgotten, layer 2": ("backward", "dz2 = da2"),
    "derivative at z": ("backward", "1 - z**2 for 1 - a**2"),
    "derivative of the sigmoid": ("backward", "a(1 - a) for 1 - a**2"),
    "derivative at the wrong layer": ("backward", "1 - a1**2 in layer 2, of the same shape"),
    "derivative without the square": ("backward", "1 - a for 1 - a**2"),
    "weights not transposed": ("backward", "W2 @ dz2 for W2.T @ dz2, square"),
    "weights updated too early": ("backward", "W2 has made its step before it is used"),
    "clipped in between": ("backward", "np.clip of dz2"),
    "dropout mask forgotten": ("backward", "da1 passes the units that were dropped"),
    "missing 1/m": ("factor", "summed in all blocks, the cost averages"),
    "missing 1/m in b2": ("factor", "one bias is summed"),
    "2 of the square lost": ("factor", "everywhere"),
    "sign of W1": ("factor", "subtracted for added"),
    "layer 1 doubled": ("factor", "dz1 counted twice, for W1 and b1"),
    "W2 transposed": ("transposed", "a1 @ dz2.T, square"),
    "b1 over everything": ("reduction", "sum over units too, broadcast"),
    "b2 over the wrong axis": ("none", "as many samples as units, so that it fits"),
    "W2 with the wrong activation": ("none", "dz2 @ a2.T for a1"),
    "W2 never written": ("zero", "left at zero"),
    "layer 1 never reached": ("zero", "the loop ends at layer 2"),
    "biases swapped": ("swapped", "b1 and b2 have one shape"),
    "last unit never written": ("slice entry", "range(h - 1) in layer 1"),
    "one sample dropped": ("none backward", "in every block"),
    "stale cache": ("none stale", "activations of a forward pass at other weights"),
    "float32": ("float32", "computed in single precision", {"rtol": 1e-9}),
}


@planted(PLANS, "tanh network", TANH)
def tanh_network(rng):
    h, d, k = int(rng.integers(5, 9)), int(rng.integers(3, 6)), int(rng.integers(2, 4))
    m = h
    sizes = (d, h, h, k)
    params = {}
    for i in (1, 2, 3):
        params[f"W{i}"] = rng.normal(size=(sizes[i], sizes[i - 1])) / np.sqrt(sizes[i - 1])
        params[f"b{i}"] = 0.3 * rng.normal(size=(sizes[i], 1))
    X, Y = rng.normal(size=(d, m)), rng.normal(size=(k, m))
    mask = rng.permutation(np.arange(h * m) % 4 != 0).reshape(h, m) / 0.75
    old = {name: value + 0.3 * rng.normal(size=value.shape) for name, value in params.items()}

    def forward(p, X=X, mask=mask):
        z1 = p["W1"] @ X + p["b1"]
        a1 = np.tanh(z1) * mask
        z2 = p["W2"] @ a1 + p["b2"]
        a2 = np.tanh(z2)
        return z1, a1, z2, a2, p["W3"] @ a2 + p["b3"]

    def cost(p):
        return np.sum((forward(p)[-1] - Y) ** 2) / m

    def backward(p, bug=""):
        if bug == "float32":
            right = {"X": X.astype("f4"), "mask": mask.astype("f4")}
            return double(_backward(single(p), bug, *forward(single(p), **right)))
        return _backward(p, bug, *forward(old if bug == "stale cache" else p))

    def _backward(p, bug, z1, a1, z2, a2, out):
        dz3 = (1 if bug == "2 of the square lost" else 2) * (out - Y.astype(out.dtype))
        if bug != "missing 1/m":
            dz3 = dz3 / m
        if bug == "one sample dropped":
            dz3[:, 0] = 0
        da2 = p["W3"].T @ dz3
        dz2 = da2 * {
            "derivative forgotten, layer 2": 1.0,
            "derivative at z": 1 - z2**2,
            "derivative of the sigmoid": a2 * (1 - a2),
            "derivative at the wrong layer": 1 - a1**2,
            "derivative without the square": 1 - a2,
        }.get(bug, 1 - a2**2)
        if bug == "clipped in between":
            dz2 = np.clip(dz2, *np.quantile(dz2, [0.25, 0.75]))
        W2 = p["W2"]
        if bug == "weights not transposed":
            W2 = W2.T
        if bug == "weights updated too early":
            W2 = W2 - 0.1 * dz2 @ a1.T
        da1 = W2.T @ dz2
        if bug != "dropout mask forgotten":
            da1 = da1 * mask.astype(da1.dtype)
        dz1 = da1 * (1.0 if bug == "derivative forgotten, layer 1" else 1 - np.tanh(z1) ** 2)
        if bug == "layer 1 doubled":
            dz1 = 2 * dz1
        g = {
            "W1": dz1 @ X.T.astype(dz1.dtype),
            "b1": dz1.sum(axis=1, keepdims=True),
            "W2": dz2 @ a1.T,
            "b2": dz2.sum(axis=1, keepdims=True),
            "W3": dz3 @ a2.T,
            "b3": dz3.sum(axis=1, keepdims=True),
        }
        if bug == "missing 1/m in b2":
            g["b2"] = g["b2"] * m
        if bug == "sign of W1":
            g["W1"] = -g["W1"]
        if bug == "W2 transposed":
            g["W2"] = a1 @ dz2.T
        if bug == "b1 over everything":
            g["b1"] = np.full((h, 1), dz1.sum())
        if bug == "b2 over the wrong axis":
            g["b2"] = dz2.sum(axis=0)[:, None]
        if bug == "W2 with the wrong activation":
            g["W2"] = dz2 @ a2.T
        if bug == "W2 never written":
            g["W2"] = np.zeros((h, h))
        if bug == "layer 1 never reached":
            g["W1"], g["b1"] = np.zeros((h, d)), np.zeros((h, 1))
        if bug == "biases swapped":
            g["b1"], g["b2"] = g["b2"], g["b1"]
        if bug == "last unit never written":
            g["W1"][-1], g["b1"][-1] = 0, 0
        return g

    return params, cost, backward


RELU = {
    "derivative forgotten, layer 1": ("backward", "dz1 = da1"),
    "derivative forgotten, layer 2": ("backward", "dz2 = da2"),
    "derivative where da is positive": ("backward", "the mask of da2, not of z2"),
    "leak lost": ("backward", "0 for 0.1 where z is negative"),
    "leak on the wrong side": ("backward", "0.1 where z is positive"),
    "derivative of tanh": ("backward", "1 - a**2"),
    "decay missing": ("theta", "in all weights"),
    "decay missing in W1": ("theta", "in one block alone"),
    "decay doubled": ("theta", "2λW for λW"),
    "decay subtracted": ("theta", "wrong sign"),
    "decay over m": ("theta", "λ/m for λ"),
    "decay on the biases": ("theta", "which have none in the cost"),
    "decay with sign": ("none", "λ sign(W) for λW"),
    "mean for sum": ("factor theta", "the data term is averaged, the cost sums it"),
    "bias averaged": ("factor", "mean for sum over the batch in all biases"),
    "b2 halved": ("factor", "one block"),
    "W1 reshape order": ("reshaped", "memory order of the transpose"),
    "W1 off by one": ("rolled", "np.roll along the inputs"),
    "W1 first column skipped": ("slice", "taken for the intercept"),
    "W2 one entry": ("entry", "an index written twice"),
    "first sample skipped": ("none backward", "in every block"),
    "momentum": ("none stale noise", "the velocity is returned for the gradient"),
    "b3 over everything": ("reduction none", "the mean of all of dz3, broadcast"),
}


@planted(PLANS, "leaky relu network", RELU)
def relu_network(rng):
    d, h1, h2, k = (int(n) for n in rng.integers([4, 6, 5, 3], [6, 9, 8, 5]))
    m, lam, leak = 20, 0.05, 0.1
    sizes = (d, h1, h2, k)

    def draw():
        params = {}
        for i in (1, 2, 3):
            params[f"W{i}"] = rng.normal(size=(sizes[i], sizes[i - 1])) / np.sqrt(sizes[i - 1])
            params[f"b{i}"] = 0.3 * away_from_zero(rng, sizes[i])[:, None]
        return params, rng.normal(size=(d, m))

    def act(z):
        return np.where(z > 0, z, leak * z)

    def forward(p):
        z1 = p["W1"] @ X + p["b1"]
        z2 = p["W2"] @ act(z1) + p["b2"]
        return z1, z2, p["W3"] @ act(z2) + p["b3"]

    params, X = draw()
    while min(np.abs(z).min() for z in forward(params)[:2]) < 2e-3:  # at a kink, or nearly
        params, X = draw()
    Y = rng.normal(size=(k, m))
    velocity = dict.fromkeys(params, 0.0)

    def cost(p):
        penalty = sum(np.sum(p[f"W{i}"] ** 2) for i in (1, 2, 3))
        return 0.5 * np.sum((forward(p)[-1] - Y) ** 2) + lam / 2 * penalty

    def backward(p, bug=""):
        z1, z2, out = forward(p)
        a1, a2 = act(z1), act(z2)
        dz3 = out - Y
        if bug == "mean for sum":
            dz3 = dz3 / m
        if bug == "first sample skipped":
            dz3[:, 0] = 0
        da2 = p["W3"].T @ dz3
        slope = {
            "derivative forgotten, layer 2": np.ones_like(z2),
            "derivative where da is positive": np.where(da2 > 0, 1, leak),
            "leak lost": np.where(z2 > 0, 1, 0),
            "leak on the wrong side": np.where(z2 > 0, leak, 1),
            "derivative of tanh": 1 - a2**2,
        }.get(bug, np.where(z2 > 0, 1, leak))
        dz2 = da2 * slope
        da1 = p["W2"].T @ dz2
        dz1 = da1 if bug == "derivative forgotten, layer 1" else da1 * np.where(z1 > 0, 1, leak)
        g = {}
        for i, dz, a in ((1, dz1, X), (2, dz2, a1), (3, dz3, a2)):
            rate = {"decay missing": 0, "decay doubled": 2 * lam, "decay subtracted": -lam}
            rate |= {"decay over m": lam / m, "decay missing in W1": lam * (i > 1)}
            decay = rate.get(bug, lam) * p[f"W{i}"]
            if bug == "decay with sign":
                decay = lam * np.sign(p[f"W{i}"])
            g[f"W{i}"], g[f"b{i}"] = dz @ a.T + decay, dz.sum(axis=1, keepdims=True)
            if bug == "decay on the biases":
                g[f"b{i}"] += lam * p[f"b{i}"]
            if bug == "bias averaged":
                g[f"b{i}"] /= m
        if bug == "b2 halved":
            g["b2"] = g["b2"] / 2
        if bug == "W1 reshape order":
            g["W1"] = g["W1"].T.reshape(h1, d)
        if bug == "W1 off by one":
            g["W1"] = np.roll(g["W1"], 1, axis=1)
        if bug == "W1 first column skipped":
            g["W1"][:, 0] = 0
        if bug == "W2 one entry":
            g["W2"][1, 2] *= 3
        if bug == "b3 over everything":
            g["b3"] = np.full((k, 1), dz3.mean())
        if bug == "momentum":
            for name in g:
                velocity[name] = 0.9 * velocity[name] + g[name]
            return dict(velocity)
        return g

    return params, cost, backward


TIED = {
    "decoder's part only": ("shared none", "W is used twice, and counted once"),
    "encoder's part only": ("shared none", "W is used twice, and counted once"),
    "encoder's part doubled": ("none", "the decoder's part is taken for the same"),
    "decoder's part subtracted": ("none", "wrong sign of one of two parts"),
    "derivative forgotten": ("backward", "the sigmoid's, before W and b; c is right"),
    "derivative of tanh": ("backward", "1 - a**2 for a(1 - a)"),
    "derivative at z": ("backward", "z(1 - z) for a(1 - a)"),
    "missing 1/m": ("factor", "summed in all blocks, the cost averages"),
    "2 of the square lost": ("factor", "everywhere"),
    "sign": ("factor", "input - output for output - input"),
    "b averaged": ("factor", "mean for sum over the batch"),
    "c over everything": ("reduction", "sum over the outputs too, broadcast"),
    "b never written": ("zero", "left at zero"),
    "c off by one": ("rolled", "np.roll"),
    "W reshape order": ("reshaped", "memory order of the decoder's matrix"),
    "last hidden unit never written": ("slice entry", "range(h - 1)"),
    "noise added to the target": ("none backward", "output - corrupted input"),
    "not a number": ("not-finite", "0 / 0 for a unit that is certain"),
    "one entry": ("entry", "c's last entry is b's"),
}


@planted(PLANS, "tied autoencoder", TIED)
def tied_autoencoder(rng):
    d, h, m = int(rng.integers(7, 11)), int(rng.integers(4, 6)), int(rng.integers(6, 14))
    params = {
        "W": rng.normal(size=(h, d)) / 2,
        "b": 0.5 * rng.normal(size=h),
        "c": 0.5 * rng.normal(size=d),
    }
    X = rng.normal(size=(m, d))
    noisy = X + 0.3 * rng.normal(size=(m, d))

    def cost(p):
        a = sigmoid(noisy @ p["W"].T + p["b"])
        return np.sum((a @ p["W"] + p["c"] - X) ** 2) / m

    def backward(p, bug=""):
        z = noisy @ p["W"].T + p["b"]
        a = sigmoid(z)
        out = a @ p["W"] + p["c"]
        dout = 2 * (out - (noisy if bug == "noise added to the target" else X)) / m
        if bug == "missing 1/m":
            dout = dout * m
        if bug == "2 of the square lost":
            dout = dout / 2
        if bug == "sign":
            dout = -dout
        slope = {"derivative forgotten": 1.0, "derivative of tanh": 1 - a**2}
        slope["derivative at z"] = z * (1 - z)
        dz = dout @ p["W"].T * slope.get(bug, a * (1 - a))
        encoder, decoder = dz.T @ noisy, a.T @ dout
        g = {"W": encoder + decoder, "b": dz.sum(axis=0), "c": dout.sum(axis=0)}
        if bug == "decoder's part only":
            g["W"] = decoder
        if bug == "encoder's part only":
            g["W"] = encoder
        if bug == "encoder's part doubled":
            g["W"] = 2 * encoder
        if bug == "decoder's part subtracted":
            g["W"] = encoder - decoder
        if bug == "b averaged":
            g["b"] = dz.mean(axis=0)
        if bug == "c over everything":
            g["c"] = np.full(d, dout.sum())
        if bug == "b never written":
            g["b"] = np.zeros(h)
        if bug == "c off by one":
            g["c"] = np.roll(g["c"], 1)
        if bug == "W reshape order":
            g["W"] = g["W"].T.reshape(h, d)
        if bug == "last hidden unit never written":
            g["W"][-1], g["b"][-1] = 0, 0
        if bug == "not a number":
            g["W"][:, 1] = np.nan
        if bug == "one entry":
            g["c"][-1] = g["b"][-1]
        return g

    return params, cost, backward
