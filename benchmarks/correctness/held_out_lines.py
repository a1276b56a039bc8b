"""Models written as people write them, GRU to triplet loss, for the line that a failure names.

No constant and no kind of change was chosen by them; GRU, triplets and Runge-Kutta were looked at
while changes to statements were first tried.
"""

from __future__ import annotations

import numpy as np
from planted import Plan, planted, sigmoid

PLANS: list[Plan] = []

GRU = {
    "reset gate left out": ("none", "h for r * h in the candidate's weights"),
    "update gate's derivative": ("backward", "1 - u**2"),
    "candidate's derivative": ("backward", "n (1 - n)"),
    "kept part forgotten": ("backward", "the path h[t - 1] (1 - u) is not carried"),
    "carried with u": ("backward", "dh u for dh (1 - u)"),
    "weights not transposed": ("backward", "Un dn for Un.T dn"),
    "reset gate's path forgotten": ("backward", "dh_prev lacks the reset gate's weights"),
}


@planted(PLANS, "GRU", GRU)
def gru(rng):
    """Build a gated recurrent unit whose last state is read out."""
    d, h, T = int(rng.integers(2, 5)), int(rng.integers(4, 7)), 4
    params = {name: rng.normal(size=(h, d)) / 2 for name in ("Wu", "Wr", "Wn")}
    params |= {name: rng.normal(size=(h, h)) / 2 for name in ("Uu", "Ur", "Un")}
    params["v"] = rng.normal(size=h)
    X, target = rng.normal(size=(T, d)), 0.7

    def forward(p):
        state = np.full(h, 0.1)
        cache = []
        for x in X:
            u = sigmoid(p["Wu"] @ x + p["Uu"] @ state)
            r = sigmoid(p["Wr"] @ x + p["Ur"] @ state)
            gated = r * state
            n = np.tanh(p["Wn"] @ x + p["Un"] @ gated)
            new = (1 - u) * state + u * n
            cache.append((x, state, u, r, gated, n))
            state = new
        return state, cache

    def cost(p):
        state, _ = forward(p)
        return 0.5 * (p["v"] @ state - target) ** 2

    def backward(p, bug=""):
        state, cache = forward(p)
        grads = {key: np.zeros_like(value) for key, value in p.items()}
        error = p["v"] @ state - target
        grads["v"] = error * state
        dh = error * p["v"]
        for x, prev, u, r, gated, n in reversed(cache):
            du = dh * (n - prev)
            dn = dh * u
            dan = dn * (n * (1 - n) if bug == "candidate's derivative" else 1 - n**2)
            dau = du * (1 - u**2 if bug == "update gate's derivative" else u * (1 - u))
            dgated = (p["Un"] if bug == "weights not transposed" else p["Un"].T) @ dan
            dar = dgated * prev * r * (1 - r)
            grads["Wu"] += np.outer(dau, x)
            grads["Uu"] += np.outer(dau, prev)
            grads["Wr"] += np.outer(dar, x)
            grads["Ur"] += np.outer(dar, prev)
            grads["Wn"] += np.outer(dan, x)
            grads["Un"] += np.outer(dan, prev if bug == "reset gate left out" else gated)
            dprev = dh * (u if bug == "carried with u" else 1 - u)
            if bug == "kept part forgotten":
                dprev = np.zeros(h)
            dprev = dprev + p["Uu"].T @ dau
            if bug != "reset gate's path forgotten":
                dprev = dprev + p["Ur"].T @ dar
            dh = dprev + dgated * r
        return grads

    return params, cost, backward


VAE = {
    "½ of the log-variance lost": ("backward", "noise * std for ½ noise * std"),
    "divergence of the mean": ("none", "the mean's term of the divergence is left out"),
    "divergence's exponential": ("none", "0.5 (1 - exp) for 0.5 (exp - 1)"),
    "decoder's derivative": ("backward", "no derivative of tanh in the decoder"),
    "noise left out": ("none", "the log-variance gets dz * std"),
    "sum of the decoder's bias": ("factor", "mean for sum"),
}


@planted(PLANS, "variational autoencoder", VAE)
def autoencoder(rng):
    """Build a variational autoencoder with one hidden layer in the decoder and fixed noise."""
    d, k, h, m = 5, int(rng.integers(2, 4)), int(rng.integers(4, 7)), 8
    params = {
        "We": rng.normal(size=(d, k)) / 2,
        "Ws": rng.normal(size=(d, k)) / 4,
        "Wd": rng.normal(size=(k, h)) / 2,
        "bd": rng.normal(size=h) / 4,
        "Wo": rng.normal(size=(h, d)) / 2,
    }
    x, noise = rng.normal(size=(m, d)), rng.normal(size=(m, k))

    def encode(p):
        mean = x @ p["We"]
        logvar = x @ p["Ws"]
        return mean, logvar

    def decode(p, z):
        hidden = np.tanh(z @ p["Wd"] + p["bd"])
        return hidden, hidden @ p["Wo"]

    def cost(p):
        mean, logvar = encode(p)
        z = mean + np.exp(0.5 * logvar) * noise
        _, out = decode(p, z)
        error = 0.5 * np.sum((out - x) ** 2)
        divergence = -0.5 * np.sum(1 + logvar - mean**2 - np.exp(logvar))
        return (error + divergence) / m

    def backward(p, bug=""):
        mean, logvar = encode(p)
        std = np.exp(0.5 * logvar)
        z = mean + std * noise
        hidden, out = decode(p, z)
        dout = (out - x) / m
        dWo = hidden.T @ dout
        dhidden = dout @ p["Wo"].T
        da = dhidden if bug == "decoder's derivative" else dhidden * (1 - hidden**2)
        dWd = z.T @ da
        dbd = da.mean(axis=0) if bug == "sum of the decoder's bias" else da.sum(axis=0)
        dz = da @ p["Wd"].T
        dmean = dz if bug == "divergence of the mean" else dz + mean / m
        half = 1.0 if bug == "½ of the log-variance lost" else 0.5
        dlogvar = dz * std * half if bug == "noise left out" else dz * noise * std * half
        if bug == "divergence's exponential":
            dlogvar = dlogvar + 0.5 * (1 - np.exp(logvar)) / m
        else:
            dlogvar = dlogvar + 0.5 * (np.exp(logvar) - 1) / m
        return {"We": x.T @ dmean, "Ws": x.T @ dlogvar, "Wd": dWd, "bd": dbd, "Wo": dWo}

    return params, cost, backward


HMM = {
    "forward weights for posteriors": ("none backward", "alpha alone, normalised"),
    "emission of the step before": ("none", "of the transitions' counts"),
    "first state's prior": ("none", "posterior at the last step"),
    "softmax of the rows": ("none", "counts not reduced by their rows' sums"),
    "steps counted from 2": ("none", "the transitions' loop begins a step late"),
}


@planted(PLANS, "hidden Markov model", HMM)
def markov(rng):
    """Build a hidden Markov model with normal emissions, by the scaled forward algorithm."""
    k, T = int(rng.integers(3, 5)), 7
    params = {
        "prior": rng.normal(size=k),
        "logits": rng.normal(size=(k, k)),
        "means": rng.normal(size=k),
    }
    y = rng.normal(size=T)

    def rows(logits):
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def cost(p):
        A = rows(p["logits"])
        B = np.exp(-0.5 * (y[:, None] - p["means"]) ** 2)
        alpha = rows(p["prior"]) * B[0]
        total = 0.0
        for t in range(1, T):
            scale = alpha.sum()
            total -= np.log(scale)
            alpha = (alpha / scale) @ A * B[t]
        return total - np.log(alpha.sum())

    def backward(p, bug=""):
        A = rows(p["logits"])
        B = np.exp(-0.5 * (y[:, None] - p["means"]) ** 2)
        alpha = np.zeros((T, k))
        alpha[0] = rows(p["prior"]) * B[0]
        alpha[0] /= alpha[0].sum()
        for t in range(1, T):
            alpha[t] = alpha[t - 1] @ A * B[t]
            alpha[t] /= alpha[t].sum()
        beta = np.ones((T, k))
        for t in range(T - 2, -1, -1):
            beta[t] = A @ (B[t + 1] * beta[t + 1])
            beta[t] /= beta[t].sum()
        gamma = alpha.copy() if bug == "forward weights for posteriors" else alpha * beta
        gamma /= gamma.sum(axis=1, keepdims=True)
        counts = np.zeros((k, k))
        for t in range(2 if bug == "steps counted from 2" else 1, T):
            seen = B[t - 1] if bug == "emission of the step before" else B[t]
            pair = alpha[t - 1][:, None] * A * (seen * beta[t])
            counts += pair / pair.sum()
        dlogits = -counts
        if bug != "softmax of the rows":
            dlogits = counts.sum(axis=1, keepdims=True) * A - counts
        dmeans = -(gamma * (y[:, None] - p["means"])).sum(axis=0)
        first = gamma[-1] if bug == "first state's prior" else gamma[0]
        dprior = rows(p["prior"]) - first
        return {"prior": dprior, "logits": dlogits, "means": dmeans}

    return params, cost, backward


LAYERS = {
    "bias over the wrong axis": ("reduction none", "a sum of everything"),
    "mask of the gradient": ("backward", "np.maximum's slope by its gradient's sign"),
    "loss summed": ("factor", "not divided by the batch"),
    "cache of the output": ("none", "the layer's output for its input"),
    "labels not subtracted": ("none backward", "probabilities alone"),
}


@planted(PLANS, "layers with caches", LAYERS)
def layers(rng):
    """Build two dense layers as objects that keep what they need, and a softmax."""
    h, k, m = int(rng.integers(5, 8)), 3, 10
    params = {
        "W1": rng.normal(size=(h, h)) / 2,
        "b1": rng.normal(size=h) / 4,
        "W2": rng.normal(size=(h, k)) / 2,
        "b2": rng.normal(size=k) / 4,
    }
    x, labels = rng.normal(size=(m, h)), rng.integers(k, size=m)

    class Dense:
        def __init__(self, W, b):
            self.W, self.b = W, b

        def forward(self, x):
            self.x = x
            self.y = x @ self.W + self.b
            return self.y

        def backward(self, dy, bug=""):
            inputs = self.x
            if bug == "cache of the output" and self.x.shape == self.y.shape:
                inputs = self.y
            self.dW = inputs.T @ dy
            self.db = dy.sum() + 0 * self.b if bug == "bias over the wrong axis" else dy.sum(axis=0)
            return dy @ self.W.T

    class Rectifier:
        def forward(self, x):
            self.x = x
            return np.maximum(x, 0)

        def backward(self, dy, bug=""):
            return dy * (dy > 0 if bug == "mask of the gradient" else self.x > 0)

    class Net:
        def __init__(self, p):
            self.first = Dense(p["W1"], p["b1"])
            self.middle = Rectifier()
            self.lower = Dense(np.eye(h), np.zeros(h))
            self.last = Dense(p["W2"], p["b2"])

        def loss(self):
            hidden = self.middle.forward(self.first.forward(x))
            scores = self.last.forward(self.lower.forward(hidden))
            e = np.exp(scores - scores.max(axis=1, keepdims=True))
            self.prob = e / e.sum(axis=1, keepdims=True)
            return -np.mean(np.log(self.prob[np.arange(m), labels]))

    def cost(p):
        return Net(p).loss()

    def backward(p, bug=""):
        net = Net(p)
        net.loss()
        dscores = net.prob.copy()
        if bug != "labels not subtracted":
            dscores[np.arange(m), labels] -= 1
        if bug != "loss summed":
            dscores /= m
        # The square layer between holds no parameters.
        dlower = net.last.backward(dscores)
        dhidden = net.lower.backward(dlower)
        dz = net.middle.backward(dhidden, bug)
        net.first.backward(dz, bug)
        return {"W1": net.first.dW, "b1": net.first.db, "W2": net.last.dW, "b2": net.last.db}

    return params, cost, backward


RK4 = {
    "middle slopes once": ("none backward", "k2 and k3 weigh 1 for 2"),
    "whole step for half": ("backward", "h for h/2 on the way to k1"),
    "derivative forgotten": ("backward", "tanh's, of the field"),
    "step's identity forgotten": ("backward", "dy is not carried past the step"),
    "field's weights not transposed": ("backward", "W for W.T"),
    "last slope forgotten": ("none backward", "k4 gives nothing to k3"),
}


@planted(PLANS, "Runge-Kutta", RK4)
def runge_kutta(rng):
    """Build an ODE by steps of the classical method of fourth order, fitted at its end."""
    d, steps, h = int(rng.integers(3, 6)), 3, 0.4
    params = {"W": rng.normal(size=(d, d)), "b": rng.normal(size=d) / 2, "y0": rng.normal(size=d)}
    goal = rng.normal(size=d)

    def field(p, y):
        return np.tanh(p["W"] @ y + p["b"])

    def cost(p):
        y = p["y0"].copy()
        for _ in range(steps):
            k1 = field(p, y)
            k2 = field(p, y + h / 2 * k1)
            k3 = field(p, y + h / 2 * k2)
            k4 = field(p, y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return np.sum((y - goal) ** 2)

    def backward(p, bug=""):
        path, y = [], p["y0"].copy()
        for _ in range(steps):
            k1 = field(p, y)
            y2 = y + h / 2 * k1
            k2 = field(p, y2)
            y3 = y + h / 2 * k2
            k3 = field(p, y3)
            y4 = y + h * k3
            k4 = field(p, y4)
            path.append(((y, k1), (y2, k2), (y3, k3), (y4, k4)))
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        g = {name: np.zeros_like(value) for name, value in p.items()}

        def through(at, k, dk):
            da = dk if bug == "derivative forgotten" else dk * (1 - k**2)
            g["W"] += np.outer(da, at)
            g["b"] += da
            return (p["W"] if bug == "field's weights not transposed" else p["W"].T) @ da

        dy = 2 * (y - goal)
        for (y1, k1), (y2, k2), (y3, k3), (y4, k4) in reversed(path):
            two = 1 if bug == "middle slopes once" else 2
            d4 = through(y4, k4, h / 6 * dy)
            dk3 = two * h / 6 * dy
            if bug != "last slope forgotten":
                dk3 = dk3 + h * d4
            d3 = through(y3, k3, dk3)
            d2 = through(y2, k2, two * h / 6 * dy + h / 2 * d3)
            dk1 = h / 6 * dy + (h if bug == "whole step for half" else h / 2) * d2
            d1 = through(y1, k1, dk1)
            dy = d1 + d2 + d3 + d4 if bug == "step's identity forgotten" else dy + d1 + d2 + d3 + d4
        g["y0"] = dy
        return g

    return params, cost, backward


TRIPLET = {
    "negatives added": ("none", "the sign of the third term"),
    "anchor's part of the negatives": ("none", "dA lacks the negatives"),
    "margin's mask forgotten": ("backward none", "every triple counts"),
    "normalisation left out": ("backward", "the projection on the sphere"),
    "projected along the gradient": ("backward", "a product that isn't the radial one"),
    "2 of the distance lost": ("factor", "everywhere"),
}


@planted(PLANS, "triplets", TRIPLET)
def triplets(rng):
    """Build a triplet loss of normalised linear embeddings."""
    d, k, m = 6, int(rng.integers(3, 5)), 12
    params = {"W": rng.normal(size=(d, k)), "b": rng.normal(size=k) / 2}
    anchors, same, other = rng.normal(size=(3, m, d))
    margin = 0.8

    def embed(p, x):
        raw = x @ p["W"] + p["b"]
        length = np.sqrt((raw**2).sum(axis=1, keepdims=True))
        return raw / length, length

    def cost(p):
        a, _ = embed(p, anchors)
        s, _ = embed(p, same)
        o, _ = embed(p, other)
        gap = ((a - s) ** 2).sum(axis=1) - ((a - o) ** 2).sum(axis=1) + margin
        return np.maximum(gap, 0).mean()

    def backward(p, bug=""):
        a, la = embed(p, anchors)
        s, ls = embed(p, same)
        o, lo = embed(p, other)
        gap = ((a - s) ** 2).sum(axis=1) - ((a - o) ** 2).sum(axis=1) + margin
        active = np.ones_like(gap) if bug == "margin's mask forgotten" else (gap > 0).astype(float)
        w = (active / m)[:, None]
        if bug != "2 of the distance lost":
            w = 2 * w
        da = w * (a - s) if bug == "anchor's part of the negatives" else w * (o - s)
        ds = w * (s - a)
        do = w * (o - a) if bug == "negatives added" else w * (a - o)
        dW, db = np.zeros_like(p["W"]), np.zeros_like(p["b"])
        for unit, length, dunit, x in ((a, la, da, anchors), (s, ls, ds, same), (o, lo, do, other)):
            radial = (unit * dunit).sum(axis=1, keepdims=True)
            if bug == "normalisation left out":
                radial = 0 * radial
            along = dunit if bug == "projected along the gradient" else unit
            draw = (dunit - radial * along) / length
            dW += x.T @ draw
            db += draw.sum(axis=0)
        return {"W": dW, "b": db}

    return params, cost, backward


LIKELIHOOD = {
    "solve without its transpose": ("none", "L for L.T in the second solve"),
    "determinant's ½ lost": ("none", "K inverse for ½ K inverse"),
    "length scale's square": ("factor none", "1/l for 1/l²"),
    "noise's chain": ("factor", "no 2σ² of its logarithm"),
    "kernel not scaled": ("none", "dK/dl without the kernel"),
}


@planted(PLANS, "marginal likelihood", LIKELIHOOD)
def marginal(rng):
    """Build a Gaussian process' marginal likelihood by Cholesky, of two logarithms and a mean."""
    n = int(rng.integers(8, 12))
    x = np.sort(rng.uniform(0, 5, size=n))
    y = np.sin(x) + 0.3 * rng.normal(size=n)
    params = {
        "log_l": np.array([0.1]),
        "log_s": np.array([-0.7]),
        "coef": rng.normal(size=3) / 2,
    }
    basis = np.vander(x, 3, increasing=True) / np.array([1, 5, 25])
    square = (x[:, None] - x[None, :]) ** 2

    def kernel(p):
        length = np.exp(p["log_l"][0])
        k = np.exp(-0.5 * square / length**2)
        return k, length

    def cost(p):
        k, _ = kernel(p)
        K = k + np.exp(2 * p["log_s"][0]) * np.eye(n)
        r = y - basis @ p["coef"]
        L = np.linalg.cholesky(K)
        half = np.linalg.solve(L, r)
        return 0.5 * half @ half + np.log(np.diag(L)).sum()

    def backward(p, bug=""):
        k, length = kernel(p)
        noise = np.exp(2 * p["log_s"][0])
        K = k + noise * np.eye(n)
        r = y - basis @ p["coef"]
        L = np.linalg.cholesky(K)
        half = np.linalg.solve(L, r)
        alpha = np.linalg.solve(L if bug == "solve without its transpose" else L.T, half)
        inverse = np.linalg.inv(K)
        weight = 1.0 if bug == "determinant's ½ lost" else 0.5
        dK = weight * inverse - 0.5 * np.outer(alpha, alpha)
        dk = square / (length if bug == "length scale's square" else length**2)
        if bug != "kernel not scaled":
            dk = k * dk
        dl = np.array([np.sum(dK * dk)])
        ds = np.array([np.trace(dK) * (1.0 if bug == "noise's chain" else 2 * noise)])
        return {"log_l": dl, "log_s": ds, "coef": -basis.T @ alpha}

    return params, cost, backward


CONVOLUTION = {
    "padding kept": ("none", "windows of the padded image, one row off"),
    "stride forgotten": ("none", "windows at i for 2 i"),
    "pool's mask": ("backward", "everything gets the pooled gradient"),
    "kernel flipped": ("flipped", "in the kernel's gradient"),
    "bias of one image": ("none", "= for +="),
    "last filter skipped": ("slice none", "range(f - 1)"),
}


@planted(PLANS, "convolution by loops", CONVOLUTION)
def loops(rng):
    """Build a strided convolution by loops, a maximum over windows and a linear readout."""
    f, m, size = int(rng.integers(2, 4)), 3, 7
    params = {
        "K": rng.normal(size=(f, 3, 3)) / 2,
        "b": rng.normal(size=f) / 4,
        "V": rng.normal(size=(f, 3)),
    }
    images = rng.normal(size=(m, size, size))

    def forward(p):
        z = np.zeros((m, f, 3, 3))
        for n in range(m):
            for c in range(f):
                for i in range(3):
                    for j in range(3):
                        window = images[n, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                        z[n, c, i, j] = np.sum(window * p["K"][c]) + p["b"][c]
        a = np.tanh(z)
        pooled = a.max(axis=3)
        return a, pooled

    def cost(p):
        _, pooled = forward(p)
        score = (pooled * p["V"]).sum(axis=(1, 2))
        return np.sum(score**2) / m

    def backward(p, bug=""):
        a, pooled = forward(p)
        score = (pooled * p["V"]).sum(axis=(1, 2))
        dscore = 2 * score / m
        dV = (dscore[:, None, None] * pooled).sum(axis=0)
        dpooled = dscore[:, None, None] * p["V"]
        mask = np.ones_like(a) if bug == "pool's mask" else (a == pooled[..., None]).astype(float)
        da = mask * dpooled[..., None]
        dz = da * (1 - a**2)
        dK, db = np.zeros_like(p["K"]), np.zeros_like(p["b"])
        for n in range(m):
            for c in range(f - 1 if bug == "last filter skipped" else f):
                for i in range(3):
                    for j in range(3):
                        top = i if bug == "stride forgotten" else 2 * i
                        if bug == "padding kept":
                            top = top + (top < 4)
                        window = images[n, top : top + 3, 2 * j : 2 * j + 3]
                        if bug == "kernel flipped":
                            window = window[::-1, ::-1]
                        dK[c] += dz[n, c, i, j] * window
            if bug == "bias of one image":
                db = dz[n].sum(axis=(1, 2))
            else:
                db += dz[n].sum(axis=(1, 2))
        return {"K": dK, "b": db, "V": dV}

    return params, cost, backward


COMPONENTS = {
    "reconstruction once": ("none", "one of two paths of W"),
    "centred data forgotten": ("none", "the mean stays in the data"),
    "penalty's derivative": ("none", "of ‖WᵀW - 1‖², W missing"),
    "penalty once": ("none", "2 for 4"),
    "sign of the residual": ("none", "in the second path"),
}


@planted(PLANS, "principal components", COMPONENTS)
def components(rng):
    """Build a loss of reconstruction from few components, with a penalty for their products."""
    d, k, m, lam = int(rng.integers(5, 8)), 3, 14, 0.3
    params = {"W": rng.normal(size=(d, k)) / 2, "mean": rng.normal(size=d) / 2}
    X = rng.normal(size=(m, d)) + 1

    def cost(p):
        W = p["W"]
        centred = X - p["mean"]
        codes = centred @ W
        rest = codes @ W.T - centred
        gram = W.T @ W - np.eye(k)
        return np.sum(rest**2) / m + lam * np.sum(gram**2)

    def backward(p, bug=""):
        W = p["W"]
        centred = X - p["mean"]
        codes = centred @ W
        rest = codes @ W.T - centred
        gram = W.T @ W - np.eye(k)
        drest = 2 * rest / m
        dW = drest.T @ codes
        dcodes = drest @ W
        if bug == "sign of the residual":
            dcodes = -dcodes
        data = X if bug == "centred data forgotten" else centred
        if bug != "reconstruction once":
            dW = dW + data.T @ dcodes
        twice = 2 if bug == "penalty once" else 4
        dgram = twice * lam * gram
        dW = dW + (np.ones((d, k)) @ dgram if bug == "penalty's derivative" else W @ dgram)
        dcentred = dcodes @ W.T - drest
        return {"W": dW, "mean": -dcentred.sum(axis=0)}

    return params, cost, backward
