"""Checks along random directions: what is found among 100,000 parameters, and what is said."""

import dataclasses
import hashlib
import re
from collections import namedtuple

import numpy as np
import pytest

from pytest_gradcheck import (
    GradcheckWarning,
    GradientMismatch,
    Options,
    assert_gradients_close,
    check_gradients,
)
from pytest_gradcheck._difference.noise_and_extrapolation import Noise
from pytest_gradcheck._evaluate.call import Call
from pytest_gradcheck._evaluate.problem import evaluate_gradient, prepare
from pytest_gradcheck._gradient import directional_residuals
from pytest_gradcheck._gradient.directional_residuals import Screen, Subset
from pytest_gradcheck._gradient.localise import _along, patterns


def shapes(inputs, first, second):
    rows = (("1", first, inputs), ("2", second, first), ("3", 10, second))
    return {f"{x}{k}": (n, m if x == "W" else 1) for k, n, m in rows for x in "Wb"}


SHAPES = shapes(80, 72, 48)
LARGE = shapes(256, 256, 128)


def count(sizes):
    return sum(a * b for a, b in sizes.values())


SIZE = count(SHAPES)


class Network:
    """Two tanh layers and a linear one under squared errors; counts its calls."""

    def __init__(self, seed=0, dtype=np.float64, sizes=SHAPES, samples=16):
        rng = np.random.default_rng(seed)
        self.params = {
            name: (rng.normal(size=shape) / np.sqrt(sizes["W" + name[1]][1])).astype(dtype)
            for name, shape in sizes.items()
        }
        self.dtype = dtype
        self.x = rng.normal(size=(sizes["W1"][1], samples)).astype(dtype)
        self.y = rng.normal(size=(10, samples)).astype(dtype)
        self.calls = 0
        self.seen = set()

    def forward(self, p):
        a1 = np.tanh(p["W1"] @ self.x + p["b1"])
        a2 = np.tanh(p["W2"] @ a1 + p["b2"])
        return a1, a2, p["W3"] @ a2 + p["b3"] - self.y

    def cost(self, p):
        self.calls += 1
        self.seen.add(p["W1"].dtype)
        return np.sum(self.forward(p)[2] ** 2) / 32

    def gradient(self, p):
        a1, a2, dz = self.forward(p)
        dz = dz / 16
        dz2 = (p["W3"].T @ dz) * (1 - a2**2)
        dz1 = (p["W2"].T @ dz2) * (1 - a1**2)
        dz3 = {"W3": dz @ a2.T, "b3": dz.sum(axis=1, keepdims=True)}
        dz2s = {"W2": dz2 @ a1.T, "b2": dz2.sum(axis=1, keepdims=True)}
        return {"W1": dz1 @ self.x.T, "b1": dz1.sum(axis=1, keepdims=True), **dz2s, **dz3}


class Relu(Network):
    """The same with relu, which has thousands of kinks along a random direction."""

    def forward(self, p):
        a1 = np.maximum(p["W1"] @ self.x + p["b1"], 0)
        a2 = np.maximum(p["W2"] @ a1 + p["b2"], 0)
        return a1, a2, p["W3"] @ a2 + p["b3"] - self.y

    def gradient(self, p):
        a1, a2, dz = self.forward(p)
        dz2 = (p["W3"].T @ dz / 16) * (a2 > 0)
        dz1 = (p["W2"].T @ dz2) * (a1 > 0)
        found = {"W1": dz1 @ self.x.T, "W2": dz2 @ a1.T, "W3": dz @ a2.T / 16}
        for k, by_bias in enumerate((dz1, dz2, dz / 16), start=1):
            found[f"b{k}"] = by_bias.sum(axis=1, keepdims=True)
        return found


@pytest.fixture
def network():
    return Network()


def check(network, gradient=None, **options):
    """Check, and confirm what holds of every check along directions."""
    given = network.gradient if gradient is None else gradient
    network.calls = 0
    report = check_gradients(network.cost, given, network.params, **options)
    assert report.evaluations == network.calls
    assert report.directions > 0
    assert (report.verdict == "disagree") == bool(report.wrong)
    return report


def said(report):
    """Return every line that says what a block's error looks like."""
    return [*report.patterns, *(f"{block.name}: {block.hint}" for block in report.blocks)]


def labels(report):
    return {entry.label for entry in report.worst}


# -- right gradients -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_right_gradient_passes_within_thirty_evaluations(seed):
    report = check(Network(seed, sizes=LARGE), seed=seed)
    assert (report.verdict, report.ok, report.wrong) == ("agree", True, 0)
    assert report.evaluations <= 30
    assert report.size == report.checked == count(LARGE) > 99_000
    assert report.resolution < 1e-6
    assert 0 < report.miss < 1e-3


def test_the_report_says_what_was_covered_and_what_would_be_missed(network):
    report = check(network, seed=7)
    for text in (report.message(), report.details()):
        unfolded = text.replace("\n  ", " ")
        line = next(row for row in unfolded.splitlines() if "random directions" in row)
        found = re.fullmatch(
            r"([\d,]+) parameters along (\d+) random directions \(seed (\d+)\): resolution (\S+); "
            r"an error of 10 x that is missed with a chance of (\S+)",
            line,
        )
        assert found, line
        size, directions, seed, resolution, chance = found.groups()
        assert size == f"{SIZE:,}"
        assert int(directions) == report.directions
        assert seed == "7"
        assert float(resolution) == pytest.approx(report.resolution, rel=0.5)
        assert float(chance) == pytest.approx(report.miss, rel=0.5)
    assert f"{SIZE:,} agree" in report.summary()
    assert f"{report.evaluations:,} evaluations" in report.summary()
    assert report.to_dict()["directions"] == report.directions


def test_a_failure_says_so_too(network):
    gradient = network.gradient(network.params)
    gradient["W2"] *= 2
    text = check(network, gradient, seed=3).message()
    assert f"{SIZE:,} parameters along " in text
    assert "(seed 3)" in text
    assert "nan" not in text


def test_every_block_has_a_resolution_of_its_own(network):
    report = check(network)
    assert [block.name for block in report.blocks] == list(SHAPES)
    assert all(0 < block.resolution < 1e-5 for block in report.blocks)
    assert max(block.resolution for block in report.blocks) == report.resolution


def test_a_bias_whose_gradient_is_nothing_but_rounding_agrees():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 20))
    params = {"W": rng.normal(size=(20, 150)) / 4, "b": rng.normal(size=150)}

    def hidden(p):
        z = x @ p["W"] + p["b"]
        return np.tanh(z - z.mean(axis=0))

    def grad(p):
        dz = 1 - hidden(p) ** 2
        dz -= dz.mean(axis=0)
        return {"W": x.T @ dz, "b": dz.sum(axis=0)}

    def cost(p):
        return np.sum(hidden(p))

    assert 0 < np.abs(grad(params)["b"]).max() < 1e-12
    report = check_gradients(cost, grad, params)
    assert report.verdict == "agree", report
    assert report.resolution < 1e-6
    off = check_gradients(cost, lambda p: grad(p) | {"b": np.full(150, 1e-4)}, params)
    assert off.verdict == "disagree"


@pytest.mark.parametrize("count", [30, 3000])
def test_a_block_whose_gradient_is_zero_is_resolved_against_the_others(count):
    params = {"a": np.linspace(0.1, 1, count), "b": np.full(5, 0.3)}

    def cost(p):
        return np.sum(np.sin(p["a"])) + np.sum((p["b"] - 0.3) ** 2 + (p["b"] - 0.3) ** 3)

    def grad(p):
        return {"a": np.cos(p["a"]), "b": np.zeros(5)}

    report = check_gradients(cost, grad, params)
    assert report.verdict == "agree"
    assert all(0 < block.resolution < 1e-6 for block in report.blocks)
    assert report.resolution < 1e-6
    off = check_gradients(
        cost, lambda p: grad(p) | {"b": np.full(5, 100 * report.resolution)}, params
    )
    assert off.verdict == "disagree"


# -- what is wrong is named ------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("seed", range(3))
def test_one_wrong_entry_is_named(share, seed):
    network = Network(seed, sizes=LARGE)
    gradient = network.gradient(network.params)
    median = np.median(np.abs(np.concatenate([g.ravel() for g in gradient.values()])))
    gradient["W2"][seed + 3, 60] += share * median
    report = check(network, gradient, seed=seed)
    assert labels(report) == {f"W2[{seed + 3}, 60]"}
    assert report.wrong == 1
    entry = report.worst[0]
    assert entry.error == pytest.approx(share * median, rel=0.1)
    assert abs(entry.analytic - entry.numeric) == entry.error
    assert entry.error_bar < entry.error
    assert report.message().startswith(f"W2[{seed + 3}, 60]: analytic ")


@pytest.mark.parametrize("seed", [10, 23])
def test_one_wrong_entry_is_named_though_kinks_leave_no_step_to_prove_it_by(seed):
    network = Relu(seed, sizes=LARGE, samples=96)
    right = check(network, seed=seed)
    assert (right.verdict, right.evaluations < 30) == ("agree", True)
    gradient = network.gradient(network.params)
    median = np.median(np.abs(np.concatenate([g.ravel() for g in gradient.values()])))
    gradient["W2"][seed + 3, 60] += 1e-4 * median
    report = check(network, gradient, seed=seed)
    assert labels(report) == {f"W2[{seed + 3}, 60]"}
    assert report.worst[0].error == pytest.approx(1e-4 * median, rel=0.3)


def test_one_wrong_entry_is_named_within_45_evaluations_by_the_median():
    cost = []
    for seed in range(7):
        network = Network(seed, sizes=LARGE)
        gradient = network.gradient(network.params)
        gradient["W1"][seed, 17] *= 1.5
        report = check(network, gradient, seed=seed)
        assert labels(report) == {f"W1[{seed}, 17]"}
        cost.append(report.evaluations)
    assert np.median(cost) <= 45
    assert max(cost) <= 120


def test_the_error_of_an_entry_is_seen_however_small_its_parameter_is(network):
    """A direction proportional to |θ| alone would hardly move it."""
    network.params["W2"][3, 5] = 1e-6
    gradient = network.gradient(network.params)
    gradient["W2"][3, 5] += np.median(np.abs(gradient["W2"])) * 1e-2
    assert labels(check(network, gradient)) == {"W2[3, 5]"}


@pytest.mark.parametrize("seed", range(3))
def test_five_wrong_entries_are_named_and_no_other(network, seed):
    gradient = network.gradient(network.params)
    rng = np.random.default_rng(seed)
    planted = set()
    for name in ("W1", "W1", "W2", "W2", "b2"):
        index = tuple(int(rng.integers(k)) for k in SHAPES[name])
        gradient[name][index] += 10 * np.abs(gradient[name]).mean()
        planted.add(f"{name}[{index[0]}, {index[1]}]")
    report = check(network, gradient, seed=seed)
    assert labels(report) == planted
    assert report.evaluations <= 250
    assert {block.name for block in report.blocks if block.wrong} == {"W1", "W2", "b2"}


PATTERNS = {
    "a block times 2": ("W2", lambda g, p: {"W2": 2 * g["W2"]}, "= 2 x numeric"),
    "a bias averaged": ("b1", lambda g, p: {"b1": g["b1"] / 16}, "= 0.0625 x numeric"),
    "a block negated": ("W1", lambda g, p: {"W1": -g["W1"]}, "= -1 x numeric"),
    "a constant added": ("b2", lambda g, p: {"b2": g["b2"] + 0.01}, "error = 0.01"),
    "weight decay of a block": (
        "W1",
        lambda g, p: {"W1": g["W1"] - 0.01 * p["W1"]},
        "-0.01 x the parameters",
    ),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_in_one_block_is_named(network, name):
    block, change, words = PATTERNS[name]
    gradient = network.gradient(network.params)
    gradient |= change(gradient, network.params)
    report = check(network, gradient)
    assert [b.name for b in report.blocks if b.wrong] == [block]
    assert any(line.startswith(f"{block}: ") and words in line for line in said(report))
    assert report.evaluations <= 60
    assert words in report.message()


@pytest.mark.parametrize("names", [tuple(SHAPES), ("W1", "W2", "W3")], ids=["all", "weights"])
def test_weight_decay_forgotten_is_named(network, names):
    gradient = network.gradient(network.params)
    for name in names:
        gradient[name] -= 0.01 * network.params[name]
    report = check(network, gradient)
    assert {block.name for block in report.blocks if block.wrong} == set(names)
    assert any("-0.01 x the parameters" in line for line in said(report))


def test_a_weight_decay_that_is_small_is_named_with_its_number(network):
    gradient = network.gradient(network.params)
    gradient["W2"] += 3e-6 * network.params["W2"]
    report = check(network, gradient)
    (block,) = (block for block in report.blocks if block.wrong)
    assert block.hint.startswith("error = 3e-06 x the parameters: weight decay")


def test_a_constant_factor_on_everything_is_named(network):
    gradient = {name: value / 16 for name, value in network.gradient(network.params).items()}
    report = check(network, gradient)
    assert all(block.wrong == block.size for block in report.blocks)
    assert any("= 0.0625 x numeric" in line for line in said(report))


@pytest.mark.parametrize("kind", ["times 2", "random", "zero"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_wrong_row_or_column_is_named(network, axis, kind):
    gradient = network.gradient(network.params)
    row = gradient["W2"][7] if axis == 0 else gradient["W2"][:, 7]
    noise = np.abs(row).mean() * np.random.default_rng(0).normal(size=row.size)
    row[:] = {"times 2": 2 * row, "random": noise, "zero": 0 * row}[kind]
    place = ("[7, :]", "[:, 7]")[axis]
    report = check(network, gradient)
    assert any(line.startswith("W2") and place in line for line in said(report))
    assert place in report.message()
    (block,) = (block for block in report.blocks if block.wrong)
    assert (block.name, block.wrong) == ("W2", row.size)


def test_errors_everywhere_without_a_pattern_are_counted_on_a_sample(network):
    gradient = network.gradient(network.params)
    rng = np.random.default_rng(0)
    gradient["W2"] += np.abs(gradient["W2"]).mean() * rng.normal(size=SHAPES["W2"])
    report = check(network, gradient)
    (block,) = (block for block in report.blocks if block.wrong)
    assert (block.name, block.wrong) == ("W2", block.size)
    assert any("sampled entries are wrong" in line for line in said(report))
    for entry in report.worst:
        assert entry.block == "W2"
        assert entry.error == abs(entry.analytic - entry.numeric) > 0


def rows_among(g, rows):
    return np.isin(np.arange(len(g)), rows)[:, np.newaxis]


SAMPLED = {
    # what is done to a block's gradient, the code, and what is said of the block
    "clipped": (lambda g: np.clip(g, -0.05, 0.05), "analytic = numeric clipped to [-0.05, 0.05]"),
    "flipped": (lambda g: g[::-1], "analytic = numeric reversed along axis 0"),
    "reshaped": (
        lambda g: g.T.reshape(g.shape),
        "analytic has the values of numeric in Fortran memory order (a wrong reshape)",
    ),
    "factor": (
        lambda g: np.where(g < 0, -g, g),
        "analytic = -numeric in all {} wrong ones of {} sampled entries",
    ),
    "zero": (
        lambda g: np.where(rows_among(g, range(20)), 0, g),
        "analytic is zero in rows 0 to 19: wrong in all {} sampled there, in none elsewhere",
    ),
    "slice": (
        lambda g: np.where(rows_among(g, (3, 9)), 0, g),
        "only [3, :] and [9, :] are wrong: analytic is zero there",
    ),
    "": (lambda g: np.sign(g), ""),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("code", SAMPLED)
def test_what_a_sample_has_in_common_is_said_of_a_block_without_a_pattern(dtype, code):
    network = Network(dtype=dtype)
    gradient, (change, text) = network.gradient(network.params), SAMPLED[code]
    gradient["W2"] = change(gradient["W2"]).astype(dtype)
    report = check(network, gradient)
    (block,) = (block for block in report.blocks if block.wrong)
    assert (block.name, block.code) == ("W2", code)
    assert re.sub(r"(all|of) \d+", r"\1 {}", block.hint) == text
    assert [(one.code, one.blocks) for one in report.diagnoses] == [(code, ("W2",))] * bool(code)
    assert any("by no pattern" in line for line in report.patterns) == (code in ("", "slice"))


def off_everywhere(network, by):
    """Return the gradient with every entry off by so much of itself, at random."""
    rng = np.random.default_rng(1)
    right = network.gradient(network.params)
    return {name: g * (1 + by * rng.normal(size=g.shape)) for name, g in right.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", [3e-8, 1e-8, 3e-9])
def test_what_rtol_allows_every_entry_is_not_accused_along_directions(seed, by):
    network = Network(seed)
    report = check(network, off_everywhere(network, by), seed=seed)
    assert report.verdict == "agree"
    assert by / 3 < report.difference < 3 * by
    assert report.resolution > 3 * report.difference
    assert report.evaluations < 500
    # As a factor of all, too.
    right = network.gradient(network.params)
    report = check(network, {name: (1 + by) * g for name, g in right.items()}, seed=seed)
    assert report.verdict == "agree"
    assert report.evaluations < 150


def test_what_rtol_allows_is_not_accused_where_max_evals_ends_the_search():
    report = check(Network(), off_everywhere(Network(), 1e-8), max_evals=75)
    assert report.verdict == "inconclusive"
    assert report.reasons[0] == "max_evals reached before the check was done"
    assert not report.diagnoses


@pytest.mark.parametrize("by", [1e-6, 1e-4])
def test_what_it_does_not_allow_is(network, by):
    report = check(network, off_everywhere(network, by))
    assert report.verdict == "disagree"
    right = network.gradient(network.params)
    report = check(network, {name: (1 + by) * g for name, g in right.items()})
    assert report.verdict == "disagree"
    assert report.wrong == SIZE
    factor = {1e-6: "(1 + 1e-06)", 1e-4: "1.0001"}[by]
    assert report.patterns == (f"every block: analytic = {factor} x numeric, everywhere",)


@pytest.mark.parametrize("seed", range(3))
def test_few_entries_are_found_whose_error_all_together_might_have(network, seed):
    """Five that are off by 1e-5 of themselves move a direction by less than 1e-7 of all would."""
    right = network.gradient(network.params)
    places = np.random.default_rng(seed).choice(SHAPES["W1"][0] * 80, 5, replace=False)
    right["W1"].ravel()[places] += 1e-5 * np.abs(right["W1"]).mean()
    report = check(network, right, seed=seed)
    assert 2e-9 < report.difference < 1e-7
    assert {entry.index for entry in report.worst} == {
        (int(place) // 80, int(place) % 80) for place in places
    }


def test_a_sample_says_to_how_many_digits_a_gradient_is_right(network):
    gradient = network.gradient(network.params)
    gradient["W2"] *= 1 + 1e-4 * np.random.default_rng(0).normal(size=SHAPES["W2"])
    report = check(network, gradient)
    (block,) = (block for block in report.blocks if block.wrong)
    assert (block.name, block.code) == ("W2", "approximate")
    text = r"agrees to 4 digits in all \d+ sampled entries: if J or the gradient is approximate by "
    assert re.fullmatch(text + r"design, rtol=\de-4 allows for that", block.hint)
    (told,) = re.findall(r"rtol=(\S+)", block.hint)
    # Of an entry in thousands the error is further out than of those in the sample.
    assert check(network, gradient, rtol=2 * float(told)).verdict == "agree"


def with_signs_turned(seed, offset, loud):
    """Return a float32 func whose row 5 is loud, and a gradient with most signs turned."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(64, 64))
    a[5] *= loud
    wrong = np.where(rng.random(a.shape) < 0.7, -a, a)

    def func(p):
        return np.float32(np.sum(a * np.sin(p.astype(np.float64))) + offset)

    def gradient(p):
        return (wrong * np.cos(p.astype(np.float64))).astype(np.float32)

    return check_gradients(func, gradient, np.ones((64, 64), np.float32))


@pytest.mark.parametrize("loud", [100, 300])
def test_a_row_is_not_said_to_be_wrong_alone_where_others_would_not_show(loud):
    # Entries are wrong everywhere; in float32 those of the loud row are all that can be seen.
    (block,) = with_signs_turned(1, 3e6, loud).blocks
    assert (block.hint, block.code) == ("[5, :] is wrong", "slice")


def test_not_all_of_a_block_is_said_to_be_wrong_by_one_part_of_it():
    (block,) = with_signs_turned(0, 3e5, 30).blocks
    text = "it is wrong, by about 300 % in all; in which of its 4,096 entries can't be told"
    assert (block.hint, block.code) == (text, "group")


def test_rows_of_zeros_are_told_of_that_would_not_show():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(64, 64)) * np.geomspace(1e5, 1e-30, 64)[:, np.newaxis]
    gradient = np.where(rows_among(a, (3, 60)), 0, a)

    def func(p):
        return np.sum(a * p) + 1e7

    (block,) = check_gradients(func, gradient, np.ones((64, 64))).blocks
    assert block.hint == "[3, :] is wrong: analytic is zero in rows 3 and 60"


def test_what_the_entries_say_is_what_coordinates_say(network):
    gradient = network.gradient(network.params)
    gradient["b3"][4, 0] *= 1.5
    right = network.gradient(network.params)["b3"][4, 0]
    (entry,) = check(network, gradient).worst
    assert (entry.block, entry.index, entry.verdict) == ("b3", (4, 0), "disagree")
    assert entry.analytic == 1.5 * right
    assert entry.numeric == pytest.approx(right, rel=1e-6)
    assert abs(entry.numeric - right) <= entry.error_bar


DIAGNOSED = {
    "factor": lambda g, p: {"W2": 2 * g["W2"]},
    "zero": lambda g, p: {"W2": 0 * g["W2"]},
    "theta": lambda g, p: {"W1": g["W1"] - 0.01 * p["W1"]},
    "sign-theta": lambda g, p: {"W1": g["W1"] - 0.01 * np.sign(p["W1"])},
    "constant": lambda g, p: {"b2": g["b2"] + 0.01},
}


@pytest.mark.parametrize("code", DIAGNOSED)
def test_patterns_are_diagnoses(network, code):
    gradient = network.gradient(network.params)
    changed = DIAGNOSED[code](gradient, network.params)
    report = check(network, gradient | changed)
    (one,) = report.diagnoses
    assert (one.code, one.blocks) == (code, tuple(changed))
    (block,) = (block for block in report.blocks if block.wrong)
    assert (block.code, block.hint) == (code, one.sentence)
    assert one.bits > 16


def test_a_transposed_and_two_swapped_blocks_are_named():
    network = Network(sizes=shapes(60, 60, 60))
    right = network.gradient(network.params)
    report = check(network, right | {"W2": right["W2"].T})
    assert [(d.code, d.blocks) for d in report.diagnoses] == [("transposed", ("W2",))]
    report = check(network, right | {"W1": right["W2"], "W2": right["W1"]})
    assert [(d.code, d.blocks) for d in report.diagnoses] == [("swapped", ("W1", "W2"))]
    assert check(network, right).diagnoses == ()


def test_of_a_transposed_block_the_worst_entry_is_named_and_no_right_one_counted():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(50, 50)) + 8 * np.eye(50)
    right = np.linalg.inv(matrix).T
    report = check_gradients(lambda a: np.linalg.slogdet(a)[1], right.T.copy(), matrix)
    gap = np.abs(right - right.T)
    (worst,) = report.worst
    assert gap[worst.index] == gap.max()
    assert report.wrong == 50 * 49


@pytest.mark.parametrize("part", [1.01, 1.5, -1])
def test_an_error_in_a_block_far_smaller_than_the_others_is_seen_and_named(part):
    rng = np.random.default_rng(0)
    params = {"a": rng.normal(size=3000), "t": np.array([0.1, 0.2])}

    def cost(p):
        return np.sum(np.sin(p["a"])) + 1e-5 * np.sum(np.sin(p["t"]))

    right = {"a": np.cos(params["a"]), "t": 1e-5 * np.cos(params["t"])}
    assert check_gradients(cost, right, params).resolution < 1e-2
    report = check_gradients(cost, right | {"t": right["t"] * np.array([1.0, part])}, params)
    assert (report.verdict, report.worst[0].label, report.wrong) == ("disagree", "t[1]", 1)


def test_a_wrong_entry_and_a_wrong_row_are_diagnoses(network):
    gradient = network.gradient(network.params)
    gradient["W2"][3, 4] *= 2
    assert [d.code for d in check(network, gradient).diagnoses] == ["entry"]
    gradient = network.gradient(network.params)
    gradient["W2"][3] *= 2
    assert [d.code for d in check(network, gradient).diagnoses] == ["slice"]


def test_a_wrong_gradient_raises_with_its_report(network):
    gradient = network.gradient(network.params)
    gradient["W1"][1, 2] *= 3
    with pytest.raises(GradientMismatch, match=r"^W1\[1, 2\]: analytic ") as caught:
        assert_gradients_close(network.cost, gradient, network.params)
    assert labels(caught.value.report) == {"W1[1, 2]"}


def test_errors_spread_over_many_blocks_are_not_lost():
    """Each block's own residual is below the limit that they exceed together."""
    rng = np.random.default_rng(5)
    theta = {f"B{k:02}": rng.normal(size=100) for k in range(24)}

    def cost(p):
        return sum(np.sum(np.cos(v)) for v in p.values())

    for seed in range(6):
        rng = np.random.default_rng(seed)
        reached = check_gradients(cost, {k: -np.sin(v) for k, v in theta.items()}, theta, seed=seed)
        size = 30 * reached.resolution
        wrong = {k: -np.sin(v) + size * rng.normal(size=100) for k, v in theta.items()}
        report = check_gradients(cost, wrong, theta, seed=seed, max_evals=300)
        assert report.verdict != "agree", seed


# -- determinism -----------------------------------------------------------------------------------


def timeless(report):
    return dataclasses.replace(report, seconds=0.0)


@pytest.mark.parametrize("wrong", [False, True])
def test_the_same_seed_gives_the_same_report(network, wrong):
    gradient = network.gradient(network.params)
    if wrong:
        gradient["W1"][5] = np.sin(gradient["W1"][5])
        gradient["b2"][3] *= 2
    first, second = (check(network, gradient, seed=11) for _ in range(2))
    assert repr(timeless(first)) == repr(timeless(second))
    assert first.verdict == ("disagree" if wrong else "agree")


@pytest.mark.parametrize("wrong", [False, True])
def test_different_seeds_agree_on_the_verdict(network, wrong):
    gradient = network.gradient(network.params)
    if wrong:
        gradient["W1"][5, 6] *= 1.5
    reports = [check(network, gradient, seed=seed) for seed in range(6)]
    assert {report.verdict for report in reports} == {"disagree" if wrong else "agree"}
    assert {frozenset(labels(report)) for report in reports} == {
        frozenset({"W1[5, 6]"} if wrong else ())
    }
    assert len({report.difference for report in reports}) > 1


def test_what_is_given_is_left_as_it_was(network):
    before = {name: value.copy() for name, value in network.params.items()}
    gradient = network.gradient(network.params)
    gradient["W1"][0, 0] = np.nan
    kept = {name: value.copy() for name, value in gradient.items()}
    check(network, gradient)
    for name, value in before.items():
        assert np.array_equal(network.params[name], value)
        assert np.array_equal(gradient[name], kept[name], equal_nan=True)


# -- max_evals -------------------------------------------------------------------------------------


def quadratic(theta):
    return np.sum(theta**2)


@pytest.mark.parametrize(
    ("count", "most", "along"),
    [(2000, None, False), (3000, None, True), (500, 100, True), (500, 1100, False)],
)
def test_max_evals_chooses_between_coordinates_and_directions(count, most, along):
    theta = np.linspace(0.5, 1.5, count)
    report = check_gradients(quadratic, 2 * theta, theta, max_evals=most)
    assert bool(report.directions) == along
    assert report.verdict == "agree"
    assert (report.evaluations < 40) == along


@pytest.mark.parametrize("kind", ["right", "one", "dense", "row"])
@pytest.mark.parametrize("most", [8, 9, 12, 17, 22, 26, 31, 36, 50, 80, 120, 200])
def test_max_evals_is_never_exceeded(network, kind, most):
    gradient = network.gradient(network.params)
    if kind == "one":
        gradient["W1"][5, 6] *= 1.5
    if kind == "row":
        gradient["W1"][5] = np.abs(gradient["W1"][5])
    if kind == "dense":
        gradient["W1"] += np.random.default_rng(0).normal(size=SHAPES["W1"])
    network.calls = 0
    report = check_gradients(network.cost, gradient, network.params, max_evals=most)
    assert report.evaluations == network.calls <= most
    if kind == "right":
        assert report.verdict in ("agree", "inconclusive")
        assert (report.verdict == "agree") == (most >= 30) or most in (22, 26)
    else:
        assert report.verdict != "agree"
    if report.verdict == "inconclusive":
        assert not report.ok
        assert report.reasons[0] == "max_evals reached before the check was done"


def test_what_was_found_before_max_evals_stays_found(network):
    """The screen has shown that the gradient is wrong, whatever is left to be named."""
    gradient = network.gradient(network.params)
    for index in range(5):
        gradient["W1"][index, 3 * index] += 0.1
    full = check(network, gradient)
    assert len(full.worst) == 5
    cut = check_gradients(network.cost, gradient, network.params, max_evals=full.evaluations - 10)
    assert cut.verdict == "disagree"
    assert cut.wrong >= 1


# -- kinds of parameters ---------------------------------------------------------------------------


def test_float32_parameters():
    network = Network(dtype=np.float32)
    right = check(network)
    assert right.verdict == "agree"
    gradient = network.gradient(network.params)
    gradient["W2"][3, 5] += 0.5
    assert labels(check(network, gradient)) == {"W2[3, 5]"}


def test_a_func_that_computes_in_float32_says_what_it_can_see():
    network = Network(dtype=np.float32)

    def cost(p):
        return network.cost({name: value.astype(np.float32) for name, value in p.items()})

    gradient = network.gradient(network.params)
    report = check_gradients(cost, gradient, network.params)
    assert report.verdict != "disagree"
    assert report.resolution > 1e-6
    assert f"resolution {report.resolution:.0e}" in report.details()
    gradient["W2"] *= 3
    wrong = check_gradients(cost, gradient, network.params)
    assert wrong.verdict == "disagree"
    assert [block.name for block in wrong.blocks if block.wrong] == ["W2"]


def test_in_place(network):
    params = network.params
    gradient = network.gradient(params)
    gradient["W2"][1, 1] *= 2
    before = {name: value.copy() for name, value in params.items()}
    report = check_gradients(lambda: network.cost(params), gradient, params, in_place=True)
    assert labels(report) == {"W2[1, 1]"}
    assert all(np.array_equal(params[name], before[name]) for name in params)


Pair = namedtuple("Pair", "left right")


def test_nested_structures(network):
    p = network.params

    def nest(d):
        return {
            "layers": [Pair(d["W1"], d["b1"]), (d["W2"], d["b2"])],
            "out": Pair(d["W3"], d["b3"]),
        }

    def flat(n):
        (w1, b1), (w2, b2) = n["layers"]
        return dict(zip(SHAPES, (w1, b1, w2, b2, *n["out"]), strict=True))

    gradient = network.gradient(p)
    assert check_gradients(lambda n: network.cost(flat(n)), nest(gradient), nest(p)).ok
    gradient["b2"][9, 0] += 1
    report = check_gradients(lambda n: network.cost(flat(n)), nest(gradient), nest(p))
    (entry,) = report.worst
    assert entry.index == (9, 0)
    assert "layers" in entry.label


def test_a_single_vector_and_complex_parameters():
    rng = np.random.default_rng(0)
    z = rng.normal(size=4000) + 1j * rng.normal(size=4000)

    def cost(v):
        return np.sum(np.abs(v) ** 2 * np.cos(v.real))

    gradient = 2 * z * np.cos(z.real) - np.abs(z) ** 2 * np.sin(z.real)
    assert check_gradients(cost, gradient, z).verdict == "agree"
    gradient[77] += 0.5j
    report = check_gradients(cost, gradient, z)
    assert report.verdict == "disagree"
    assert all("77" in entry.label for entry in report.worst)
    assert report.wrong == len(report.worst) == 1


@pytest.mark.parametrize("options", [{"only": "W2"}, {"skip": ["W1", "b*", "W3"]}])
def test_only_and_skip(network, options):
    gradient = network.gradient(network.params)
    gradient["W1"] *= 2
    report = check(network, gradient, **options)
    assert report.verdict == "agree"
    assert report.size == 48 * 72
    assert set(report.skipped) == set(SHAPES) - {"W2"}
    gradient["W2"][3, 4] *= 2
    assert labels(check(network, gradient, **options)) == {"W2[3, 4]"}


def test_threshold(network):
    gradient = {name: 1.001 * value for name, value in network.gradient(network.params).items()}
    report = check(network, gradient)
    assert report.difference == pytest.approx(5e-4, rel=0.9)
    right = check(network, threshold=1e-6)
    assert right.ok
    assert right.difference < 1e-8
    tight = check(network, threshold=1e-30)
    assert (tight.verdict, tight.ok) == ("agree", False)
    assert "is not below threshold 1e-30" in tight.message()


# -- what can't be told ----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_analytic_entry_that_is_not_finite_is_named(network, bad):
    gradient = network.gradient(network.params)
    gradient["W1"][3, 4] = bad
    report = check(network, gradient)
    assert report.verdict == "disagree"
    assert labels(report) == {"W1[3, 4]"}
    (entry,) = report.worst
    assert str(entry.analytic) == str(bad)
    assert np.isfinite(entry.numeric)
    assert "max_evals" not in report.message()


def test_a_gradient_of_nothing_but_nan(network):
    gradient = {name: np.full(shape, np.nan) for name, shape in SHAPES.items()}
    report = check(network, gradient)
    assert report.verdict == "disagree"
    assert report.wrong == SIZE


@pytest.mark.parametrize("beyond", ["nan", "raise"])
@pytest.mark.parametrize("wrong", [False, True])
def test_near_the_edge_of_the_domain_the_step_stays_inside(beyond, wrong):
    rng = np.random.default_rng(0)
    theta = {"A": rng.uniform(0.1, 1, size=(80, 80)), "B": np.full((40,), 1.0)}

    def cost(p):
        slack = 1.0 + 1e-5 - p["B"]
        if (slack <= 0).any():
            if beyond == "raise":
                raise ValueError("outside")
            return float("nan")
        return np.sum(p["A"] ** 2) - 1e-3 * np.sum(np.log(slack))

    gradient = {"A": 2 * theta["A"], "B": 1e-3 / (1.0 + 1e-5 - theta["B"])}
    if wrong:
        gradient["A"][2, 3] *= 2
    report = check_gradients(cost, gradient, theta)
    if wrong:
        assert labels(report) == {"A[2, 3]"}
    else:
        assert report.verdict == "agree"


@pytest.mark.parametrize("beyond", ["nan", "raise"])
def test_a_func_that_is_nowhere_finite_beside_theta_is_inconclusive_and_says_why(beyond):
    theta = np.linspace(1, 2, 5000)

    def cost(p):
        if p[7] != theta[7]:
            if beyond == "raise":
                raise ValueError("outside")
            return float("nan")
        return np.sum(p**2)

    try:
        report = check_gradients(cost, 2 * theta, theta)
    except ValueError as error:
        assert beyond == "raise"
        assert "outside" in str(error)  # noqa: PT017 - either is an answer, a wrong verdict is none
        return
    assert (report.verdict, report.ok) == ("inconclusive", False)
    assert "finite" in report.message()
    assert "noisy" not in report.message()


def noise_of(theta):
    digest = hashlib.blake2b(theta.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**63 - 1


@pytest.mark.parametrize("seed", range(4))
def test_a_noisy_func_is_inconclusive_with_its_reason_or_agrees_with_a_coarse_resolution(seed):
    theta = np.random.default_rng(seed).normal(size=5000)

    def cost(p):
        return np.sum(np.cos(p)) * (1 + 1e-5 * noise_of(p))

    report = check_gradients(cost, -np.sin(theta), theta, seed=seed)
    assert report.verdict != "disagree"
    assert report.resolution > 1e-5
    if report.verdict == "inconclusive":
        assert not report.ok
        assert "noisy" in report.message()


def test_a_func_that_is_all_noise_is_inconclusive():
    theta = np.random.default_rng(0).normal(size=5000)

    def cost(p):
        return np.sum(np.cos(p)) + 1e3 * noise_of(p)

    report = check_gradients(cost, -np.sin(theta), theta)
    assert (report.verdict, report.ok) == ("inconclusive", False)
    assert "nois" in report.message()
    assert check_gradients(cost, -np.sin(theta), theta, inconclusive="pass").ok
    with pytest.warns(GradcheckWarning, match="inconclusive"):
        warned = check_gradients(cost, -np.sin(theta), theta, inconclusive="warn")
    assert warned.ok
    assert "inconclusive" in warned.warning


def test_a_func_that_does_not_repeat_itself_is_inconclusive():
    theta = np.ones(5000)
    rng = np.random.default_rng(0)
    report = check_gradients(lambda p: np.sum(p) + rng.normal(), np.ones(5000), theta)
    assert report.verdict == "inconclusive"
    assert "does not repeat itself" in report.message()


def test_a_constant_func_with_a_zero_gradient_was_not_checked():
    theta = np.ones(5000)
    report = check_gradients(lambda p: 3.0, np.zeros(5000), theta)
    assert not report.ok
    assert report.verdict == "inconclusive" or report.vacuous
    assert "nothing was checked" in report.message()


def test_a_constant_func_with_a_gradient_is_wrong():
    theta = np.linspace(1, 2, 5000)
    report = check_gradients(lambda p: 3.0, np.cos(theta), theta)
    assert report.verdict == "disagree"
    assert report.wrong == 5000


def test_a_block_that_func_never_reads_was_not_checked(network):
    params = network.params | {"unused": np.ones((5, 3))}
    gradient = network.gradient(params) | {"unused": np.zeros((5, 3))}
    report = check_gradients(network.cost, gradient, params)
    assert (report.vacuous, report.ok) == (("unused",), True)
    assert "nothing checked in unused" in report.summary()
    assert not check_gradients(network.cost, gradient, params, vacuous="fail").ok


def test_a_block_whose_gradient_is_zero_was_checked_where_func_answers_to_it(network):
    params = network.params | {"even": np.zeros((5, 3))}
    gradient = network.gradient(params) | {"even": np.zeros((5, 3))}
    report = check_gradients(lambda p: network.cost(p) + np.sum(p["even"] ** 2), gradient, params)
    assert (report.verdict, report.vacuous) == ("agree", ())


def test_a_block_that_func_never_reads_has_no_gradient_but_zero(network):
    params = network.params | {"unused": np.linspace(1, 2, 3000).reshape(60, 50)}
    gradient = network.gradient(params) | {"unused": np.cos(params["unused"])}
    report = check_gradients(network.cost, gradient, params)
    (found,) = report.diagnoses
    assert (found.code, found.blocks) == ("factor", ("unused",))
    assert found.sentence == "numeric is zero where analytic is not"
    assert report.message().startswith("unused: numeric is zero where analytic is not\n")


def test_a_row_that_func_never_reads_has_none_either(network):
    params = network.params | {"W1": network.params["W1"].copy()}
    used = np.ones((SHAPES["W1"][0], 1))
    used[3] = 0.0

    def masked(p):
        return p | {"W1": p["W1"] * used}

    gradient = network.gradient(masked(params))
    gradient["W1"] = np.where(used, gradient["W1"], np.cos(params["W1"]))
    report = check_gradients(lambda p: network.cost(masked(p)), gradient, params)
    (found,) = report.diagnoses
    assert found.code == "slice"
    assert found.sentence == "numeric is zero where analytic is not, in [3, :] alone"
    assert report.message().startswith("W1: numeric is zero where analytic is not, in [3, :] alone")


def test_a_func_that_is_another_one_after_the_directions_is_said_to_be(network):
    def wears_out(p):
        return network.cost(p) + (1.0 if network.calls > 11 else 0.0)

    network.calls = 0
    report = check_gradients(wears_out, network.gradient(network.params), network.params)
    assert report.verdict == "inconclusive"
    assert report.reasons[0].startswith("func depends on what was evaluated before")
    assert report.checked == 0


def test_a_stationary_point_of_many_parameters_agrees_with_a_remark():
    theta = np.linspace(1, 2, 5000)

    def bowl(p):
        return np.sum((p - theta) ** 2)

    report = check_gradients(bowl, np.zeros(5000), theta)
    assert (report.verdict, report.ok) == ("agree", True)
    assert "at a stationary point" in report.summary()
    report = check_gradients(bowl, np.zeros(5000), theta, vacuous="fail")
    assert (report.verdict, report.ok) == ("inconclusive", False)
    assert check_gradients(bowl, np.full(5000, 1e-3), theta).verdict == "disagree"


def test_a_block_that_no_direction_resolves_does_not_agree_unsaid():
    """Its share of every direction is below the noise: twice its gradient looks the same."""
    rng = np.random.default_rng(0)
    theta = {"A": rng.normal(size=(100, 100)), "tiny": rng.normal(size=10)}

    def cost(p):
        return np.sum(np.cos(p["A"])) + 1e-9 * np.sum(np.cos(p["tiny"]))

    gradient = {"A": -np.sin(theta["A"]), "tiny": -2e-9 * np.sin(theta["tiny"])}
    report = check_gradients(cost, gradient, theta)
    assert report.verdict != "agree"
    assert "tiny" in report.message()


def test_a_gradient_forgotten_altogether_is_wrong_everywhere(network):
    gradient = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    report = check(network, gradient)
    assert report.verdict == "disagree"
    assert report.wrong == SIZE
    assert report.evaluations <= 750


@pytest.mark.parametrize("seed", range(3))
def test_kinks_within_the_first_step_make_the_step_smaller(seed):
    """A relu network so wide that every direction crosses a kink at the usual step."""
    rng = np.random.default_rng(seed)
    theta = {"W": rng.normal(size=(400, 100)) / 10, "v": rng.normal(size=400) / 20}
    x = rng.normal(size=(100, 200))

    def cost(p):
        return np.mean(p["v"] @ np.maximum(p["W"] @ x, 0))

    h = theta["W"] @ x
    gradient = {
        "W": (theta["v"][:, None] * (h > 0)) @ x.T / 200,
        "v": np.maximum(h, 0).mean(axis=1),
    }
    report = check_gradients(cost, gradient, theta, seed=seed)
    assert report.verdict == "agree"
    assert report.resolution < 1e-4
    gradient["W"][3, 4] *= 2
    assert labels(check_gradients(cost, gradient, theta, seed=seed)) == {"W[3, 4]"}


# -- the options mean what they mean below ---------------------------------------------------------


def unused(network):
    """A func of two blocks more that it does not read, and its gradient."""
    params = network.params | {"unused": np.ones((5, 3))}
    return params, network.gradient(params) | {"unused": np.zeros((5, 3))}


def test_a_block_that_was_not_checked_warns_where_it_is_asked_to(network):
    params, gradient = unused(network)
    with pytest.warns(GradcheckWarning, match=r"^gradcheck of .*: nothing was checked of unused$"):
        report = check_gradients(network.cost, gradient, params, vacuous="warn")
    assert (report.verdict, report.ok, report.vacuous) == ("agree", True, ("unused",))
    # That it can't be told whether the others are right is no excuse.
    report = check_gradients(network.cost, gradient, params, inconclusive="pass", vacuous="fail")
    assert (report.verdict, report.ok) == ("inconclusive", False)


def test_a_gradient_of_nothing_is_for_vacuous_to_pass():
    theta = np.ones(5000)

    def constant(p):
        return 3.0

    report = check_gradients(constant, np.zeros(5000), theta, inconclusive="pass")
    assert (report.verdict, report.ok) == ("inconclusive", False)
    report = check_gradients(constant, np.zeros(5000), theta, vacuous="pass")
    assert report.ok
    assert report.reasons == ("nothing was checked: the gradient is zero in every parameter",)


def test_the_rtol_that_was_applied_is_stated(network):
    assert check(network).rtol_used == 1e-7
    narrow = {name: g.astype(np.float32) for name, g in network.gradient(network.params).items()}
    report = check(network, narrow)
    assert report.rtol_used == pytest.approx((2.0**-23) ** (2 / 3), rel=1e-12)
    few = check_gradients(network.cost, narrow, network.params, only="b1")
    assert few.directions == 0
    assert few.rtol_used == report.rtol_used
    assert check(network, rtol=1e-4).rtol_used == 1e-4


def test_a_block_with_entries_that_are_not_finite_says_so(network):
    gradient = network.gradient(network.params)
    gradient["W1"][3, 4] = gradient["W1"][5, 6] = np.nan
    gradient["b2"][:] = np.inf
    blocks = {block.name: block for block in check(network, gradient).blocks}
    few = {"W1": np.ones((4, 3)), "b2": np.ones((2, 1))}
    bad = {"W1": few["W1"].copy(), "b2": np.full((2, 1), np.inf)}
    bad["W1"].flat[:2] = np.nan
    below = check_gradients(lambda p: float(sum(x.sum() for x in p.values())), bad, few)
    for block in below.blocks:
        assert blocks[block.name].code == block.code == "not-finite"
    assert blocks["b2"].hint == below.blocks[1].hint == "analytic is NaN or infinite in every entry"
    assert below.blocks[0].hint == "analytic is NaN or infinite in 2 of 12"
    assert blocks["W1"].hint == f"analytic is NaN or infinite in 2 of {blocks['W1'].size}"
    assert "what it looks like" in check(network, gradient).message()


def test_a_gradient_whose_squares_overflow_is_checked_as_any_other():
    theta = np.linspace(0.5, 1.5, 5000)
    right = 1e200 * np.cos(theta)

    def huge(t):
        return 1e200 * float(np.sum(np.sin(t)))

    report = check_gradients(huge, right, theta)
    small = check_gradients(lambda t: float(np.sum(np.sin(t))), np.cos(theta), theta)
    assert report.verdict == small.verdict == "agree"
    assert report.resolution == pytest.approx(small.resolution, rel=0.5)
    assert report.difference < 1e-8


def hinges(n=6000, at=(17,)):
    """Σ max(θ, 0) at a point of which some entries are on the kink; its gradient, ½ there."""
    theta = np.random.default_rng(0).uniform(0.5, 1.5, n) * np.where(np.arange(n) % 2, 1, -1)
    theta[list(at)] = 0.0
    gradient = np.where(theta > 0, 1.0, 0.0)
    gradient[list(at)] = 0.5
    return lambda x: float(np.sum(np.maximum(x, 0.0))), gradient, theta


@pytest.mark.parametrize("slope", [0.5, 0.3])
def test_a_kink_fails_a_check_along_directions_where_it_is_to(slope):
    """One in 6,000, also where differences agree with the analytic value: ½."""
    func, gradient, theta = hinges()
    gradient[17] = slope
    passing = check_gradients(func, gradient, theta, inconclusive="pass")
    assert (passing.ok, passing.directions > 0) == (True, True)
    report = check_gradients(func, gradient, theta, kinks="fail", inconclusive="pass")
    assert (report.verdict, report.ok) == ("inconclusive", False)
    assert report.message().startswith(
        'func is not differentiable here along a random direction, and kinks="fail"; pass a larger '
        "max_evals to name the parameter\n"
    )
    # Which says the same, and names it.
    named = check_gradients(func, gradient, theta, kinks="fail", max_evals=20_000)
    assert (named.verdict, named.kinks, labels(named)) == ("inconclusive", 1, {"params[17]"})


@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_func_has_no_kink_along_directions(seed):
    """Nor has one whose kinks are beside θ; a few evaluations tell."""
    report = check(Network(seed), kinks="fail", seed=seed)
    assert (report.verdict, report.ok) == ("agree", True)
    assert report.evaluations <= 60
    func, gradient, theta = hinges(at=())
    report = check_gradients(func, gradient, theta, kinks="fail", seed=seed)
    assert (report.verdict, report.ok) == ("agree", True)


@pytest.mark.parametrize("size", [1e150, 1e200, 1e300])
@pytest.mark.parametrize("one", [True, False])
def test_an_error_whose_square_no_float_holds_is_located(size, one):
    theta = np.random.default_rng(7).normal(size=5000)
    gradient = np.cos(theta)
    if one:
        gradient[123] = size
    else:
        gradient *= size
    with np.errstate(over="raise", invalid="raise"):
        report = check_gradients(lambda t: np.sin(t).sum(), gradient, theta)
    assert report.verdict == "disagree"
    assert report.evaluations < 100
    assert report.wrong == (1 if one else 5000)
    if one:
        assert [entry.label for entry in report.worst] == ["params[123]"]


# Many blocks


def of_many_blocks(count, each, spoil=lambda d: d):
    """Return func, gradient and parameters of `count` blocks of `each` entries and an empty one."""
    rng = np.random.default_rng(8)
    slope, theta = rng.normal(size=count * each), rng.normal(size=count * each)
    ends = np.arange(0, count * each, each)[1:]

    def whole(params):
        return np.concatenate([params[f"p{k}"] for k in range(count)])

    def func(params):
        return float(np.tanh(slope * whole(params)).sum())

    def grad(params):
        d = spoil(slope * (1 - np.tanh(slope * whole(params)) ** 2))
        parts = {f"p{k}": part for k, part in enumerate(np.split(d, ends))}
        return {"none": np.empty(0), **parts}

    parts = {f"p{k}": part for k, part in enumerate(np.split(theta, ends))}
    return func, grad, {"none": np.empty(0), **parts}


def test_of_many_blocks_the_wrong_entries_are_named():
    func, grad, params = of_many_blocks(300, 9)
    right = check_gradients(func, grad, params)
    assert right.ok
    assert right.evaluations <= 30

    def spoil(d):
        d[[9 * 123 + 4, 9 * 277]] *= [1.001, 1.002]
        return d

    report = check_gradients(*of_many_blocks(300, 9, spoil))
    assert {entry.label for entry in report.worst} == {"p123[4]", "p277[0]"}
    doubled = check_gradients(*of_many_blocks(300, 9, lambda d: 2 * d))
    assert doubled.wrong == 2700


def half_of(count, factors):
    """Return what multiplies every other one of `count` blocks of 20 by a factor of its own."""

    def spoil(d):
        d.reshape(count, 20)[1::2] *= factors(count // 2)[:, None]
        return d

    return spoil


def test_one_factor_of_many_blocks_is_told_once_and_asked_for_once():
    report = check_gradients(*of_many_blocks(200, 20, half_of(200, lambda k: np.full(k, 2.0))))
    (told,) = report.diagnoses
    assert told.sentence == "analytic = 2 x numeric, everywhere, in p1, p3, p5, p7 and 96 more"
    assert report.wrong == 2000
    assert report.evaluations <= 200 * 6 + 100  # three directions of each, and those that part


def test_each_of_many_blocks_with_a_factor_of_its_own_is_explained():
    factors = half_of(150, lambda k: 2 + np.arange(k) / 10)
    report = check_gradients(*of_many_blocks(150, 20, factors))
    told = {one.blocks: one.sentence for one in report.diagnoses}
    assert len(told) == 75
    assert told["p3",] == "analytic = 21/10 x numeric, everywhere"
    assert told["p149",] == "analytic = 47/5 x numeric, everywhere"


def test_of_blocks_that_were_not_looked_at_it_is_not_said_that_they_agree():
    func, grad, params = of_many_blocks(300, 20, half_of(300, lambda k: np.full(k, 2.0)))
    report = check_gradients(func, grad, params, max_evals=600)
    assert report.diagnoses[0].sentence.startswith("analytic = 2 x numeric, everywhere, in p")
    assert report.reasons == ("max_evals reached before all that is wrong was found",)
    wrong = {f"p{k}" for k in range(1, 300, 2)}
    assert wrong.isdisjoint(block.name for block in report.blocks if block.verdict == "agree")
    assert {block.verdict for block in report.blocks} == {"agree", "disagree", "inconclusive"}


def test_a_block_that_func_does_not_read_is_no_multiple_of_nothing():
    # Beside it another is wrong, so that no pattern of all blocks is the one.
    params = {"W": np.linspace(0.1, 1.0, 600).reshape(20, 30), "b": np.linspace(0.5, 1.5, 20)}

    def grad(p):
        gradient = {"W": 3 * p["W"] ** 2, "b": np.cos(p["b"])}
        gradient["W"][:, 5] *= 1.01
        return gradient

    report = check_gradients(lambda p: np.sum(p["W"] ** 3), grad, params, max_evals=1000)
    told = {one.blocks: one.sentence for one in report.diagnoses}
    assert told["b",] == "numeric is zero where analytic is not"
    assert told["W",] == "analytic = 1.01 x numeric in [:, 5] alone"


def test_what_is_wrong_by_no_pattern_is_looked_for_to_an_end():
    def spoil(d):
        d += np.random.default_rng(0).normal(size=d.size)
        return d

    report = check_gradients(*of_many_blocks(400, 20, spoil))
    assert report.patterns[-1] == "more is wrong than was found within the evaluations allowed"
    assert report.evaluations < 2 * 2000 + 100


def screen_of(func, grad, params):
    """Return a screen of which nothing is measured yet."""
    options = Options()
    problem = prepare(Call(func), params, options)
    return Screen(problem, evaluate_gradient(grad, problem, options).vector, 5, Noise(0, 0, ""))


@pytest.mark.parametrize("shapes", [[(3, 4)] * 70, [(3, 3), (5,)] * 40, [(2, 3), (4,), (3, 3)]])
def test_patterns_are_sums_of_weights_over_their_entries(shapes):
    rng = np.random.default_rng(3)
    params = {f"p{k}": rng.normal(size=shape) for k, shape in enumerate(shapes)}
    screen = screen_of(lambda p: 0.0, lambda p: {k: np.cos(v) for k, v in p.items()}, params)
    blocks = {block.name: block for block in screen.problem.blocks}
    made = {}
    for family in patterns(screen, 2, screen.problem.blocks):
        for k, row in enumerate(family.columns):
            one = family.pattern(k)
            made[one.code, one.names, one.place] = row[1]
            assert _along(screen, one, 1) == pytest.approx(row[1], abs=1e-12)

    def total(name, values):
        weights = screen.shift(1)[blocks[name].window].reshape(values.shape)
        return pytest.approx(float((weights * values).sum()), abs=1e-12)

    for name, theta in params.items():
        own = np.cos(theta)
        assert made["factor", (name,), None] == total(name, own)
        assert made["theta", (name,), None] == total(name, theta)
        assert made["sign-theta", (name,), None] == total(name, np.sign(theta))
        assert made["constant", (name,), None] == total(name, np.ones_like(theta))
        for axis in range(theta.ndim) if theta.ndim > 1 else ():
            for place in range(theta.shape[axis]):
                inside = np.zeros_like(theta)
                np.moveaxis(inside, axis, 0)[place] = 1.0
                assert made["slice", (name,), (axis, place)] == total(name, own * inside)
    names = tuple(params)
    for last in range(2, len(names) + 1):
        singles = sum(made["factor", (name,), None] for name in names[:last])
        assert made["factor", names[:last], None] == pytest.approx(singles, abs=1e-12)


def test_of_many_blocks_no_weights_are_drawn_for_each(monkeypatch):
    drawn = []
    make = directional_residuals.generator
    monkeypatch.setattr(
        directional_residuals, "generator", lambda *a, **k: drawn.append(a) or make(*a, **k)
    )

    def spoil(d):
        d[18:27] *= 2
        return d

    report = check_gradients(*of_many_blocks(300, 9, spoil))
    assert report.diagnoses[0].sentence == "analytic = 2 x numeric, everywhere"
    assert len(drawn) < 100  # for each of 300 blocks and 4 directions: 1,200


def test_a_part_of_blocks_has_their_coordinates_and_no_others():
    func, grad, params = of_many_blocks(90, 7)
    blocks = [b for b in screen_of(func, grad, params).problem.blocks if b.size]
    some = Subset((*blocks[2:4], blocks[6]))
    inside = [*range(14, 28), *range(42, 49)]
    assert [i for i in range(630) if some.has(i)] == inside
    whole = some.as_one()
    assert [i for i in range(630) if whole.has(i)] == inside
    few = Subset(blocks[3:4], np.array([1, 5]))
    assert few.as_one() is few
    assert [i for i in range(630) if few.has(i)] == [22, 26]


def test_what_the_evaluations_did_not_suffice_for_is_said():
    rng = np.random.default_rng(0)
    params = [rng.normal(size=20) for _ in range(300)]
    gradient = [np.cos(part) for part in params]
    for part in gradient[::10]:
        part[:4] *= [1.5, 1.6, 1.7, 1.8]
    report = check_gradients(lambda p: np.sum(np.sin(np.concatenate(p))), gradient, params)
    assert report.patterns[-1] == "more is wrong than was found within the evaluations allowed"
    assert not report.diagnoses


def of_growing_blocks(wrong=1.0):
    """Return func, gradient and parameters of 500 blocks, of gradients over seven decades.

    Every fifth is not used. One whose gradient is small is `wrong` by a factor.
    """
    sizes = np.logspace(-5, 2, 500)
    sizes[::5] = 0.0
    rng = np.random.default_rng(11)
    params = {f"p{k}": rng.uniform(0.5, 2.0, size=6) for k in range(500)}

    def func(p):
        return sum(size * float(np.cosh(p[f"p{k}"]).sum()) for k, size in enumerate(sizes) if size)

    def grad(p):
        d = {f"p{k}": size * np.sinh(p[f"p{k}"]) for k, size in enumerate(sizes)}
        return {**d, "p11": wrong * d["p11"]}

    return func, grad, params


def test_blocks_with_small_gradients_share_a_direction():
    right = check_gradients(*of_growing_blocks(), vacuous="pass")
    assert (right.verdict, right.ok) == ("agree", True)
    assert right.vacuous == tuple(f"p{k}" for k in range(0, 500, 5))
    assert right.evaluations <= 40  # each by itself: 526
    assert right.resolution <= 0.01
    for factor in (0.5, 0.97, 1.02):
        report = check_gradients(*of_growing_blocks(factor), vacuous="pass")
        assert report.verdict == "disagree"
        assert "p11" in report.message()


def test_directions_over_many_blocks_have_the_weights_that_single_entries_have():
    screen = screen_of(*of_many_blocks(90, 7))
    problem = screen.problem
    direction = screen.shift(3)
    assert np.unique(np.abs(direction)).size == 630
    block = problem.blocks[41]
    alone = screen.shift(3, Subset((block,)))
    assert np.array_equal(alone[block.window], direction[block.window])
    assert [screen.weight(3, block, i) for i in range(7)] == direction[block.window].tolist()
    some = screen.shift(3, Subset(problem.blocks[11:14]))
    first, last = problem.blocks[11].start, problem.blocks[13].stop
    assert np.array_equal(some[first:last], direction[first:last])
    assert not some[:first].any()
    assert not some[last:].any()
    sizes = screen.sizes()
    assert sizes[41] == pytest.approx(screen.size(block), rel=1e-12)
