"""Jacobians and products with them: right ones pass, planted bugs are caught and named."""

import re

import numpy as np
import pytest

from pytest_gradcheck import (
    GradientMismatch,
    assert_jacobian_close,
    assert_jvp_close,
    assert_vjp_close,
    check_jacobian,
    check_jvp,
    check_vjp,
)
from pytest_gradcheck._api.jacobians import check_products

RNG = np.random.default_rng(7)
A = RNG.normal(size=(30, 20))
S = 10.0 ** np.linspace(-8, 8, 20)
T = np.linspace(0, 2, 25)


def broyden(x):
    y = np.concatenate([[0.0], x, [0.0]])
    return (3 - 2 * x) * x - y[:-2] - 2 * y[2:] + 1


def broyden_jac(x):
    n = x.size
    return np.diag(3 - 4 * x) - np.eye(n, k=-1) - 2 * np.eye(n, k=1)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def layer(params):
    return np.tanh(params["W"] @ np.array([1.0, -2.0, 0.5]) + params["b"])


def layer_jac(params):
    slope = 1 - layer(params) ** 2
    eye = np.eye(slope.size)
    by_w = np.einsum("k,kl,j->klj", slope, eye, np.array([1.0, -2.0, 0.5]))
    return {"W": by_w, "b": np.diag(slope)}


LAYER = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=4)}

RIGHT = {
    "rosenbrock": (
        lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]),
        lambda x: np.array([[-20 * x[0], 10.0], [-1.0, 0.0]]),
        np.array([-1.2, 1.0]),
    ),
    "powell badly scaled": (
        lambda x: np.array([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001]),
        lambda x: np.array([[1e4 * x[1], 1e4 * x[0]], [-np.exp(-x[0]), -np.exp(-x[1])]]),
        np.array([0.0, 1.0]),
    ),
    "brown badly scaled": (
        lambda x: np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2]),
        lambda x: np.array([[1.0, 0.0], [0.0, 1.0], [x[1], x[0]]]),
        np.array([1.0, 1.0]),
    ),
    "broyden tridiagonal": (broyden, broyden_jac, -np.ones(60) + 0.1 * RNG.normal(size=60)),
    "exponential fit": (
        lambda p: p[0] * np.exp(-p[1] * T) + p[2],
        lambda p: np.stack([np.exp(-p[1] * T), -p[0] * T * np.exp(-p[1] * T), T**0], axis=1),
        np.array([2.0, 3.0, 0.5]),
    ),
    "softmax": (
        softmax,
        lambda z: np.diag(softmax(z)) - np.outer(softmax(z), softmax(z)),
        5 * RNG.normal(size=12),
    ),
    "scaled parameters": (
        lambda x: np.sin(x / S),
        lambda x: np.diag(np.cos(x / S) / S),
        S * RNG.normal(size=20),
    ),
    "scaled outputs": (
        lambda x: S * np.sin(A[:20] @ x),
        lambda x: (S * np.cos(A[:20] @ x))[:, None] * A[:20],
        RNG.normal(size=20),
    ),
    "large offset": (
        lambda x: 1e6 + np.sin(A @ x),
        lambda x: np.cos(A @ x)[:, None] * A,
        RNG.normal(size=20),
    ),
    "relu": (
        lambda x: np.maximum(A @ x, 0),
        lambda x: (A @ x > 0)[:, None] * A,
        RNG.normal(size=20),
    ),
    "on kinks": (
        lambda x: np.maximum(x, 0),
        lambda x: np.diag(1.0 * (x > 0)),
        np.array([0.0, 1.0, -1.0]),
    ),
    "float32": (
        lambda x: np.tanh(A.astype(np.float32) @ x),
        lambda x: (1 - np.tanh(A.astype(np.float32) @ x) ** 2)[:, None] * A.astype(np.float32),
        RNG.normal(size=20).astype(np.float32),
    ),
    "float32 inside": (
        lambda x: np.tanh(A.astype(np.float32) @ x.astype(np.float32)),
        lambda x: (1 - np.tanh(A.astype(np.float32) @ x) ** 2)[:, None] * A.astype(np.float32),
        RNG.normal(size=20).astype(np.float32),
    ),
    "named blocks": (layer, layer_jac, LAYER),
    "a number": (
        lambda x: np.array([x**2, np.sin(x)]),
        lambda x: np.array([2 * x, np.cos(x)]),
        0.7,
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_jacobian_agrees(name):
    func, jac, params = RIGHT[name]
    report = assert_jacobian_close(func, jac, params)
    assert report.verdict == "agree"
    assert report.checked == report.size > 0


@pytest.mark.parametrize("name", sorted(set(RIGHT) - {"on kinks"}))
@pytest.mark.parametrize("seed", [0, 1])
def test_one_wrong_entry_is_named(name, seed):
    func, jac, params = RIGHT[name]
    right = jac(params)
    if name == "named blocks":
        wrong = {key: value.copy() for key, value in right.items()}
        wrong["W"][2, 2, 1] *= 1.01
        label = "output[2] / W[2, 1]"
    else:
        wrong = np.array(right, dtype=right.dtype)
        large = np.argwhere(np.abs(wrong) > 0.3 * np.abs(wrong).max())
        place = tuple(large[np.random.default_rng(seed).integers(len(large))])
        wrong[place] *= 1.01 if name != "float32 inside" else 1.5
        label = f"output[{place[0]}] / params" + (f"[{place[1]}]" if wrong.ndim > 1 else "")
    with pytest.raises(GradientMismatch) as caught:
        assert_jacobian_close(func, wrong, params)
    report = caught.value.report
    assert report.worst[0].label == label
    assert report.wrong == 1
    assert str(caught.value).startswith(f"{label}: analytic ")


def test_the_cost_is_two_evaluations_for_each_parameter_however_many_outputs():
    for m in (1, 30, 300):
        matrix = RNG.normal(size=(m, 20))
        x = RNG.normal(size=20) / 20

        def func(x, matrix=matrix):
            return np.tanh(matrix @ x)

        def jac(x, matrix=matrix):
            return (1 - np.tanh(matrix @ x) ** 2)[:, None] * matrix

        assert check_jacobian(func, jac, x).evaluations <= 2 * 20 + 12


def test_a_banded_jacobian_costs_one_more_evaluation_for_each_parameter():
    report = assert_jacobian_close(broyden, broyden_jac, -np.ones(50))
    assert report.evaluations <= 3 * 50 + 12


def test_a_jacobian_that_is_wrong_everywhere_is_named_and_does_not_cost_a_ladder_an_entry():
    matrix = RNG.normal(size=(60, 50))
    report = check_jacobian(
        lambda x: np.tanh(matrix @ x / 10),
        lambda x: 2 * (1 - np.tanh(matrix @ x / 10) ** 2)[:, None] * matrix / 10,
        RNG.normal(size=50),
    )
    assert report.wrong == 3000
    assert report.blocks[0].hint == "analytic = 2 x numeric, everywhere in the block"
    assert report.evaluations < 30 * 50


def test_the_failure_line_by_line():
    def jac(params):
        found = layer_jac(params)
        found["b"] = np.zeros_like(found["b"])
        return found

    text = check_jacobian(layer, jac, LAYER).message().splitlines()
    assert text[0] == "output / b: analytic is zero everywhere: never written?"
    assert re.split("  +", text[2]) == ["block", "shape", "wrong", "what it looks like"]
    assert text[3].startswith("output / b  (4, 4)  4 / 16  analytic is zero everywhere")
    assert text[4] == "output / W agrees"
    assert text[6].split()[:2] == ["worst", "analytic"]
    assert text[7].startswith("output[")
    assert " / b[" in text[7]
    assert text[-2].startswith("difference ")


# What a Jacobian may look like


def test_outputs_with_names():
    def func(params):
        return {"residual": params["x"] ** 2, "penalty": np.sum(params["x"])}

    def jac(params):
        return {
            "residual": {"x": np.diag(2 * params["x"])},
            "penalty": {"x": np.ones(3)},
        }

    params = {"x": np.array([1.0, 2.0, 3.0])}
    report = assert_jacobian_close(func, jac, params)
    assert [block.name for block in report.blocks] == ["residual / x", "penalty / x"]

    def wrong(params):
        return jac(params) | {"penalty": {"x": np.array([1.0, 1.0, 2.0])}}

    assert check_jacobian(func, wrong, params).worst[0].label == "penalty / x[2]"


def test_a_whole_matrix_has_the_leaves_in_order():
    matrix = np.concatenate([layer_jac(LAYER)["W"].reshape(4, 12), layer_jac(LAYER)["b"]], axis=1)
    assert assert_jacobian_close(layer, matrix, LAYER).size == 64
    matrix[1, 13] += 0.1
    assert check_jacobian(layer, matrix, LAYER).worst[0].label == "output[1] / b[1]"


def test_only_and_skip_choose_columns():
    matrix = np.concatenate([layer_jac(LAYER)["W"].reshape(4, 12), layer_jac(LAYER)["b"]], axis=1)
    report = assert_jacobian_close(layer, matrix, LAYER, skip="W")
    assert report.skipped == ("W",)
    assert report.size == 16
    only = assert_jacobian_close(layer, {"b": layer_jac(LAYER)["b"]}, LAYER, only="b")
    assert [block.name for block in only.blocks] == ["output / b"]


def test_args_and_has_aux():
    assert_jacobian_close(
        lambda x, k: (k * x**2, "cache"), lambda x, k: np.diag(2 * k * x), np.ones(3),
        args=(3.0,), has_aux=True,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_matrix", "lil_matrix"])
@pytest.mark.extra("scipy")
def test_a_sparse_jacobian_and_its_forgotten_entry(kind):
    from scipy import sparse

    make = getattr(sparse, kind)
    x = -np.ones(40)
    assert_jacobian_close(broyden, lambda x: make(broyden_jac(x)), x)

    def forgetful(x):
        dense = broyden_jac(x)
        dense[3, 4] = 0
        return make(dense)

    report = check_jacobian(broyden, forgetful, x)
    assert [entry.label for entry in report.worst] == ["output[3] / params[4]"]
    assert report.worst[0].analytic == 0


@pytest.mark.extra("scipy")
def test_an_operator_and_its_adjoint():
    from scipy.sparse import linalg

    x = -np.ones(10)
    matrix = broyden_jac(x)
    assert_jacobian_close(broyden, linalg.aslinearoperator(matrix), x)
    without = linalg.LinearOperator((10, 10), matvec=lambda v: matrix @ v, dtype=float)
    assert_jacobian_close(broyden, without, x)
    wrong = linalg.LinearOperator(
        (10, 10), matvec=lambda v: matrix @ v, rmatvec=lambda u: matrix @ u, dtype=float
    )
    report = check_jacobian(broyden, wrong, x)
    assert report.verdict == "disagree"
    assert report.message().startswith("rmatvec is not the adjoint of matvec: output[")
    assert report.wrong == 0
    late = linalg.LinearOperator((10, 10), matvec=lambda v: 2 * (matrix @ v), dtype=float)
    assert check_jacobian(broyden, late, x).wrong == 28


class Short:
    """An operator of three rows and columns whose products have another length."""

    shape = (3, 3)

    def __init__(self, matvec, rmatvec):
        self.lengths = matvec, rmatvec

    def matvec(self, v):
        return np.cos(THREE)[: self.lengths[0]] * v[: self.lengths[0]]

    def rmatvec(self, u):
        return np.cos(THREE)[: self.lengths[1]] * u[: self.lengths[1]]


THREE = np.array([0.1, 0.2, 0.3])


def test_a_product_of_another_length_is_named_with_its_method():
    assert_jacobian_close(np.sin, lambda p: Short(3, 3), THREE)
    with pytest.raises(ValueError, match=r"operator's matvec returned .* \(2,\).* 3 numbers"):
        check_jacobian(np.sin, lambda p: Short(2, 3), THREE)
    with pytest.raises(ValueError, match=r"operator's rmatvec returned .* \(1,\).* 3 numbers"):
        check_jacobian(np.sin, lambda p: Short(3, 1), THREE)


def test_what_a_product_raises_is_noted_to_be_its_own():
    class Fails(Short):
        def matvec(self, v):
            return (v[:2]).reshape(3)

    with pytest.raises(ValueError, match="cannot reshape") as caught:
        check_jacobian(np.sin, lambda p: Fails(3, 3), THREE)
    assert caught.value.__notes__ == ["gradcheck: raised by the operator's matvec"]


def test_a_masked_jacobian_is_refused_and_not_read_below_its_mask():
    mask = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    with pytest.raises(TypeError, match=r"jac is a masked array.*filled\(0\)"):
        check_jacobian(np.sin, lambda p: np.ma.array(np.diag(np.cos(p)), mask=mask), THREE)
    parted = {"x": THREE}
    with pytest.raises(TypeError, match=r"jac of output by x is a masked array"):
        check_jacobian(
            lambda p: np.sin(p["x"]),
            lambda p: {"x": np.ma.array(np.diag(np.cos(p["x"])), mask=mask)},
            parted,
        )
    assert_jacobian_close(np.sin, lambda p: np.ma.array(np.diag(np.cos(p))), THREE)


# More than can be judged one by one


@pytest.mark.extra("scipy")
def test_many_parameters_are_checked_in_combinations_and_the_entry_is_named():
    from scipy import sparse

    n = 3000
    x = -np.ones(n) + 0.1 * RNG.normal(size=n)

    def func(x):  # the last output reads every parameter: no two columns can be moved together
        return np.append(broyden(x), x @ x)

    def jac(x, forgotten=False):
        made = sparse.diags(
            [np.full(n - 1, -1.0), 3 - 4 * x, np.full(n - 1, -2.0)], [-1, 0, 1]
        ).tolil()
        if forgotten:
            made[17, 18] = 0
        return sparse.vstack([made, sparse.csr_matrix(2 * x)]).tocsr()

    report = assert_jacobian_close(func, jac, x)
    assert report.evaluations < 200
    assert "3,001 outputs in 3 random combinations (seed 0)" in report.details()
    wrong = check_jacobian(func, jac(x, forgotten=True), x)
    assert [entry.label for entry in wrong.worst] == ["output[17] / params[18]"]


def test_many_outputs_are_checked_in_combinations():
    t = np.linspace(0, 1, 20_000)

    def func(p):
        return {"fit": p["a"] * np.exp(-p["k"] * t)}

    def jac(p, factor=1.0):
        slow = -p["a"] * t * np.exp(-p["k"] * t)
        slow[777] *= factor
        return {"fit": {"a": np.exp(-p["k"] * t), "k": slow}}

    params = {"a": 2.0, "k": 3.0}
    assert_jacobian_close(func, jac, params)
    report = check_jacobian(func, jac(params, 1.5), params)
    assert [entry.label for entry in report.worst] == ["fit[777] / k"]


@pytest.mark.extra("scipy")
def test_an_operator_without_adjoint_is_checked_along_tangents():
    from scipy.sparse import linalg

    n = 2500
    x = RNG.normal(size=n)
    for factor, verdict in ((1.0, "agree"), (1.001, "disagree")):
        slope = 2 * x
        slope[4] *= factor
        jac = linalg.LinearOperator((n, n), matvec=lambda v, d=slope: d * v, dtype=float)
        report = check_jacobian(lambda x: x**2, jac, x)
        assert report.verdict == verdict
        if factor != 1:
            assert {entry.label for entry in report.worst} == {
                f"output[4] / v{number}" for number in (1, 2, 3)
            }


# Products


def layer_jvp(params, v):
    slope = 1 - layer(params) ** 2
    return slope * (v["W"] @ np.array([1.0, -2.0, 0.5]) + v["b"])


def layer_vjp(params, u):
    dz = u * (1 - layer(params) ** 2)
    return {"W": np.outer(dz, [1.0, -2.0, 0.5]), "b": dz}


def test_products_of_a_layer():
    assert assert_jvp_close(layer, layer_jvp, LAYER).size == 64
    assert assert_vjp_close(layer, layer_vjp, LAYER).size == 64


def test_wrong_products_are_named():
    def jvp(params, v):
        found = layer_jvp(params, v)
        found[1] += 0.1 * v["b"][3]
        return found

    with pytest.raises(GradientMismatch, match=r"^output\[1\] / b\[3\]: analytic 0.1 != numeric"):
        assert_jvp_close(layer, jvp, LAYER)

    def vjp(params, u):
        return layer_vjp(params, u) | {"b": u}

    report = check_vjp(layer, vjp, LAYER)
    assert report.wrong == 4
    assert {block.name for block in report.blocks if block.wrong} == {"output / b"}
    with pytest.raises(GradientMismatch):
        assert_vjp_close(layer, vjp, LAYER)


def test_names_may_come_in_any_order():
    # JAX sorts the keys of every dict that it returns.
    def func(p):
        return {"z": np.tanh(p["x"]), "b": 3 * np.sum(p["x"], keepdims=True).astype(np.float32)}

    def jvp(p, v, by=1.0):
        z = (1 - np.tanh(p["x"]) ** 2) * v["x"]
        return {"b": 3 * np.sum(v["x"], keepdims=True).astype(np.float32), "z": by * z}

    p = {"x": np.array([0.3, -0.8, 1.1])}
    assert check_jvp(func, jvp, p).verdict == "agree"
    report = check_jvp(func, lambda p, v: jvp(p, v, 1.0001), p)
    assert {block.name for block in report.blocks if block.wrong} == {"z / x"}
    with pytest.raises(TypeError, match=r"^jvp returned z of shape .*, but func's outputs are"):
        check_jvp(func, lambda p, v: {"z": jvp(p, v)["z"]}, p)


def test_a_factor_in_single_precision_is_named():
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(6, 3)), 2 * rng.normal(size=(3, 4)).astype(np.float32)

    def jac(w):  # most entries are zero, and some small
        found = np.zeros((6, 4, 3, 4))
        for j in range(4):
            found[:, j, :, j] = 1.3 * x * (1 - np.tanh(x @ w)[:, j, None] ** 2)
        return found.astype(np.float32)

    report = check_jacobian(lambda w: np.tanh(x @ w), jac, w)
    assert report.diagnoses[0].sentence.startswith("analytic = 1.3 x numeric")


def test_a_product_that_is_not_linear_is_said_to_be_so():
    report = check_jvp(np.sin, lambda x, v: np.cos(x) * v * np.abs(v), np.array([0.5, 1.5]))
    assert report.verdict == "disagree"
    assert report.reasons[0].startswith("jvp is not linear in v: output[")


def test_products_of_many_parameters_or_outputs():
    n = 6000
    x = RNG.uniform(0.5, 1.5, n)
    assert_jvp_close(np.log, lambda x, v: v / x, x)
    assert_vjp_close(np.log, lambda x, u: u / x, x)

    def wrong(x, u):
        found = u / x
        found[123] *= 1.01
        return found

    assert check_jvp(np.log, wrong, x).worst[0].label.startswith("output[123] / v")
    assert check_vjp(np.log, wrong, x).worst[0].label == "params[123]"


# Bad input, and what is left as it was


@pytest.mark.parametrize(
    ("jac", "error", "text"),
    [
        (np.ones((2, 3)), ValueError, "jac has shape (2, 3), but 3 outputs and 2 parameters need "
         "(3, 2), outputs first: return its transpose, .T"),
        (np.ones(6), ValueError, "jac has shape (6,), but"),
        (np.ones((3, 2)) * 1j, TypeError, "jac has dtype complex128; it must be real"),
        ({"a": np.ones((3, 2))}, ValueError, "jac does not match: it has no params and outputs "
         "and params have no a; it has"),
        (lambda x: None, TypeError, "jac is None; it must be the matrix"),
    ],
)  # fmt: skip
def test_a_jacobian_of_another_kind(jac, error, text):
    with pytest.raises(error) as caught:
        check_jacobian(lambda x: np.ones(3) * x[0], jac, np.ones(2))
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("names", "text"),
    [("a", "it has no b.W;"), ("abc", "outputs and params have no c.W;")],
)
def test_what_a_jacobian_lacks_or_has_too_much_is_named(names, text):
    jac = {name: {"W": np.eye(2)} for name in names}
    with pytest.raises(ValueError, match=f"jac does not match: {text}"):
        check_jacobian(lambda p: {"a": p["W"], "b": p["W"]}, jac, {"W": np.ones(2)})


def test_lines_are_named_of_no_entries_that_were_chosen_along_combinations():
    x = np.linspace(1, 2, 50)
    right = np.diag(3 * x**2)
    report = check_jacobian(lambda x: x**3, lambda x: right * 1.5, x, max_evals=60)
    assert report.blocks[0].name.startswith("output[")
    assert report.verdict == "disagree"
    assert report.lines == ()


class Boxed:
    """What only numpy knows how to read."""

    def __init__(self, array):
        self.inside = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.inside, dtype)


def test_outputs_and_entries_may_be_what_numpy_can_read():
    def func(p):
        return {"a": Boxed(2 * p["W"]), "b": p["W"] ** 2}

    jac = {"a": {"W": Boxed(2 * np.eye(2))}, "b": {"W": 2 * np.eye(2)}}
    assert check_jacobian(func, jac, {"W": np.ones(2)}).verdict == "agree"
    jac["a"]["W"] = "two"
    with pytest.raises(TypeError, match=r"jac of a by W has dtype <U3; it must be real and num"):
        check_jacobian(func, jac, {"W": np.ones(2)})
    jac["a"]["W"] = 2.0
    with pytest.raises(ValueError, match=r"jac of a by W has shape \(\), but must have \(2, 2\)"):
        check_jacobian(func, jac, {"W": np.ones(2)})


def test_outputs_that_cannot_be_differenced():
    with pytest.raises(TypeError, match="func returned a of type str; an output is an array"):
        check_jacobian(lambda p: {"a": "x", "b": p}, {}, np.ones(2))
    with pytest.raises(TypeError, match="outputs must be real"):
        check_jacobian(lambda x: x * 1j, np.eye(2), np.ones(2))
    with pytest.raises(ValueError, match=r"func returned output\[1\] = nan at params"):
        check_jacobian(lambda x: np.array([1.0, np.nan]), np.eye(2), np.ones(2))
    with pytest.raises(ValueError, match="func returned nothing to differentiate"):
        check_jacobian(lambda x: None, np.eye(2), np.ones(2))
    with pytest.raises(TypeError, match="params is complex: pass real and imaginary part"):
        check_jacobian(lambda x: x.real, np.eye(2), np.ones(2) * 1j)
    with pytest.raises(TypeError, match="no option named eps"):
        check_jacobian(lambda x: x, np.eye(2), np.ones(2), eps=1e-6)


def test_a_func_that_does_not_repeat_itself_is_named_first():
    rng = np.random.default_rng(0)
    report = check_jacobian(lambda x: np.append(x, rng.normal()), np.eye(3, 2), np.ones(2))
    assert report.message().startswith("func does not repeat itself: output[2] differs by")


def test_parameters_and_nothing_else_changes():
    params = {"W": LAYER["W"].copy(), "b": LAYER["b"].copy()}
    before = {key: value.tobytes() for key, value in params.items()}

    def raises(p):
        if p["b"][1] != params["b"][1]:
            raise RuntimeError("boom")
        return layer(p)

    check_jacobian(layer, layer_jac, params)
    with pytest.raises(RuntimeError, match="boom"):
        check_jacobian(raises, layer_jac, params)
    with pytest.raises(ValueError, match="func changed its parameters"):
        check_jacobian(lambda p: p["b"].__iadd__(1), layer_jac, params)
    assert {key: value.tobytes() for key, value in params.items()} == before


def test_a_parameter_that_nothing_depends_on_is_not_passed_over():
    func = {"used": np.ones(2), "unused": np.ones(2)}
    for vacuous, ok in (("note", True), ("fail", False)):
        report = check_jacobian(
            lambda p: p["used"] ** 2,
            {"used": 2 * np.eye(2), "unused": np.zeros((2, 2))},
            func,
            vacuous=vacuous,
        )
        assert (report.vacuous, report.ok) == (("output / unused",), ok)


def test_noise_too_large_for_a_demand_is_inconclusive():
    report = check_jacobian(
        lambda x: np.float32(1) * np.sin(x).astype(np.float32), lambda x: np.diag(np.cos(x)),
        np.array([0.5, 1.0]), rtol=1e-8,
    )  # fmt: skip
    assert report.verdict == "inconclusive"


def in_two_modes(factor=1.0, *, at=0):
    """Return tanh(Wx), its two products and x; an entry of the forward one is scaled."""
    rng = np.random.default_rng(11)
    w, x = rng.normal(size=(4, 7)), rng.normal(size=7)

    def func(x):
        return np.tanh(w @ x)

    def matrix(x):
        return (1 - np.tanh(w @ x) ** 2)[:, None] * w

    def jvp(x, v):
        own = matrix(x)
        own[2, at] *= factor
        return own @ v

    return func, {"jvp": jvp, "vjp": lambda x, u: u @ matrix(x)}, x


def test_two_modes_share_the_evaluations_of_func():
    func, modes, x = in_two_modes()
    alone = check_vjp(func, modes["vjp"], x)
    _, both = check_products(func, modes, x)
    assert (both.verdict, both.evaluations) == ("agree", alone.evaluations)


@pytest.mark.parametrize("factor", [1 + 1e-4, -1.0, 0.0])
def test_a_mode_that_is_not_the_other_is_named(factor):
    name, report = check_products(*in_two_modes(factor, at=5))
    assert (name, report.ok) == ("jvp", False)
    assert [entry.label for entry in report.worst] == ["output[2] / params[5]"]


def test_a_mode_that_is_no_number_is_named():
    func, modes, x = in_two_modes()
    of_ones = np.array([1.0, 1.0, np.nan, 1.0])
    modes["jvp"] = lambda x, v, right=modes["jvp"]: right(x, v) * of_ones
    name, report = check_products(func, modes, x)
    assert (name, report.verdict) == ("jvp", "disagree")


def test_both_modes_wrong_alike_are_caught():
    func, modes, x = in_two_modes()
    wrong = {name: lambda x, v, of=of: 1.001 * of(x, v) for name, of in modes.items()}
    _, report = check_products(func, wrong, x)
    assert report.verdict == "disagree"


def test_nothing_compared_at_all_is_no_pass():
    _, modes, x = in_two_modes()
    rng = np.random.default_rng(3)
    noisy = lambda x: rng.normal(size=4)  # noqa: E731
    _, report = check_products(noisy, modes, x, inconclusive="pass")
    assert not report.ok
    assert "does not repeat itself" in report.message()


@pytest.mark.parametrize(
    ("func", "jac", "most"),
    [
        (np.sin, lambda x: np.diag(np.cos(x)), 2 * 6),
        (lambda x: x[:9] * x[31], lambda x: x[31] * np.eye(9, 40) + _column(x[:9], 31), 40),
        (lambda x: 3 * x[:2], lambda x: 3 * np.eye(2, 40), 2 * 2),
        # One that answers to all, and one that answers to the first alone.
        (
            lambda x: np.array([(x**2).sum(), x[0] ** 3]),
            lambda x: np.stack([2 * x, 3 * x[0] ** 2 * np.eye(40)[0]]),
            2,
        ),
    ],
)
def test_what_hangs_apart_is_asked_together_whether_it_is_still(func, jac, most):
    x = np.linspace(0.1, 2.0, 40)
    report = check_jacobian(func, jac, x)
    assert report.verdict == "agree"
    assert report.evaluations <= 2 * 40 + 12 + most
    wrong = jac(x)
    wrong[1, 17] += 1e-9  # func does not answer to it at all
    report = check_jacobian(func, wrong, x)
    assert [entry.label for entry in report.worst] == ["output[1] / params[17]"]


def test_what_a_large_step_moves_is_not_asked_one_by_one():
    x = np.where(np.arange(400) % 2, np.linspace(0.5, 1.5, 400), -1e-4)  # -1e-4 + 1e-3 > 0

    def func(x):
        return np.array([np.sin(x).sum(), (np.maximum(x, 0.0) ** 2).sum()])

    report = check_jacobian(func, lambda x: np.stack([np.cos(x), 2 * np.maximum(x, 0.0)]), x)
    assert report.verdict == "agree"
    assert report.evaluations <= 2 * 400 + 12 + 20


def test_no_option_is_advised_that_a_jacobian_does_not_take():
    with pytest.raises(ValueError, match=r"copy what is to be changed \(your own arrays are as"):
        check_jacobian(lambda x: x.__imul__(2).copy(), 2 * np.eye(3), np.ones(3))
    told = check_jacobian(lambda x: np.ones(2), np.zeros((2, 3)), np.ones(3)).message()
    assert "and its derivative zero: does it read other arrays?" in " ".join(told.split())
    told = check_jacobian(lambda x: np.ones(2), np.ones((2, 3)), np.ones(3)).message()
    assert "read other arrays or remember results by identity?" in " ".join(told.split())


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: (x,), lambda x: [[x]]])
@pytest.mark.parametrize("each", [lambda y: y, lambda y: (y,)])
def test_a_jacobian_of_one_array_in_a_list_may_be_in_one(wrap, each):
    # As torch.autograd.functional.jacobian(f, (x,)) and jax.jacobian(f, argnums=(0,)) return it.
    x, matrix = np.linspace(0.1, 1.0, 4), np.arange(12.0).reshape(3, 4)

    def func(p):
        while not isinstance(p, np.ndarray):
            (p,) = p
        return each(matrix @ p)

    assert check_jacobian(func, each(wrap(matrix)), wrap(x)).verdict == "agree"
    assert check_jacobian(func, matrix.tolist(), wrap(x)).verdict == "agree"
    with pytest.raises(ValueError, match=r"jac has shape \(4, 3\), but 3 outputs and 4 parameters"):
        check_jacobian(func, matrix.T.tolist(), wrap(x))


def test_a_boolean_output_is_told_by_its_type():
    with pytest.raises(TypeError, match="func returned output of dtype bool; it must be real"):
        check_jacobian(lambda x: x > 0, np.zeros((3, 3)), np.ones(3))


def _column(values, number):
    made = np.zeros((9, 40))
    made[:, number] = values
    return made


def test_a_product_that_is_solved_to_a_tolerance_is_linear_to_that():
    func, modes, x = in_two_modes()

    def solved(x, u):
        made = modes["vjp"](x, u)
        return made * (1 + 1e-7 * np.sin(37 * u.sum()))  # stops where its error is small enough

    told = check_vjp(func, solved, x)
    assert told.verdict == "disagree"
    assert check_vjp(func, solved, x, rtol=1e-6).verdict == "agree"
    assert check_vjp(func, solved, x, rtol=1e-9).verdict == "disagree"
    found = re.search(r"is ([-\d.]+) for a random u,\s+and ([-\d.]+) as the sum", told.message())
    assert found is not None
    assert found[1] != found[2]


def test_a_product_whose_terms_cancel_is_linear_but_for_their_rounding():
    func, modes, x = in_two_modes()

    def cancelling(x, u, large=3e4):
        # Sums with large terms in them, of which a few digits fewer are left.
        return np.array([(u[0] * large + one) - u[0] * large for one in modes["vjp"](x, u)])

    assert np.abs(cancelling(x, np.ones(4)) - modes["vjp"](x, np.ones(4))).max() > 1e-13
    assert check_vjp(func, cancelling, x).verdict == "agree"
    for bent in (np.abs, lambda u: np.where(u > 0, u, 0.0), lambda u: u + 1e-6 * u**2):
        wrong = check_vjp(func, lambda x, u, bent=bent: modes["vjp"](x, bent(u)), x)
        assert wrong.verdict == "disagree"
