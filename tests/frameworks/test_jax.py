"""JAX: arrays and pytrees as parameters, its autodiff as the analytic side."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

from pytest_gradcheck import (
    GradientMismatch,
    assert_gradients_close,
    check_gradients,
    check_jacobian,
    check_jvp,
    check_vjp,
    compare_gradients,
    jax_gradients,
    numerical_gradient,
)

jax = pytest.importorskip("jax", reason='the extra "jax" is not installed')

pytestmark = pytest.mark.extra
jnp = jax.numpy


@pytest.fixture(autouse=True)
def x64():
    """JAX's float64, in all threads, for one test and without a trace."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def normal(*shape, dtype=None, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return jnp.asarray(rng.normal(size=shape), dtype=dtype)


X = np.random.default_rng(1).normal(size=(5, 3))


@jax.jit
def loss(p):
    return jnp.sum(jnp.tanh(X.astype(p["W"].dtype) @ p["W"] + p["b"]) ** 2)


def params_of(dtype=None):
    return {"W": normal(3, 2, dtype=dtype), "b": normal(2, dtype=dtype)}


# Arrays


def test_func_gets_arrays_of_its_own_kind():
    params = params_of()
    seen = set()

    def spied(p):
        seen.update((type(v), v.dtype, tuple(v.devices())) for v in p.values())
        return loss(p)

    report = assert_gradients_close(spied, jax.grad(loss), params)
    W = params["W"]
    assert seen == {(type(W), W.dtype, tuple(W.devices()))}
    assert report.resolution < 1.1e-7
    assert [block.name for block in report.blocks] == ["W", "b"]


def test_a_wrong_entry_is_named():
    def grad(p):
        found = jax.grad(loss)(p)
        return {**found, "W": found["W"].at[2, 1].multiply(1.01)}

    with pytest.raises(GradientMismatch, match=r"^W\[2, 1\]: analytic .* \(1 of 8 wrong\)\n"):
        assert_gradients_close(loss, grad, params_of())


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 2)], ids=str)
def test_any_shape(shape):
    params = {"t": normal(*shape), "u": normal(2)}
    f = lambda p: jnp.sum(jnp.sin(p["t"])) + jnp.prod(p["u"])  # noqa: E731
    report = check_gradients(f, jax_gradients(f), params, vacuous="pass")
    assert report.verdict == "agree"
    assert report.blocks[0].shape == shape


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_complex_gradients_are_conjugated_by_the_shortcut(dtype):
    z = (normal(3, 2) + 0.5j * normal(3, 2, seed=1)).astype(dtype)
    f = lambda z: jnp.sum((z * z.conj() * 1.5 + z**2).real)  # noqa: E731
    assert check_gradients(f, jax_gradients(f), z).verdict == "agree"
    assert check_gradients(f, jax.grad(f), z).verdict == "disagree"


def test_every_coordinate_is_what_was_set():
    from pytest_gradcheck.adapters.jax_and_autograd import KIND

    for array in (normal(2, 3), normal(4) + 1j * normal(4, seed=2), normal()):
        now = [array]
        cell = KIND.cell(array, lambda new, now=now: now.__setitem__(0, new))
        wanted = np.array(array).reshape(-1)
        flat = wanted.view(float)
        for i, theta in enumerate(flat.tolist()):
            cell[i], flat[i] = 0.25 * i, 0.25 * i
            assert np.array_equal(np.asarray(now[0]).reshape(-1), wanted)
            cell[i], flat[i] = theta, theta
            assert now[0] is array
        cell[:] = flat * 2
        assert np.array_equal(np.asarray(now[0]).reshape(-1), wanted * 2)
        assert now[0].shape == array.shape


def test_float32_is_checked_in_float64_where_x64_is_on():
    report = assert_gradients_close(loss, jax.grad(loss), params_of("float32"))
    assert (report.evidence.error_bar < 1e-6 * np.abs(report.evidence.numeric)).all()
    assert params_of("float32")["W"].dtype == np.float32


def test_float32_that_func_insists_on():
    f = lambda p: loss({name: value.astype("float32") for name, value in p.items()})  # noqa: E731
    report = check_gradients(f, jax_gradients(f), params_of("float32"))
    assert report.verdict == "agree"
    assert 1e-6 < report.resolution < 1e-2


def test_without_x64_float32_is_checked_coarsely_and_without_a_warning():
    jax.config.update("jax_enable_x64", False)
    params = params_of()
    assert params["W"].dtype == np.float32
    report = check_gradients(loss, jax_gradients(loss), params)
    assert report.verdict == "agree"
    assert 1e-6 < report.resolution < 1e-2
    twice = lambda p: jax.tree.map(lambda g: 2 * g, jax.grad(loss)(p))  # noqa: E731
    assert check_gradients(loss, twice, params).verdict == "disagree"


def test_what_numpy_lacks_is_refused_by_name():
    f = lambda w: jnp.sum(w.astype(float) ** 2)  # noqa: E731
    key = {"w": normal(2), "key": jax.random.key(0)}
    with pytest.raises(TypeError, match=r"^key is a JAX array of key<fry>"):
        check_gradients(lambda p: f(p["w"]), None, key)
    report = check_gradients(lambda p: f(p["w"]), lambda p: {"w": 2 * p["w"]}, key, skip="key")
    assert report.ok


@pytest.mark.parametrize("wide", [True, False])
def test_bfloat16_is_read_and_differenced_in_a_wider_type(wide):
    jax.config.update("jax_enable_x64", wide)
    w = jnp.linspace(0.2, 1.0, 4).astype(jnp.bfloat16)
    sine = lambda w: jnp.sin(w).sum()  # noqa: E731
    report = check_gradients(sine, jax.grad(sine), w)
    assert report.verdict == "agree"
    assert report.resolution > 0.1
    assert (report.evidence.error_bar < (1e-6 if wide else 1e-2)).all()
    assert check_gradients(sine, lambda w: -jnp.cos(w), w).wrong == 4
    low = lambda w: jnp.sin(w.astype(jnp.bfloat16)).sum()  # noqa: E731
    with pytest.raises(TypeError, match=r"^params is bfloat16, in which no step is small enough"):
        check_gradients(low, jax.grad(low), w)
    array = np.asarray(w)  # of ml_dtypes' type
    assert check_gradients(lambda w: np.sin(w).sum(), lambda w: np.cos(w), array).ok
    coarse = compare_gradients(w, jnp.linspace(0.2, 1.0, 4), baseline=array)
    assert coarse.ok


@pytest.mark.parametrize("compile", [lambda f: f, jax.jit])
def test_without_x64_func_is_evaluated_in_float64_all_the_same(compile):
    jax.config.update("jax_enable_x64", False)
    data = jnp.asarray(X)
    cost = compile(lambda p: jnp.mean(jnp.tanh(data @ p["W"] + p["b"]) ** 2))
    params = {"W": normal(3, 2), "b": normal(2)}
    types = []

    def grad(p):
        types.append(p["W"].dtype)
        return jax.grad(cost)(p)

    report = check_gradients(cost, grad, params)
    assert report.verdict == "agree"
    assert report.resolution < 1e-3
    assert report.remarks == ("func was evaluated in float64, in jax.enable_x64(True)",)
    assert set(types) == {np.dtype(np.float32)}
    assert params["W"].dtype == jnp.ones(1).dtype == np.float32
    bad = lambda p: {**jax.grad(cost)(p), "b": 1.001 * jax.grad(cost)(p)["b"]}  # noqa: E731
    wrong = check_gradients(cost, bad, params)
    assert {entry.block for entry in wrong.worst} == {"b"}
    many = {"W": normal(3, 800), "b": normal(800)}
    far = check_gradients(cost, jax.grad(cost), many)
    assert far.directions > 0
    assert (far.verdict, far.remarks) == ("agree", report.remarks)
    outputs = lambda p: jnp.tanh(data @ p["W"])  # noqa: E731
    assert check_jacobian(outputs, jax.jacrev(outputs), {"W": params["W"]}).remarks
    fixed = lambda p: cost(jax.tree.map(lambda x: x.astype(jnp.float32), p))  # noqa: E731
    assert check_gradients(fixed, jax.grad(fixed), params).remarks == ()


def test_products_get_arrays_of_their_own():
    seen = []

    def vjp(w, u):
        seen.append(u)
        return jax.vjp(jnp.tanh, w)[1](u)[0]

    def jvp(w, v):
        seen.append(v)
        return jax.jvp(jnp.tanh, (w,), (v,))[1]

    for dtype in (jnp.float64, jnp.float32):
        w = normal(3, dtype=dtype)
        assert check_vjp(jnp.tanh, vjp, w).verdict == "agree"
        assert check_jvp(jnp.tanh, jvp, w).verdict == "agree"
        assert all(isinstance(one, jax.Array) and one.dtype == dtype for one in seen)
        seen.clear()


def test_in_place_is_refused():
    with pytest.raises(TypeError, match=r"^in_place=True: params is ArrayImpl, which can't be"):
        check_gradients(lambda: 1.0, lambda: 1.0, normal(2), in_place=True)


def test_a_func_that_replaces_an_array_is_told_so():
    def func(p):
        J = loss(p)
        p["W"] = p["W"] + 0
        return J

    with pytest.raises(ValueError, match=r"^func changed its parameters: W is not what it was"):
        check_gradients(func, jax.grad(loss), params_of())


# Pytrees


@jax.tree_util.register_dataclass
@dataclass
class Layer:
    kernel: jax.Array
    bias: jax.Array
    activation: str = field(metadata={"static": True}, default="tanh")


@jax.tree_util.register_pytree_node_class
class Opaque:
    """Registered without keys, as older code is."""

    def __init__(self, a, b):
        self.a, self.b = a, b

    def tree_flatten(self):
        return (self.a, self.b), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


class Pair(NamedTuple):
    first: jax.Array
    second: jax.Array


def test_registered_classes_come_apart_by_their_own_names():
    params = {
        "layers": [Layer(normal(3, 2), normal(2)), Layer(normal(2, 1), normal(1), "sin")],
        "opaque": Opaque(normal(2), {"c": normal(1)}),
        "pair": Pair(normal(1, seed=1), normal(1, seed=2)),
    }

    def f(p):
        x = X
        for layer in p["layers"]:
            assert isinstance(layer, Layer)
            x = getattr(jnp, layer.activation)(x @ layer.kernel + layer.bias)
        more = jnp.sum(p["opaque"].a ** 3) * p["opaque"].b["c"][0]
        return jnp.sum(x**2) + more + jnp.prod(p["pair"].first * p["pair"].second)

    f = jax.jit(f)
    names = [block.name for block in assert_gradients_close(f, jax.grad(f), params).blocks]
    assert names == [
        "layers[0].kernel",
        "layers[0].bias",
        "layers[1].kernel",
        "layers[1].bias",
        "opaque[0]",
        "opaque[1].c",
        "pair.first",
        "pair.second",
    ]
    assert_gradients_close(f, jax_gradients(f), params)
    found = numerical_gradient(f, params)
    assert isinstance(found["layers"][1], Layer)
    assert found["layers"][1].activation == "sin"
    assert isinstance(found["opaque"].a, np.ndarray)


def test_a_class_may_hold_arrays_numbers_and_none():
    params = Opaque(2.0, None)
    f = lambda p: jnp.sin(p.a) * 3  # noqa: E731
    assert_gradients_close(f, lambda p: Opaque(3 * jnp.cos(p.a), None), params)
    assert_gradients_close(f, jax_gradients(f), params)


# Programs


@pytest.mark.extra("equinox")
def test_an_equinox_module_without_its_functions():
    import equinox as eqx

    net = eqx.nn.MLP(3, 1, 4, 2, key=jax.random.PRNGKey(0), dtype=jnp.float64)

    @eqx.filter_jit
    def error(net):
        return jnp.sum(jax.vmap(net)(X) ** 2)

    with pytest.raises(TypeError) as caught:
        check_gradients(error, jax_gradients(error), net)
    skip = ["activation", "final_activation"]
    assert f"leave them out with skip={skip}" in str(caught.value)

    right = eqx.filter_jit(eqx.filter_grad(error))
    for gradient in (right, jax_gradients(error)):
        report = check_gradients(error, gradient, net, skip=skip)
        assert report.verdict == "agree"
        assert report.size == sum(x.size for x in jax.tree.leaves(eqx.filter(net, eqx.is_array)))

    def wrong(net):
        found = right(net)
        weight = found.layers[1].weight
        return eqx.tree_at(lambda g: g.layers[1].weight, found, weight.at[2, 3].multiply(1.01))

    report = check_gradients(error, wrong, net, skip=skip)
    assert [entry.label for entry in report.worst] == ["layers[1].weight[2, 3]"]


def test_a_scan_with_its_transpose():
    def f(p):
        def step(h, x):
            h = jnp.tanh(p["W"] @ h + p["U"] @ x)
            return h, h

        _, found = jax.lax.scan(step, jnp.zeros(2), X)
        return jnp.sum(found**2)

    params = {"W": normal(2, 2), "U": normal(2, 3)}
    assert_gradients_close(jax.jit(f), jax_gradients(f), params)

    def truncated(p):
        """Backpropagation through the last step alone."""

        def step(h, x):
            h = jnp.tanh(p["W"] @ jax.lax.stop_gradient(h) + p["U"] @ x)
            return h, h

        return jnp.sum(jax.lax.scan(step, jnp.zeros(2), X)[1] ** 2)

    with pytest.raises(GradientMismatch, match=r"^[WU]\[\d, \d\]: analytic"):
        assert_gradients_close(jax.jit(f), jax_gradients(truncated), params)


def fixed_point(vjp):
    """Return the layer z = tanh(Wz + x), differentiated by the implicit function theorem."""

    def solve(W, x):
        step = lambda _, z: jnp.tanh(W @ z + x)  # noqa: E731
        return jax.lax.fori_loop(0, 200, step, jnp.zeros_like(x))

    layer = jax.custom_vjp(solve)

    def forward(W, x):
        z = solve(W, x)
        return z, (W, x, z)

    layer.defvjp(forward, vjp)
    return layer


def implicit(kept, dz):
    W, x, z = kept
    slope = 1 - jnp.tanh(W @ z + x) ** 2
    u = jnp.linalg.solve((jnp.eye(z.size) - slope[:, None] * W).T, dz) * slope
    return jnp.outer(u, z), u


def one_step(kept, dz):
    W, x, z = kept
    u = dz * (1 - jnp.tanh(W @ z + x) ** 2)
    return jnp.outer(u, z), u


def test_an_implicit_layer_with_a_vjp_of_its_own():
    params = {"W": 0.3 * normal(3, 3), "x": normal(3)}
    f = lambda layer: lambda p: jnp.sum(layer(p["W"], p["x"]) ** 2)  # noqa: E731
    right = jax.jit(f(fixed_point(implicit)))
    assert_gradients_close(right, jax_gradients(right), params)
    wrong = jax.jit(f(fixed_point(one_step)))
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(wrong, jax_gradients(wrong), params)
    assert re.match(r"(W\[\d, \d\]|x\[\d\]): analytic", str(caught.value))


def test_a_large_pytree_goes_along_directions():
    params = {"W": normal(70, 70), "v": normal(70)}
    f = jax.jit(lambda p: jnp.sum(jnp.tanh(p["W"] @ p["v"] / 8) ** 2))

    def wrong(p):
        found = jax.grad(f)(p)
        return {**found, "W": found["W"].at[7, 9].add(0.1)}

    assert assert_gradients_close(f, jax_gradients(f), params).evaluations < 100
    with pytest.raises(GradientMismatch, match=r"^W\[7, 9\]: "):
        assert_gradients_close(f, wrong, params)


# jax_gradients, workers, vectorized


@pytest.mark.parametrize("placed", [False, True])
def test_func_gets_arrays_as_free_to_move_as_the_users(placed):
    w = jax.device_put(normal(7), jax.devices()[0] if placed else None)
    seen = set()

    def loss(p):
        return jnp.sum(jnp.sin(p["w"])) * p["b"]

    def func(p):
        seen.add((p["w"].committed, p["b"].committed))
        return loss(p)

    params = {"w": w, "b": jnp.asarray(0.7)}
    assert check_gradients(func, jax.grad(loss), params).verdict == "agree"
    assert seen == {(placed, False)}


def test_arguments_aux_and_whole_numbers():
    f = lambda p, y: (jnp.sum(p["w"] ** p["n"] * y) * p["s"], p["n"])  # noqa: E731
    params = {"w": normal(2) ** 2, "n": jnp.array(3), "s": 2.0}
    y = normal(2, seed=3)
    found = jax_gradients(f, has_aux=True)(params, y)
    assert found["n"] is None
    grad = jax_gradients(f, has_aux=True)
    assert_gradients_close(f, grad, params, args=(y,), has_aux=True, skip="n")


def test_threads_give_the_same():
    serial = check_gradients(loss, jax.grad(loss), params_of())
    threads = check_gradients(loss, jax.grad(loss), params_of(), workers=2)
    assert threads.verdict == "agree"
    assert (threads.difference, threads.evaluations) == (serial.difference, serial.evaluations)


def test_vectorized_takes_vmap():
    shapes = set()

    def batched(p):
        shapes.add((isinstance(p["W"], jax.Array), p["W"].shape[1:]))
        return jax.vmap(loss)(p)

    assert_gradients_close(batched, jax.grad(loss), params_of(), vectorized=True)
    assert shapes == {(True, (3, 2))}


@pytest.mark.parametrize("compiled", [False, True])
def test_vmap_batches_a_loss_of_one_point(compiled):
    calls = []

    def single(p):
        calls.append(p["W"].shape)
        return loss(p)

    func = jax.jit(single) if compiled else single
    found = assert_gradients_close(func, jax.grad(loss), params_of(), vectorized="vmap")
    assert set(calls) == {(3, 2)}
    assert len(calls) < found.evaluations / 2  # it is traced once for a batch

    def wrong(p):
        return {**jax.grad(loss)(p), "W": -jax.grad(loss)(p)["W"]}

    assert check_gradients(func, wrong, params_of(), vectorized="vmap").wrong == 6


@pytest.mark.parametrize("seed", range(2))
def test_a_float32_network_agrees_and_a_wrong_row_is_found(seed):
    jax.config.update("jax_enable_x64", False)
    x, t = normal(12, 6, dtype=jnp.float32, seed=seed), normal(12, dtype=jnp.float32, seed=seed)

    @jax.jit
    def single(p):
        if p["W"].dtype != jnp.float32:
            raise TypeError("float32 alone")
        return jnp.mean((jnp.tanh(x @ p["W"].T) @ p["v"] - t) ** 2) + 3

    params = {name: normal(*shape, dtype=jnp.float32) for name, shape in SINGLE.items()}
    report = check_gradients(single, jax.grad(single), params)
    assert (report.verdict, report.precision, report.open) == ("agree", "float32", 0)

    def grad(p):
        found = jax.grad(single)(p)
        return {**found, "W": found["W"].at[3].multiply(1.4)}

    report = check_gradients(single, grad, params)
    assert report.verdict == "disagree"
    assert [block.name for block in report.blocks if block.verdict == "disagree"] == ["W"]


SINGLE = {"W": (8, 6), "v": (8,)}
