"""torch and JAX as people use them: outputs with a graph, modules, products, sparse gradients."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pytest_gradcheck import (
    check_gradients,
    check_hessian,
    check_hvp,
    check_jacobian,
    check_jvp,
    check_vjp,
    compare_gradients,
    torch_gradients,
)
from pytest_gradcheck._evaluate import evaluator

torch = pytest.importorskip("torch", reason='the extra "torch" is not installed')

pytestmark = [pytest.mark.extra, pytest.mark.filterwarnings("ignore:`torch.jit.script")]
nn = torch.nn
call = torch.func.functional_call

torch.set_num_threads(1)


def normal(*shape, dtype=torch.float64, seed=0, **options):
    rng = np.random.default_rng([seed, *shape])
    return torch.tensor(rng.normal(size=shape), dtype=dtype, **options)


X = normal(4, 3)


def linear():
    torch.manual_seed(0)
    return nn.Linear(3, 2).double()


def of_module(net):
    return torch.func.jacrev(lambda p: call(net, p, (X,)))(dict(net.named_parameters()))


def test_jacobians_of_modules_and_of_outputs_that_require_a_gradient():
    assert check_jacobian(lambda net: net(X), of_module, linear()).verdict == "agree"
    p = normal(3, requires_grad=True)
    right = torch.func.jacrev(torch.cos)
    assert right(p).requires_grad
    assert check_jacobian(torch.cos, right, p).verdict == "agree"
    assert check_jacobian(torch.cos, right(p), p).verdict == "agree"
    report = check_jacobian(torch.cos, lambda p: right(p) * torch.tensor([1.0, 1.0, 2.0]), p)
    assert report.worst[0].label == "output[2] / params[2]"
    assert report.wrong == 1


def test_a_jacobian_as_one_matrix_is_a_tensor():
    p = normal(2, 2)
    dense = torch.func.jacrev(lambda p: p.square().flatten())(p).reshape(4, 4)
    assert check_jacobian(lambda p: p.square().flatten(), lambda p: dense, p).verdict == "agree"


def test_products_get_tensors():
    p, seen = normal(3), []

    def vjp(p, u):
        seen.append(u)
        p = p.detach().requires_grad_()
        return torch.autograd.grad(torch.sin(p), p, u)[0]

    def jvp(p, v):
        seen.append(v)
        return torch.func.jvp(torch.sin, (p,), (v,))[1]

    def hvp(p, v):
        seen.append(v)
        return torch.autograd.functional.hvp(lambda p: torch.sin(p).sum(), p, v)[1]

    assert check_vjp(torch.sin, vjp, p).verdict == "agree"
    assert check_jvp(torch.sin, jvp, p).verdict == "agree"
    assert check_hvp(lambda p: torch.sin(p).sum(), hvp, p).verdict == "agree"
    assert all(torch.is_tensor(one) and one.dtype is p.dtype for one in seen)
    assert not any(one.requires_grad for one in seen)


def test_products_of_a_module_get_a_dict_of_tensors():
    def jvp(net, v):
        named = dict(net.named_parameters())
        return torch.func.jvp(lambda p: call(net, p, (X,)), (named,), (v,))[1]

    def vjp(net, u):
        grads = torch.autograd.grad(net(X), list(net.parameters()), u)
        return dict(zip(dict(net.named_parameters()), grads, strict=True))

    assert check_jvp(lambda net: net(X), jvp, linear()).verdict == "agree"
    assert check_vjp(lambda net: net(X), vjp, linear()).verdict == "agree"
    twice = lambda net, u: {k: 2 * g for k, g in vjp(net, u).items()}  # noqa: E731
    assert check_vjp(lambda net: net(X), twice, linear()).verdict == "disagree"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_many_parameters_of_a_module_along_random_tangents(dtype):
    torch.manual_seed(1)
    net, x = nn.Linear(50, 60).to(dtype), normal(2, 50, dtype=dtype)

    def jvp(net, v):
        named = dict(net.named_parameters())
        return torch.func.jvp(lambda p: call(net, p, (x,)).tanh(), (named,), (v,))[1]

    report = check_jvp(lambda net: net(x.to(net.weight)).tanh(), jvp, net)
    assert report.verdict == "agree"
    assert "3 random tangents" in report.patterns[-1]
    wrong = lambda net, v: jvp(net, v) * 1.01  # noqa: E731
    assert check_jvp(lambda net: net(x.to(net.weight)).tanh(), wrong, net).verdict == "disagree"


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_vectors_with_gaps_on_request(kind):
    p = normal(2, 3) if kind == "torch" else normal(2, 3).numpy()
    gaps = []

    def vjp(p, u):
        gaps.append(u.is_contiguous() if kind == "torch" else u.flags.c_contiguous)
        return 2 * p * u

    def raw(p, u):  # reads the memory behind u, whatever its strides are
        base = u._base if kind == "torch" else u.base
        flat = base.reshape(-1) if base is not None else u.reshape(-1)
        return 2 * p * flat[: p.size if kind == "numpy" else p.numel()].reshape(p.shape)

    assert check_vjp(lambda p: p**2, vjp, p).ok
    assert all(gaps)
    gaps.clear()
    assert check_vjp(lambda p: p**2, vjp, p, strided=True).ok
    assert not any(gaps)
    assert check_vjp(lambda p: p**2, raw, p, strided=True).verdict == "disagree"
    assert check_jvp(lambda p: p**2, vjp, p, strided=True).ok
    gaps.clear()
    assert check_hvp(lambda p: (p**3).sum() / 3, vjp, p, grad=lambda p: p**2, strided=True).ok
    assert not any(gaps)


def embedding():
    torch.manual_seed(0)
    return nn.Embedding(5, 3, padding_idx=0, sparse=True).double()


WORDS = torch.tensor([1, 2, 2, 0, 4])


def of_words(net):
    return net(WORDS).sin().sum()


def test_a_sparse_gradient_is_read_and_padding_left_out():
    grad = torch_gradients(of_words)
    assert grad(embedding())["weight"].is_sparse
    assert check_gradients(of_words, grad, embedding()).wrong == 3  # J depends on the padding
    kept = {"entries": {"weight": np.s_[1:]}}
    report = check_gradients(of_words, grad, embedding(), **kept)
    assert (report.verdict, report.size) == ("agree", 12)
    assert report.skipped == ("weight (3 of 15 entries)",)
    mask = torch.ones(5, 3, dtype=torch.bool)
    mask[0] = False
    assert check_gradients(of_words, grad, embedding(), entries={"w*": mask}).ok
    twice = lambda net: {"weight": 2 * grad(net)["weight"]}  # noqa: E731
    wrong = check_gradients(of_words, twice, embedding(), **kept)
    assert wrong.wrong == 9
    assert wrong.worst[0].label.startswith("weight[")
    assert wrong.worst[0].index[0] in (1, 2, 4)


def test_sparse_tensors_that_are_no_parameters():
    params = {"w": normal(2), "s": torch.eye(2, dtype=torch.float64).to_sparse()}
    loss = lambda p: (p["s"] @ p["w"][:, None]).square().sum()  # noqa: E731
    assert check_gradients(loss, torch_gradients(loss), params, skip="s").ok
    with pytest.raises(TypeError, match=r"^s is a sparse tensor \(torch.sparse_coo\), whose ent"):
        check_gradients(loss, lambda p: p, params)
    rows = torch.eye(3, dtype=torch.float64).to_sparse()
    assert check_jacobian(lambda w: w * 1.0, lambda w: rows, normal(3)).ok


@pytest.mark.parametrize("wrap", ["spectral_norm", "weight_norm"])
@pytest.mark.filterwarnings("ignore")
def test_modules_that_keep_what_they_computed(wrap):
    torch.manual_seed(0)
    net = getattr(nn.utils, wrap)(nn.Linear(3, 2).double()).eval()
    net(X)
    loss = lambda net: net(X).square().sum()  # noqa: E731
    grad = torch_gradients(loss)
    assert check_gradients(loss, grad, net).verdict == "agree"
    bad = lambda net: {k: 1.1 * g for k, g in grad(net).items()}  # noqa: E731
    assert check_gradients(loss, bad, net).verdict == "disagree"


def test_a_plain_sum_hides_what_weights_show():
    class Shift(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return 2 * x * dy.roll(1)

    x = normal(4)
    total = lambda x: Shift.apply(x).sum()  # noqa: E731
    assert check_gradients(total, torch_gradients(total), x).ok
    grad = torch_gradients(Shift.apply, weighted=True)
    assert check_gradients(grad.loss, grad, x).wrong == 4
    right = torch_gradients(lambda x: {"a": x**2, "b": x[0]}, weighted=True)
    assert check_gradients(right.loss, right, x).ok
    aux = torch_gradients(lambda x: (x**2, "aux"), weighted=True, has_aux=True)
    assert check_gradients(aux.loss, aux, x, has_aux=True).ok
    closure = torch_gradients(lambda: x**3, x, weighted=True)
    assert check_gradients(closure.loss, closure, x, in_place=True).ok
    with pytest.raises(TypeError, match=r"with weighted=True loss must return tensors, not 1\.0"):
        torch_gradients(lambda x: 1.0, weighted=True)(x)


def test_a_slow_func_is_told_to_be_compiled(monkeypatch):
    now = iter(range(10**6))
    square = lambda w: (w**2).sum()  # noqa: E731
    fast = check_gradients(square, lambda w: 2 * w, normal(2))
    monkeypatch.setattr(evaluator, "perf_counter", lambda: next(now) / 4)
    slow = check_gradients(square, lambda w: 2 * w, normal(2))
    assert fast.remarks == ()
    assert [text.partition(":")[2] for text in slow.remarks] == [
        f" compile func, torch.compile({square.__qualname__})"
    ]
    assert check_gradients(square, lambda w: 2 * w, normal(2).numpy()).remarks == ()


# What a loss closes over


SHIFT = normal(2, dtype=torch.float32)


def helper(out):
    return (out - SHIFT).square().mean()


def of_globals(net):
    return helper(net(SAMPLES))


SAMPLES = normal(7, 3, dtype=torch.float32)


def small():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def test_a_float32_loss_is_evaluated_in_float64_with_its_data():
    x, teacher = normal(6, 3, dtype=torch.float32), small()
    teacher[0].weight.data += 1

    def loss(net, gain=torch.tensor(2.0)):  # noqa: B008
        return sum(((net(one) - teacher(one)) * 2).square().mean() for one in (x, x + 1))

    for func, names in ((loss, "teacher, x"), (of_globals, "SAMPLES, SHIFT")):
        grad = torch_gradients(func)
        report = check_gradients(func, grad, small())
        assert report.verdict == "agree"
        assert report.resolution < 1e-3
        said = f"func was evaluated in float64, with float64 copies of {names}"
        assert report.remarks == (said,)

        def bad(net, grad=grad):
            found = grad(net)
            found["2.bias"] = found["2.bias"] * 1.001
            return found

        wrong = check_gradients(func, bad, small())
        assert [block.name for block in wrong.blocks if block.wrong] == ["2.bias"]
        assert said in wrong.message()
    assert x.dtype is SAMPLES.dtype is torch.float32
    assert teacher[0].weight.dtype is torch.float32


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_float32_hessian_is_checked_in_float64(factor):
    x, w = normal(5, 3, dtype=torch.float32), normal(3, 2, dtype=torch.float32, seed=1)

    def loss(w):
        return torch.tanh(x @ w).square().mean()

    def hess(w):
        return factor * torch.autograd.functional.hessian(loss, w)

    report = check_hessian(loss, hess, w)
    assert report.verdict == ("agree" if factor == 1 else "disagree")
    assert report.remarks == ("func was evaluated in float64, with float64 copies of x",)
    assert x.dtype is torch.float32


def test_a_reference_may_read_the_float32_data_that_func_does():
    x, net = normal(6, 3, dtype=torch.float32), small()

    def plain(net):
        return torch.tanh(net(x)).square().mean()

    def kernel(net):
        if net[0].weight.dtype != torch.float32:
            raise TypeError("float32 alone")
        return plain(net)

    grad = torch_gradients(kernel)
    report = check_gradients(kernel, grad, net, reference=plain)
    assert (report.verdict, report.coarse) == ("agree", False)
    assert report.remarks[1] == "reference was evaluated with float64 copies of x"
    found = grad(net)
    found["0.bias"][1] *= 1.001
    wrong = check_gradients(kernel, found, net, reference=plain)
    assert [entry.label for entry in wrong.worst] == ["0.bias[1]"]
    with pytest.raises(RuntimeError, match="same dtype") as caught:
        check_gradients(kernel, grad, net, reference=lambda net: net(torch.ones(2, 3)).sum())
    assert "gets copies of the parameters in float64" in caught.value.__notes__[0]


class Centred(nn.Module):
    """Takes off a running mean, which it keeps in a buffer."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        out = self.inner(x)
        self.mean = 0.9 * self.mean + 0.1 * out.mean(0)
        return out - self.mean


def test_a_module_that_reads_what_it_keeps_is_told_to_be_copied():
    torch.manual_seed(4)
    net, x = Centred().double(), normal(5, 3)

    def loss(net):
        return net(x).sin().sum()

    report = check_gradients(loss, torch_gradients(loss), net)
    assert report.verdict == "inconclusive"
    assert (
        "(it does with copy=True: the module reads what it writes to its buffers)"
        in report.reasons[0]
    )
    assert check_gradients(loss, torch_gradients(loss), net, copy=True).verdict == "agree"
    noisy = check_gradients(lambda net: loss(net) + torch.rand(()), torch_gradients(loss), net)
    assert "(dropout, shuffling or an unseeded generator?)" in noisy.reasons[0]


def test_a_baseline_leaves_no_rtol_to_be_advised():
    exact = normal(20, 3)
    plain, kernel = exact.float(), (exact * (1 + 1e-6)).float()
    report = compare_gradients(kernel, exact, baseline=plain)
    assert report.verdict == "disagree"
    assert "times that of baseline by maximum" in report.message()
    assert "rtol=" not in report.message()


def of_both(net, x, scale):
    return (net(x) * scale).square().mean()


class Trainer:
    def __init__(self):
        self.x, self.scale, self.calls = normal(6, 3, dtype=torch.float32), torch.tensor(2.0), 0

    def loss(self, net):
        return of_both(net, self.x, self.scale)

    def counted(self, net):
        self.calls += 1
        return self.loss(net)


def test_arguments_partials_and_methods_are_copied_too():
    x, scale, trainer = normal(6, 3, dtype=torch.float32), torch.tensor(2.0), Trainer()
    bound = partial(of_both, scale=scale, x=x)
    for func, args, names in (
        (of_both, (x, scale), "args[0], args[1]"),
        (bound, (), "scale, x"),
        (trainer.loss, (), "self.x, self.scale"),
    ):
        report = check_gradients(func, torch_gradients(func), small(), args=args)
        assert report.verdict == "agree"
        assert report.remarks == (f"func was evaluated in float64, with float64 copies of {names}",)
    grad = torch_gradients(trainer.counted)
    report = check_gradients(trainer.counted, grad, small(), inconclusive="pass")
    assert report.remarks == ()  # it assigns to its object
    assert trainer.calls >= report.evaluations
    assert x.dtype is trainer.x.dtype is torch.float32


COUNT = 0


def test_a_loss_that_assigns_outside_is_not_copied():
    x, calls = normal(6, 3, dtype=torch.float32), 0

    def nonlocal_count(net):
        nonlocal calls
        calls += 1
        return net(x).square().mean()

    def global_count(net):
        global COUNT
        COUNT += 1
        return net(SAMPLES).square().mean()

    for func in (nonlocal_count, global_count):
        report = check_gradients(func, torch_gradients(func), small(), inconclusive="pass")
        assert report.remarks == ()
        assert report.verdict != "disagree"
    assert calls > report.evaluations / 2
    assert report.evaluations <= COUNT


def test_a_loss_that_is_another_one_in_float64_is_not_copied():
    x = normal(6, 3, dtype=torch.float32)

    def loss(net):
        return (1.0 if x.dtype is torch.float32 else 1.01) * net(x).square().mean()

    report = check_gradients(loss, torch_gradients(loss), small(), inconclusive="pass")
    assert report.remarks == ()


# bfloat16 and float8


def test_bfloat16_parameters_are_differenced_in_float64():
    w = normal(4, dtype=torch.bfloat16)
    loss = lambda w: torch.sin(w).sum()  # noqa: E731
    report = check_gradients(loss, torch_gradients(loss), w)
    assert report.verdict == "agree"
    assert report.resolution > 0.1  # of an entry: 32 roundings of 2**-7
    assert (report.evidence.error_bar < 1e-6).all()
    assert check_gradients(loss, lambda w: -torch.cos(w), w).wrong > 0
    low = lambda w: torch.sin(w.bfloat16()).sum()  # noqa: E731
    with pytest.raises(TypeError) as caught:
        check_gradients(low, torch_gradients(low), w)
    assert str(caught.value) == (
        "params is torch.bfloat16, in which no step is small enough, and func computes no more "
        "digits with copies in float64; pass reference=, the same formula as a function of "
        "float64 parameters"
    )
    assert check_gradients(low, torch_gradients(low), w, reference=loss).verdict == "agree"
    with pytest.raises(TypeError, match="and in_place=True leaves it as it is; pass reference="):
        check_gradients(lambda: low(w), lambda: torch.cos(w), w, in_place=True)


def test_bfloat16_gradients_and_values_are_as_coarse_as_they_are():
    w = normal(4)
    square = lambda w: (w**2).sum()  # noqa: E731
    report = check_gradients(square, lambda w: (2 * w).bfloat16(), w)
    assert report.verdict == "agree"
    assert report.resolution > 0.1
    narrow = lambda w: square(w).bfloat16()  # noqa: E731
    told = check_gradients(narrow, lambda w: 2 * w, w)
    assert (told.verdict, told.coarse, told.precision) == ("agree", True, "bfloat16")
    assert 0.1 < told.blocks[0].block_seen < 0.9
    assert check_gradients(narrow, lambda w: 4 * w, w).verdict == "disagree"
    assert check_gradients(narrow, lambda w: 2 * w, w, rtol=1e-3).verdict == "inconclusive"
    assert not check_gradients(square, lambda w: (2 * w).bfloat16().double(), w).ok


def test_float8_values_are_read():
    exact = {"w": normal(40)}
    plain = {"w": exact["w"].to(torch.float8_e4m3fn)}
    near = {"w": (exact["w"] * 1.01).to(torch.float8_e4m3fn)}
    assert compare_gradients(near, exact, baseline=plain).ok
    assert not compare_gradients({"w": -plain["w"].float()}, exact, baseline=plain).ok


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2"])
def test_a_float8_gradient_is_wrong_by_a_factor_or_a_sign(kind):
    cubes = lambda w: (w**3).sum()  # noqa: E731
    w, stored = normal(30), getattr(torch, kind)
    for factor in (1, 2, 0.4, -1):
        wrong = (factor * 3 * w**2).to(stored)
        told = [
            check_gradients(cubes, lambda w, wrong=wrong: wrong, w),
            compare_gradients(wrong, 3 * w**2),
            check_jacobian(
                lambda w: w**3, lambda w, f=factor: torch.diag(f * 3 * w**2).to(stored), w
            ),
        ]
        assert [one.ok for one in told] == [factor == 1] * 3, factor


@pytest.mark.parametrize("factor", [1, 2])
def test_steps_across_many_kinks_accuse_no_entry_by_chance(factor):
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 6, 3), nn.Hardtanh(), nn.Flatten(), nn.Linear(96, 5)
    net, x = nn.Sequential(*layers), torch.randn(128, 2, 6, 6)
    with torch.no_grad():
        target = torch.randn_like(net(x))

    def loss(net):
        if next(net.parameters()).dtype != torch.float32:
            raise TypeError("a kernel for float32 alone")
        return (net(x) - target).square().mean()

    told = torch_gradients(loss)(net)
    worst = int(told["0.weight"].abs().argmax())
    told["0.weight"].view(-1)[worst] *= factor
    report = check_gradients(loss, told, net)
    wrong = {entry.index for entry in report.worst if entry.verdict == "disagree"}
    assert report.ok == (factor == 1) == (not wrong)
    assert factor == 1 or np.unravel_index(worst, (6, 2, 3, 3)) in wrong


def attention(q, k, v, scale):
    return torch.softmax(q @ k.T * scale, -1) @ v


def backward(inputs, d_out, dtype, *, scaled=True):
    """Return the gradient of plain attention, step by step in one precision."""
    q, k, v = (x.to(dtype) for x in inputs.values())
    scale = q.shape[1] ** -0.5
    p = torch.softmax(q @ k.T * scale, -1)
    d_p = d_out.to(dtype) @ v.T
    d_s = p * (d_p - (p * d_p).sum(-1, keepdim=True)) * (scale if scaled else 1)
    return {"q": d_s @ k, "k": d_s.T @ q, "v": p.T @ d_out.to(dtype)}


def test_a_bfloat16_attention_beside_the_plain_formula():
    inputs = {name: normal(16, 8, seed=i, dtype=torch.bfloat16) for i, name in enumerate("qkv")}
    d_out = normal(16, 8, seed=9, dtype=torch.bfloat16)
    exact = backward(inputs, d_out, torch.float64)
    plain = backward(inputs, d_out, torch.bfloat16)
    fused = {k: g.bfloat16() for k, g in backward(inputs, d_out, torch.float32).items()}
    assert compare_gradients(fused, exact, baseline=plain).ok
    unscaled = backward(inputs, d_out, torch.float32, scaled=False)
    wrong = compare_gradients({k: g.bfloat16() for k, g in unscaled.items()}, exact, baseline=plain)
    assert [block.name for block in wrong.blocks if block.verdict == "disagree"] == ["q", "k"]
    # The formula itself, by differences in float64.
    func = lambda p: (attention(*p.values(), 8**-0.5) * d_out.to(p["q"])).sum()  # noqa: E731
    grad = lambda p: backward(p, d_out, torch.bfloat16)  # noqa: E731
    assert check_gradients(func, grad, inputs).verdict == "agree"
