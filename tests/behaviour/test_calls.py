"""The public functions: how they call func and grad, and how strictly they match."""

import inspect
import math
import re
from dataclasses import fields
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import pytest_gradcheck
from pytest_gradcheck import (
    GradcheckWarning,
    GradientMismatch,
    GradientReport,
    Options,
    assert_gradients_close,
    check_adjoint,
    check_gradients,
    check_hvp,
    check_jvp,
    check_vjp,
    compare_gradients,
    hookimpl,
    numerical_gradient,
    numerical_gradient_with_error,
    plugin_manager,
    relative_difference,
)
from pytest_gradcheck._gradient import check as gradient_check
from pytest_gradcheck._options import CheckOptions

THETA = np.array([0.3, -1.2, 2.0])


def cost(theta):
    return float(np.sum(np.sin(theta) * theta))


def slope(theta):
    return np.sin(theta) + theta * np.cos(theta)


def wrong(theta):
    return slope(theta) * [1, 1.001, 1]


def test_assert_returns_the_report_or_raises_it():
    report = assert_gradients_close(cost, slope, THETA)
    assert isinstance(report, GradientReport)
    assert report.ok
    assert report
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(cost, wrong, THETA)
    assert isinstance(caught.value, AssertionError)
    assert caught.value.report.worst[0].label == "params[1]"
    assert str(caught.value) == caught.value.report.message()


def test_check_returns_the_same_report_and_never_raises_for_a_wrong_gradient():
    report = check_gradients(cost, wrong, THETA)
    assert not report.ok
    assert not report
    with pytest.raises(GradientMismatch) as caught:
        report.raise_if_failed()
    assert caught.value.report is report
    assert report.name == "cost"


OPTIONS = {item.name: item.default for item in fields(Options)}
OF_STEPS = {"eps", "scheme", "workers", "vectorized"}
WITHOUT_STEPS = [name for name in OPTIONS if name not in OF_STEPS]
OF_JACOBIANS = ["points", "args", "has_aux", *WITHOUT_STEPS, "workers"]
OF_PRODUCTS = ["points", "args", "has_aux", "strided", *WITHOUT_STEPS, "workers"]
OF_SECOND = [name for name in WITHOUT_STEPS if name not in {"entries", "reference"}]
OF_ADJOINTS = [name for name in OF_SECOND if name != "repairs"]
OF_HESSIANS = ["points", "grad", "args", "has_aux", *OF_SECOND, "workers"]
OF_HVPS = [*OF_HESSIANS[:4], "strided", *OF_HESSIANS[4:]]
OF_CHECKS = ["points", "args", "has_aux", "in_place", "copy", *OPTIONS]
WITH_ERROR = [
    "args",
    "has_aux",
    "in_place",
    "copy",
    "seed",
    "only",
    "skip",
    "workers",
    "vectorized",
]
OF_COMPARISONS = [
    "baseline", "factor", "rtol", "atol", "threshold", "only", "skip", "entries", "max_report",
]  # fmt: skip
OF_RATES = ["args", "has_aux", "step", "count", "seed", "only", "skip"]

KEYWORDS = {
    "check_gradients": OF_CHECKS,
    "assert_gradients_close": OF_CHECKS,
    "compare_gradients": OF_COMPARISONS,
    "numerical_gradient": [*WITH_ERROR[:4], "eps", "scheme", *WITH_ERROR[4:]],
    "numerical_gradient_with_error": WITH_ERROR,
    "check_jacobian": OF_JACOBIANS,
    "assert_jacobian_close": OF_JACOBIANS,
    "check_jvp": OF_PRODUCTS,
    "assert_jvp_close": OF_PRODUCTS,
    "check_vjp": OF_PRODUCTS,
    "assert_vjp_close": OF_PRODUCTS,
    "check_hessian": OF_HESSIANS,
    "assert_hessian_close": OF_HESSIANS,
    "check_hvp": OF_HVPS,
    "assert_hvp_close": OF_HVPS,
    "check_adjoint": OF_ADJOINTS,
    "assert_adjoint": OF_ADJOINTS,
    "taylor_rates": OF_RATES,
    "assert_taylor_rate": ["least", *OF_RATES],
    "Gradcheck": OF_CHECKS,
    "NumericalGradient": [*WITH_ERROR[:4], "eps", "scheme", *WITH_ERROR[4:]],
}
"""Keywords of each public function, and of what a fixture returns, in order."""


def called(name):
    """Return what is called, a fixture's value by its class."""
    value = getattr(pytest_gradcheck, name)
    return value({}, lambda: None) if isinstance(value, type) else value


@pytest.mark.parametrize("name", KEYWORDS)
def test_help_has_every_keyword_with_its_default(name):
    parameters = inspect.signature(called(name)).parameters.values()
    keywords = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [one.name for one in keywords] == KEYWORDS[name]
    assert not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    for one in keywords:
        assert one.default == OPTIONS.get(one.name, one.default)
        assert one.default is not inspect.Parameter.empty
        assert isinstance(one.annotation, str)


@pytest.mark.parametrize("name", [name for name in KEYWORDS if name.islower()])
def test_help_says_what_every_keyword_does(name):
    text = inspect.getdoc(getattr(pytest_gradcheck, name))
    assert "**options" not in text
    if "Parameters\n" in text:  # else it refers to a function that has them
        section = text.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
        rows = re.findall(r"^(\w[\w, ]*?)(?: : .*)?$", section, re.M)
        said = [one for row in rows for one in row.split(", ")]
        assert set(said) >= set(KEYWORDS[name])
        assert len(said) == len(set(said))
    else:
        assert "Takes what" in text


@pytest.mark.parametrize("name", KEYWORDS)
def test_an_option_that_there_is_not(name):
    function = called(name)
    required = [
        one for one in inspect.signature(function).parameters.values()
        if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]  # fmt: skip
    source = {"Gradcheck": "gradcheck", "NumericalGradient": "numerical_gradient"}.get(name, name)
    with pytest.raises(TypeError) as caught:
        function(*(cost for _ in required), tol=1e-5, **{"a\x1b": 1})
    assert str(caught.value) == (
        f"{source}: no option named a\\x1b, tol; the tolerances are rtol= for each entry and "
        f"threshold= for the norm ratio; the options are {', '.join(KEYWORDS[name])}"
    )


def test_type_checkers_are_told_of_every_option():
    assert set(CheckOptions.__annotations__) == set(OPTIONS)


def test_the_gradient_itself_instead_of_a_function():
    assert check_gradients(cost, slope(THETA), THETA).ok
    assert check_gradients(cost, wrong(THETA), THETA).wrong == 1


def test_args_go_to_both_untouched():
    data = [object(), {"k": np.ones(2)}]
    seen = []

    def func(theta, first, second):
        seen.append((first, second))
        return cost(theta) * second["k"].sum()

    def grad(theta, first, second):
        seen.append((first, second))
        return 2 * slope(theta)

    assert check_gradients(func, grad, THETA, args=(data[0], data[1])).ok
    assert all(first is data[0] and second is data[1] for first, second in seen)
    assert check_gradients(func, grad, THETA, args=data).ok
    with pytest.raises(TypeError, match="args must be a tuple of what follows params, not float"):
        check_gradients(func, grad, THETA, args=2.0)


def test_has_aux():
    def func(theta):
        return cost(theta), {"cache": theta}

    assert check_gradients(func, slope, THETA, has_aux=True).ok
    assert check_gradients(func, wrong, THETA, has_aux=True).wrong == 1
    assert numerical_gradient(func, THETA, has_aux=True) == pytest.approx(slope(THETA))
    with pytest.raises(TypeError, match="func returned a tuple of 2; pass has_aux=True"):
        check_gradients(func, slope, THETA)
    with pytest.raises(TypeError, match="func returned float, but has_aux=True or grad=True says"):
        check_gradients(cost, slope, THETA, has_aux=True)


def test_grad_true_takes_the_gradient_that_func_returns():
    def both(theta):
        return cost(theta), slope(theta)

    def both_wrong(theta):
        return cost(theta), wrong(theta)

    def nested(theta):
        return (cost(theta), "aux"), slope(theta)

    assert check_gradients(both, True, THETA).ok
    assert check_gradients(both_wrong, True, THETA).wrong == 1
    assert check_gradients(nested, True, THETA, has_aux=True).ok
    with pytest.raises(TypeError, match="says that it returns a tuple whose first item is J"):
        check_gradients(cost, True, THETA)


def test_a_gradient_in_a_buffer_that_is_used_again():
    buffer = np.zeros(3)

    def grad(theta):
        buffer[:] = slope(theta)
        return buffer

    def both(theta):
        return cost(theta), grad(theta)

    assert check_gradients(cost, grad, THETA).ok
    assert check_gradients(both, True, THETA).ok


def test_a_gradient_that_is_the_very_array_it_was_given():
    def half(theta):
        return float(0.5 * theta @ theta)

    theta = THETA.copy()
    assert check_gradients(half, lambda p: p, theta).ok
    assert check_gradients(half, theta, theta).ok
    assert check_gradients(lambda: half(theta), lambda: theta, theta, in_place=True).ok
    assert check_gradients(lambda: half(theta), theta, theta, in_place=True).ok
    assert check_gradients(lambda: 2 * half(theta), theta, theta, in_place=True).wrong == 3
    np.testing.assert_array_equal(theta, THETA)


@pytest.mark.parametrize("view", [lambda p: p[1:2], lambda p: p[1, ...], lambda p: p[1]])
def test_func_that_returns_a_view_of_its_input(view):
    assert check_gradients(view, np.array([0.0, 1.0, 0.0]), THETA).ok
    assert check_gradients(view, np.array([0.0, 1.01, 0.0]), THETA).wrong == 1


def test_func_that_returns_a_view_of_its_longdouble_input():
    theta = THETA.astype(np.longdouble)
    assert check_gradients(lambda p: p[1:2], np.array([0.0, 1.0, 0.0]), theta).ok
    assert check_gradients(lambda p: p[1:2], np.array([0.0, 1.01, 0.0]), theta).wrong == 1


@pytest.mark.parametrize(
    "wrap", [float, np.float64, np.array, lambda x: np.array([x]), lambda x: np.full((1, 1), x)]
)
def test_what_counts_as_a_real_scalar(wrap):
    assert check_gradients(lambda p: wrap(cost(p)), slope, THETA).ok


def test_an_integer_J_is_a_number():
    report = check_gradients(lambda p: 3, lambda p: 0 * p, THETA)
    assert report.verdict == "inconclusive"
    assert report.value == 3.0


def test_in_place_perturbs_the_very_arrays_and_restores_them():
    theta = {"W": np.arange(1.0, 7.0).reshape(2, 3), "b": np.array([0.5])}
    before = {name: array.copy() for name, array in theta.items()}
    seen = []

    def loss():
        seen.append(theta["W"].copy())
        return float(np.sum(theta["W"] ** 2) * theta["b"][0])

    def grad():
        return {"W": 2 * theta["W"] * theta["b"], "b": np.array([np.sum(theta["W"] ** 2)])}

    assert check_gradients(loss, grad, theta, in_place=True).ok
    assert any((array != before["W"]).any() for array in seen)
    for name, array in theta.items():
        assert array.tobytes() == before[name].tobytes()
    assert (
        check_gradients(loss, lambda: {**grad(), "b": np.ones(1)}, theta, in_place=True).wrong == 1
    )


def test_in_place_with_strided_and_fortran_arrays():
    base = np.arange(1.0, 25.0).reshape(4, 6)
    theta = {"every other": base[::2, 1::2], "F": np.asfortranarray(base[1::2, :2].copy())}
    before = base.copy()

    def loss():
        return float(sum(0.5 * np.sum(array**2) for array in theta.values()))

    assert check_gradients(loss, theta, theta, in_place=True).ok
    np.testing.assert_array_equal(base, before)


@pytest.mark.parametrize(
    ("params", "error", "said"),
    [
        ({"k": 2.0}, TypeError, "in_place=True: k is float, which can't be changed in place"),
        (
            {"k": np.lib.stride_tricks.as_strided(np.ones(1), (3,), (0,))},
            ValueError,
            "in_place=True: entries of k share memory",
        ),
        ({"a": np.broadcast_to(1.0, 2)}, ValueError, "in_place=True: a is read-only"),
        ((lambda a: {"a": a, "b": a[1:]})(np.ones(3)), ValueError, "b and a share memory"),
        (np.ones((2, 2), complex)[:, 0], ValueError, "complex and not C-contiguous"),
    ],
)
def test_what_can_not_be_perturbed_in_place(params, error, said):
    with pytest.raises(error, match=said):
        check_gradients(lambda: 1.0, lambda: params, params, in_place=True)


def test_numbers_beside_arrays_in_place_can_be_left_out():
    theta = {"a": np.array([2.0]), "k": 3.0, "n": 2}

    def loss():
        return float(theta["a"][0] ** 2 * theta["k"])

    report = check_gradients(
        loss, lambda: {"a": 6 * theta["a"]}, theta, in_place=True, skip=("k", "n")
    )
    assert report.ok
    assert report.skipped == ("k", "n")


def test_copy_gives_func_and_grad_a_fresh_copy_each_time():
    identities = set()
    kept = []

    def func(theta):
        identities.add(id(theta))
        kept.append(theta)
        value = cost(theta)
        theta[:] = 99
        return value

    def grad(theta):
        value = slope(theta)
        theta[:] = 99
        return value

    report = check_gradients(func, grad, THETA, copy=True)
    assert report.ok
    assert len(identities) == report.evaluations


def net(params):
    return float(np.sum(np.tanh(params["W"]) ** 2) + np.sum(params["bias"] ** 2) + params["k"] ** 3)


def net_grad(params):
    tanh = np.tanh(params["W"])
    return {"W": 2 * tanh * (1 - tanh**2), "bias": 2 * params["bias"], "k": 3 * params["k"] ** 2}


NET = {"W": np.array([[0.3, 0.4], [0.5, -0.6]]), "bias": np.array([0.7, 0.8]), "k": 0.9}


@pytest.mark.parametrize(
    ("options", "checked"),
    [
        ({"only": "W"}, {"W"}),
        ({"only": ["W", "k"]}, {"W", "k"}),
        ({"only": "*"}, {"W", "bias", "k"}),
        ({"skip": "b*"}, {"W", "k"}),
        ({"only": "?", "skip": "k"}, {"W"}),
        ({"only": (), "skip": ()}, {"W", "bias", "k"}),
    ],
)
def test_only_and_skip(options, checked):
    report = check_gradients(net, net_grad, NET, **options)
    assert report.ok
    assert {block.name for block in report.blocks} == checked
    assert set(report.skipped) == set(NET) - checked
    numeric = numerical_gradient(net, NET, **options)
    assert {name for name, value in numeric.items() if value is not None} == checked


def test_an_index_in_a_name_is_no_pattern():
    params = [np.ones(1), np.ones(1), np.ones(1)]
    report = check_gradients(
        lambda p: float(sum(x[0] ** 2 for x in p)),
        lambda p: [2 * x for x in p],
        params,
        only="params[1]",
    )
    assert [block.name for block in report.blocks] == ["params[1]"]


def test_left_out_blocks_need_no_gradient_and_may_be_anything():
    params = {**NET, "name": "mine", "steps": 3, "flags": np.array([1, 2])}

    def grad(p):
        full = net_grad(p)
        return {"W": full["W"], "bias": full["bias"], "k": None}

    assert check_gradients(net, grad, params, only=["W", "bias"]).ok


def test_everything_left_out_is_nothing_checked():
    report = check_gradients(net, net_grad, NET, skip="*")
    assert (report.ok, report.verdict, report.size) == (False, "inconclusive", 0)
    assert "nothing was checked" in report.message()


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"'w' matches no block of params; they are W, bias, k"):
        check_gradients(net, net_grad, NET, only="w")
    with pytest.raises(ValueError, match="'z' matches no block"):
        check_gradients(net, net_grad, NET, skip=["W", "z"])


MISMATCHES = [
    ({"W": NET["W"], "bias": NET["bias"]}, ValueError, "does not match params: it has no k"),
    ({**NET, "x": 1.0}, ValueError, "does not match params: params has no x"),
    (
        {"dW": NET["W"], "dbias": NET["bias"], "dk": 1.0},
        ValueError,
        r"it has no W, bias, k and params has no dW, dbias, dk; give it params' names, for "
        r"instance \{name: grads\['d' \+ name\] for name in params\}",
    ),
    (
        {**NET, "W": NET["W"].reshape(4)},
        ValueError,
        r"the gradient of W has shape \(4,\), but params has \(2, 2\)",
    ),
    (
        {**NET, "bias": NET["bias"].reshape(2, 1)},
        ValueError,
        r"the gradient of bias has shape \(2, 1\), but params has \(2,\); shapes must be equal, "
        "nothing is broadcast or transposed",
    ),
    (
        {**NET, "bias": 0.5},
        ValueError,
        r"the gradient of bias has shape \(\), but params has \(2,\)",
    ),
    (
        {**NET, "k": np.ones(1)},
        ValueError,
        r"the gradient of k has shape \(1,\), but params has \(\)",
    ),
    ({**NET, "k": None}, ValueError, "does not match params: it has no k"),
    ({**NET, "k": "0.5"}, TypeError, "the gradient of k is str; it must be a number"),
    ({**NET, "k": True}, TypeError, "the gradient of k is bool"),
    ({**NET, "W": NET["W"] + 0j}, TypeError, r"the gradient of W is complex \(complex128\)"),
    ({**NET, "W": NET["W"] > 0}, TypeError, "the gradient of W has dtype bool"),
    ({**NET, "W": NET["W"].astype(object)}, TypeError, "the gradient of W has dtype object"),
    (None, TypeError, "the gradient is None; it must have params' structure"),
    (np.ones(7), ValueError, "it is one array or number where params has W, bias, k: return each"),
    ([1.0], ValueError, "it is a list or tuple where params has names: return each by name"),
]


@pytest.mark.parametrize(("gradient", "error", "said"), MISMATCHES)
def test_gradients_that_do_not_match_exactly(gradient, error, said):
    with pytest.raises(error, match=said):
        check_gradients(net, lambda p: gradient, NET)
    if gradient is not None:
        with pytest.raises(error, match=said):
            check_gradients(net, gradient, NET)


def test_lengths_of_lists_must_match():
    params = [np.ones(2), np.ones(2)]
    with pytest.raises(ValueError, match=r"it has no params\[1\]"):
        check_gradients(lambda p: float(p[0] @ p[1]), lambda p: [p[1]], params)
    with pytest.raises(ValueError, match=r"params has no params\[2\]"):
        check_gradients(lambda p: float(p[0] @ p[1]), lambda p: [p[1], p[0], p[0]], params)


def test_names_count_and_not_their_order():
    def reordered(params):
        return dict(reversed(net_grad(params).items()))

    assert check_gradients(net, reordered, NET).ok


def test_integer_gradients_are_numbers():
    assert check_gradients(
        lambda p: float(p @ p), lambda p: np.array([2, 4]), np.array([1.0, 2.0])
    ).ok
    assert check_gradients(lambda p: p * p, 4, 2.0).ok


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"rtol": -1}, ValueError, "gradcheck: rtol must be a positive finite number, not -1"),
        ({"rtol": "x"}, TypeError, "rtol must be"),
        ({"eps": 0}, ValueError, "eps must be"),
        ({"eps": math.nan}, ValueError, "eps must be"),
        ({"atol": math.inf}, ValueError, "atol must be"),
        ({"scheme": "centre"}, ValueError, "scheme must be one of 'central', 'central4'"),
        ({"max_evals": 3}, ValueError, "max_evals must be a whole number, 8 or more"),
        ({"inconclusive": "ignore"}, ValueError, "inconclusive must be one of"),
        ({"only": 3}, TypeError, "only must be a glob pattern"),
        ({"seed": 1.5}, ValueError, "seed must be"),
    ],
)
def test_options_out_of_range(options, error, said):
    with pytest.raises(error, match=said):
        check_gradients(cost, slope, THETA, **options)


def test_two_gradients_instead_of_functions_are_told_of_compare_gradients():
    with pytest.raises(
        TypeError, match=r"func must be callable.*is ndarray; to compare two gradients"
    ):
        check_gradients(slope(THETA), slope(THETA), THETA)
    with pytest.raises(TypeError, match="func must be callable"):
        numerical_gradient(3.0, THETA)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: check_jvp(np.sin, x, x), "jvp must be callable, jvp(params, v, *args)"),
        (lambda x: check_vjp(np.sin, x, x), "vjp must be callable, vjp(params, u, *args)"),
        (lambda x: check_hvp(np.sum, x, x), "hvp must be callable, hvp(params, v, *args)"),
        (lambda x: check_adjoint(x, np.cumsum, x), "forward must be callable, forward(x)"),
        (lambda x: check_adjoint(np.cumsum, x, x), "adjoint must be callable, adjoint(y)"),
    ],
)
def test_what_is_no_function_is_called_by_its_name(call, said):
    with pytest.raises(TypeError, match=re.escape(f"{said}, but is ndarray")):
        call(np.array([0.5, 1.5]))


@pytest.fixture
def registered():
    """Return a function that registers hooks, given by name, for the rest of this test."""
    manager, plugins = plugin_manager(), []

    def register(**hooks):
        marked = {name: hookimpl(func) for name, func in hooks.items()}
        plugins.append(SimpleNamespace(number=len(plugins), **marked))  # no two are equal
        manager.register(plugins[-1])

    yield register
    for plugin in plugins:
        manager.unregister(plugin)


def test_every_report_is_told_of_before_anything_is_raised(registered):
    seen = []

    def listen(report):
        seen.append(report)

    registered(gradcheck_checked=listen)
    right = check_gradients(cost, slope, THETA)
    compared = compare_gradients(THETA, THETA)
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(cost, wrong, THETA)
    assert [id(report) for report in seen] == [
        id(report) for report in (right, compared, caught.value.report)
    ]


def test_everybody_who_listens_is_told(registered):
    told = []

    def progress(evaluations, planned, worst):
        told.append((evaluations, worst is None))

    for _ in range(2):
        registered(gradcheck_progress=progress)
    report = check_gradients(cost, slope, THETA)
    assert told[-2:] == [(report.evaluations, True)] * 2


def test_everybody_is_asked_for_suspects(registered, monkeypatch):
    monkeypatch.setattr(gradient_check, "WHOLE_AGAIN", -1.0)  # as of a check that takes its time
    registered(gradcheck_suspects=lambda: ["params[0]"])
    registered(gradcheck_suspects=lambda: None)
    registered(gradcheck_suspects=lambda: ("params[1]", "params[9]"))
    report = check_gradients(cost, wrong, THETA)
    assert (report.repeated, report.checked, report.wrong) == (True, 2, 1)


@pytest.mark.parametrize("said", ["params[1]", [1], {"params[1]": 1}, 3.0])
def test_suspects_that_are_no_labels(registered, said):
    registered(gradcheck_suspects=lambda: said)
    with pytest.raises(TypeError, match=r"^gradcheck_suspects returned .*; return a list or tuple"):
        check_gradients(cost, slope, THETA)


def test_an_error_of_who_listens_leaves_the_parameters_as_they_were(registered):
    def progress(evaluations, planned, worst):
        if evaluations > 8:
            raise RuntimeError("no terminal")

    registered(gradcheck_progress=progress)
    theta = THETA.copy()
    with pytest.raises(RuntimeError, match="no terminal"):
        check_gradients(lambda: cost(theta), lambda: slope(theta), theta, in_place=True)
    assert theta.tobytes() == THETA.tobytes()


# -- two gradients ------------------------------------------------------------------------------


def test_compare_gradients():
    reference = net_grad(NET)
    same = compare_gradients(net_grad(NET), reference)
    assert (same.ok, same.verdict, same.evaluations, same.difference) == (True, "agree", 0, 0.0)
    other = net_grad(NET)
    other["W"][1, 0] *= 1 + 1e-5
    report = compare_gradients(other, reference)
    assert [entry.label for entry in report.worst] == ["W[1, 0]"]
    assert report.verdict == "disagree"
    assert compare_gradients(other, reference, rtol=1e-4).ok
    assert compare_gradients(other, reference, skip="W").ok
    assert compare_gradients(other, reference, atol=1.0).ok
    assert not compare_gradients(other, reference, rtol=1e-4, threshold=1e-9).ok
    with pytest.raises(GradientMismatch, match=r"^W\[1, 0\]: analytic"):
        report.raise_if_failed()


def test_compare_gradients_is_strict_about_structure():
    with pytest.raises(ValueError, match="analytic does not match reference: it has no k"):
        compare_gradients({"W": NET["W"], "bias": NET["bias"]}, NET)
    with pytest.raises(ValueError, match=r"analytic of W has shape \(4,\)"):
        compare_gradients({**NET, "W": NET["W"].ravel()}, NET)


def test_compare_gradients_takes_numbers_integers_and_nan():
    assert compare_gradients([1.0, 2.0], [1.0, 2.0]).ok
    assert compare_gradients(np.array([1, 2]), np.array([1.0, 2.0])).ok
    report = compare_gradients(np.array([1.0, np.nan, np.inf]), np.array([1.0, 2.0, 3.0]))
    assert report.wrong == 2
    assert [entry.label for entry in report.worst] == ["params[1]", "params[2]"]


def test_compare_gradients_of_a_reference_that_is_zero():
    """A gradient may be zero in truth: both zero agree, one zero does not."""
    assert compare_gradients(np.zeros(3), np.zeros(3)).wrong == 0
    assert compare_gradients(np.array([0.0, 1e-9]), np.zeros(2)).wrong == 1
    assert compare_gradients(np.zeros(2), np.array([0.0, 1e-9])).wrong == 1


def test_compare_gradients_in_float32_is_as_tight_as_float32():
    reference = np.linspace(0.1, 1, 50)
    assert compare_gradients(reference.astype(np.float32), reference).ok
    assert not compare_gradients((reference * 1.001).astype(np.float32), reference).ok


# -- the difference -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1.0, 1.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.0, 2.0, 1.0),
        (1.0, -1.0, 1.0),
        (1, 2, 1 / 3),
        (np.array([3.0, 4.0]), np.array([3.0, 4.0]), 0.0),
        (np.array([3.0, 4.0]), np.array([0.0, 0.0]), 1.0),
        ([3.0, 4.0], [6.0, 8.0], 1 / 3),
        (np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), math.sqrt(0.5)),
        ([], [], 0.0),
        (1j, 2j, 1 / 3),
        (np.full(3, 1e-300), np.full(3, 2e-300), 1 / 3),
        (np.full(3, 5e-324), np.full(3, 1e-323), 1 / 3),
        (np.full(3, 1.5e308), np.full(3, -1.5e308), 1.0),
        (math.inf, 1.0, math.inf),
    ],
)
def test_relative_difference(a, b, expected):
    assert relative_difference(a, b) == pytest.approx(expected, rel=1e-14)
    assert relative_difference(b, a) == relative_difference(a, b)


def test_relative_difference_of_nan_is_nan():
    assert math.isnan(relative_difference(np.array([1.0, np.nan]), np.ones(2)))


@pytest.mark.parametrize(("a", "b"), [(np.ones(2), np.ones(3)), (np.ones((2, 1)), np.ones((2, 3)))])
def test_relative_difference_broadcasts_nothing(a, b):
    with pytest.raises(ValueError, match="shape"):
        relative_difference(a, b)


def test_the_report_carries_the_difference_of_the_course():
    report = check_gradients(cost, wrong, THETA, eps=1e-5)
    numeric = numerical_gradient(cost, THETA, eps=1e-5)
    assert report.difference == pytest.approx(relative_difference(wrong(THETA), numeric), rel=1e-12)


def test_threshold_is_applied_beside_the_tolerances():
    assert check_gradients(cost, slope, THETA, threshold=1e-7).ok
    report = check_gradients(cost, slope, THETA, threshold=1e-16)
    assert (report.ok, report.verdict) == (False, "agree")
    assert "is not below threshold 1e-16" in report.message().splitlines()[0]
    assert not check_gradients(cost, wrong, THETA, threshold=0.9).ok


def loss_of(p):
    return np.sum(p["W"] ** 2) + np.sum(p["b"])


LAYER = {"W": np.ones((2, 3)), "b": np.ones(2)}


class Model:
    def loss(self, x):
        return x

    def loss_of_data(self, x, data):
        return data * x

    def grad(self, x):
        return 1.0


@pytest.mark.parametrize(
    ("func", "grad", "params", "note"),
    [
        (
            lambda w, b: np.sum(w * b),
            lambda w, b: (b, w),
            (1.0, 2.0),
            "it is called as func(params); for func(*params) pass lambda p: f(*p)",
        ),
        (
            lambda x, a: a * x,
            lambda x, a: a,
            1.0,
            "it is called as func(params); what follows params goes into args=(...), here "
            "args=(a,)",
        ),
        (
            lambda x, a, b: a * x,
            lambda x, a, b: a,
            1.0,
            "it is called as func(params); what follows params goes into args=(...), here "
            "args=(a, b)",
        ),
        (
            lambda W, b: np.sum(W) + np.sum(b),
            lambda W, b: {"W": 1 + 0 * W, "b": 1 + 0 * b},
            LAYER,
            "it is called as func(params); for func(**params) pass lambda p: f(**p)",
        ),
        (
            Model.loss,
            Model.grad,
            1.0,
            "it is called as func(params); func is a method without its object: pass model.loss "
            "of a model",
        ),
        (
            Model().loss_of_data,
            Model().grad,
            1.0,
            "it is called as func(params); what follows params goes into args=(...), here "
            "args=(data,)",
        ),
        (
            Model,
            Model().grad,
            1.0,
            "it is called as func(params); func is a class: pass an instance of it, Model(...)",
        ),
        (
            lambda: 1.0,
            lambda x: x,
            1.0,
            "it is called as func(params); a func that reads its arrays through a closure wants "
            "in_place=True",
        ),
        (
            lambda x: x,
            lambda x, a: a,
            1.0,
            "it is called as grad(params); what follows params goes into args=(...), here "
            "args=(a,)",
        ),
    ],
)
def test_a_wrong_number_of_arguments_is_told_how_the_call_is_made(func, grad, params, note):
    with pytest.raises(TypeError) as caught:
        check_gradients(func, grad, params)
    assert caught.value.__notes__ == [f"gradcheck: {note}"]


def test_args_that_only_func_takes_and_a_func_that_reads_a_closure():
    with pytest.raises(TypeError) as caught:
        check_gradients(lambda x, a: a * x, lambda x: 2.0, 1.0, args=(2.0,))
    assert caught.value.__notes__[0].endswith("; func and grad both get what is in args=")
    with pytest.raises(TypeError) as caught:
        check_gradients(lambda x: x[0], lambda: np.ones(2), np.ones(2), in_place=True)
    assert caught.value.__notes__ == [
        "gradcheck: it is called as func() where in_place=True: it reads its arrays through a "
        "closure"
    ]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda f, g, w: check_gradients(w, f, g), r"is ndarray; the order is func, grad, params"),
        (lambda f, g, w: check_gradients(f, w, g), r"the order is func, grad, params$"),
        (lambda f, g, w: check_gradients(f, w), r"params is missing.*; the order is func, grad"),
        (lambda f, g, w: check_gradients(f(w), g, w), r"pass the function itself, f for f\(params"),
        (
            lambda f, g, w: check_gradients(f, g, w, args=w),
            r"not ndarray; of one thing args=\(x,\)",
        ),
        (
            lambda f, g, w: check_gradients(f, lambda w: g(w)[:, None], w),
            r"with \.reshape\(\(3,\)\)",
        ),
        (
            lambda f, g, w: check_gradients(f, lambda w: np.ones((0, 3)), w),
            r"is there one for each sample\? sum",
        ),
        (
            lambda f, g, w: check_gradients(f, lambda w: np.ones((3, 2)), np.ones((2, 3))),
            r"return its transpose, \.T",
        ),
        (
            lambda f, g, w: check_gradients(f, lambda w: np.ones((7, 3)), w),
            r"is there one for each sample\? sum them over axis 0",
        ),
        (
            lambda f, g, w: check_gradients(f, lambda w: 2.0, w),
            r"a gradient has an entry for each of the parameter's",
        ),
        (
            lambda f, g, w: check_gradients(lambda p: f(p["w"]), lambda p: {}, {"w": w}),
            r"zeros where func does not depend on it, or leave it out with skip='w'",
        ),
        (
            lambda f, g, w: check_gradients(lambda p: f(p[0]), lambda p: [p, p], [w, w]),
            r"return the structure of params",
        ),
        (lambda f, g, w: check_gradients(lambda w: Fraction(f(w)), g, w), r": return float\(J\)"),
    ],
)
def test_what_to_write_instead(call, text):
    w = np.array([0.5, -1.5, 2.0])
    with pytest.raises((TypeError, ValueError), match=text):
        call(lambda w: float(np.sum(w**2)), lambda w: 2 * w, w)


@pytest.mark.parametrize("pair", [{"grad": True}, {"grad": np.ones(3), "has_aux": True}])
def test_a_pair_in_the_other_order(pair):
    with pytest.raises(ValueError, match="of shape") as caught:
        check_gradients(lambda w: (2 * w, np.sum(w**2)), params=np.ones(3), **pair)
    assert caught.value.__notes__[0] == "gradcheck: of what func returns, J comes first"


def test_an_error_of_the_user_s_own_call_is_left_alone():
    def func(x):
        return loss_of(x, 1)

    with pytest.raises(TypeError) as caught:
        check_gradients(func, lambda x: x, 1.0)
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize(
    ("gradient", "params", "text"),
    [
        (np.ones(8), LAYER, r"it is one array or number where params has .*: return each by name"),
        ([np.ones((2, 3)), np.ones(2)], LAYER, r"return dict\(zip\(\['W', 'b'\], gradient\)\)$"),
        ({"a": 1.0, "b": 1.0}, [1.0, 1.0], "it has names where params is a list or tuple"),
        (
            {"a": 1.0, "b": 1.0},
            np.ones(2),
            r"it has names \(a, b\) where params is one array or number: return that",
        ),
    ],
)
def test_a_gradient_in_another_container_is_told_which(gradient, params, text):
    with pytest.raises(ValueError, match=text):
        check_gradients(lambda p: 1.0, gradient, params)


# -- the numeric gradient -----------------------------------------------------------------------


def test_numerical_gradient_with_error_covers_the_truth():
    value, error = numerical_gradient_with_error(cost, THETA)
    assert np.all(np.abs(value - slope(THETA)) <= error)
    assert np.all(error < 1e-9)


def test_numerical_gradient_at_a_kink_and_at_an_edge():
    value, error = numerical_gradient_with_error(abs, 0.0)
    assert (value, error) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0, rel=1e-6))
    edge, error = numerical_gradient_with_error(lambda x: math.sqrt(x) ** 3, 0.0)
    assert abs(edge) <= 1.5 * error  # what a verdict allows; x^1.5 has no series there
    assert numerical_gradient(lambda x: math.log(x), 1e-9) == pytest.approx(1e9, rel=1e-6)


def x_log_x(x):
    return x * math.log(x) if x else 0.0


@pytest.mark.parametrize(
    ("func", "at"),
    [
        *[(math.sqrt, 0.0), (lambda x: 3 + x**0.9, 0.0), (x_log_x, 0.0)],
        *[(math.acos, 1.0), (math.asin, -1.0), (lambda x: -math.sqrt(1 - x), 1.0)],
    ],
)
def test_an_infinite_slope_at_an_edge_is_no_estimate(func, at):
    value, error = numerical_gradient_with_error(func, at)
    assert abs(value) > 9
    assert error == math.inf
    with pytest.warns(GradcheckWarning, match="by params, at the edge of its domain, grows"):
        numerical_gradient(func, at)
    with pytest.warns(GradcheckWarning, match=r"by a\[1\], at"):
        numerical_gradient(lambda p: func(p["a"][1]) + p["a"][0], {"a": np.array([0.5, at])})


def test_a_finite_slope_at_an_edge_is_told_without_a_word():
    for power in (1.2, 1.5, 2, 3):
        assert abs(numerical_gradient(lambda x, p=power: math.sqrt(x) ** (2 * p), 0.0)) < 0.01
    value, error = numerical_gradient_with_error(lambda x: math.sqrt(1 - x) ** 4 + x, 1.0)
    assert abs(value - 1) <= error < 1e-6


def test_numerical_gradient_of_a_func_that_does_not_repeat_itself():
    draws = iter(range(100))
    with pytest.raises(ValueError, match="func does not repeat itself"):
        numerical_gradient(lambda x: x * next(draws), 3.0)


@pytest.mark.parametrize(
    ("analytic", "reference", "verdict"),
    [
        ({"W": np.array([1.0, 2.0])}, {"W": np.array([1, 2])}, "agree"),
        ([1, 2], [1, 3], "disagree"),
        (3.0, 3, "agree"),
        ({"W": np.array([1.0, 2.0])}, {"W": np.array([1.0, np.nan])}, "disagree"),
        ({"W": np.array([1.0, np.nan])}, {"W": np.array([1.0, np.nan])}, "disagree"),
    ],
)
def test_two_gradients_may_be_whole_numbers_or_not_finite(analytic, reference, verdict):
    report = compare_gradients(analytic, reference)
    assert report.verdict == verdict
    assert verdict == "agree" or report.worst[0].ratio > 1


def test_relative_difference_of_structures():
    one = {"W": np.array([[3.0]]), "b": [np.array([4.0, 0.0])]}
    other = {"W": np.array([[3.0]]), "b": [np.array([0.0, 0.0])]}
    assert relative_difference(one, other) == 0.5
    assert relative_difference({"k": 0, "W": [3, 0]}, {"k": 0, "W": [1, 0]}) == 0.5
    with pytest.raises(ValueError, match="it has no b"):
        relative_difference({"W": np.ones(1)}, {"W": np.ones(1), "b": np.ones(2)})


@pytest.mark.parametrize(
    "name",
    ["gradients_close", "jacobian_close", "jvp_close", "vjp_close", "hessian_close", "hvp_close"],
)
def test_a_call_that_lacks_something_is_told_by_the_name_it_was_called_by(name):
    said = rf"^assert_{name}(\(\) missing 1 required positional|: grad missing; write assert_)"
    with pytest.raises(TypeError, match=said):
        getattr(pytest_gradcheck, f"assert_{name}")(np.sin)
    with pytest.raises(TypeError, match=rf"^assert_{name}: no option named rtool"):
        getattr(pytest_gradcheck, f"assert_{name}")(np.sin, np.cos, np.ones(2), rtool=1e-5)


def test_what_func_itself_raises_of_its_arguments_is_left_as_it_is():
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'y'"):
        pytest_gradcheck.assert_jvp_close(lambda x, y: x, lambda x, v: v, np.ones(2))
