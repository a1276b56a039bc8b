"""Attention with layer normalisation, and a bag of words."""

import numpy as np

from planted import Plan, planted, softmax

PLANS: list[Plan] = []

ATTENTION = {
    "scale forgotten": ("factor", "1/√d, in Wq and Wk"),
    "softmax elementwise": ("none backward", "a(1 - a), in Wq and Wk"),
    "softmax along the wrong axis": ("none backward", "sums over queries, in Wq and Wk"),
    "scores transposed": ("none backward", "ds.T for ds, in Wq and Wk"),
    "mask forgotten": ("backward", "the softmax is computed again, without the causal mask"),
    "weights not transposed": ("backward", "Wo for Wo.T"),
    "queries and keys swapped": ("swapped", "one shape, returned in the other order"),
    "queries for keys too": ("swapped", "dWq returned for dWk: a slip of copying"),
    "values with the scores not transposed": ("none", "A for A.T, in Wv alone"),
    "Wo transposed": ("transposed", "square"),
    "Wq transposed": ("transposed", "square"),
    "Wv in the other order": ("flipped", "heads from the last"),
    "Wk heads off by one": ("rolled", "np.roll along the columns"),
    "mean's path forgotten": ("backward", "of the layer normalisation"),
    "deviation's path forgotten": ("backward", "of the layer normalisation"),
    "normalised along the wrong axis": ("backward", "over tokens, as many as features"),
    "gain forgotten": ("backward", "dxhat = dy"),
    "gain and shift swapped": ("swapped", "one shape"),
    "gain never written": ("zero", "left at zero"),
    "shift over everything": ("reduction", "sum over features too, broadcast"),
    "shift averaged": ("factor", "mean for sum over tokens"),
    "missing 1/T": ("factor", "in all blocks"),
    "last token dropped": ("none backward", "in all blocks"),
    "Wv's first row": ("slice", "skipped"),
    "decay that isn't in the cost": ("theta", "1e-2 W in the four matrices"),
}


@planted(PLANS, "attention", ATTENTION)
def attention(rng):
    d = int(rng.integers(5, 9))
    T, eps = d, 1e-3
    params = {name: rng.normal(size=(d, d)) / np.sqrt(d) for name in ("Wq", "Wk", "Wv", "Wo")}
    params |= {"gain": rng.uniform(0.5, 1.5, d), "shift": 0.5 * rng.normal(size=d)}
    X, Y = rng.normal(size=(T, d)), rng.normal(size=(T, d))
    hidden = np.where(np.tril(np.ones((T, T))) > 0, 0.0, -1e9)

    def forward(p):
        q, k, v = X @ p["Wq"], X @ p["Wk"], X @ p["Wv"]
        A = softmax(q @ k.T / np.sqrt(d) + hidden, axis=1)
        x = X + A @ v @ p["Wo"]
        std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
        xhat = (x - x.mean(axis=1, keepdims=True)) / std
        return q, k, v, A, std, xhat, np.tanh(p["gain"] * xhat + p["shift"])

    def cost(p):
        return np.sum((forward(p)[-1] - Y) ** 2) / T

    def backward(p, bug=""):
        q, k, v, A, std, xhat, y = forward(p)
        dy = 2 * (y - Y) * (1 - y**2) / (1 if bug == "missing 1/T" else T)
        if bug == "last token dropped":
            dy[-1] = 0
        dxhat = dy if bug == "gain forgotten" else dy * p["gain"]
        axis = 0 if bug == "normalised along the wrong axis" else 1
        through_mean = dxhat.mean(axis=axis, keepdims=True)
        through_std = xhat * (dxhat * xhat).mean(axis=axis, keepdims=True)
        if bug == "mean's path forgotten":
            through_mean = 0
        if bug == "deviation's path forgotten":
            through_std = 0
        dx = (dxhat - through_mean - through_std) / std
        mixed = A @ v
        dmixed = dx @ (p["Wo"] if bug == "weights not transposed" else p["Wo"].T)
        if bug == "mask forgotten":
            A = softmax(q @ k.T / np.sqrt(d), axis=1)
        dA = dmixed @ v.T
        dv = (A if bug == "values with the scores not transposed" else A.T) @ dmixed
        summed = 0 if bug == "softmax along the wrong axis" else 1
        ds = A * (dA - np.sum(A * dA, axis=summed, keepdims=True))
        if bug == "softmax elementwise":
            ds = dA * A * (1 - A)
        if bug == "scores transposed":
            ds = ds.T
        if bug != "scale forgotten":
            ds = ds / np.sqrt(d)
        g = {
            "Wq": X.T @ (ds @ k),
            "Wk": X.T @ (ds.T @ q),
            "Wv": X.T @ dv,
            "Wo": mixed.T @ dx,
            "gain": (dy * xhat).sum(axis=0),
            "shift": dy.sum(axis=0),
        }
        if bug == "queries and keys swapped":
            g["Wq"], g["Wk"] = g["Wk"], g["Wq"]
        if bug == "queries for keys too":
            g["Wk"] = g["Wq"].copy()
        if bug == "Wo transposed":
            g["Wo"] = dx.T @ mixed
        if bug == "Wq transposed":
            g["Wq"] = g["Wq"].T.copy()
        if bug == "Wv in the other order":
            g["Wv"] = g["Wv"][:, ::-1].copy()
        if bug == "Wk heads off by one":
            g["Wk"] = np.roll(g["Wk"], 1, axis=1)
        if bug == "gain and shift swapped":
            g["gain"], g["shift"] = g["shift"], g["gain"]
        if bug == "gain never written":
            g["gain"] = np.zeros(d)
        if bug == "shift over everything":
            g["shift"] = np.full(d, dy.sum())
        if bug == "shift averaged":
            g["shift"] = g["shift"] / T
        if bug == "Wv's first row":
            g["Wv"][0] = 0
        if bug == "decay that isn't in the cost":
            for name in ("Wq", "Wk", "Wv", "Wo"):
                g[name] = g[name] + 1e-2 * p[name]
        return g

    return params, cost, backward


WORDS = {
    "repeated words lost": ("none slice", "E[ids] += counts a word once in each sentence"),
    "words off by one": ("rolled", "numbered from 1"),
    "padding not left out": ("mask slice", "word 0 gets a gradient too"),
    "last word never written": ("slice", "the vocabulary is one too short"),
    "length forgotten": ("factor", "the mean over the words of a sentence, in E"),
    "only the first word": ("none", "E sees one word of each sentence"),
    "E never written": ("zero", "an embedding taken for data"),
    "W transposed": ("transposed", "as many classes as dimensions"),
    "weights not transposed": ("none backward", "W for W.T: E alone, before W and b"),
    "smoothing forgotten": ("target none backward", "hard labels in the backward pass"),
    "sum over classes": ("reduction zero", "b gets one sum, broadcast: that of p - y is zero"),
    "b in the other order": ("flipped", "classes from the last"),
    "decay missing": ("theta", "of E"),
    "decay on all rows": ("mask slice theta", "the padding row has none in the cost"),
    "decay on W": ("theta", "W has none in the cost"),
    "missing 1/m": ("factor theta", "summed: a factor in W and b, E has its decay beside it"),
    "E reshape order": ("reshaped", "memory order of the transpose"),
    "b constant": ("constant", "an offset of 0.01"),
    "one weight": ("entry", "W[0, 1] is W[1, 0]'s"),
}


@planted(PLANS, "bag of words", WORDS)
def bag_of_words(rng):
    v, d, m, length, lam = int(rng.integers(9, 14)), int(rng.integers(4, 6)), 12, 5, 0.04
    k = d
    params = {
        "E": rng.normal(size=(v, d)),
        "W": rng.normal(size=(k, d)) / 2,
        "b": 0.5 * rng.normal(size=k),
    }
    ids = rng.integers(1, v, size=(m, length))
    ids[:, 0] = ids[:, 1]  # in each sentence one word comes twice
    ids[: v - 1, 2] = np.arange(1, v)[:m]  # each word is somewhere
    Y = 0.9 * np.eye(k)[rng.integers(k, size=m)] + 0.1 / k
    penalised = (np.arange(v) > 0)[:, None]

    def cost(p):
        z = p["E"][ids].mean(axis=1) @ p["W"].T + p["b"]
        data = np.log(np.exp(z).sum(axis=1)) - (Y * z).sum(axis=1)
        return data.mean() + lam / 2 * np.sum((penalised * p["E"]) ** 2)

    def backward(p, bug=""):
        a = p["E"][ids].mean(axis=1)
        prob = softmax(a @ p["W"].T + p["b"], axis=1)
        targets = Y
        if bug == "smoothing forgotten":
            targets = (Y - 0.1 / k) / 0.9
        dz = (prob - targets) / (1 if bug == "missing 1/m" else m)
        da = dz @ (p["W"].T if bug == "weights not transposed" else p["W"])
        dE = np.zeros((v, d))
        share = da if bug == "length forgotten" else da / length
        for n in range(m):
            if bug == "repeated words lost":
                dE[ids[n]] += share[n]
            elif bug == "only the first word":
                dE[ids[n, 0]] += share[n]
            else:
                np.add.at(dE, ids[n], share[n])
        if bug == "padding not left out":
            dE[0] = share.sum(axis=0)
        if bug == "last word never written":
            dE[-1] = 0
        decay = lam * (1 if bug == "decay on all rows" else penalised) * p["E"]
        if bug == "decay missing":
            decay = 0 * decay
        if bug == "length forgotten":
            decay = length * decay
        g = {"E": dE + decay, "W": dz.T @ a, "b": dz.sum(axis=0)}
        if bug == "words off by one":
            g["E"] = np.roll(g["E"], -1, axis=0)
        if bug == "E never written":
            g["E"] = np.zeros((v, d))
        if bug == "W transposed":
            g["W"] = a.T @ dz
        if bug == "sum over classes":
            g["b"] = np.full(k, dz.sum())
        if bug == "b in the other order":
            g["b"] = g["b"][::-1].copy()
        if bug == "decay on W":
            g["W"] = g["W"] + lam * p["W"]
        if bug == "E reshape order":
            g["E"] = g["E"].T.reshape(v, d)
        if bug == "b constant":
            g["b"] = g["b"] + 0.01
        if bug == "one weight":
            g["W"][0, 1] = g["W"][1, 0]
        return g

    return params, cost, backward
