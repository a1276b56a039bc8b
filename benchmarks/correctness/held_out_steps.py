"""More models that no test knows: Cox regression, a chain of labels, a neural ODE."""

from __future__ import annotations

import numpy as np
from planted import Plan, away_from_zero, planted, softmax

PLANS: list[Plan] = []

COX = {
    "risk sets forgotten": ("none", "everyone is at risk at every event"),
    "risk sets the other way": ("none", "those who left before, for those who stay"),
    "own event left out of its risk set": ("none", "later ones alone"),
    "censored counted": ("none", "every leaving is taken for an event"),
    "L1 missing": ("sign-theta", "of the elastic net"),
    "L1 doubled": ("sign-theta", "of the elastic net"),
    "L2 missing": ("theta", "of the elastic net"),
    "2 of the L2 lost": ("theta", "½ in the code, not in the cost"),
    "both penalties missing": ("none theta sign-theta", "two terms at once"),
    "sign of the data": ("none factor theta sign-theta", "both penalties stay as they are"),
    "sign": ("factor", "of everything"),
    "over events": ("factor", "of everything, the cost sums"),
    "first covariate skipped": ("entry slice", "range(1, d)"),
    "covariates off by one": ("rolled", "np.roll"),
    "covariates in the other order": ("flipped", "from the last"),
    "constant offset": ("constant", "1e-2"),
    "never written": ("zero", "left at zero"),
    "clipped": ("clipped none", "np.clip at the median"),
}


@planted(PLANS, "Cox regression", COX)
def cox(rng):
    """Build a partial likelihood with an elastic net."""
    d, m, l1, l2 = int(rng.integers(8, 15)), int(rng.integers(15, 30)), 0.3, 0.2
    params = {"beta": away_from_zero(rng, d)}
    X, events = rng.normal(size=(m, d)), rng.random(m) < 0.7  # in the order of leaving
    stays = np.triu(np.ones((m, m)))

    def cost(p):
        eta, beta = X @ p["beta"], p["beta"]
        at_risk = np.log(stays @ np.exp(eta))
        return np.sum(events * (at_risk - eta)) + l1 * np.sum(np.abs(beta)) + l2 * np.sum(beta**2)

    def backward(p, bug=""):
        beta = p["beta"]
        risk = {
            "risk sets forgotten": np.ones((m, m)),
            "risk sets the other way": stays.T,
            "own event left out of its risk set": np.triu(np.ones((m, m)), 1) + 1e-9,
        }.get(bug, stays)
        weight = risk * np.exp(X @ beta)
        weight = weight / weight.sum(axis=1, keepdims=True)
        counted = np.ones(m) if bug == "censored counted" else events.astype(float)
        data = counted @ (weight @ X - X)
        if bug == "sign of the data":
            data = -data
        lasso = l1 * np.sign(beta) * {"L1 missing": 0, "L1 doubled": 2}.get(bug, 1)
        ridge = l2 * beta * {"L2 missing": 0, "2 of the L2 lost": 1}.get(bug, 2)
        g = data if bug == "both penalties missing" else data + lasso + ridge
        if bug == "sign":
            g = -g
        if bug == "over events":
            g = g / events.sum()
        if bug == "first covariate skipped":
            g[0] = 0
        if bug == "covariates off by one":
            g = np.roll(g, 1)
        if bug == "covariates in the other order":
            g = g[::-1].copy()
        if bug == "constant offset":
            g = g + 1e-2
        if bug == "never written":
            g = np.zeros(d)
        if bug == "clipped":
            g = np.clip(g, *(np.median(np.abs(g)) * np.array([-1, 1])))
        return {"beta": g}

    return params, cost, backward


FIRST = "transitions at the first step"

CHAIN = {
    "transitions transposed": ("transposed", "from and to in the other order"),
    FIRST: ("none", "pairs counted from step 2"),
    "forward for marginals": ("none backward", "without the backward pass, in all blocks"),
    "true path forgotten": ("none backward", "expected counts alone, in all blocks"),
    "expectation forgotten": ("none backward stale", "true counts alone: the same anywhere"),
    "sign": ("factor", "of everything"),
    "missing 1/m": ("factor", "of everything"),
    "last label never written": ("slice entry", "in W and b"),
    "last step dropped": ("none backward", "of the emissions, in W and b"),
    "labels off by one": ("rolled", "in W and b"),
    "bias over everything": ("reduction zero", "one sum, which is zero"),
    "bias averaged": ("factor", "over steps"),
    "transitions never written": ("zero", "held fixed"),
    "W reshape order": ("reshaped", "memory order of the transpose"),
    "one transition": ("entry", "from the first label to itself"),
    "decay that isn't in the cost": ("theta", "0.05 W"),
}


@planted(PLANS, "chain of labels", CHAIN)
def label_chain(rng):
    """Build a linear-chain conditional random field."""
    k, d, T, m = int(rng.integers(4, 6)), int(rng.integers(6, 8)), 4, 3
    params = {
        "W": rng.normal(size=(k, d)) / 2,
        "b": rng.normal(size=k) / 2,
        "transitions": rng.normal(size=(k, k)) / 2,
    }
    X, labels = rng.normal(size=(m, T, d)), rng.integers(k, size=(m, T))

    def forward(emissions, A):
        alphas = [emissions[0]]
        for e in emissions[1:]:
            alphas.append(e + np.log(np.exp(alphas[-1]) @ np.exp(A)))
        return alphas

    def cost(p):
        total = 0.0
        for x, path in zip(X, labels, strict=True):
            emissions = x @ p["W"].T + p["b"]
            total += np.log(np.exp(forward(emissions, p["transitions"])[-1]).sum())
            total -= (
                emissions[np.arange(T), path].sum() + p["transitions"][path[:-1], path[1:]].sum()
            )
        return total / m

    def backward(p, bug=""):
        A = p["transitions"]
        g = {name: np.zeros_like(value) for name, value in p.items()}
        for x, path in zip(X, labels, strict=True):
            emissions = x @ p["W"].T + p["b"]
            alphas = forward(emissions, A)
            dalpha = softmax(alphas[-1], axis=0)
            demissions = np.zeros((T, k))
            for t in reversed(range(T)):
                if bug == "forward for marginals":
                    dalpha = softmax(alphas[t], axis=0)
                demissions[t] = dalpha
                if t:
                    back = softmax(alphas[t - 1][:, None] + A, axis=0) * dalpha
                    if bug != "expectation forgotten" and (t > 1 or bug != FIRST):
                        g["transitions"] += back
                    dalpha = back.sum(axis=1)
            if bug == "expectation forgotten":
                demissions[:] = 0
            if bug != "true path forgotten":
                demissions[np.arange(T), path] -= 1
                np.add.at(g["transitions"], (path[:-1], path[1:]), -1.0)
            if bug == "last step dropped":
                demissions[-1] = 0
            g["W"] += demissions.T @ x
            g["b"] += demissions.sum(axis=0)
        if bug != "missing 1/m":
            g = {name: value / m for name, value in g.items()}
        if bug == "sign":
            g = {name: -value for name, value in g.items()}
        if bug == "transitions transposed":
            g["transitions"] = g["transitions"].T.copy()
        if bug == "last label never written":
            g["W"][-1], g["b"][-1] = 0, 0
        if bug == "labels off by one":
            g["W"], g["b"] = np.roll(g["W"], 1, axis=0), np.roll(g["b"], 1)
        if bug == "bias over everything":
            g["b"] = np.full(k, g["b"].sum())
        if bug == "bias averaged":
            g["b"] /= T
        if bug == "transitions never written":
            g["transitions"][:] = 0
        if bug == "W reshape order":
            g["W"] = g["W"].T.reshape(k, d)
        if bug == "one transition":
            g["transitions"][0, 0] = 0
        if bug == "decay that isn't in the cost":
            g["W"] += 0.05 * p["W"]
        return g

    return params, cost, backward


ODE = {
    "identity forgotten": ("none backward", "the step's own path: x + h f(x) gives dx h f' alone"),
    "step size forgotten": ("factor", "h, in the parameters of the field: W and b"),
    "derivative forgotten": ("backward", "tanh's, in every step"),
    "derivative after the step": ("backward", "at the new state"),
    "weights not transposed": ("backward", "W for W.T"),
    "last step only": ("backward", "no accumulation over steps"),
    "first step dropped": ("backward", "range(1, steps)"),
    "state after the step": ("none", "x[t + 1] for x[t], in W alone"),
    "W transposed": ("transposed", "square"),
    "b averaged": ("factor", "mean for sum over the batch"),
    "b over everything": ("reduction", "a sum, broadcast"),
    "readout never written": ("zero", "left at zero"),
    "2 of the square lost": ("factor", "of everything"),
    "readout's last output": ("slice", "range(k - 1)"),
    "one sample dropped": ("none backward", "in all blocks"),
    "decay on the readout": ("theta", "0.01 V, which isn't in the cost"),
    "W flipped": ("flipped", "states from the last"),
}


@planted(PLANS, "neural ODE", ODE)
def neural_ode(rng):
    """Build Euler steps of one field, and a linear readout."""
    d, k, m, steps, h = int(rng.integers(5, 8)), int(rng.integers(2, 5)), 9, 4, 0.3
    params = {
        "W": rng.normal(size=(d, d)) / 2,
        "b": rng.normal(size=d) / 2,
        "V": rng.normal(size=(k, d)) / 2,
    }
    X, Y = rng.normal(size=(m, d)), rng.normal(size=(m, k))

    def forward(p):
        xs = [X]
        for _ in range(steps):
            xs.append(xs[-1] + h * np.tanh(xs[-1] @ p["W"].T + p["b"]))
        return xs

    def cost(p):
        return np.mean(np.sum((forward(p)[-1] @ p["V"].T - Y) ** 2, axis=1))

    def backward(p, bug=""):
        xs = forward(p)
        dout = (1 if bug == "2 of the square lost" else 2) * (xs[-1] @ p["V"].T - Y) / m
        if bug == "one sample dropped":
            dout[0] = 0
        g = {"W": np.zeros((d, d)), "b": np.zeros(d), "V": dout.T @ xs[-1]}
        dx = dout @ p["V"]
        for t in reversed(range(steps)):
            a = np.tanh(xs[t] @ p["W"].T + p["b"])
            if bug == "derivative after the step":
                a = np.tanh(xs[t + 1] @ p["W"].T + p["b"])
            dz = h * dx * (1 if bug == "derivative forgotten" else 1 - a**2)
            scale = 1 / h if bug == "step size forgotten" else 1
            if not (t == 0 and bug == "first step dropped"):
                g["W"] += scale * dz.T @ xs[t + 1 if bug == "state after the step" else t]
                g["b"] += scale * dz.sum(axis=0)
            back = dz @ (p["W"].T if bug == "weights not transposed" else p["W"])
            dx = back if bug == "identity forgotten" else dx + back
            if bug == "last step only":
                break
        if bug == "W transposed":
            g["W"] = g["W"].T.copy()
        if bug == "b averaged":
            g["b"] /= m
        if bug == "b over everything":
            g["b"] = np.full(d, g["b"].sum())
        if bug == "readout never written":
            g["V"][:] = 0
        if bug == "readout's last output":
            g["V"][-1] = 0
        if bug == "decay on the readout":
            g["V"] += 0.01 * p["V"]
        if bug == "W flipped":
            g["W"] = g["W"][:, ::-1].copy()
        return g

    return params, cost, backward
