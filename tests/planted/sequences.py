"""Recurrent networks: Elman's, and an LSTM."""

import numpy as np

from planted import Plan, planted, sigmoid

PLANS: list[Plan] = []

RNN = {
    "only the last step": ("backward", "nothing is carried from step to step"),
    "truncated after two steps": ("backward", "carried once, then dropped"),
    "first step skipped": ("backward", "the loop ends before t = 0, with a state that isn't zero"),
    "last step not counted": ("none backward", "range(T - 1): all blocks"),
    "derivative forgotten": ("backward", "dz = dh"),
    "derivative at z": ("backward", "1 - z**2"),
    "derivative at the step before": ("backward", "1 - h[t-1]**2"),
    "weights not transposed": ("backward", "Wh.T @ dz is Wh @ dz"),
    "carried twice": ("backward", "the carried gradient is added to, never replaced"),
    "carried without the output": ("backward", "dh is the carried part alone, but at the last"),
    "state of the same step": ("none", "h[t] for h[t - 1], in Wh alone"),
    "input of the step before": ("none", "x[t - 1] for x[t], in Wx alone"),
    "output with the step before": ("none", "h[t - 1] for h[t], in Wy alone"),
    "= for +=": ("none", "Wx has the first step's part alone"),
    "Wh transposed": ("transposed", "square"),
    "Wx reshape order": ("reshaped", "memory order of the transpose"),
    "b averaged over steps": ("factor", "mean for sum"),
    "missing 1/T": ("factor", "in all blocks"),
    "sign of by": ("factor", "one block"),
    "by never written": ("zero", "left at zero"),
    "Wy's last row": ("slice", "range(k - 1)"),
    "clipped": ("clipped none backward", "np.clip of Wx, Wh and b at each one's median"),
    "Wh's diagonal corner": ("entry", "one entry overwritten"),
    "states in the other order": ("flipped", "b from the last unit to the first"),
}


@planted(PLANS, "recurrent network", RNN)
def recurrent(rng):
    d, h, k, T = (int(n) for n in rng.integers([3, 6, 3, 4], [6, 9, 5, 7]))
    params = {
        "Wx": rng.normal(size=(h, d)) / 2,
        "Wh": rng.normal(size=(h, h)) / 2,
        "b": 0.3 * rng.normal(size=h),
        "Wy": rng.normal(size=(k, h)) / 2,
        "by": 0.3 * rng.normal(size=k),
    }
    X, Y, start = rng.normal(size=(T, d)), rng.normal(size=(T, k)), rng.uniform(0.3, 0.9, h)

    def forward(p):
        hs, zs = [start], []
        for t in range(T):
            zs.append(p["Wx"] @ X[t] + p["Wh"] @ hs[-1] + p["b"])
            hs.append(np.tanh(zs[-1]))
        return zs, hs  # hs[t] is the state before step t

    def cost(p):
        states = forward(p)[1]
        return (
            sum(0.5 * np.sum((p["Wy"] @ states[t + 1] + p["by"] - Y[t]) ** 2) for t in range(T)) / T
        )

    def backward(p, bug=""):
        zs, hs = forward(p)
        g = {name: np.zeros_like(value) for name, value in p.items()}
        carried = np.zeros(h)
        steps = range(T)
        if bug == "last step not counted":
            steps = range(T - 1)
        if bug == "first step skipped":
            steps = range(1, T)
        for t in reversed(steps):
            dy = (p["Wy"] @ hs[t + 1] + p["by"] - Y[t]) / (1 if bug == "missing 1/T" else T)
            g["Wy"] += np.outer(dy, hs[t if bug == "output with the step before" else t + 1])
            g["by"] += dy
            dh = p["Wy"].T @ dy + carried
            if bug == "carried without the output" and t < T - 1:
                dh = carried
            slope = {
                "derivative forgotten": 1.0,
                "derivative at z": 1 - zs[t] ** 2,
                "derivative at the step before": 1 - hs[t] ** 2,
            }
            dz = dh * slope.get(bug, 1 - hs[t + 1] ** 2)
            if bug == "= for +=":
                g["Wx"][:] = 0
            g["Wx"] += np.outer(dz, X[t - 1 if bug == "input of the step before" else t])
            g["Wh"] += np.outer(dz, hs[t + 1 if bug == "state of the same step" else t])
            g["b"] += dz
            back = (p["Wh"] if bug == "weights not transposed" else p["Wh"].T) @ dz
            carried = carried + back if bug == "carried twice" else back
            if bug == "only the last step" or (bug == "truncated after two steps" and t % 2):
                carried = np.zeros(h)
        if bug == "first step skipped":  # of the recurrence: the output's part is there
            dy = (p["Wy"] @ hs[1] + p["by"] - Y[0]) / T
            g["Wy"] += np.outer(dy, hs[1])
            g["by"] += dy
        if bug == "Wh transposed":
            g["Wh"] = g["Wh"].T.copy()
        if bug == "Wx reshape order":
            g["Wx"] = g["Wx"].T.reshape(h, d)
        if bug == "b averaged over steps":
            g["b"] /= T
        if bug == "sign of by":
            g["by"] *= -1
        if bug == "by never written":
            g["by"][:] = 0
        if bug == "Wy's last row":
            g["Wy"][-1] = 0
        if bug == "clipped":
            for name in ("Wx", "Wh", "b"):
                bound = np.median(np.abs(g[name]))
                g[name] = np.clip(g[name], -bound, bound)
        if bug == "Wh's diagonal corner":
            g["Wh"][0, 0] = 1.0
        if bug == "states in the other order":
            g["b"] = g["b"][::-1].copy()
        return g

    return params, cost, backward


LSTM = {
    "only the last step": ("backward", "neither state is carried"),
    "cell not carried": ("backward", "dc of the step after is lost"),
    "cell carried without its gate": ("backward", "dc for dc * f"),
    "forget gate's derivative": ("backward", "f(1 - f) left out"),
    "input gate's derivative of tanh": ("backward", "1 - i**2"),
    "candidate's derivative of the sigmoid": ("backward", "g(1 - g)"),
    "tanh of the cell forgotten": ("backward", "dc = dh * o"),
    "output gate with the cell": ("backward", "dh * c for dh * tanh(c)"),
    "forget gate with the new cell": ("backward", "dc * c[t] for c[t - 1]"),
    "gates i and o swapped": (
        "swapped none slice reshaped",
        "in the end: quarters of the rows",
    ),
    "gates in another order": ("rolled", "f g o i for i f g o"),
    "output gate never written": ("slice", "a quarter of the rows is zero"),
    "forget gate's sign": ("slice factor", "a quarter of the rows"),
    "state of the same step": ("none", "h[t] for h[t - 1], in Wh alone"),
    "two biases": ("factor", "half, as if there were a second bias"),
    "missing 1/T": ("factor", "in all blocks"),
    "Wh transposed within gates": ("none transposed reshaped", "each square quarter transposed"),
    "b constant": ("constant", "a forget bias of 1 is added to the gradient"),
    "V never written": ("zero", "left at zero"),
    "c doubled": ("factor", "one block"),
    "Wx's last column": ("slice", "range(d - 1)"),
}


@planted(PLANS, "LSTM", LSTM)
def lstm(rng):
    d, h, k, T = (int(n) for n in rng.integers([2, 3, 2, 3], [4, 5, 4, 5]))
    params = {
        "Wx": rng.normal(size=(4 * h, d)) / 2,
        "Wh": rng.normal(size=(4 * h, h)) / 2,
        "b": 0.5 * rng.normal(size=4 * h),
        "V": rng.normal(size=(k, h)) / 2,
        "c": 0.3 * rng.normal(size=k),
    }
    X, Y = rng.normal(size=(T, d)), rng.normal(size=(T, k))
    first = 0.5 * rng.normal(size=(2, h))

    def forward(p):
        hs, cs, gates = [first[0]], [first[1]], []
        for t in range(T):
            z = p["Wx"] @ X[t] + p["Wh"] @ hs[-1] + p["b"]
            i, f, o = sigmoid(z[:h]), sigmoid(z[h : 2 * h]), sigmoid(z[3 * h :])
            g = np.tanh(z[2 * h : 3 * h])
            cs.append(f * cs[-1] + i * g)
            hs.append(o * np.tanh(cs[-1]))
            gates.append((i, f, g, o))
        return hs, cs, gates

    def cost(p):
        hs = forward(p)[0]
        return sum(0.5 * np.sum((p["V"] @ hs[t + 1] + p["c"] - Y[t]) ** 2) for t in range(T)) / T

    def backward(p, bug=""):
        hs, cs, gates = forward(p)
        grad = {name: np.zeros_like(value) for name, value in p.items()}
        dh_next, dc_next = np.zeros(h), np.zeros(h)
        for t in reversed(range(T)):
            i, f, g, o = gates[t]
            dy = (p["V"] @ hs[t + 1] + p["c"] - Y[t]) / (1 if bug == "missing 1/T" else T)
            grad["V"] += np.outer(dy, hs[t + 1])
            grad["c"] += dy
            dh = p["V"].T @ dy + dh_next
            tanh_c = np.tanh(cs[t + 1])
            do = dh * (cs[t + 1] if bug == "output gate with the cell" else tanh_c)
            dc = dh * o * (1 if bug == "tanh of the cell forgotten" else 1 - tanh_c**2) + dc_next
            df = dc * (cs[t + 1] if bug == "forget gate with the new cell" else cs[t])
            di, dg = dc * g, dc * i
            di = di * (1 - i**2 if bug == "input gate's derivative of tanh" else i * (1 - i))
            df = df * (1 if bug == "forget gate's derivative" else f * (1 - f))
            odd = bug == "candidate's derivative of the sigmoid"
            dg = dg * (g * (1 - g) if odd else 1 - g**2)
            dz = np.concatenate([di, df, dg, do * o * (1 - o)])
            grad["Wx"] += np.outer(dz, X[t])
            grad["Wh"] += np.outer(dz, hs[t + 1 if bug == "state of the same step" else t])
            grad["b"] += dz
            dh_next = p["Wh"].T @ dz
            dc_next = dc if bug == "cell carried without its gate" else dc * f
            if bug == "only the last step":
                dh_next = np.zeros(h)
            if bug in ("only the last step", "cell not carried"):
                dc_next = np.zeros(h)
        for name in ("Wx", "Wh", "b"):
            rows = grad[name].copy()
            if bug == "gates i and o swapped":
                grad[name][:h], grad[name][3 * h :] = rows[3 * h :], rows[:h]
            if bug == "gates in another order":
                grad[name] = np.roll(rows, -h, axis=0)
            if bug == "output gate never written":
                grad[name][3 * h :] = 0
            if bug == "forget gate's sign":
                grad[name][h : 2 * h] *= -1
        if bug == "two biases":
            grad["b"] /= 2
        if bug == "Wh transposed within gates":
            grad["Wh"] = np.concatenate([part.T for part in np.split(grad["Wh"], 4)])
        if bug == "b constant":
            grad["b"] += 1
        if bug == "V never written":
            grad["V"][:] = 0
        if bug == "c doubled":
            grad["c"] *= 2
        if bug == "Wx's last column":
            grad["Wx"][:, -1] = 0
        return grad

    return params, cost, backward
