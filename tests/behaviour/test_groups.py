"""Funcs in float32, whose single derivatives drown in rounding: told by groups."""

from functools import partial, reduce
from operator import add

import numpy as np
import pytest
from amounts import first_quick, woven

from pytest_gradcheck import check_gradients, check_jacobian, check_vjp
from pytest_gradcheck._params.arrays_and_structure import flatten

F = np.float32


class Net:
    """A network with one hidden layer in float32, its mean squared error, and the gradient of it.

    `offset` is added to the loss in float32: the larger it is, the noisier the loss.
    """

    def __init__(self, seed, inputs=7, hidden=9, outputs=4, relu=False, offset=0.0):
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal((20, inputs)).astype(F)
        self.t = rng.standard_normal((20, outputs)).astype(F)
        self.relu, self.offset = relu, F(offset)
        self.params = {
            "W": (rng.standard_normal((hidden, inputs)) / np.sqrt(inputs)).astype(F),
            "b": rng.uniform(-0.3, 0.3, hidden).astype(F),
            "V": (rng.standard_normal((outputs, hidden)) / np.sqrt(hidden)).astype(F),
        }

    def hidden(self, p):
        z = self.x @ p["W"].T + p["b"]
        return np.maximum(z, F(0)) if self.relu else np.tanh(z)

    def loss(self, p):
        # Single parameters are float32, whatever they are computed with in between.
        assert p["W"].dtype == F
        out = self.hidden(p) @ p["V"].T
        return np.mean((out - self.t) ** 2, dtype=F) + self.offset

    def grad(self, p):
        h = self.hidden(p)
        e = F(2) * (h @ p["V"].T - self.t) / F(self.t.size)
        d = (e @ p["V"]) * (h > 0 if self.relu else 1 - h * h)
        return {"W": d.T @ self.x, "b": d.sum(0), "V": e.T @ h}

    def wrong(self, name, where, factor):
        def grad(p):
            g = self.grad(p)
            g[name][where] *= F(factor)
            return g

        return grad


def flat(text):
    """Return a text whose lines were broken as one line."""
    return " ".join(text.split())


SEEDS = range(6)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_right_gradients_in_float32_agree_and_the_report_says_how_coarsely(seed, relu):
    net = Net(seed, relu=relu, offset=3.0)
    report = check_gradients(net.loss, net.grad, net.params)
    assert (report.verdict, report.ok, report.wrong, report.open) == ("agree", True, 0, 0)
    assert report.coarse
    told = [block for block in report.blocks if block.block_seen is not None]
    for block in told:
        assert 0 < block.block_seen <= block.row_seen <= block.entry_seen
        assert block.block_seen < (0.7 if relu else 0.02)
    assert "(coarse), in " in report.summary()
    assert f"told by directions through {told[0].name}: an error of " in flat(report.details())
    kept = {block["name"]: block["block_seen"] for block in report.to_dict()["blocks"]}
    assert {name: seen for name, seen in kept.items() if seen} == {
        block.name: block.block_seen for block in told
    }


def test_in_float64_the_same_gradient_is_told_entry_by_entry():
    net = Net(3)
    params = {name: value.astype(np.float64) for name, value in net.params.items()}
    net.x, net.t = net.x.astype(np.float64), net.t.astype(np.float64)

    def loss(p):
        out = np.tanh(net.x @ p["W"].T + p["b"]) @ p["V"].T
        return np.mean((out - net.t) ** 2)

    report = check_gradients(loss, net.grad, params)
    assert (report.verdict, report.coarse) == ("agree", False)
    # Two for each, seven for the noise, three at the parameters, and four of a direction for the
    # smallest entries.
    assert report.evaluations == 2 * report.size + 18
    assert all(block.block_seen is None for block in report.blocks)


@pytest.mark.parametrize(("seed", "size"), [(6, 1e-7), (11, 1e-7), (18, 1e-8), (57, 1e-8)])
def test_in_float64_no_direction_excuses_what_an_entry_s_own_steps_deny(seed, size):
    # Only operations that every machine rounds alike (from Python 3.12 on, sum() compensates): the
    # error is a few error bars.
    x, c = np.random.default_rng(seed).uniform(0.2, 2.0, (2, 5))
    c[2] *= size

    def func(x):
        return 3.0 + reduce(add, (c * (x / (1.0 + x * x))).tolist())

    def grad(x):
        return c * (1.0 - x * x) / (1.0 + x * x) ** 2

    def wrong(x):
        gradient = grad(x)
        gradient[2] *= 1.0 + 1e-4
        return gradient

    assert check_gradients(func, grad, x).verdict == "agree"
    report = check_gradients(func, wrong, x)
    assert (report.verdict, report.open) == ("inconclusive", 1)
    assert report.evidence.error_bar[2] < 1e-4 * abs(grad(x)[2])


def test_a_demanded_rtol_is_demanded_of_each_entry():
    net = Net(1)
    report = check_gradients(net.loss, net.grad, net.params, rtol=1e-4)
    assert (report.verdict, report.coarse) == ("inconclusive", False)
    assert report.open > 0


def test_a_budget_that_does_not_suffice_leaves_open_what_it_must():
    net = Net(2, offset=3.0)
    every = check_gradients(net.loss, net.grad, net.params)
    few = check_gradients(net.loss, net.grad, net.params, max_evals=every.evaluations - 20)
    assert few.verdict == "inconclusive"
    assert few.evaluations <= every.evaluations - 20
    assert few.open > 0


PARTS = [
    ("W", slice(None), 2.0),
    ("W", slice(None), 1.05),
    ("W", 3, -1.0),
    ("W", 5, 2.0),
    ("V", 2, 1.1),
    ("b", slice(None), 1.1),
]


@pytest.mark.parametrize(("seed", "part"), woven(SEEDS, PARTS, every=2))
def test_wrong_blocks_and_rows_are_found(seed, part):
    name, where, factor = part
    net = Net(seed, offset=1.0)
    report = check_gradients(net.loss, net.wrong(name, where, factor), net.params)
    assert report.verdict == "disagree"
    assert {block.name for block in report.blocks if block.verdict == "disagree"} == {name}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("where", "label", "factor"),
    [
        (11, "W[11, :]", 1.6),
        ((slice(None), 5), "W[:, 5]", 1.6),
        (slice(0, 12), "W[0:12, :]", 1.3),
    ],
)
def test_a_wrong_part_is_named_though_its_entries_cannot_all_be_told(seed, where, label, factor):
    net = Net(seed, inputs=24, hidden=24, offset=30.0)
    report = check_gradients(net.loss, net.wrong("W", where, factor), net.params)
    assert report.verdict == "disagree"
    block = report.blocks[0]
    assert (block.name, block.verdict) == ("W", "disagree")
    if block.code == "factor":  # enough of its entries were told for a formula
        return
    assert block.code == "group"
    text = f"{label} is wrong, by about "
    assert block.hint.startswith(text)
    part = float(block.hint.removeprefix(text).partition(" %")[0]) / 100
    assert part == pytest.approx(factor - 1, rel=0.2)
    assert any(one.code == "group" and one.blocks == ("W",) for one in report.diagnoses)


def flat_and_loud(count, seed, noise):
    """Return a func whose entries are all far below its noise, and its gradient."""
    rng = np.random.default_rng(seed)
    a = rng.choice([-1.0, 1.0], count) * rng.uniform(0.5, 1.5, count)

    def func(p):
        return F(np.dot(a, p.astype(np.float64)) + noise)

    return func, a.astype(F), np.ones(count, F)


@pytest.mark.parametrize("seed", range(4))
def test_a_block_that_is_wrong_by_a_little_is_wrong_though_no_entry_is(seed):
    func, a, x = flat_and_loud(900, seed, 3e4)
    right = check_gradients(func, lambda p: a, x)
    assert right.verdict == "agree"
    assert right.coarse
    report = check_gradients(func, lambda p: F(1.2) * a, x)
    assert (report.verdict, report.ok, report.wrong) == ("disagree", False, 0)
    worst = report.worst[0]
    assert (worst.label, worst.verdict, worst.index) == ("params", "disagree", ())
    assert worst.analytic == pytest.approx(1.2 * worst.numeric, rel=1e-2)
    assert report.message().startswith("params: analytic ")
    said = flat(report.message())
    assert "along a direction: by about 20 %; its 900 entries can't all be told" in said
    assert "all of it is wrong, by about 20 %" in report.blocks[0].hint


def test_a_check_that_stays_open_says_what_would_settle_it_in_order():
    net = Net(0, offset=3e6)
    report = check_gradients(net.loss, net.grad, net.params)
    assert report.verdict == "inconclusive"
    told = [block.name for block in report.blocks if block.verdict == "agree"]
    settle = [
        "to settle it: {k: v.astype(np.float64) for k, v in params.items()}, and double data",
        "or: reference=the same function in double",
        "or: a loss that moves more: (out * weights).sum() with random weights, not a mean",
        f"or: only={told!r}, which is what can be told",
    ]
    assert list(report.reasons[1:5]) == settle
    assert all(one in flat(report.message()) for one in settle)


@pytest.mark.parametrize(
    ("wrapped", "line"),
    [
        (lambda w: w, "params.astype(np.float64)"),
        (lambda w: {"w": w}, "{k: v.astype(np.float64) for k, v in params.items()}"),
        (lambda w: {"layer": {"w": w}}, "v.astype(np.float64) of every array in params"),
    ],
)
def test_the_line_to_write_is_one_for_the_container_that_was_given(wrapped, line):
    def func(p):
        return F(np.sum(np.sin(np.asarray(flatten(p).leaves[0].value, np.float64))) + 1e7)

    def grad(p):
        return wrapped(np.cos(flatten(p).leaves[0].value))

    report = check_gradients(func, grad, wrapped(np.linspace(0.1, 1.0, 5, dtype=F)))
    assert report.verdict == "inconclusive"
    assert f"to settle it: {line}, and double data" in report.reasons


def test_a_reference_in_double_settles_it():
    net = Net(0, offset=3e3)

    def reference(p):
        return np.mean((np.tanh(net.x @ p["W"].T + p["b"]) @ p["V"].T - net.t) ** 2)

    report = check_gradients(net.loss, net.grad, net.params, reference=reference)
    assert (report.verdict, report.coarse) == ("agree", False)


def wide(seed, relu):
    """Return a network of more parameters than are differenced one by one."""
    return Net(seed, inputs=48, hidden=48, relu=relu)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_at_scale_right_gradients_agree(seed, relu):
    net = wide(seed, relu)
    report = check_gradients(net.loss, net.grad, net.params)
    assert (report.verdict, report.coarse) == ("agree", True)
    assert report.directions == 4
    assert report.evaluations < 400
    assert all(0 < b.block_seen <= b.row_seen <= b.entry_seen for b in report.blocks)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "where", "factor"),
    [("W", 31, 2.0), ("W", 7, 1.3), ("W", slice(None), 1.01), ("V", 1, 1.2), ("b", 11, -1.0)],
)
def test_at_scale_what_is_wrong_in_a_small_part_is_found(seed, name, where, factor):
    net = wide(seed, False)
    report = check_gradients(net.loss, net.wrong(name, where, factor), net.params)
    assert report.verdict == "disagree"
    assert [block.name for block in report.blocks if block.verdict == "disagree"] == [name]


class Layer:
    """A layer in float32 with two outputs, y of shape (3,), and z, which is a number."""

    def __init__(self, seed, offset):
        rng = np.random.default_rng(seed)
        self.x, self.offset = rng.standard_normal(8).astype(F), F(offset)
        self.params = {
            "W": (rng.standard_normal((3, 5, 8)) / 3).astype(F),
            "v": rng.uniform(-0.5, 0.5, 8).astype(F),
        }

    def outputs(self, p):
        assert p["W"].dtype == F
        y = np.tanh(p["W"] @ self.x).sum(1) + self.offset
        return {"y": y, "z": np.float32(np.sin(p["v"] @ self.x))}

    def jacobian(self, p):
        slope = 1 - np.tanh(p["W"] @ self.x) ** 2
        by_w = np.zeros((3, 3, 5, 8), F)
        for k in range(3):
            by_w[k, k] = np.outer(slope[k], self.x)
        by_v = np.cos(p["v"] @ self.x) * self.x
        return {
            "y": {"W": by_w, "v": np.zeros((3, 8), F)},
            "z": {"W": np.zeros((3, 5, 8), F), "v": by_v},
        }


@pytest.mark.parametrize("seed", range(3))
def test_a_jacobian_in_float32_says_how_coarsely_it_is_known(seed):
    layer = Layer(seed, 300.0)
    report = check_jacobian(layer.outputs, layer.jacobian, layer.params)
    assert (report.verdict, report.coarse, report.open) == ("agree", True, 0)
    seen = {block.name: block for block in report.blocks}
    assert 0 < seen["y / W"].block_seen <= seen["y / W"].row_seen <= seen["y / W"].entry_seen
    assert seen["y / W"].block_seen < 0.1
    assert seen["z / v"].block_seen is None
    assert "told by directions through y / W: an error of " in flat(report.details())


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("where", "label", "size"),
    [
        (slice(None), "all of it", 1500),
        (1, "output[1] / params", 500),
        ([0, 2], "output[0], output[2] / params", 1000),
    ],
)
def test_a_wrong_part_of_a_product_is_named_though_no_entry_is_known(seed, where, label, size):
    matrix = np.random.default_rng(seed).choice([-1.0, 1.0], (3, 500))

    def func(p):
        return (matrix @ p.astype(np.float64) + 3e4).astype(F)

    def vjp(p, u, factor=1.0):
        wrong = matrix.copy()
        wrong[where] *= factor
        return (u @ wrong).astype(F)

    right = check_vjp(func, vjp, np.ones(500, F))
    assert (right.verdict, right.coarse) == ("agree", True)
    report = check_vjp(func, partial(vjp, factor=1.25), np.ones(500, F))
    assert (report.verdict, report.ok, report.wrong) == ("disagree", False, 0)
    (said,) = [one.sentence for one in report.diagnoses if one.code == "group"]
    assert said == f"{label} is wrong, by about 25 %; its {size:,} entries can't all be told"


def test_what_a_jacobian_in_float32_leaves_open_says_what_would_settle_it():
    layer = Layer(0, 3e7)
    report = check_jacobian(layer.outputs, layer.jacobian, layer.params)
    assert report.verdict == "inconclusive"
    settle = [line for line in report.reasons if line.startswith(("to settle it", "or: "))]
    assert settle == [
        "to settle it: {k: v.astype(np.float64) for k, v in params.items()}, and double data",
        "or: reference=the same function in double",
    ]


@pytest.mark.parametrize("factor", [1.0, 0.0, -1.0, 3.0])
@pytest.mark.parametrize("offset", [2e5, 7e5])
def test_a_row_of_a_jacobian_beside_a_large_narrow_value_is_not_taken_for_a_zero(factor, offset):
    layer = Layer(1, offset)

    def jacobian(p):
        found = layer.jacobian(p)
        found["y"]["W"] *= F(factor)
        return found

    report = check_jacobian(layer.outputs, jacobian, layer.params)
    assert report.verdict in ("inconclusive", "agree" if factor == 1 else "disagree")
    verdicts = {block.name: block.verdict for block in report.blocks}
    assert verdicts["y / v"] == verdicts["z / W"] == "agree"  # they are zero


@pytest.mark.parametrize("factor", [1.0, -1.0, 3.0])
def test_what_drowns_in_a_large_narrow_value_is_not_taken_for_a_zero(factor):
    net = Net(0, offset=3e7)
    report = check_gradients(net.loss, net.wrong("W", slice(None), factor), net.params)
    assert (report.verdict, report.blocks[0].verdict) == ("inconclusive", "inconclusive")


def test_a_func_that_does_not_move_by_its_rounding_is_said_to_be_float32():
    net = Net(0, offset=3e6)
    report = check_gradients(net.loss, net.grad, net.params)
    assert report.verdict == "inconclusive"
    assert report.reasons[0].startswith("72 undecided: func is float32, with noise ")
    # As a parabola in V, func can be told by steps of any size.
    assert [block.name for block in report.blocks if block.verdict == "agree"] == ["V"]


@pytest.mark.parametrize("seed", range(3))
def test_a_func_that_is_noisy_by_chance_is_settled_by_a_mean_as_its_advice_says(seed):
    rng = np.random.default_rng(seed)

    def noisy(p):
        return np.sum(np.sin(p)) + 0.012 * rng.standard_normal()

    def mean(p):
        return np.mean([noisy(p) for _ in range(64)])

    params = np.linspace(-1.0, 1.0, 5)
    alone = check_gradients(noisy, np.cos, params, nondet_tol=1.0)
    assert alone.verdict == "inconclusive"
    assert alone.reasons[1].startswith("to settle it: reference=the mean of 64 evaluations of func")
    rng = np.random.default_rng([seed, 6])  # whatever the first check drew
    beside = check_gradients(noisy, np.cos, params, nondet_tol=1.0, reference=mean)
    assert (beside.verdict, beside.coarse) == ("agree", True)
    assert beside.noise < alone.noise / 3
    wrong = check_gradients(noisy, lambda p: 2 * np.cos(p), params, nondet_tol=1.0, reference=mean)
    assert wrong.verdict == "disagree"


@pytest.mark.parametrize("seed", range(3))
def test_what_rounding_leaves_of_a_zero_agrees_in_float32(seed):
    net = Net(seed)

    def probabilities(p):
        z = net.x @ p["W"].T + p["shift"]  # which moves all logits, and so nothing
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def loss(p):
        return F(100) * -np.sum(np.log(probabilities(p)[:, 0]), dtype=F)

    def grad(p):
        q = probabilities(p)
        q[:, 0] -= 1
        return {"W": F(100) * q.T @ net.x, "shift": F(100) * q.sum(1).sum(keepdims=True)}

    params = {"W": net.params["W"], "shift": np.array([0.3], F)}
    assert grad(params)["shift"] != 0
    assert check_gradients(loss, grad, params).verdict == "agree"


@pytest.mark.parametrize("seed", [27, 42])
def test_at_scale_kinks_leave_no_right_network_open(seed):
    net = Net(seed, inputs=160, hidden=160, relu=True)
    report = check_gradients(net.loss, net.grad, net.params)
    assert (report.verdict, report.coarse) == ("agree", True)
    assert report.blocks[0].block_seen < 0.7


@pytest.mark.parametrize("seed", [45, 49])
def test_a_step_before_the_kinks_tells_what_larger_ones_leave_open(seed):
    net = Net(seed, inputs=22, hidden=22, relu=True)
    report = check_gradients(net.loss, net.grad, net.params)
    assert (report.verdict, report.coarse) == ("agree", True)
    assert report.blocks[0].block_seen < 0.7


@pytest.mark.parametrize("seed", first_quick([0, 5, 7]))
def test_at_scale_a_row_or_a_column_twice_too_large_stands_out_of_many_kinks(seed):
    net = Net(seed, inputs=160, hidden=160, relu=True)
    size = np.abs(net.grad(net.params)["W"])
    row, column = (int(np.argsort(size.sum(axis))[100]) for axis in (1, 0))
    right = check_gradients(net.loss, net.grad, net.params)
    assert right.verdict == "agree"
    assert right.blocks[0].block_seen <= right.blocks[0].row_seen < 0.2
    for where, start, end in (
        (row, f"W[{row}, ", "]"),
        ((slice(None), column), "W[", f", {column}]"),
    ):
        report = check_gradients(net.loss, net.wrong("W", where, 2.0), net.params)
        assert report.verdict == "disagree"
        assert report.worst
        for entry in report.worst:
            assert entry.label.startswith(start)
            assert entry.label.endswith(end)


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_at_scale_a_row_off_by_a_tenth_and_a_block_by_little_stand_out_of_kinks(seed):
    net = Net(seed, inputs=56, hidden=44, relu=True)
    row = int(np.argsort(np.abs(net.grad(net.params)["W"]).sum(1))[30])
    right = check_gradients(net.loss, net.grad, net.params)
    assert right.verdict == "agree"
    assert right.blocks[0].block_seen <= right.blocks[0].row_seen < 0.05
    report = check_gradients(net.loss, net.wrong("W", row, 1.1), net.params)
    assert (report.verdict, report.worst[0].label) == ("disagree", f"W[{row}, :]")
    report = check_gradients(net.loss, net.wrong("W", slice(None), 1.01), net.params)
    assert report.verdict == "disagree"
    assert {entry.block for entry in report.worst if entry.verdict == "disagree"} == {"W"}


@pytest.mark.parametrize("seed", [0, 3])
def test_a_block_off_by_three_thousandths_is_denied_by_many_directions(seed):
    # Four directions through it are off by less than their bars, with kinks in each.
    net = Net(seed, inputs=48, hidden=48, relu=True)
    assert check_gradients(net.loss, net.grad, net.params).verdict == "agree"
    report = check_gradients(net.loss, net.wrong("W", slice(None), 1.003), net.params)
    assert (report.verdict, [entry.label for entry in report.worst]) == ("disagree", ["W"])


@pytest.mark.parametrize("seed", first_quick(range(8), 2))
def test_at_scale_a_few_entries_that_cross_many_kinks_are_not_taken_for_a_wrong_block(seed):
    # 900 values go through four biases: directions through those all cross the same kinks.
    rng = np.random.default_rng([43, seed])
    x = rng.standard_normal((900, 700)).astype(F) / F(26)
    params = {"W": rng.standard_normal((4, 700)).astype(F), "b": rng.uniform(-1, 1, 4).astype(F)}

    def loss(p):
        assert p["b"].dtype == F
        z = x @ p["W"].T + p["b"]
        return np.clip(z, F(0), F(0.3)).sum(dtype=F)

    def grad(p):
        z = x @ p["W"].T + p["b"]
        inside = ((z > 0) & (z < 0.3)).astype(F)
        return {"W": inside.T @ x, "b": inside.sum(0)}

    assert check_gradients(loss, grad, params).verdict != "disagree"


def residual(seed, size):
    """Return the loss of a residual branch with tiny gains, in float32, and its gradient."""
    rng = np.random.default_rng([41, seed])
    x, a, t = (rng.standard_normal((24, 7)).astype(F) for _ in range(3))
    gains = (size * rng.uniform(0.5, 1.5, 7)).astype(F)

    def loss(gains):
        assert gains.dtype == F
        return np.mean((x + gains * a - t) ** 2, dtype=F)

    def grad(gains, factor=1.0):
        return (factor * 2 * ((x + gains * a - t) * a).sum(0) / t.size).astype(F)

    return loss, grad, gains


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [3e-4, 3e-5])
def test_tiny_parameters_beside_a_large_loss_are_told_by_steps_beyond_their_scale(seed, size):
    loss, grad, gains = residual(seed, size)
    report = check_gradients(loss, grad, gains)
    assert report.verdict == "agree"
    assert report.coarse
    for factor in (-1, 3):
        wrong = check_gradients(loss, lambda g, by=factor: grad(g, by), gains)
        assert wrong.verdict == "disagree"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1e-6, 1e-3])
def test_what_is_hidden_within_the_scale_is_not_judged_by_steps_beyond_it(seed, size):
    # Nearby, where all of it is below one rounding of J, func is steeper than farther away.
    rng = np.random.default_rng([42, seed])
    x = (size * rng.standard_normal(8)).astype(F)

    def loss(x):
        z = x.astype(float) / size
        return F(1.3) + F(np.sum(1.5e-8 * np.tanh(z) + 4e-9 * z))

    def grad(x):
        z = x.astype(float) / size
        return ((1.5e-8 * (1 - np.tanh(z) ** 2) + 4e-9) / size).astype(F)

    assert check_gradients(loss, grad, x).verdict != "disagree"


@pytest.mark.parametrize(("offset", "seed"), [(60, 2), (100, 1), (100, 3), (200, 4), (300, 1)])
def test_exact_zeros_do_not_pass_where_rounding_hides_what_func_answers(offset, seed):
    """A gradient that nobody wrote is no rounding of a zero, however small it is beside others."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(6, 4)) + offset, rng.normal(size=(6, 5)) + offset
    a, b, weights = (x.astype(F) for x in (a, b, rng.normal(size=(6, 3))))

    def loss(p):
        bilinear = np.einsum("ni,oij,nj->no", a, p["W"].astype(F), b)
        return np.sum(weights * (bilinear + p["b"].astype(F)))

    def missing(p):
        return {"W": np.einsum("no,ni,nj->oij", weights, a, b), "b": np.zeros(3)}

    def right(p):
        return {**missing(p), "b": weights.sum(axis=0)}

    p = {"W": rng.uniform(-0.5, 0.5, (3, 4, 5)), "b": rng.uniform(-0.5, 0.5, 3)}
    p = {name: value.astype(F) for name, value in p.items()}
    assert check_gradients(loss, right, p).verdict != "disagree"
    assert check_gradients(loss, missing, p).verdict != "agree"
