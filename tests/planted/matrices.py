"""Matrices used from two sides: a factorisation, and forms with A + Aᵀ."""

import numpy as np

from planted import Plan, planted, sigmoid

PLANS: list[Plan] = []

FACTORS = {
    "mask forgotten": ("none backward", "ratings that are not there count as 0"),
    "decay missing": ("theta", "in both factors"),
    "decay doubled": ("theta", "in both factors"),
    "decay on V alone wrong": ("theta", "another coefficient than U's"),
    "decay on the biases": ("theta", "which have none in the cost"),
    "decay by counts": ("none theta", "λ times the number of ratings: of each row its own"),
    "factors swapped": ("swapped", "as many users as items"),
    "biases swapped": ("swapped", "as many users as items"),
    "residuals not transposed": ("none", "R for R.T in V, as many users as items"),
    "2 lost": ("factor theta", "the data term's, the penalty has its own"),
    "sign": ("factor theta", "rating - prediction"),
    "V with the new U": ("none", "U has made its step before"),
    "last user never written": ("slice entry", "range(users - 1), in U and bu"),
    "first factor skipped": ("slice", "a column of U"),
    "offset never written": ("zero", "the mean rating is held fixed, yet returned"),
    "bu over everything": ("reduction", "sum over users too, broadcast"),
    "bv averaged": ("factor", "mean for sum, over users"),
    "bv over its counts": ("none factor", "a mean over the ratings of each item"),
    "users off by one": ("rolled", "numbered from 1, in U and bu"),
    "U reshape order": ("reshaped", "memory order of the transpose"),
    "items in the other order": ("flipped", "in V"),
    "one rating lost": (
        "none entry slice",
        "a row of U, one of V and their biases, and the offset",
    ),
    "bu with the offset": ("constant", "the offset is added to each bias"),
    "missing the factor's gradient": ("zero", "V is left at zero"),
}


@planted(PLANS, "matrix factorisation", FACTORS)
def factorisation(rng):
    n, k, lam = int(rng.integers(8, 13)), int(rng.integers(3, 5)), 0.3
    params = {
        "U": rng.normal(size=(n, k)),
        "V": rng.normal(size=(n, k)),
        "bu": 0.5 * rng.normal(size=n),
        "bv": 0.5 * rng.normal(size=n),
        "offset": 0.4,
    }
    R = rng.normal(size=(n, n))
    seen = rng.random((n, n)) < 0.6
    seen[0, 0] = True
    counts = seen.sum(axis=1)

    def residuals(p):
        return p["U"] @ p["V"].T + p["bu"][:, None] + p["bv"] + p["offset"] - R

    def cost(p):
        penalty = np.sum(p["U"] ** 2) + np.sum(p["V"] ** 2)
        return np.sum(seen * residuals(p) ** 2) + lam / 2 * penalty

    def backward(p, bug=""):
        e = residuals(p) * (np.ones((n, n)) if bug == "mask forgotten" else seen)
        if bug == "one rating lost":
            e[0, 0] = 0
        e = e * {"2 lost": 1, "sign": -2}.get(bug, 2)
        rate = lam * {"decay missing": 0, "decay doubled": 2}.get(bug, 1)
        if bug == "decay by counts":
            rate = lam * counts[:, None] / counts.mean()
        U = p["U"]
        dU = e @ p["V"] + rate * U
        if bug == "V with the new U":
            U = U - 0.05 * dU
        dV = (e if bug == "residuals not transposed" else e.T) @ U
        dV = dV + (0.1 if bug == "decay on V alone wrong" else rate) * p["V"]
        g = {"U": dU, "V": dV, "bu": e.sum(axis=1), "bv": e.sum(axis=0), "offset": float(e.sum())}
        if bug == "decay on the biases":
            g["bu"], g["bv"] = g["bu"] + lam * p["bu"], g["bv"] + lam * p["bv"]
        if bug == "factors swapped":
            g["U"], g["V"] = g["V"], g["U"]
        if bug == "biases swapped":
            g["bu"], g["bv"] = g["bv"], g["bu"]
        if bug == "last user never written":
            g["U"][-1], g["bu"][-1] = 0, 0
        if bug == "first factor skipped":
            g["U"][:, 0] = 0
        if bug == "offset never written":
            g["offset"] = 0.0
        if bug == "bu over everything":
            g["bu"] = np.full(n, e.sum())
        if bug == "bv averaged":
            g["bv"] = e.mean(axis=0)
        if bug == "bv over its counts":
            g["bv"] = g["bv"] / seen.sum(axis=0)
        if bug == "users off by one":
            g["U"], g["bu"] = np.roll(g["U"], 1, axis=0), np.roll(g["bu"], 1)
        if bug == "U reshape order":
            g["U"] = g["U"].T.reshape(n, k)
        if bug == "items in the other order":
            g["V"] = g["V"][::-1].copy()
        if bug == "bu with the offset":
            g["bu"] = g["bu"] + p["offset"]
        if bug == "missing the factor's gradient":
            g["V"] = np.zeros((n, k))
        return g

    return params, cost, backward


FORMS = {
    "one side of A": ("shared", "A's other appearance, as Aᵀ, is not counted"),
    "diagonal counted twice": ("none factor", "G + Gᵀ + diag(G): the diagonal 1.5 times too large"),
    "diagonal lost": ("none slice", "the diagonal is left at zero"),
    "upper triangle only": ("none shared", "below the diagonal nothing is written"),
    "A antisymmetric": ("none", "G - Gᵀ"),
    "one side of x": ("none shared", "Bx for (B + Bᵀ)x"),
    "other side of x": ("none shared", "Bᵀx for (B + Bᵀ)x"),
    "2Bx": ("none shared", "as if B were symmetric"),
    "B never written": ("zero", "left at zero"),
    "½ lost": ("factor", "in B and x"),
    "sign of x": ("factor", "one block"),
    "A doubled": ("factor", "one block"),
    "C's one side": ("shared none", "C Cᵀ has C twice: G C for (G + Gᵀ) C"),
    "C transposed inside": ("none", "Gᵀ C for (G + Gᵀ) C, doubled"),
    "C reshape order": ("reshaped", "memory order of the transpose"),
    "C's column": ("slice", "the last one is never written"),
    "x one entry": ("entry slice", "the last is left at zero"),
    "sigmoid's derivative": ("none", "φ for φ', in A"),
    "decay that isn't in the cost": ("theta", "0.1 A"),
    "L1 that isn't in the cost": ("sign-theta", "0.1 sign(B)"),
    "x rolled": ("rolled", "np.roll by one"),
}


@planted(PLANS, "forms", FORMS)
def forms(rng):
    d, k, m = int(rng.integers(6, 9)), int(rng.integers(2, 5)), 10
    params = {
        "A": rng.normal(size=(d, d)) / 2,
        "B": rng.normal(size=(d, d)) / 2,
        "C": rng.normal(size=(d, k)) / 2,
        "x": rng.normal(size=d),
    }
    left, right = rng.normal(size=(m, d)), rng.normal(size=(m, d))
    S = rng.normal(size=(d, d))

    def cost(p):
        scores = np.sum((left @ (p["A"] + p["A"].T)) * right, axis=1)
        form = p["x"] @ p["B"] @ p["x"]
        return np.sum(np.logaddexp(0, scores)) + 0.5 * form + np.sum(S * np.sin(p["C"] @ p["C"].T))

    def backward(p, bug=""):
        scores = np.sum((left @ (p["A"] + p["A"].T)) * right, axis=1)
        slope = np.logaddexp(0, scores) if bug == "sigmoid's derivative" else sigmoid(scores)
        G = (slope[:, None] * left).T @ right
        H = S * np.cos(p["C"] @ p["C"].T)
        half = 1.0 if bug == "½ lost" else 0.5
        g = {
            "A": G + G.T,
            "B": half * np.outer(p["x"], p["x"]),
            "C": (H + H.T) @ p["C"],
            "x": half * (p["B"] + p["B"].T) @ p["x"],
        }
        if bug == "one side of A":
            g["A"] = G
        if bug == "diagonal counted twice":
            g["A"] = G + G.T + np.diag(np.diag(G))
        if bug == "diagonal lost":
            np.fill_diagonal(g["A"], 0)
        if bug == "upper triangle only":
            g["A"] = np.triu(g["A"])
        if bug == "A antisymmetric":
            g["A"] = G - G.T
        if bug == "one side of x":
            g["x"] = 0.5 * p["B"] @ p["x"]
        if bug == "other side of x":
            g["x"] = 0.5 * p["B"].T @ p["x"]
        if bug == "2Bx":
            g["x"] = p["B"] @ p["x"]
        if bug == "B never written":
            g["B"] = np.zeros((d, d))
        if bug == "sign of x":
            g["x"] = -g["x"]
        if bug == "A doubled":
            g["A"] = 2 * g["A"]
        if bug == "C's one side":
            g["C"] = H @ p["C"]
        if bug == "C transposed inside":
            g["C"] = 2 * H.T @ p["C"]
        if bug == "C reshape order":
            g["C"] = g["C"].T.reshape(d, k)
        if bug == "C's column":
            g["C"][:, -1] = 0
        if bug == "x one entry":
            g["x"][-1] = 0
        if bug == "decay that isn't in the cost":
            g["A"] = g["A"] + 0.1 * p["A"]
        if bug == "L1 that isn't in the cost":
            g["B"] = g["B"] + 0.1 * np.sign(p["B"])
        if bug == "x rolled":
            g["x"] = np.roll(g["x"], 1)
        return g

    return params, cost, backward
