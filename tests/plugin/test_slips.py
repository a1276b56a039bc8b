"""A slip in a call: the line of the user, our sentence, and none of our frames."""

import pickle

import numpy as np
import pytest

from pytest_gradcheck import (
    assert_adjoint,
    assert_gradients_close,
    assert_hvp_close,
    check_gradients,
)

X = np.linspace(0.5, 2.0, 6).reshape(2, 3)
W = np.array([0.3, -1.2, 0.8])


def cost(w):
    return float(np.sum((X @ w) ** 2))


def grad(w):
    return 2 * X.T @ (X @ w)


CALLS = """
    import numpy as np
    from pytest_gradcheck import assert_gradients_close, check_jacobian

    def cost(w):
        return np.sum(w**2)

    def grad(w):
        return 2 * w

    def loss(w):
        return inner(w)

    def inner(w):
        return w["absent"]

    def test_tuple(gradcheck):
        gradcheck(lambda w: (cost(w), "cache"), grad, np.ones(3))

    def test_shape():
        assert_gradients_close(cost, lambda w: w[:2], np.ones(3))

    def test_option():
        check_jacobian(grad, lambda w: np.eye(3), np.ones(3), epsilon=1e-3)

    def test_value(gradcheck):
        gradcheck(cost, grad, np.ones(3), rtol=-1)

    def test_of_the_user():
        assert_gradients_close(loss, grad, np.ones(3))
"""


def test_no_frame_of_ours_is_shown(suite):
    suite.makepyfile(test_nn=CALLS)
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=5)
    result.stdout.no_fnmatch_line("*pytest_gradcheck?_*")
    shown = [line for line in result.outlines if line.startswith((">", "E  "))]
    assert [line for line in shown if line.startswith(">")] == [
        '>       gradcheck(lambda w: (cost(w), "cache"), grad, np.ones(3))',
        ">       assert_gradients_close(cost, lambda w: w[:2], np.ones(3))",
        ">       check_jacobian(grad, lambda w: np.eye(3), np.ones(3), epsilon=1e-3)",
        ">       gradcheck(cost, grad, np.ones(3), rtol=-1)",
        ">       assert_gradients_close(loss, grad, np.ones(3))",
        '>       return w["absent"]',
    ]
    (said,) = [line for line in shown if "returned a tuple of 2" in line]
    assert said.endswith("or grad=True if it returns (J, gradient)")
    assert len(result.outlines) < 75
    whole = suite.runpytest_inprocess("--full-trace", "test_nn.py::test_shape")
    whole.stdout.fnmatch_lines(["*pytest_gradcheck*"])


def test_nor_of_a_check_that_a_module_makes_while_it_is_imported(suite):
    suite.makepyfile(
        test_import="""
        import numpy as np
        from pytest_gradcheck import check_gradients

        def cost(w):
            return w["absent"]

        check_gradients(cost, lambda w: w, np.ones(3))
        """,
        test_skip="import pytest; pytest.skip('not here', allow_module_level=True)",
        test_syntax="def test_it(: ...",
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(errors=2, skipped=1)
    result.stdout.no_fnmatch_line("*pytest_gradcheck?_*")
    result.stdout.fnmatch_lines(
        [
            "test_import.py:*: in <module>",
            "*check_gradients(cost, lambda w: w, np.ones(3))*",
            "test_import.py:*: in cost",
            "E   IndexError: *",
            "E   SyntaxError: *",
        ]
    )


BETWEEN = """
    import numpy as np
    from pytest_gradcheck import assert_jacobian_close, check_hessian

    def test_nothing():
        assert_jacobian_close(lambda w: None, lambda w: np.eye(3), np.ones(3))

    def test_vector():
        check_hessian(lambda w: 2 * w, lambda w: np.eye(3), np.ones(3))
"""


def test_nor_what_the_standard_library_runs_between_them(suite):
    suite.makepyfile(test_nn=BETWEEN)
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=2)
    result.stdout.no_fnmatch_line("*contextlib*")
    result.stdout.no_fnmatch_line("*pytest_gradcheck?_*")
    result.stdout.fnmatch_lines(["E * ShapeError: func returned an array of shape (3,)*"])


LINKED = """
    import numpy as np
    import pytest

    def grad(w):
        raise KeyError("absent")

    def test_its_own_cause():
        error = ValueError("of nothing of ours")
        raise error from error

    def test_a_circle():
        first, second = ValueError(1), ValueError(2)
        first.__cause__, second.__cause__ = second, first
        raise first

    def test_both_cause_and_context(gradcheck):
        try:
            gradcheck(np.sum, grad, np.ones(3))
        except KeyError:
            raise ValueError("later") from OSError("other")

    def test_a_group(gradcheck):
        with pytest.raises(KeyError) as caught:
            gradcheck(np.sum, grad, np.ones(3))
        raise ExceptionGroup("all", [caught.value, ExceptionGroup("more", [OSError(3)])])
"""


def test_exceptions_that_are_their_own_cause_or_in_a_group(suite):
    """The first two made pytest hang, whether or not a gradient is checked."""
    suite.makepyfile(test_nn=LINKED)
    result = suite.runpytest_subprocess(timeout=60)
    result.assert_outcomes(failed=4)
    if pytest.version_tuple < (9,):
        return  # it shows the frames of a group's members whatever they say
    result.stdout.no_fnmatch_line("*pytest_gradcheck?_*")
    result.stdout.fnmatch_lines(["*| KeyError: 'absent'"])


def test_an_attribute_report_of_another_exception_is_left_alone(suite):
    suite.makepyfile(
        """
        class Closed(Exception):
            @property
            def report(self):
                raise RuntimeError("it was closed")

        def test_closed():
            raise Closed
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_an_exception_without_its_module_s_name_is_pickled_with_its_notes():
    with pytest.raises(ValueError, match="of shape") as caught:
        check_gradients(lambda w: 2 * w, np.ones(3), W, has_aux=False)
    caught.value.add_note("by hand")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert str(again) == str(caught.value)
    assert again.__notes__[-1] == "by hand"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("kwargs", "functools.partial"),
        ("value_and_grad", "grad=True"),
        ("rel_tol", "rtol="),
        ("theta", "third argument"),
        ("inputs", "third argument"),
        ("argnums", "into params, one structure"),
        ("jac", "grad=True"),
        ("tol", "rtol="),
        ("epsilon", "eps="),
        ("options", "a keyword of its own"),
    ],
)
def test_options_of_other_checkers_name_ours(option, said):
    with pytest.raises(TypeError, match=f"no option named {option}; ") as caught:
        assert_gradients_close(cost, grad, W, **{option: True})
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"fun": cost, "grad": grad, "params": W},
            "no option named fun; the function is the first",
        ),
        ({"params": W}, "func and grad missing; write {}(func, grad, params)"),
        ({"func": cost, "params": W}, "grad missing; write {}(func, grad, params), with grad=True"),
    ],
)
@pytest.mark.parametrize("check", [assert_gradients_close, check_gradients, "gradcheck"])
def test_a_call_without_func_or_grad_says_what_to_write(check, given, said, request):
    name = check if isinstance(check, str) else check.__name__
    check = request.getfixturevalue(check) if isinstance(check, str) else check
    with pytest.raises(TypeError) as caught:
        check(**given)
    assert f"{name}: {said.format(name)}" in str(caught.value)


def several(w, b):
    return float(np.sum((X @ w + b) ** 2))


def of_several(w, b):
    z = X @ w + b
    return 2 * X.T @ z, 2 * z


@pytest.mark.parametrize("check", [assert_gradients_close, check_gradients])
def test_several_arguments_are_told_how_to_pass(check):
    b = np.array([0.4, -0.1])
    with pytest.raises(TypeError) as caught:
        check(several, of_several, W, b)
    assert "(lambda p: func(*p), lambda p: grad(*p), (W, b))" in str(caught.value)
    # What it says works.
    assert check(lambda p: several(*p), lambda p: of_several(*p), (W, b)).ok


@pytest.mark.parametrize("point", [W, {"w": W}, [W, W]], ids=["array", "dict", "list"])
def test_func_and_grad_exchanged_are_suspected(point):
    def number(p):
        leaves = p.values() if isinstance(p, dict) else p
        return float(sum(np.sum(leaf**2) for leaf in leaves))

    def gradient(p):
        if isinstance(p, dict):
            return {name: 2 * leaf for name, leaf in p.items()}
        return [2 * leaf for leaf in p] if isinstance(p, list) else 2 * p

    with pytest.raises((TypeError, ValueError), match="func returned") as caught:
        check_gradients(gradient, number, point)
    assert "are func and grad exchanged?" in "".join(getattr(caught.value, "__notes__", ()))


def test_a_vector_of_losses_is_not_an_exchange():
    with pytest.raises(ValueError, match=r"assert_jacobian_close\(func, jac, params\)") as caught:
        check_gradients(lambda w: (X @ w) ** 2, grad, W)
    assert not getattr(caught.value, "__notes__", ())


def test_a_list_of_numbers_with_an_array_for_a_gradient():
    with pytest.raises(ValueError, match=r"pass np\.array\(x0\)"):
        check_gradients(lambda w: cost(np.array(w)), lambda w: grad(np.array(w)), [0.3, -1.2, 0.8])


def test_a_list_of_numbers_of_which_func_makes_no_array():
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        check_gradients(lambda w: np.sum(w**2), lambda w: 2 * w, [0.3, -1.2, 0.8])
    assert "for an array pass np.array(x0)" in caught.value.__notes__[0]


def test_an_adjoint_of_matrices_says_what_to_pass():
    with pytest.raises(TypeError, match="pass lambda x: matrix @ x") as caught:
        assert_adjoint(X, X.T, np.zeros(3))
    assert str(caught.value).startswith("forward must be callable, forward(x), but is ndarray: ")
    with pytest.raises(TypeError, match="pass lambda y: matrix @ y"):
        assert_adjoint(lambda x: X @ x, X.T, np.zeros(3))
    assert assert_adjoint(lambda x: X @ x, lambda y: X.T @ y, np.zeros(3)).ok


def test_a_method_without_params_is_told_of_in_place():
    class Model:
        def forward(self):
            return float(np.sum(W**2))

    with pytest.raises(TypeError) as caught:
        assert_gradients_close(Model().forward, 2 * W, W)
    assert "wants in_place=True" in caught.value.__notes__[0]


def test_a_gradient_in_place_of_func_says_where_it_belongs():
    with pytest.raises(ValueError, match="func returned an array of shape") as caught:
        assert_hvp_close(grad, lambda w, v: 2 * X.T @ (X @ v), W)
    assert "pass its gradient as grad=" in str(caught.value)
    assert assert_hvp_close(cost, lambda w, v: 2 * X.T @ (X @ v), W, grad=grad).ok


class Series:
    """As pandas has it: no array, but one inside."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def to_numpy(self):
        return self.values


def test_a_series_says_to_numpy():
    with pytest.raises(TypeError, match=r"pass its \.to_numpy\(\)"):
        check_gradients(cost, grad, Series(W))
    with pytest.raises(TypeError, match=r"return its \.to_numpy\(\)"):
        check_gradients(cost, lambda w: Series(grad(w)), W)


class Layer:
    def __init__(self):
        self.W = W.copy()
        self.b = np.array([0.4, -0.1])


def test_a_layer_says_vars_and_that_works():
    layer = Layer()
    with pytest.raises(TypeError, match=r"pass vars\(layer\), with in_place=True"):
        check_gradients(lambda p: several(p.W, p.b), of_several, layer)
    report = check_gradients(
        lambda: several(layer.W, layer.b),
        lambda: dict(zip("Wb", of_several(layer.W, layer.b), strict=True)),
        vars(layer),
        in_place=True,
    )
    assert report.ok
    assert report.size == 5


def test_forgotten_args_are_named():
    with pytest.raises(TypeError, match="missing") as caught:
        check_gradients(lambda w, x: np.sum((x @ w) ** 2), lambda w, x: 2 * x.T @ (x @ w), W)
    assert "args=(...)" in caught.value.__notes__[0]
