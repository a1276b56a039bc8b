"""What happens seldom: funcs that refuse what a scheme, a batch or a Jacobian needs of them."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

from pytest_gradcheck import (
    check_gradients,
    check_jacobian,
    check_vjp,
    compare_gradients,
    numerical_gradient,
)

X = np.array([0.5, -1.0, 2.0])


def square(x):
    return np.sum(x**2)


def sines(x):
    return np.sin(x)


# The complex step


def test_complex_parameters_have_no_imaginary_step():
    with pytest.raises(TypeError, match='scheme="complex": params is complex already; use "cen'):
        check_gradients(lambda z: float(np.sum(np.abs(z) ** 2)), 2 * X, X + 0j, scheme="complex")


def test_arrays_in_place_have_no_imaginary_step():
    x = X.copy()
    with pytest.raises(TypeError, match="real arrays can't be perturbed in place by an imaginary"):
        check_gradients(lambda: square(x), 2 * x, x, in_place=True, scheme="complex")


TOLD = (
    'gradcheck: func got complex parameters, because of scheme="complex"; use "central" if it '
    "can't take them"
)


def real_part_alone(x):
    if isinstance(x, complex):
        raise ValueError("x must be real")
    return x**2


@pytest.mark.parametrize(
    ("func", "error"),
    [
        (lambda x: math.sin(x), TypeError),
        (lambda x: x.is_integer() + x, AttributeError),
        (real_part_alone, ValueError),
    ],
)
def test_a_func_of_real_numbers_alone_is_told_who_gave_it_complex_ones(func, error):
    with pytest.raises(error) as caught:
        check_gradients(func, math.cos, 0.5, scheme="complex")
    assert TOLD in caught.value.__notes__


def test_the_note_names_the_parameter_that_got_an_imaginary_part():
    with pytest.raises(TypeError) as caught:
        check_gradients(lambda p: math.sin(p["a"][1]), {"a": X}, {"a": X}, scheme="complex")
    assert "a[0].imag perturbed, in evaluation 3;" in caught.value.__notes__[0]


def test_what_is_made_of_params_for_each_call_is_complex_too():
    def scribbles(p):
        p["a"] *= 2
        return np.sum(p["a"] ** 2) * p["b"]

    params = {"a": X.copy(), "b": 3.0}
    right = {"a": 24 * X, "b": 4 * np.sum(X**2)}
    report = check_gradients(scribbles, right, params, scheme="complex", copy=True)
    # And whether func is analytic: two more.
    assert (report.verdict, report.evaluations) == ("agree", 2 + 4 + 2)
    found = numerical_gradient(scribbles, params, scheme="complex", copy=True)
    np.testing.assert_allclose(found["a"], right["a"], rtol=1e-15)
    assert params["a"].tobytes() == X.tobytes()


def test_a_func_that_writes_to_complex_parameters_is_told_so():
    def scribbles(x):
        if np.iscomplexobj(x):
            x[0] = 7.0
        return np.sum(x**2)

    with pytest.raises(ValueError, match="func changed its parameters: params is not what it was"):
        check_gradients(scribbles, 2 * X, X, scheme="complex")


def test_memory_order_and_what_is_left_out_stay_as_they_are_for_the_complex_step():
    params = {"W": np.asfortranarray(np.arange(1.0, 7.0).reshape(2, 3)), "which": np.array([0, 2])}

    def func(p):
        return np.sum(p["W"][:, p["which"]] ** 3)

    right = np.zeros((2, 3))
    right[:, [0, 2]] = 3 * params["W"][:, [0, 2]] ** 2
    report = check_gradients(func, {"W": right}, params, scheme="complex", skip="which")
    assert report.verdict == "agree"


def test_a_func_that_drops_the_imaginary_part_is_no_func_for_the_complex_step():
    with pytest.raises(TypeError, match="complex"):
        check_gradients(lambda x: float(np.sum(np.real(x) ** 2)), 2 * X, X, scheme="complex")


# Batches


def test_a_batch_of_objects_is_no_batch_of_numbers():
    with pytest.raises(TypeError, match="vectorized=True: func returned ndarray"):
        check_gradients(
            lambda batch: np.array([str(x) for x in batch], dtype=object),
            2 * X, X, vectorized=True,
        )  # fmt: skip


# Jacobians


@pytest.mark.parametrize(
    ("func", "said"),
    [
        (lambda x: x + 1j, "func returned a complex output (complex128)"),
        (lambda x: "text", "func returned output of type str"),
        (lambda x: np.array([None]), "func returned output of type ndarray"),
    ],
    ids=["complex", "text", "objects"],
)
def test_outputs_are_real_numbers(func, said):
    with pytest.raises(TypeError, match=re.escape(said)):
        check_jacobian(func, np.eye(3), X)


def test_outputs_keep_their_names_and_shapes():
    def func(x):
        return x if x[0] == 0.5 else x[:2]

    with pytest.raises(TypeError, match=r"shape \(2,\), but func's outputs are .* shape \(3,\)"):
        check_jacobian(func, np.eye(3), X)


def test_has_aux_promises_a_tuple():
    with pytest.raises(TypeError, match="func returned ndarray, but has_aux=True or"):
        check_jacobian(sines, np.diag(np.cos(X)), X, has_aux=True)


def test_a_jacobian_that_is_none_asks_for_the_return():
    with pytest.raises(TypeError, match="jac is None; it must be the matrix"):
        check_jacobian(sines, lambda x: None, X)


def test_a_jacobian_may_be_lists():
    assert check_jacobian(sines, lambda x: np.diag(np.cos(x)).tolist(), X).ok


def test_rows_of_several_lengths_are_no_matrix():
    said = "it has no params and outputs and params have no params[0][0], "
    with pytest.raises(ValueError, match=re.escape(said)):
        check_jacobian(sines, [[1.0, 2.0], [3.0]], X)


def test_an_operator_is_real():
    operator = SimpleNamespace(shape=(len(X), len(X)), matvec=lambda v: np.cos(X) * v + 1j)
    with pytest.raises(TypeError, match="jac has dtype complex128; it must be real and numeric"):
        check_jacobian(sines, operator, X)


def pair(params):
    return {"s": params["a"] * params["b"][0], "t": params["b"] ** 2}


AT = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}


def jacobian_of_pair():
    a, b = AT["a"], AT["b"]
    return {
        "s": {"a": b[0] * np.eye(2), "b": np.stack([a, np.zeros(2)], axis=1)},
        "t": {"a": np.zeros((2, 2)), "b": np.diag(2 * b)},
    }


def test_a_jacobian_by_outputs_and_parameters():
    assert check_jacobian(pair, jacobian_of_pair(), AT).ok


def test_a_part_of_a_jacobian_has_the_output_s_shape_then_the_parameter_s():
    wrong = jacobian_of_pair()
    wrong["s"]["b"] = wrong["s"]["b"][:, :1]
    said = "has shape (2, 1), but must have (2, 2): the output's, then the parameter's"
    with pytest.raises(ValueError, match=re.escape(said)):
        check_jacobian(pair, wrong, AT)


def test_a_part_of_a_jacobian_is_real_and_numeric():
    wrong = jacobian_of_pair()
    wrong["t"]["b"] = wrong["t"]["b"] * 1j
    with pytest.raises(TypeError, match="has dtype complex128; it must be real and numeric"):
        check_jacobian(pair, wrong, AT)


def test_a_vjp_of_outputs_in_a_dict_is_checked_entry_by_entry():
    def vjp(params, u):
        found = jacobian_of_pair()
        return {name: sum(u[output] @ found[output][name] for output in ("s", "t")) for name in AT}

    assert check_vjp(pair, vjp, AT).ok


# The rest


def test_params_that_are_none_are_forgotten():
    with pytest.raises(TypeError, match="params is None; pass the arrays or numbers"):
        numerical_gradient(square, None)


def test_gradients_of_negative_zero_repeat_themselves():
    sign = iter([0.0, -0.0] * 20)
    report = check_gradients(
        lambda x: 0.0 * x[0] + x[1] ** 2, lambda x: np.array([next(sign), 2 * x[1]]), X[:2]
    )
    assert report.ok


def test_two_gradients_of_no_numbers_have_no_difference():
    with pytest.raises(TypeError):
        compare_gradients([np.ones(2), "text"], [np.ones(2), "text"])
