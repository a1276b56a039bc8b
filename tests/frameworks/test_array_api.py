"""Libraries that speak the array API standard, or DLPack alone; and a kind of one's own."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

from pytest_gradcheck import (
    ArrayKind,
    GradientMismatch,
    assert_gradients_close,
    check_gradients,
    hookimpl,
    numerical_gradient,
    plugin_manager,
)
from pytest_gradcheck._params.arrays_and_structure import foreign_kind

pytestmark = pytest.mark.extra


@pytest.fixture
def xp():
    return pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")


def standard(xp, device=None, dtype="float64"):
    rng = np.random.default_rng(0)
    new = lambda *shape: xp.asarray(  # noqa: E731
        rng.normal(size=shape), dtype=getattr(xp, dtype), device=device
    )
    return {"W": new(3, 2), "b": new(2), "s": new()}


def loss(p):
    xp = p["W"].__array_namespace__()
    return xp.sum(xp.tanh(p["W"] * p["s"] + p["b"]) ** 2)


def backward(p):
    xp = p["W"].__array_namespace__()
    h = xp.tanh(p["W"] * p["s"] + p["b"])
    dz = 2 * h * (1 - h**2)
    return {"W": dz * p["s"], "b": xp.sum(dz, axis=0), "s": xp.sum(dz * p["W"])}


@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1"])
def test_arrays_of_the_standard_stay_on_their_device(xp, device):
    params = standard(xp, xp.Device(device))
    mark = {name: np.from_dlpack(value).copy() for name, value in params.items()}
    seen = set()

    def spied(p):
        seen.update((type(v), v.device, v.dtype) for v in p.values())
        return loss(p)

    report = assert_gradients_close(spied, backward, params)
    assert seen == {(type(params["W"]), xp.Device(device), xp.float64)}
    assert [block.shape for block in report.blocks] == [(3, 2), (2,), ()]
    assert all(np.array_equal(np.from_dlpack(params[name]), mark[name]) for name in mark)

    def wrong(p):
        found = backward(p)
        found["W"][2, 1] = found["W"][2, 1] * 1.01
        return found

    with pytest.raises(GradientMismatch, match=r"^W\[2, 1\]: analytic"):
        assert_gradients_close(loss, wrong, params)


def test_float32_complex_and_whole_vectors(xp):
    assert_gradients_close(loss, backward, standard(xp, dtype="float32"))
    z = xp.asarray([1 + 2j, -0.5j])
    f = lambda z: xp.sum(xp.real(z * xp.conj(z)) * 1.5)  # noqa: E731
    assert check_gradients(f, lambda z: 3 * z, z).verdict == "agree"
    big = {"w": xp.asarray(np.linspace(1, 2, 5000))}
    square = lambda p: xp.sum(p["w"] ** 2)  # noqa: E731
    report = assert_gradients_close(square, lambda p: {"w": 2 * p["w"]}, big)
    assert report.evaluations < 100


def test_in_place_and_vectorized(xp):
    params = standard(xp)
    assert_gradients_close(lambda: loss(params), lambda: backward(params), params, in_place=True)
    assert np.array_equal(np.from_dlpack(params["W"]), np.from_dlpack(standard(xp)["W"]))

    def batched(p):
        h = xp.tanh(p["W"] * p["s"][:, None, None] + p["b"][:, None, :])
        return xp.sum(h**2, axis=(1, 2))

    assert_gradients_close(batched, backward, standard(xp), vectorized=True)


def test_a_func_that_writes_to_its_arrays_is_told_so(xp):
    def func(p):
        p["b"][0] = 1.0
        return loss(p)

    with pytest.raises(ValueError, match=r"^func changed its parameters: b is not what it was"):
        check_gradients(func, backward, standard(xp))


# DLPack alone

exchange = ModuleType("exchange")


class Sheet:
    """An array of a library that can do nothing but hand out memory and take it."""

    def __init__(self, held):
        self.held = held
        self.dtype = held.dtype

    def __dlpack__(self, **options):
        return self.held.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.held.__dlpack_device__()


Sheet.__module__ = "exchange.arrays"
exchange.from_dlpack = lambda other: Sheet(np.from_dlpack(other))


def sheets(monkeypatch):
    monkeypatch.setitem(sys.modules, "exchange", exchange)
    rng = np.random.default_rng(0)
    return {"a": Sheet(rng.normal(size=(2, 2)).T), "b": Sheet(rng.normal(size=3) + 1j)}


def sheet_loss(p):
    return np.sum(p["a"].held ** 3) * np.sum(abs(p["b"].held) ** 2)


def sheet_grad(p):
    a, b = p["a"].held, p["b"].held
    return {"a": Sheet(3 * a**2 * np.sum(abs(b) ** 2)), "b": 2 * b * np.sum(a**3)}


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="numpy exports by DLPack in fewer ways"
)
def test_arrays_that_can_only_be_exchanged(monkeypatch):
    params = sheets(monkeypatch)
    mark = params["a"].held.copy()
    report = assert_gradients_close(sheet_loss, sheet_grad, params)
    assert [block.shape for block in report.blocks] == [(2, 2), (3,)]
    assert np.array_equal(params["a"].held, mark)
    doubled = lambda p: {**sheet_grad(p), "a": Sheet(2 * sheet_grad(p)["a"].held)}  # noqa: E731
    with pytest.raises(GradientMismatch, match=r"^a is 2 x numeric \(4 of 4 wrong\)\n"):
        assert_gradients_close(sheet_loss, doubled, params)
    with pytest.raises(TypeError, match=r"^in_place=True: a is Sheet, which can't be"):
        check_gradients(lambda: 1.0, lambda: 1.0, params, in_place=True)


def test_what_cannot_be_read_is_refused_by_name(monkeypatch):
    params = sheets(monkeypatch)

    def refuse(self, **options):
        raise BufferError("it is elsewhere")

    monkeypatch.setattr(Sheet, "__dlpack__", refuse)
    with pytest.raises(TypeError, match=r"^a is Sheet of dtype float64, which numpy can't take by"):
        check_gradients(sheet_loss, sheet_grad, params)


# What is imported


def test_a_check_of_numpy_s_arrays_loads_no_framework():
    code = """
import sys
from pytest_gradcheck import check_gradients
report = check_gradients(lambda p: p["x"] ** 2, lambda p: {"x": 2 * p["x"]}, {"x": 3.0})
print(report.verdict, {"torch", "jax", "autograd", "array_api_strict"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "agree set()\n"


# A kind of one's own


class Money:
    """An array that no protocol tells anything about."""

    def __init__(self, cents):
        self.cents = cents


class MoneyKind(ArrayKind):
    def to_numpy(self, value):
        return value.cents

    def like(self, value, array):
        return Money(array)

    def copy(self, value, dtype=None):
        return Money(np.array(value.cents, dtype=dtype))

    def cell(self, value, publish):
        return value.cents


class MoneyAdapter:
    kind = MoneyKind()

    @hookimpl
    def gradcheck_array(self, value):
        return self.kind if isinstance(value, Money) else None


def test_a_plugin_s_own_kind():
    params = {"m": Money(np.array([1.0, 2.0]))}
    f = lambda p: Money(np.array(np.sum(p["m"].cents ** 2)))  # noqa: E731
    with pytest.raises(TypeError, match=r"^m is Money, but a parameter is an array or a number"):
        check_gradients(f, None, params)
    adapter = MoneyAdapter()
    plugin_manager().register(adapter)
    try:
        report = assert_gradients_close(f, lambda p: {"m": Money(2 * p["m"].cents)}, params)
        assert report.blocks[0].name == "m"
        assert np.allclose(numerical_gradient(f, params)["m"], [2, 4])
        with pytest.raises(TypeError, match=r"^in_place=True: m is Money, which can't be"):
            check_gradients(lambda: 1.0, lambda: 1.0, params, in_place=True)
    finally:
        plugin_manager().unregister(adapter)
    assert foreign_kind(Money(0)) is MoneyAdapter.kind, "asked once for each type"
