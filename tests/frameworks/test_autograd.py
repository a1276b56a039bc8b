"""autograd: its arrays are numpy's, so only its gradients are looked at here."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_gradcheck import (
    GradientMismatch,
    assert_gradients_close,
    autograd_gradients,
    check_gradients,
)

autograd = pytest.importorskip("autograd", reason='the extra "autograd" is not installed')
anp = pytest.importorskip("autograd.numpy")

pytestmark = pytest.mark.extra

rng = np.random.default_rng(0)
X = rng.normal(size=(5, 3))


def loss(p):
    return anp.sum(anp.tanh(anp.dot(X, p["W"]) + p["b"]) ** 2)


def params_of():
    return {"W": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}


def test_its_gradients_agree_given_either_way():
    assert_gradients_close(loss, autograd_gradients(loss), params_of())
    assert_gradients_close(loss, autograd.grad(loss), params_of())


def test_its_own_containers():
    from autograd.builtins import dict as boxed_dict
    from autograd.builtins import list as boxed_list
    from autograd.builtins import tuple as boxed_tuple

    params = boxed_dict(layers=boxed_list([rng.normal(size=2)]), pair=boxed_tuple((1.5, 0.5)))
    f = lambda p: anp.sum(p["layers"][0] ** 2) * p["pair"][0] * p["pair"][1]  # noqa: E731
    report = assert_gradients_close(f, autograd_gradients(f), params)
    assert [block.name for block in report.blocks] == ["layers[0]", "pair[0]", "pair[1]"]


def test_complex_gradients_are_conjugated():
    z = rng.normal(size=3) + 1j * rng.normal(size=3)
    f = lambda z: anp.sum(anp.real(z * anp.conj(z) * 1.5 + z**2))  # noqa: E731
    assert check_gradients(f, autograd_gradients(f), z).verdict == "agree"
    assert check_gradients(f, autograd.grad(f), z).verdict == "disagree"


def primitive(vjp):
    softplus = autograd.extend.primitive(lambda x: np.logaddexp(0, x))
    autograd.extend.defvjp(softplus, vjp)
    return lambda p: anp.sum(softplus(p["w"]) * p["v"])


def test_a_primitive_with_a_wrong_vjp_is_named():
    params = {"w": rng.normal(size=3), "v": rng.normal(size=3)}
    right = primitive(lambda out, x: lambda g: g / (1 + np.exp(-x)))
    wrong = primitive(lambda out, x: lambda g: g * np.exp(-x))
    assert_gradients_close(right, autograd_gradients(right), params)
    with pytest.raises(GradientMismatch, match=r"^w\[\d\]: analytic .* \(3 of 6 wrong\)\n"):
        assert_gradients_close(wrong, autograd_gradients(wrong), params)


def test_what_is_no_floating_point_is_left_out():
    f = lambda p, y: anp.sum(p["w"] ** p["n"]) * y  # noqa: E731
    params = {"w": rng.uniform(1, 2, 3), "n": 3, "s": "name"}
    assert autograd_gradients(f)(params, 2.0).keys() == params.keys()
    assert_gradients_close(f, autograd_gradients(f), params, args=(2.0,), skip=["n", "s"])
