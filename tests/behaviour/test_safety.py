"""Whatever func and grad do, the user's arrays are bit for bit what they were."""

import math
import threading
import warnings

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, numerical_gradient, numerical_gradient_with_error

START = np.array([1.5, -2.25, 3.125, 0.75])

MANY = 9 + 2 * START.size
"""Evaluations of a right check: beyond this one nothing happens any more."""


def square(theta):
    return float(theta @ theta)


def twice(theta):
    return 2 * theta


class Misbehaving:
    """½‖θ‖²·2 that does something else in one evaluation; remembers how often it was called."""

    def __init__(self, evaluation, act):
        self.evaluation, self.act, self.calls = evaluation, act, 0

    def __call__(self, theta):
        self.calls += 1
        if self.calls == self.evaluation:
            return self.act(theta)
        return square(theta)


def raising(error):
    def act(theta):
        theta[1] = 99.0  # halfway
        raise error

    return act


@pytest.fixture(params=[False, True], ids=["copy", "in_place"])
def check(request):
    """Check with params given, or in place; afterwards the arrays must be untouched."""
    theta = START.copy()

    def run(func, grad=twice, **options):
        if request.param:
            return check_gradients(
                lambda: func(theta), lambda: grad(theta), theta, in_place=True, **options
            )
        return check_gradients(func, grad, theta, **options)

    yield run
    assert theta.tobytes() == START.tobytes()


@pytest.mark.parametrize("evaluation", range(1, MANY + 1))
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, TypeError, OSError])
def test_an_exception_in_any_evaluation(check, evaluation, error):
    func = Misbehaving(evaluation, raising(error("halfway")))
    with pytest.raises(error, match="halfway") as caught:
        check(func)
    assert func.calls == evaluation
    notes = getattr(caught.value, "__notes__", [])
    if evaluation > 2 and issubclass(error, Exception):
        assert len(notes) == 1
        assert notes[0].endswith("; the parameters are as they were")
        assert f"in evaluation {evaluation};" in notes[0]


@pytest.mark.parametrize("evaluation", range(1, 12))
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_any_evaluation_of_few_parameters(evaluation, error):
    """Whose gradient is looked at before the noise is measured."""
    theta = START[:3].copy()
    func = Misbehaving(evaluation, raising(error("halfway")))
    with pytest.raises(error, match="halfway"):
        check_gradients(func, twice, theta)
    assert func.calls == evaluation
    assert theta.tobytes() == START[:3].tobytes()


def test_the_note_names_the_parameter():
    func = Misbehaving(10, raising(RuntimeError("halfway")))
    with pytest.raises(RuntimeError) as caught:
        check_gradients(func, twice, START.copy())
    assert caught.value.__notes__ == [
        "gradcheck: raised by func with params[0] perturbed, in evaluation 10; the parameters are "
        "as they were"
    ]


@pytest.mark.parametrize("function", [numerical_gradient, numerical_gradient_with_error])
@pytest.mark.parametrize("evaluation", [1, 2, 7, 13])
def test_numerical_gradient_restores_too(function, evaluation):
    theta = START.copy()
    func = Misbehaving(evaluation, raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        function(lambda: func(theta), theta, in_place=True)
    assert theta.tobytes() == START.tobytes()


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (np.ones(3), ValueError, r"func returned an array of shape \(3,\); J must be one number"),
        ([1.0, 2.0], ValueError, r"func returned an array of shape \(2,\)"),
        (np.zeros(0), ValueError, r"func returned an array of shape \(0,\)"),
        ("text", TypeError, r"func returned str \('text'\); J must be a number"),
        (None, TypeError, r"func returned None; it must return the number J"),
        ({}, TypeError, r"func returned dict"),
        (True, TypeError, r"func returned bool \(True\)"),
        (np.True_, TypeError, r"func returned bool"),
        (object(), TypeError, r"func returned object"),
        ((1.0, 2), TypeError, r"func returned a tuple of 2; pass has_aux=True"),
        ("x" * 10_000, TypeError, r"^func returned str \('x{1,30}…x{1,30}'\); J must be a number"),
    ],
)
@pytest.mark.parametrize("evaluation", [1, 2, 7, MANY])
def test_what_is_no_number_is_an_error_that_says_so(check, evaluation, value, error, said):
    with pytest.raises(error, match=said):
        check(Misbehaving(evaluation, lambda theta: value))


@pytest.mark.parametrize("evaluation", [1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_J_at_params_must_be_finite(check, evaluation, value):
    with pytest.raises(ValueError, match=f"func returned {value} at params; J must be finite"):
        check(Misbehaving(evaluation, lambda theta: value))


@pytest.mark.parametrize("evaluation", [1, 2])
def test_a_complex_J_is_an_error(check, evaluation):
    with pytest.raises(TypeError, match="func returned complex128; J must be real"):
        check(Misbehaving(evaluation, lambda theta: 1j))


@pytest.mark.parametrize("evaluation", range(3, MANY + 1))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_value_beside_params_that_is_not_finite_is_the_edge_of_a_domain(
    check, evaluation, value
):
    report = check(Misbehaving(evaluation, lambda theta: value))
    assert report.verdict == "agree"
    assert report.evaluations <= MANY + 12


class Edged:
    """‖θ‖² up to a little above START, on one side of which something else happens."""

    def __init__(self, beyond):
        self.beyond, self.met = beyond, 0

    def __call__(self, theta):
        if theta[1] > START[1] + 1e-9:
            self.met += 1
            return self.beyond()
        return square(theta)


def raises(error):
    def beyond():
        raise error

    return beyond


EDGES = {
    "nan": lambda: math.nan,
    "infinity": lambda: -math.inf,
    "complex": lambda: 1j,
    "math": lambda: math.log(-1.0),
    "power": lambda: (-1.0) ** 0.5,
    "division": lambda: 1 / 0,
    "overflow": lambda: math.exp(1e9),
    "floating point": raises(FloatingPointError("x")),
    "linear algebra": lambda: np.linalg.cholesky(-np.eye(2)),
}


@pytest.mark.parametrize("name", EDGES)
def test_the_edge_of_a_domain_in_every_way_that_func_can_say_it(check, name):
    func = Edged(EDGES[name])
    assert check(func).verdict == "agree"
    assert func.met
    assert check(func, lambda theta: 2.002 * theta).wrong == START.size


@pytest.mark.parametrize("name", sorted(set(EDGES) - {"nan", "infinity", "complex", "power"}))
def test_at_params_themselves_the_same_exception_is_the_users(check, name):
    with pytest.raises(Exception) as caught:
        check(lambda theta: EDGES[name]())
    with pytest.raises(caught.type):
        EDGES[name]()


# -- func that writes -----------------------------------------------------------------------------


def writes(theta):
    theta[0] = 7.0
    return square(theta)


def adds(theta):
    theta += 1.0
    return square(theta)


def scribbles_and_undoes(theta):
    theta += 1.0
    theta -= 1.0
    return square(theta)


def flips_the_sign_of_zero(theta):
    theta[0] = -0.0
    return square(theta)


@pytest.mark.parametrize("func", [writes, adds])
def test_func_that_writes_to_its_input(check, func):
    with pytest.raises(ValueError, match="func changed its parameters: params is not what it was"):
        check(func)
    theta = START.copy()
    with pytest.raises(ValueError, match=r"pass copy=True .*\(your own arrays are as they were\)$"):
        check_gradients(func, twice, theta)
    assert theta.tobytes() == START.tobytes()


def test_func_that_flips_the_sign_of_a_zero():
    theta = np.array([0.0, 1.0])
    with pytest.raises(ValueError, match="func changed its parameters"):
        check_gradients(flips_the_sign_of_zero, twice, theta)
    assert not np.signbit(theta[0])


def test_func_that_puts_back_what_it_changed_is_its_own_business(check):
    assert check(scribbles_and_undoes).verdict == "agree"


def test_grad_that_writes_to_its_input(check):
    def grad(theta):
        theta *= 2
        return theta

    with pytest.raises(ValueError, match="grad changed its parameters: params is not what it was"):
        check(square, grad)


def test_grad_that_raises_halfway(check):
    with pytest.raises(RuntimeError, match="halfway"):
        check(square, raising(RuntimeError("halfway")))


def test_grad_that_writes_and_returns_nonsense(check):
    def grad(theta):
        theta[0] = 5.0
        return "nonsense"

    with pytest.raises((TypeError, ValueError)):
        check(square, grad)


def rebinds(params):
    params["W"] = params["W"] * 2
    return float(np.sum(params["W"]))


def adds_a_key(params):
    params["cache"] = np.ones(1)
    return float(np.sum(params["W"]))


def drops_a_key(params):
    return float(np.sum(params.pop("W")))


def changes_a_number(params):
    params["k"] = 3.0
    return float(np.sum(params["W"]))


def swaps(params):
    params["W"], params["V"] = params["V"], params["W"]
    return float(np.sum(params["W"] ** 2))


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (rebinds, "W"),
        (adds_a_key, "cache"),
        (drops_a_key, "W"),
        (changes_a_number, "k"),
        (swaps, "W"),
    ],
)
def test_func_that_changes_the_container(func, name):
    params = {"W": np.ones(2), "V": np.ones(2), "k": 2.0}
    before = dict(params)
    grads = {"W": np.ones(2), "V": np.zeros(2), "k": 0.0}
    with pytest.raises(ValueError, match=f"func changed its parameters: {name} is not"):
        check_gradients(func, grads, params)
    assert list(params) == list(before)
    assert all(params[key] is before[key] for key in before)


def test_func_that_changes_what_is_left_out_of_the_check():
    params = {"W": np.ones(2), "steps": np.array([0])}

    def func(p):
        p["steps"] += 1
        return float(p["W"] @ p["W"])

    with pytest.raises(ValueError, match="func changed its parameters: steps"):
        check_gradients(func, {"W": 2 * params["W"]}, params, only="W")
    np.testing.assert_array_equal(params["steps"], [0])
    with pytest.raises(ValueError, match="func changed its parameters: steps"):
        check_gradients(
            lambda: func(params), {"W": 2 * params["W"]}, params, only="W", in_place=True
        )
    np.testing.assert_array_equal(params["steps"], [0])


def test_func_that_writes_only_when_perturbed_is_found_out_at_the_end():
    calls = [0]
    params = {"W": np.ones(2), "V": np.ones(2)}

    def func(p):
        calls[0] += 1
        if calls[0] > 6:
            p["V"][1] = 5.0
        return float(p["W"] @ p["W"])

    with pytest.raises(ValueError, match="func changed its parameters: V"):
        check_gradients(func, {"W": 2 * np.ones(2)}, params, skip="V")
    np.testing.assert_array_equal(params["V"], [1.0, 1.0])


def test_the_users_own_arrays_are_never_handed_to_func_or_grad():
    params = {"W": np.ones((2, 2)), "layers": [np.ones(2), {"b": np.ones(1)}]}
    own = [params["W"], params["layers"][0], params["layers"][1]["b"]]
    shared = []

    def func(p):
        given = [p["W"], p["layers"][0], p["layers"][1]["b"]]
        shared.append(any(np.shares_memory(a, b) for a in own for b in given))
        shared.append(p is params or p["layers"] is params["layers"])
        return float(sum(np.sum(array**2) for array in given))

    def grad(p):
        func(p)
        return {"W": 2 * p["W"], "layers": [2 * p["layers"][0], {"b": 2 * p["layers"][1]["b"]}]}

    assert check_gradients(func, grad, params).ok
    assert not any(shared)


def test_special_bits_survive_in_place():
    """Negative zero and subnormals."""
    theta = np.array([-0.0, 5e-324, 1.0])
    wide = theta.astype(np.longdouble)
    for array in (theta, wide):
        before = array.copy()
        check_gradients(
            lambda a=array: float(np.sum(np.cos(a))),
            lambda a=array: -np.sin(a),
            array,
            in_place=True,
        )
        np.testing.assert_array_equal(array, before)
        np.testing.assert_array_equal(np.signbit(array), np.signbit(before))


# -- what else belongs to the user ----------------------------------------------------------------


def test_warnings_at_probe_points_are_contained_and_those_at_params_are_not():
    def noisy(theta):
        warnings.warn("at every call", UserWarning, stacklevel=1)
        return square(theta)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        report = check_gradients(noisy, twice, START)
    assert report.ok
    assert len([w for w in seen if w.category is UserWarning]) == 2  # func is called twice at θ


def test_numpys_error_state_and_generator_are_the_users():
    state = np.random.get_state()[1].tobytes()
    with np.errstate(all="raise"):
        before = np.geterr()
        assert check_gradients(
            lambda p: float(np.log(p).sum()), lambda p: 1 / p, np.array([1e-3, 2.0])
        ).ok
        assert np.geterr() == before
    assert np.random.get_state()[1].tobytes() == state


@pytest.mark.parametrize("filters", ["error", "ignore"])
def test_no_warning_is_ours(filters):
    with warnings.catch_warnings():
        warnings.simplefilter(filters)
        before = list(warnings.filters)
        report = check_gradients(
            lambda p: float(np.log(p).sum()), lambda p: 1 / p, np.array([1e-3, 2.0])
        )
        assert report.ok
        assert warnings.filters == before


def test_checks_in_two_threads_leave_the_filters_of_warnings_as_they_were():
    """There is one list for all threads: restored out of order, that of one check stayed."""
    inside, left = threading.Event(), threading.Event()

    def waits(theta):  # inside a probe, until the check that began before it has ended
        inside.set()
        assert left.wait(60)
        return square(theta)

    def first(theta):  # in a probe, too, when the other begins
        if not threads[1].ident:
            threads[1].start()
            assert inside.wait(60)
        return square(theta)

    def run(act):
        found.append(check_gradients(Misbehaving(4, act), twice, START).ok)

    found = []
    threads = [threading.Thread(target=run, args=(act,)) for act in (first, waits)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        threads[0].start()
        threads[0].join()
        left.set()
        threads[1].join()
        assert warnings.filters == before
    assert found == [True, True]


def test_a_check_in_func_is_quiet_whatever_func_does_with_warnings():
    def inner(theta):
        if theta[0] != START[0]:
            warnings.warn("beside params", stacklevel=1)
        return square(theta)

    def func(theta):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            before = list(warnings.filters)
            assert check_gradients(inner, twice, START).ok
            assert warnings.filters == before
        return square(theta)

    assert check_gradients(func, twice, START).ok


def test_func_that_does_not_see_its_argument_is_told_of_in_place():
    """A closure over the arrays, or a cache by identity: J does not answer to any parameter."""
    theta = START.copy()
    report = check_gradients(lambda params: square(theta), lambda params: twice(params), theta)
    assert not report.ok
    assert "in_place=True" in report.message()


def test_func_that_caches_by_the_identity_of_its_argument():
    cache = {}

    def func(theta):
        return cache.setdefault(id(theta), square(theta))

    report = check_gradients(func, twice, START)
    assert not report.ok
    assert "copy=True" in report.message() or "in_place=True" in report.message()
