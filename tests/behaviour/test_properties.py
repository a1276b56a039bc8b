"""What holds for every check: invariances, and error bars that cover the true error."""

import math

import numpy as np
import pytest
from amounts import examples, long
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytest_gradcheck import check_gradients, numerical_gradient, numerical_gradient_with_error

COVERED = 0.99
"""Part of the points at which the true derivative is inside the error bar."""

COVERED_TWICE = 1.0
"""The same for twice the error bar; a verdict counts it 1.5 times."""

quick = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.too_slow],
)


class Network:
    """A small network with named blocks; `J·unit` of parameters in other units."""

    def __init__(self, seed, unit=1.0, scale=1.0):
        rng = np.random.default_rng(seed)
        self.x, self.y = rng.normal(size=(3, 6)), rng.normal(size=(2, 6))
        self.unit, self.scale = unit, scale
        start = {
            "W1": rng.normal(size=(4, 3)),
            "b1": rng.normal(size=(4, 1)),
            "W2": rng.normal(size=(2, 4)),
            "b2": rng.normal(size=(2, 1)),
        }
        self.params = {name: value * scale for name, value in start.items()}

    def cost(self, params):
        p = {name: value / self.scale for name, value in params.items()}
        hidden = np.tanh(p["W1"] @ self.x + p["b1"])
        out = p["W2"] @ hidden + p["b2"] - self.y
        return self.unit * float(np.sum(out**2)) / 12

    def slope(self, params):
        p = {name: value / self.scale for name, value in params.items()}
        hidden = np.tanh(p["W1"] @ self.x + p["b1"])
        out = (p["W2"] @ hidden + p["b2"] - self.y) / 6
        back = (p["W2"].T @ out) * (1 - hidden**2)
        found = {"W1": back @ self.x.T, "b1": back.sum(1), "W2": out @ hidden.T, "b2": out.sum(1)}
        factor = self.unit / self.scale
        return {name: factor * found[name].reshape(p[name].shape) for name in p}


MISTAKES = {
    "none": lambda grads: grads,
    "one entry by a thousandth": lambda grads: spoiled(grads, 1.001),
    "one entry by 1e-5": lambda grads: spoiled(grads, 1 + 1e-5),
    "one entry's sign": lambda grads: spoiled(grads, -1),
    "a block doubled": lambda grads: {**grads, "b1": 2 * grads["b1"]},
    "a block zero": lambda grads: {**grads, "W2": 0 * grads["W2"]},
}


def spoiled(grads, factor):
    wrong = {name: value.copy() for name, value in grads.items()}
    wrong["W1"][2, 1] *= factor
    return wrong


def judged(func, grads, params, **options):
    """Return the verdict and the labels of what is wrong."""
    report = check_gradients(func, grads, params, **options)
    labels = {entry.label for entry in report.worst if entry.verdict == "disagree"}
    return report.verdict, labels, report.open


powers = st.integers(-40, 40).map(lambda k: 2.0**k)
units = st.floats(-12, 12).map(lambda k: 10.0**k)


@quick
@given(seed=st.integers(0, 999), unit=powers | units, mistake=st.sampled_from(sorted(MISTAKES)))
def test_rescaling_J_changes_no_verdict(seed, unit, mistake):
    one, other = Network(seed), Network(seed, unit=unit)
    expected = judged(one.cost, MISTAKES[mistake](one.slope(one.params)), one.params)
    found = judged(other.cost, MISTAKES[mistake](other.slope(other.params)), other.params)
    assert found == expected
    assert (expected[0] == "agree") == (mistake == "none")


@quick
@given(seed=st.integers(0, 999), scale=powers | units, mistake=st.sampled_from(sorted(MISTAKES)))
def test_rescaling_all_parameters_changes_no_verdict(seed, scale, mistake):
    one, other = Network(seed), Network(seed, scale=scale)
    expected = judged(one.cost, MISTAKES[mistake](one.slope(one.params)), one.params)
    found = judged(other.cost, MISTAKES[mistake](other.slope(other.params)), other.params)
    assert found == expected


@quick
@given(
    seed=st.integers(0, 999),
    order=st.permutations(["W1", "b1", "W2", "b2"]),
    names=st.lists(st.text(min_size=1, max_size=8), min_size=4, max_size=4, unique=True),
    mistake=st.sampled_from(sorted(MISTAKES)),
)
def test_permuting_and_renaming_blocks_changes_no_verdict(seed, order, names, mistake):
    network = Network(seed)
    new = dict(zip(order, names, strict=True))
    old = {value: key for key, value in new.items()}
    grads = MISTAKES[mistake](network.slope(network.params))
    expected = judged(network.cost, grads, network.params)
    report = check_gradients(
        lambda p: network.cost({old[name]: value for name, value in p.items()}),
        {new[name]: grads[name] for name in sorted(order)},
        {new[name]: network.params[name] for name in order},
    )
    assert report.verdict == expected[0]
    wrong = {(entry.block, entry.index) for entry in report.worst if entry.verdict == "disagree"}
    known = [b.name for b in report.blocks]  # in the order of params
    assert {(order[known.index(block)], index) for block, index in wrong} == {
        (label.split("[")[0], tuple(map(int, label.split("[")[1][:-1].split(", "))))
        for label in expected[1]
    }


@quick
@given(seed=st.integers(0, 999), mistake=st.sampled_from(sorted(MISTAKES)))
def test_a_structure_of_another_kind_changes_no_verdict(seed, mistake):
    """The same numbers as one vector, as a list of arrays, and in Fortran order."""
    network = Network(seed)
    grads = MISTAKES[mistake](network.slope(network.params))
    shapes = {name: value.shape for name, value in network.params.items()}
    cuts = np.cumsum([value.size for value in network.params.values()])[:-1]

    def unpacked(vector):
        parts = zip(shapes.items(), np.split(vector, cuts), strict=True)
        return {name: part.reshape(shape) for (name, shape), part in parts}

    def packed(blocks):
        return np.concatenate([blocks[name].ravel() for name in shapes])

    expected = judged(network.cost, grads, network.params)[0]
    vector = check_gradients(
        lambda v: network.cost(unpacked(v)), packed(grads), packed(network.params)
    )
    listed = check_gradients(
        lambda p: network.cost(dict(zip(shapes, p, strict=True))),
        list(grads.values()),
        list(network.params.values()),
    )
    fortran = check_gradients(
        network.cost, grads, {name: np.asfortranarray(v) for name, v in network.params.items()}
    )
    assert {vector.verdict, listed.verdict, fortran.verdict} == {expected}


@quick
@given(
    seed=st.integers(0, 99),
    mistake=st.sampled_from(sorted(MISTAKES)),
    options=st.fixed_dictionaries(
        {},
        optional={
            "rtol": st.sampled_from([1e-3, 1e-6]),
            "scheme": st.sampled_from(["central", "central6", "forward"]),
            "max_evals": st.sampled_from([30, 60, 200]),
            "eps": st.sampled_from([1e-4, 1e-6]),
            "seed": st.integers(0, 5),
        },
    ),
)
def test_the_same_seed_gives_the_same_report_to_the_last_bit(seed, mistake, options):
    network = Network(seed)
    grads = MISTAKES[mistake](network.slope(network.params))

    def run():
        plain = check_gradients(network.cost, grads, network.params, **options).to_dict()
        plain.pop("seconds")
        return repr(plain)

    np.random.seed(7)
    first = run()
    np.random.seed(8)
    assert run() == first


@quick
@given(seed=st.integers(0, 10_000))
def test_another_seed_changes_no_verdict_on_a_full_check(seed):
    network = Network(0)
    right = network.slope(network.params)
    assert judged(network.cost, right, network.params, seed=seed) == ("agree", set(), 0)
    wrong = check_gradients(network.cost, spoiled(right, 1 + 1e-5), network.params, seed=seed)
    assert [entry.label for entry in wrong.worst] == ["W1[2, 1]"]


# -- error bars ---------------------------------------------------------------------------------

FUNCTIONS = {
    "sin": (math.sin, math.cos, (-10, 10)),
    "exp": (math.exp, math.exp, (-20, 20)),
    "log": (math.log, lambda x: 1 / x, (1e-6, 50)),
    "sqrt": (math.sqrt, lambda x: 0.5 / math.sqrt(x), (1e-6, 50)),
    "tanh": (math.tanh, lambda x: 1 / math.cosh(x) ** 2, (-5, 5)),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2, (0.01, 10)),
    "cubic": (lambda x: x**3 - 2 * x, lambda x: 3 * x**2 - 2, (-10, 10)),
    "runge": (lambda x: 1 / (1 + 25 * x * x), lambda x: -50 * x / (1 + 25 * x * x) ** 2, (-2, 2)),
    "sin(50x)": (lambda x: math.sin(50 * x), lambda x: 50 * math.cos(50 * x), (-2, 2)),
    "sin(1e3x)": (lambda x: math.sin(1e3 * x), lambda x: 1e3 * math.cos(1e3 * x), (-2, 2)),
    "gaussian": (lambda x: math.exp(-x * x), lambda x: -2 * x * math.exp(-x * x), (-4, 4)),
    "offset 1e6": (lambda x: 1e6 + math.sin(x), math.cos, (-3, 3)),
    "x sin(1/x)": (
        lambda x: x * math.sin(1 / x),
        lambda x: math.sin(1 / x) - math.cos(1 / x) / x,
        (0.02, 2),
    ),
    "softplus": (
        lambda x: math.log1p(math.exp(x)),
        lambda x: 1 / (1 + math.exp(-x)),
        (-20, 20),
    ),
    "float32 sin": (lambda x: float(np.float32(math.sin(x))), math.cos, (-3, 3)),
    "rounded": (lambda x: round(math.sin(x), 9), math.cos, (-3, 3)),
    "ripple": (
        lambda x: x * x + 1e-4 * math.sin(1e3 * x),
        lambda x: 2 * x + 0.1 * math.cos(1e3 * x),
        (0.1, 3),
    ),
}

POINTS = 30


def samples(name):
    low, high = FUNCTIONS[name][2]
    rng = np.random.default_rng(sorted(FUNCTIONS).index(name))
    return rng.uniform(low, high, POINTS).tolist()


def coverage():
    """Return the true errors over the error bars at all points."""
    ratios = []
    for name, (func, slope, _) in FUNCTIONS.items():
        for x in samples(name):
            value, error = numerical_gradient_with_error(func, x)
            exact = slope(x)
            # What the exact derivative itself is rounded by is no error of ours.
            ratios.append(max(abs(value - exact) - 4e-16 * abs(exact), 0.0) / error)
    return np.array(ratios)


def test_error_bars_cover_the_true_error():
    ratios = coverage()
    assert ratios.size == POINTS * len(FUNCTIONS) > 500
    assert np.mean(ratios <= 1) >= COVERED
    assert np.mean(ratios <= 2) >= COVERED_TWICE
    # And they are no excuse: an error bar that is far too large says nothing.
    assert np.median(ratios) > 1e-3


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"float32 sin", "rounded", "offset 1e6"}))
def test_smooth_functions_are_known_to_ten_digits_of_what_is_possible(name):
    func, slope, _ = FUNCTIONS[name]
    relative = []
    for x in samples(name):
        _, error = numerical_gradient_with_error(func, x)
        # Relative to the largest slope there, because slopes vanish.
        relative.append(error / max(abs(slope(x)), abs(func(x)) / max(abs(x), 1e-3), 1e-300))
    assert np.median(relative) < 1e-8


@pytest.mark.parametrize("part", [slice(8), long(slice(8, None))], ids=["some", "more"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_right_gradient_is_accused_and_errors_above_the_bar_are_found(name, part):
    func, slope, _ = FUNCTIONS[name]
    accused, passed = [], []
    for x in samples(name)[part]:
        exact = slope(x)
        right = check_gradients(func, exact, x)
        if right.verdict == "disagree":
            accused.append(x)
        worst = right.worst[0]
        off = max(1e-2 * abs(exact), 10 * worst.error_bar)
        assume_finite = math.isfinite(off) and off > 0
        if assume_finite and check_gradients(func, exact + off, x).verdict == "agree":
            passed.append(x)
    assert accused == []
    assert passed == []


@quick
@given(
    x=st.floats(-3, 3),
    coefficients=st.lists(st.floats(-5, 5), min_size=2, max_size=6),
    off=st.sampled_from([0.0, 1e-3, -0.5, 2.0]),
)
def test_polynomials(x, coefficients, off):
    """Right: never accused.  Wrong by much: never passed.  Wherever their roots and terms lie."""
    poly = np.polynomial.Polynomial(coefficients)
    exact = float(poly.deriv()(x))
    size = float(sum(abs(k * c * x ** (k - 1)) for k, c in enumerate(coefficients) if k))
    assume(size > 1e-6)
    verdict = check_gradients(lambda t: float(poly(t)), exact + off * size, x).verdict
    assert verdict != ("disagree" if off == 0 else "agree")


@quick
@given(theta=st.lists(st.floats(-100, 100), min_size=1, max_size=6), weight=st.floats(0.1, 10))
def test_numerical_gradient_of_a_quadratic(theta, weight):
    theta = np.array(theta)
    assume(np.all((theta == 0) | (np.abs(theta) > 1e-140)))  # or θ² is no number
    value, error = numerical_gradient_with_error(lambda t: weight * float(t @ t), theta)
    assert np.all(np.abs(value - 2 * weight * theta) <= error + 1e-300)
    plain = numerical_gradient(lambda t: weight * float(t @ t), theta)
    # The smallest step is 2 * 1e-3 * (1e-16)**(1/3) = 1e-8, so three times the rounding of J is
    # 3 * 1.1e-16 * J / (1.4 * 1e-8) = 2.4e-8 * J, and J is at most 600 * weight * largest.
    largest = weight * (np.max(np.abs(theta)) + 1e-3)
    np.testing.assert_allclose(plain, 2 * weight * theta, atol=2e-5 * largest, rtol=1e-6)
