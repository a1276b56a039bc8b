"""Linear models: logistic, softmax and least squares regression."""

import numpy as np

from planted import Plan, away_from_zero, double, planted, sigmoid, single, softmax

PLANS: list[Plan] = []

LOGISTIC = {
    "missing 1/m": ("factor theta", "the data term is summed, the cost averages it"),
    "sign flipped": ("factor theta", "y - a for a - y"),
    "decay missing": ("theta", "the penalty's derivative is left out"),
    "decay doubled": ("theta", "the ½ of the penalty is not seen"),
    "decay subtracted": ("theta", "the penalty's derivative has the wrong sign"),
    "decay over m": ("theta", "the penalty is divided by m, in the cost it is not"),
    "decay on the bias": ("none entry theta", "one number: λb can't be told from anything else"),
    "no decay on the first weight": ("entry slice", "w[0] is taken for the intercept"),
    "sigmoid derivative kept": ("none backward", "a(1 - a), which the cross entropy cancels"),
    "log of zero": ("not-finite", "0 / 0 where the sigmoid has reached 1"),
    "one sample dropped": ("none backward", "an index that the loop skips"),
    "stale cache": ("none stale", "a is from the first forward pass, at other weights"),
    "clipped": ("clipped none", "np.clip at the median: half of the entries are the bound"),
    "norm clipped": ("factor", "the whole gradient is scaled to a norm"),
    "accumulated": (
        "none stale noise",
        "added to what the last call left: the second call doubles",
    ),
    "momentum": ("none stale noise", "the velocity is returned for the gradient"),
    "float32": ("float32 approximate", "computed in single precision", {"rtol": 1e-9}),
    "labels shifted": ("none backward", "np.roll of y, by a shuffle of X alone"),
    "last weight never written": ("entry slice", "range(d - 1)"),
    "bias never written": ("zero", "left as initialised"),
}


@planted(PLANS, "logistic regression", LOGISTIC)
def logistic(rng):
    m, d, lam = int(rng.integers(12, 30)), int(rng.integers(8, 20)), 0.1
    params = {"w": away_from_zero(rng, d), "b": 0.3}
    X, y = rng.normal(size=(m, d)), (rng.random(m) < 0.5).astype(float)
    X[0], y[0] = 60 * params["w"] / np.sum(params["w"] ** 2), 1.0  # certain, and rightly so
    old = rng.normal(size=d)
    sums = {"w": np.zeros(d), "b": 0.0}

    def cost(p):
        z = X @ p["w"] + p["b"]
        return np.mean(np.logaddexp(0, z) - y * z) + lam / 2 * np.sum(p["w"] ** 2)

    def backward(p, bug=""):
        if bug == "float32":
            p = single(p)
        inputs = X.astype(np.float32) if bug == "float32" else X
        a = sigmoid(inputs @ (old if bug == "stale cache" else p["w"]) + p["b"])
        dz = a - (np.roll(y, 1) if bug == "labels shifted" else y)
        if bug == "sign flipped":
            dz = y - a
        if bug == "log of zero":
            with np.errstate(invalid="ignore"):
                dz = ((1 - y) / (1 - a) - y / a) * a * (1 - a)
        if bug == "sigmoid derivative kept":
            dz = dz * a * (1 - a)
        if bug == "one sample dropped":
            dz[1] = 0
        if bug != "missing 1/m":
            dz = dz / m
        decay = lam * p["w"]
        if bug == "decay missing":
            decay = 0 * decay
        if bug == "decay doubled":
            decay = 2 * decay
        if bug == "decay subtracted":
            decay = -decay
        if bug == "decay over m":
            decay = decay / m
        if bug == "no decay on the first weight":
            decay[0] = 0
        grads = {"w": inputs.T @ dz + decay, "b": float(dz.sum())}
        if bug == "float32":
            return double(grads)
        if bug == "decay on the bias":
            grads["b"] += lam * p["b"]
        if bug == "clipped":
            bound = np.median(np.abs(grads["w"]))
            grads["w"] = np.clip(grads["w"], -bound, bound)
        if bug == "norm clipped":
            norm = np.sqrt(np.sum(grads["w"] ** 2) + grads["b"] ** 2)
            grads = {name: 0.05 * value / norm for name, value in grads.items()}
        if bug == "accumulated":
            for name in grads:
                sums[name] = sums[name] + grads[name]
            return dict(sums)
        if bug == "momentum":
            for name in grads:
                sums[name] = 0.9 * sums[name] + grads[name]
            return dict(sums)
        if bug == "last weight never written":
            grads["w"][-1] = 0
        if bug == "bias never written":
            grads["b"] = 0.0
        return grads

    return params, cost, backward


SOFTMAX = {
    "L1 missing": ("sign-theta", "the L1 penalty's derivative is left out"),
    "L1 doubled": ("sign-theta", "twice the L1 penalty's coefficient"),
    "L1 subtracted": ("sign-theta", "wrong sign of the L1 penalty"),
    "L1 on the bias": ("sign-theta", "the bias has no penalty in the cost"),
    "L1 as L2": ("none", "λW for λ sign(W)"),
    "missing 1/m": ("factor sign-theta", "the data term is summed, the cost averages it"),
    "mean over classes too": ("factor sign-theta", "np.mean over the whole batch of dz"),
    "transposed": ("transposed", "X.T for dz: as many classes as features, so it fits"),
    "last class never written": ("slice entry", "range(k - 1)"),
    "two classes swapped": (
        "swapped slice entry reshaped",
        "labels 0 and 1, one for the other",
    ),
    "classes off by one": ("rolled", "classes numbered from 1, in W and b"),
    "softmax elementwise": ("none backward", "p(1 - p), as if each class were a sigmoid"),
    "one-hot forgotten": ("target none backward", "dz = p, the true class's 1 not subtracted"),
    "bias averaged": ("factor", "mean over the batch of what is divided by m already"),
    "bias in the other order": ("flipped", "classes counted from the last"),
    "constant offset": ("constant", "1e-3 against division by zero is added to the gradient"),
    "one sample dropped": ("none backward", "the loop ends before the last"),
    "logits for probabilities": ("none backward", "z - y for p - y"),
    "one entry": ("entry", "W[0, 0] is overwritten by the bias"),
    "rounded": ("rounded", "np.round to three decimals, as for print"),
    "float32": ("float32", "computed in single precision", {"rtol": 1e-9}),
}


@planted(PLANS, "softmax regression", SOFTMAX)
def softmax_regression(rng):
    k = int(rng.integers(5, 9))
    m, lam = int(rng.integers(10, 25)), 0.05
    params = {"W": away_from_zero(rng, k, k), "b": away_from_zero(rng, k)}
    X = rng.normal(size=(m, k))
    Y = np.eye(k)[rng.integers(k, size=m)]

    def cost(p):
        z = X @ p["W"].T + p["b"]
        return np.mean(np.log(np.exp(z).sum(axis=1)) - (Y * z).sum(axis=1)) + lam * np.sum(
            np.abs(p["W"])
        )

    def backward(p, bug=""):
        if bug == "float32":
            p = single(p)
        inputs = X.astype(np.float32) if bug == "float32" else X
        z = inputs @ p["W"].T + p["b"]
        prob = softmax(z, axis=1)
        dz = prob - Y.astype(prob.dtype)
        if bug == "softmax elementwise":
            dz = dz * prob * (1 - prob)
        if bug == "one-hot forgotten":
            dz = prob
        if bug == "logits for probabilities":
            dz = z - Y
        if bug == "one sample dropped":
            dz[-1] = 0
        if bug != "missing 1/m":
            dz = dz / m
        if bug == "mean over classes too":
            dz = dz / k
        penalty = lam * np.sign(p["W"])
        if bug == "L1 missing":
            penalty = 0 * penalty
        if bug == "L1 doubled":
            penalty = 2 * penalty
        if bug == "L1 subtracted":
            penalty = -penalty
        if bug == "L1 as L2":
            penalty = lam * p["W"]
        dW, db = dz.T @ inputs + penalty, dz.sum(axis=0)
        if bug == "transposed":
            dW = inputs.T @ dz + penalty.T
        if bug == "L1 on the bias":
            db = db + lam * np.sign(p["b"])
        if bug == "last class never written":
            dW[-1], db[-1] = 0, 0
        if bug == "two classes swapped":
            dW[[0, 1]], db[[0, 1]] = dW[[1, 0]], db[[1, 0]]
        if bug == "classes off by one":
            dW, db = np.roll(dW, 1, axis=0), np.roll(db, 1)
        if bug == "bias averaged":
            db = dz.mean(axis=0)
        if bug == "bias in the other order":
            db = db[::-1].copy()
        if bug == "constant offset":
            dW, db = dW + 1e-3, db + 1e-3
        if bug == "one entry":
            dW[0, 0] = db[0]
        if bug == "rounded":
            dW, db = np.round(dW, 3), np.round(db, 3)
        grads = {"W": dW, "b": db}
        return double(grads) if bug == "float32" else grads

    return params, cost, backward


RIDGE = {
    "2 lost everywhere": ("factor", "the square's 2, in the data term and in the penalty"),
    "2 lost in the data term": ("factor theta", "the penalty's 2 is there"),
    "2 lost in the penalty": ("theta", "λW for 2λW"),
    "2 lost in the bias": ("factor", "db alone"),
    "missing 1/m": ("factor theta", "the data term is summed, the cost averages it"),
    "residual the other way": ("factor theta", "y - prediction for prediction - y"),
    "bias summed over outputs too": ("reduction", "one sum for all, broadcast"),
    "bias averaged over outputs": ("reduction", "the mean over outputs, broadcast"),
    "bias averaged": ("factor", "mean for sum over the batch"),
    "reshape order": ("reshaped", "filled in memory order of the transpose"),
    "last output never written": ("slice", "range(k - 1)"),
    "first feature skipped": ("slice", "the loop over features begins at 1"),
    "two features swapped": ("swapped slice reshaped", "columns 0 and 1 of X in the other order"),
    "powers in the other order": ("flipped", "highest power first, as in numpy.vander"),
    "outputs off by one": ("rolled", "a roll along the outputs"),
    "sample weights forgotten": ("none backward", "every sample counts the same"),
    "features not standardised": ("none factor", "a factor of its own for each row"),
    "corner": ("entry", "the last entry is left at its initial value"),
    "constant offset": ("constant", "an epsilon is added"),
    "decay with sign": ("none", "sign(W) for W"),
    "decay on the bias": ("theta", "the bias has no penalty in the cost"),
}


@planted(PLANS, "least squares", RIDGE)
def least_squares(rng):
    d, k = int(rng.integers(6, 12)), int(rng.integers(4, 6))
    m, lam = int(rng.integers(15, 30)), 0.03
    params = {"W": away_from_zero(rng, d, k), "b": away_from_zero(rng, k)}
    spread = rng.uniform(0.5, 3.0, d)
    X, Y = rng.normal(size=(m, d)), rng.normal(size=(m, k))
    weight = rng.uniform(0.5, 2.0, (m, 1))

    def cost(p):
        r = X @ p["W"] + p["b"] - Y
        return np.sum(weight * r**2) / m + lam * np.sum(p["W"] ** 2)

    def backward(p, bug=""):
        r = X @ p["W"] + p["b"] - Y
        two = 1 if bug in ("2 lost everywhere", "2 lost in the data term") else 2
        dz = two * weight * r / m
        if bug == "missing 1/m":
            dz = dz * m
        if bug == "residual the other way":
            dz = -dz
        if bug == "sample weights forgotten":
            dz = dz / weight
        data = (X * spread if bug == "features not standardised" else X).T @ dz
        decay = (1 if bug in ("2 lost everywhere", "2 lost in the penalty") else 2) * lam * p["W"]
        if bug == "decay with sign":
            decay = 2 * lam * np.sign(p["W"])
        dW, db = data + decay, dz.sum(axis=0)
        if bug == "2 lost in the bias":
            db = db / 2
        if bug == "bias summed over outputs too":
            db = np.full(k, dz.sum())
        if bug == "bias averaged over outputs":
            db = np.full(k, dz.sum(axis=0).mean())
        if bug == "bias averaged":
            db = dz.mean(axis=0)
        if bug == "decay on the bias":
            db = db + 2 * lam * p["b"]
        if bug == "reshape order":
            dW = dW.T.reshape(d, k)
        if bug == "last output never written":
            dW[:, -1] = 0
        if bug == "first feature skipped":
            dW[0] = 0
        if bug == "two features swapped":
            dW[[0, 1]] = dW[[1, 0]]
        if bug == "powers in the other order":
            dW = dW[::-1].copy()
        if bug == "outputs off by one":
            dW = np.roll(dW, 1, axis=1)
        if bug == "corner":
            dW[-1, -1] = 0
        if bug == "constant offset":
            dW = dW + 1e-2
        return {"W": dW, "b": db}

    return params, cost, backward
