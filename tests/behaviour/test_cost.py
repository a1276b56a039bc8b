"""How many evaluations of func a check costs."""

import math
from itertools import count, pairwise
from typing import ClassVar

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, numerical_gradient
from pytest_gradcheck._evaluate import evaluator

ALLOWANCE = 20
"""A right, well-behaved gradient may cost 2N evaluations and so many more."""


def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Network:
    """Layers with one activation and a softmax, sigmoid or linear output; counts its forwards."""

    ACTIVATIONS: ClassVar = {
        "tanh": (np.tanh, lambda a: 1 - a**2),
        "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0) * 1.0),
        "sigmoid": (sigmoid, lambda a: a * (1 - a)),
    }

    def __init__(self, sizes, activation, output, samples, seed):
        rng = np.random.default_rng(seed)
        self.output = output
        self.activate, self.slope = self.ACTIVATIONS[activation]
        self.x = rng.normal(size=(sizes[0], samples))
        classes = rng.integers(sizes[-1], size=samples)
        self.y = (
            np.eye(sizes[-1])[:, classes]
            if output == "softmax"
            else rng.random((sizes[-1], samples))
        )
        self.depth = len(sizes) - 1
        self.params = {}
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            self.params[f"W{i}"] = rng.normal(size=(fan_out, fan_in)) / np.sqrt(fan_in)
            self.params[f"b{i}"] = 0.1 * rng.normal(size=(fan_out, 1))
        self.calls = 0

    @property
    def size(self):
        return sum(value.size for value in self.params.values())

    def forward(self, params):
        a = [self.x]
        for i in range(1, self.depth + 1):
            z = params[f"W{i}"] @ a[-1] + params[f"b{i}"]
            last = {"softmax": softmax, "sigmoid": sigmoid, "linear": lambda z: z}[self.output]
            a.append(self.activate(z) if i < self.depth else last(z))
        return a

    def cost(self, params):
        self.calls += 1
        out, m = self.forward(params)[-1], self.x.shape[1]
        if self.output == "softmax":
            return float(-np.sum(self.y * np.log(out)) / m)
        if self.output == "sigmoid":
            return float(-np.sum(self.y * np.log(out) + (1 - self.y) * np.log(1 - out)) / m)
        return float(0.5 * np.sum((out - self.y) ** 2) / m)

    def backward(self, params):
        a, m = self.forward(params), self.x.shape[1]
        grads, dz = {}, (a[-1] - self.y) / m
        for i in range(self.depth, 0, -1):
            grads[f"W{i}"] = dz @ a[i - 1].T
            grads[f"b{i}"] = dz.sum(axis=1, keepdims=True)
            if i > 1:
                dz = (params[f"W{i}"].T @ dz) * self.slope(a[i - 1])
        return grads


SHAPES = [
    ("tanh", "sigmoid", (2, 1, 1)),  # N = 5
    ("tanh", "sigmoid", (3, 4, 1)),
    ("tanh", "softmax", (4, 8, 3)),
    ("tanh", "linear", (10, 20, 5)),
    ("tanh", "softmax", (20, 30, 10)),  # N = 940
    ("sigmoid", "softmax", (4, 8, 3)),
    ("sigmoid", "sigmoid", (10, 20, 5)),
    ("relu", "sigmoid", (4, 5, 3, 1)),
    ("relu", "softmax", (4, 8, 3)),
    ("relu", "linear", (10, 20, 5)),
    ("relu", "softmax", (20, 30, 10)),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("activation", "output", "sizes"), SHAPES)
def test_right_networks_pass_within_2N_and_twenty(activation, output, sizes, seed):
    network = Network(sizes, activation, output, samples=7, seed=seed)
    vacuous = "pass"  # a relu unit that is dead for all samples is none of this test's business
    report = check_gradients(network.cost, network.backward, network.params, vacuous=vacuous)
    assert report.verdict == "agree"
    assert report.evaluations == network.calls
    assert report.evaluations <= 2 * network.size + ALLOWANCE


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 2, 10, 300])
@pytest.mark.parametrize(
    ("func", "grad"),
    [
        (lambda t: float(t @ t), lambda t: 2 * t),
        (lambda t: float(np.sum(np.exp(t))), np.exp),
        (lambda t: float(np.sum(t)), np.ones_like),
        (lambda t: float(np.sum(np.sin(t) * t)), lambda t: np.sin(t) + t * np.cos(t)),
        (lambda t: float(np.log(np.sum(np.exp(t)))), softmax),
    ],
    ids=["square", "exp", "sum", "x sin x", "logsumexp"],
)
def test_right_plain_functions_pass_within_2N_and_twenty(func, grad, count, seed):
    theta = np.random.default_rng(seed).normal(size=count)
    report = check_gradients(func, grad, theta)
    assert report.verdict == "agree"
    assert report.evaluations <= 2 * count + ALLOWANCE


@pytest.mark.parametrize(("count", "more"), [(1, 5), (2, 5), (3, 5), (4, 10)])
def test_few_parameters_are_differenced_before_the_noise_is_measured(count, more):
    theta = np.random.default_rng(count).normal(size=count)
    report = check_gradients(lambda t: float(np.sum(np.exp(t))), np.exp, theta)
    assert report.verdict == "agree"
    assert report.evaluations == 2 * count + more


@pytest.mark.parametrize(
    "func",
    [
        lambda t: float(np.float32(np.exp(t).sum())),
        lambda t: round(float(np.exp(t).sum()), 9),
        lambda t: float(np.exp(t).sum()) + 1e-12 * math.sin(1e12 * float(t.sum())),
        lambda t: float(np.exp(t).sum()) + 1e9,
    ],
    ids=["float32", "decimals", "loud", "a large constant"],
)
def test_few_parameters_of_a_func_that_is_noisier_than_its_format(func):
    """What two values can't tell of the noise is measured before a verdict is reached."""
    theta = np.array([0.3, -0.4, 1.1])
    right = check_gradients(func, np.exp, theta)
    wrong = check_gradients(func, lambda t: np.exp(t) * [1, 1, 1.5], theta)
    assert (right.verdict, wrong.verdict) == ("agree", "disagree")
    assert wrong.wrong == 1


def test_two_values_beside_theta_see_what_the_steps_of_few_parameters_pass_over():
    """A ramp that is narrower than a step: differences across it agree with the wrong slope."""
    theta = np.array([0.5])

    def func(t):
        return float(2 * t[0] + 1e-6 * np.sin((t[0] - 0.5) * 1e6))

    report = check_gradients(func, lambda t: np.array([2.0]), theta)
    assert report.verdict != "agree"
    assert check_gradients(func, lambda t: np.array([3.0]), theta).verdict != "disagree"


class Counted:
    def __init__(self):
        self.calls = 0

    def __call__(self, theta):
        self.calls += 1
        return float(np.sum(theta**3))


POINTS = {"central": 2, "central4": 4, "central6": 6}
POINTS |= {"forward": 1, "backward": 1, "forward2": 2, "backward2": 2, "complex": 1}


@pytest.mark.parametrize(("tiny", "most"), [(3e-10, 88), (1e-10, 102)])
def test_noise_is_not_measured_once_more_where_it_can_not_be_lower(tiny, most):
    """Along small entries that agree: the noise of J is no more than its format implies."""
    c = np.array([1.0, tiny, 2.0, 1.5, tiny / 3, 1.0])
    report = check_gradients(
        lambda x: float(c @ np.exp(x)),
        lambda x: c * np.exp(x),
        np.array([0.4, -1.1, 0.8, 0.3, 0.7, 0.2]),
    )
    assert report.verdict == "agree"
    assert report.evaluations <= most


@pytest.mark.parametrize("wrong", [2.0, 0.0, -1.0])
@pytest.mark.parametrize("at", [-30.0, -29.0, -31.0])
def test_noise_is_measured_along_a_coarse_entry_where_it_may_be_lower(at, wrong):
    """An error shows there that the noise along the other entry hides."""

    def slopes(x):
        return np.exp(-x) / (1 + np.exp(-x)) ** 2

    report = check_gradients(
        lambda x: float(np.sum(1 / (1 + np.exp(-x)))),
        lambda x: slopes(x) * [wrong, 1],
        np.array([at, 4.5]),
    )
    assert report.verdict == "disagree"


@pytest.mark.parametrize("factor", [1.0, 1.5], ids=["right", "wrong"])
@pytest.mark.parametrize("count", [1, 7, 100])
@pytest.mark.parametrize("scheme", POINTS)
def test_a_given_step_costs_the_formula_and_two(scheme, count, factor):
    theta = np.linspace(0.5, 1.5, count)
    func = Counted()
    if scheme == "complex":
        report = check_gradients(
            lambda t: np.sum(t**3), lambda t: factor * 3 * t**2, theta, scheme=scheme, eps=1e-20
        )
        # And one real difference, for whether func is analytic.
        assert report.evaluations == count + 4
        return
    report = check_gradients(
        func, lambda t: factor * 3 * t**2, theta, eps=1e-6, scheme=scheme, rtol=1e-3
    )
    assert report.verdict == ("agree" if factor == 1 else "disagree")
    least = POINTS[scheme] * count + 2
    # Of what is wrong a few are asked at other steps: does this one tell?
    assert least <= report.evaluations == func.calls <= least + (factor > 1) * 120


def test_numerical_gradient_costs_2N_and_two_at_a_given_step():
    func = Counted()
    numerical_gradient(func, np.linspace(0.5, 1.5, 40), eps=1e-6)
    assert func.calls == 2 * 40 + 2


def test_numerical_gradient_costs_2N_and_twenty_at_most():
    func = Counted()
    numerical_gradient(func, np.linspace(0.5, 1.5, 40))
    assert func.calls <= 2 * 40 + ALLOWANCE


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scheme", ["central", "central6", "forward", "complex"])
@pytest.mark.parametrize("factor", [1.0, 1.5], ids=["right", "wrong"])
@pytest.mark.parametrize("most", [8, 9, 10, 11, 12, 15, 20, 50, 99, 120, 300])
def test_max_evals_is_never_exceeded(most, factor, scheme, dtype):
    theta = np.linspace(0.5, 1.5, 50, dtype=dtype)
    calls = [0]

    def func(t):
        calls[0] += 1
        return np.sum(t**3)

    report = check_gradients(
        func, lambda t: 3 * factor * t**2, theta, max_evals=most, scheme=scheme
    )
    assert calls[0] == report.evaluations <= most
    if report.checked < report.size:
        assert report.verdict != "agree"
        said = f"{report.checked:,} of {report.size:,} parameters were differenced"
        assert (said if report.checked else "max_evals reached") in report.message()
    assert (report.verdict == "agree") <= (factor == 1.0)


def test_max_evals_that_suffices_changes_nothing():
    theta = np.linspace(0.5, 1.5, 50)
    free = check_gradients(Counted(), lambda t: 3 * t**2, theta)
    bound = check_gradients(Counted(), lambda t: 3 * t**2, theta, max_evals=free.evaluations)
    assert (bound.verdict, bound.evaluations) == ("agree", free.evaluations)


def test_what_max_evals_affords_still_names_an_error():
    """Fewer evaluations than 2N, but enough to confirm what a sample of the entries shows."""
    theta = np.linspace(0.5, 1.5, 500)
    report = check_gradients(Counted(), lambda t: 4.5 * t**2, theta, max_evals=200)
    assert report.verdict == "disagree"
    assert report.wrong >= 1


def test_a_wrong_entry_costs_few_evaluations_more():
    theta = np.linspace(0.5, 1.5, 200)

    def grad(t):
        gradient = 3 * t**2
        gradient[17] *= 1.001
        return gradient

    report = check_gradients(Counted(), grad, theta)
    assert [entry.label for entry in report.worst] == ["params[17]"]
    assert report.evaluations <= 2 * 200 + ALLOWANCE + 36


@pytest.mark.parametrize("most", [None, 8, 12, 20, 40, 60])
@pytest.mark.parametrize("beyond", ["nan", "inf", "raise"])
def test_evaluations_are_counted_right_at_the_edge_of_a_domain(beyond, most):
    theta = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    calls = [0]

    def func(t):
        calls[0] += 1
        if t[0] > 0.5 + 1e-9:
            return 1 / 0 if beyond == "raise" else float(beyond)
        return float(np.sum(np.sqrt(t)))

    report = check_gradients(func, 0.5 / np.sqrt(theta), theta, max_evals=most)
    assert report.evaluations == calls[0] <= (most or 100)
    assert report.verdict == ("inconclusive" if most in (8, 12) else report.verdict) != "disagree"


# Gradients that are wrong

MANY = 700


def bowl(p):
    return float(np.sum(np.tanh(p * WAVES) ** 2 + 0.1 * p**3))


def d_bowl(p):
    t = np.tanh(p * WAVES)
    return 2 * t * (1 - t**2) * WAVES + 0.3 * p**2


WAVES = np.random.default_rng(3).uniform(0.5, 2.0, MANY)
POINT = np.random.default_rng(4).normal(size=MANY)

SPOILT = {
    "doubled": lambda g: 2 * g,
    "mirrored": lambda g: -g,
    "a thousandth": lambda g: g * 1.001,
    "rolled": lambda g: np.roll(g, 1),
    "zeros": lambda g: 0 * g,
    "a third": lambda g: np.where(np.arange(g.size) % 3, g, 0.0),
    "noise": lambda g: g + np.random.default_rng(5).normal(size=g.size),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_wrong_gradient_costs_little_more_than_a_right_one(name):
    report = check_gradients(bowl, lambda p: SPOILT[name](d_bowl(p)), POINT)
    wrong = SPOILT[name](d_bowl(POINT)) != d_bowl(POINT)
    assert report.wrong == np.count_nonzero(wrong)
    assert report.evaluations <= 2 * MANY + 250  # twelve are asked again, two steps far away


def test_a_few_of_each_block_tell_for_the_others():
    params = {f"p{k}": part for k, part in enumerate(np.split(POINT, 7))}

    def whole(p):
        return np.concatenate(list(p.values()))

    def grad(p):
        parts = np.split(d_bowl(whole(p)), 7)
        return {f"p{k}": d * (2 if k != 3 else 1) for k, d in enumerate(parts)}

    report = check_gradients(lambda p: bowl(whole(p)), grad, params)
    assert [block.wrong for block in report.blocks] == [100, 100, 100, 0, 100, 100, 100]
    assert report.evaluations <= 2 * MANY + 6 * 12 * 8  # two of them far away


def test_right_entries_on_kinks_are_not_accused_with_their_wrong_neighbours():
    point = POINT.copy()
    kinks = [5, 100, 101, 333, 699]
    point[kinks] = 0.0

    def func(p):
        return float(np.sum(np.abs(p) + np.sin(p)))

    def grad(p):
        right = np.sign(p) + np.cos(p)
        return np.where(p == 0, right, 1.5 * right)

    report = check_gradients(func, grad, point)
    accused = report.evidence.verdict == 1
    assert report.wrong == MANY - len(kinks)
    assert not accused[kinks].any()


def test_where_one_of_the_few_is_right_each_is_asked():
    # Ripples that the first step is too long for: there the gradient is right all the same.
    rough = np.arange(MANY) % 5 == 0

    def func(p):
        return float(np.sum(np.sin(p) + np.where(rough, 1e-5 * np.sin(1e5 * p), 0.0)))

    def grad(p):
        return 2 * np.cos(p) * ~rough + rough * (np.cos(p) + np.cos(1e5 * p))

    report = check_gradients(func, grad, POINT)
    accused = report.evidence.verdict == 1
    assert not accused[rough].any()
    assert accused[~rough].all()


DECADES = 10.0 ** (-12 * np.random.default_rng(6).uniform(size=MANY))
"""Slopes of which noise hides most of each other, as those of a boundary's far side are."""

OFF_BY_LITTLE = {
    "a millionth": lambda g: g * (1 + 1e-6 * np.random.default_rng(7).normal(size=MANY)),
    "3e-9 of the largest": lambda g: g + 3e-9 * np.random.default_rng(7).normal(size=MANY),
}


def far(p):
    return float(np.sum(DECADES * np.sin(p)))


def d_far(p):
    return DECADES * np.cos(p)


@pytest.mark.parametrize("name", [*SPOILT, *OFF_BY_LITTLE])
def test_what_noise_hides_of_a_wrong_gradient_is_not_told_apart_at_any_cost(name):
    spoil = {**SPOILT, **OFF_BY_LITTLE}[name]
    report = check_gradients(far, lambda p: spoil(d_far(p)), POINT)
    assert report.verdict == "disagree"
    assert report.evaluations <= 2.3 * (2 * MANY)
    right = np.isclose(spoil(d_far(POINT)), d_far(POINT), rtol=1e-7, atol=0)
    assert not (right & (report.evidence.verdict == 1)).any()


@pytest.mark.parametrize("name", OFF_BY_LITTLE)
def test_what_a_demanded_rtol_allows_is_not_told_apart(name):
    report = check_gradients(far, lambda p: OFF_BY_LITTLE[name](d_far(p)), POINT, rtol=3e-5)
    assert report.verdict == "agree"
    assert report.evaluations <= 1.5 * (2 * MANY)


def test_of_many_that_are_wrong_by_little_a_few_tell_for_those_wrong_by_more():
    report = check_gradients(bowl, lambda p: OFF_BY_LITTLE["a millionth"](d_bowl(p)), POINT)
    off = np.abs(np.random.default_rng(7).normal(size=MANY)) * 1e-6
    assert report.wrong > 500
    assert (report.evidence.verdict[off < 5e-8] == 0).all()
    assert report.evaluations <= 2.2 * (2 * MANY)


@pytest.fixture
def slow(monkeypatch):
    """Let func seem to take 5 ms."""
    ticks = count()
    monkeypatch.setattr(evaluator, "perf_counter", lambda: 0.005 * next(ticks))


@pytest.mark.parametrize("name", SPOILT)
@pytest.mark.usefixtures("slow")
def test_a_slow_func_is_looked_at_along_a_direction_first(name):
    report = check_gradients(bowl, lambda p: SPOILT[name](d_bowl(p)), POINT)
    assert report.verdict == "disagree"
    assert report.evaluations <= 180
    assert any("a direction was looked along first" in said for said in report.patterns)
    d, wrong = d_bowl(POINT), SPOILT[name](d_bowl(POINT))
    for entry in report.worst:
        assert wrong[entry.index] != d[entry.index]
        assert abs(entry.numeric - d[entry.index]) <= 1.5 * entry.error_bar


@pytest.mark.usefixtures("slow")
def test_what_a_look_ahead_says_of_a_gradient():
    doubled = check_gradients(bowl, lambda p: 2 * d_bowl(p), POINT)
    assert doubled.diagnoses[0].sentence == "analytic = 2 x numeric, everywhere"
    rolled = check_gradients(bowl, lambda p: np.roll(d_bowl(p), -1), POINT)
    assert rolled.diagnoses[0].code == "rolled"
    assert rolled.blocks[0].hint == "analytic = numeric rolled by -1 along axis 0"
    assert rolled.wrong == MANY
    one = d_bowl(POINT)
    one[321] *= 1.01
    assert [entry.label for entry in check_gradients(bowl, one, POINT).worst] == ["params[321]"]
    missing = d_bowl(POINT)
    missing[7] = np.nan
    assert check_gradients(bowl, missing, POINT).wrong == 1


@pytest.mark.usefixtures("slow")
def test_a_right_gradient_of_a_slow_func_is_differenced_parameter_by_parameter():
    right = check_gradients(bowl, d_bowl, POINT)
    assert right.ok
    assert right.directions == 0
    assert 2 * MANY < right.evaluations <= 2 * MANY + 25


@pytest.mark.usefixtures("slow")
def test_no_look_ahead_where_every_parameter_is_asked_for_or_it_would_not_last():
    def grad(p):
        return 2 * d_bowl(p)

    for options in ({"max_evals": 4 * MANY}, {"eps": 1e-6}, {"scheme": "forward"}):
        assert check_gradients(bowl, grad, POINT, **options).directions == 0
    few = POINT[:90]
    report = check_gradients(lambda p: np.sum(p**4), lambda p: 8 * p**3, few)
    assert (report.directions, report.wrong) == (0, 90)


@pytest.mark.usefixtures("slow")
def test_kinks_along_a_direction_are_no_error():
    report = check_gradients(
        lambda p: float(np.abs(p @ MIXED).sum()), lambda p: MIXED @ np.sign(p @ MIXED), POINT
    )
    assert report.verdict == "agree"


MIXED = np.random.default_rng(6).normal(size=(MANY, 30))


def test_a_gradient_that_agrees_at_once_is_called_twice():
    calls = []

    def grad(p):
        calls.append(p)
        return d_bowl(p)

    few = np.ones(MANY)
    assert check_gradients(bowl, grad, few).ok
    assert len(calls) == 2
