"""torch: tensors, modules and state_dicts as parameters, its autograd as the analytic side."""

from __future__ import annotations

import copy
import re
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from pytest_gradcheck import (
    GradientMismatch,
    Options,
    assert_gradients_close,
    check_gradients,
    compare_gradients,
    numerical_gradient,
    relative_difference,
    torch_gradients,
)
from pytest_gradcheck._evaluate.call import Call
from pytest_gradcheck._evaluate.problem import evaluate_gradient, prepare
from pytest_gradcheck._source import repairs
from pytest_gradcheck._verdict import judge

torch = pytest.importorskip("torch", reason='the extra "torch" is not installed')

pytestmark = pytest.mark.extra
nn = torch.nn
functional = nn.functional

torch.set_num_threads(1)

CUDA = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch sees no CUDA device on this machine"
)
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


def normal(*shape, dtype=torch.float64, seed=0, **options):
    rng = np.random.default_rng([seed, *shape])
    return torch.tensor(rng.normal(size=shape), dtype=dtype, **options)


def network(dtype=torch.float64):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)


X = normal(5, 3)


def dict_loss(p):
    return torch.tanh(X.to(p["W"]) @ p["W"] + p["b"]).square().sum()


def dict_params(**options):
    return {"W": normal(3, 2, **options), "b": normal(2, **options)}


def net_loss(net):
    return net(X.to(next(net.parameters()))).square().sum()


class WrongTanh(torch.autograd.Function):
    """Forgets the square in 1 - tanh²."""

    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (1 - y)


class RightTanh(WrongTanh):
    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (1 - y**2)


# Tensors


def test_a_grad_that_differentiates_is_told_of_tensors_that_require_none():
    def grad(x):
        return torch.autograd.grad(x.square().sum(), x)[0]

    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    with pytest.raises(RuntimeError, match="does not require grad") as caught:
        check_gradients(lambda x: x.square().sum(), grad, x)
    (note,) = caught.value.__notes__
    assert note.startswith("gradcheck: grad gets tensors that require grad where yours do: ")
    assert check_gradients(lambda x: x.square().sum(), grad, x.requires_grad_()).verdict == "agree"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_func_gets_detached_tensors_of_its_own_kind(device, requires_grad):
    params = dict_params(device=device, requires_grad=requires_grad)
    seen = set()

    def loss(p):
        W = p["W"]
        seen.add((type(W), W.dtype, W.device.type, W.requires_grad, W.is_leaf))
        assert W is not params["W"]
        assert W.data_ptr() != params["W"].data_ptr()
        return dict_loss(p)

    report = assert_gradients_close(loss, torch_gradients(dict_loss), params)
    assert seen == {(torch.Tensor, torch.float64, device, requires_grad, True)}
    assert report.evaluations > 16
    assert [block.name for block in report.blocks] == ["W", "b"]


@pytest.mark.parametrize("device", DEVICES)
def test_a_wrong_entry_is_named(device):
    params = dict_params(device=device)

    def grad(p):
        found = torch_gradients(dict_loss)(p)
        found["W"][2, 1] *= 1.01
        return found

    with pytest.raises(GradientMismatch, match=r"^W\[2, 1\]: analytic .* \(1 of 8 wrong\)\n"):
        assert_gradients_close(dict_loss, grad, params)


def test_gradients_may_be_numpy_and_params_mixed():
    params = {"t": normal(3), "n": np.array([0.5, -0.5]), "f": 2.0}

    def loss(p):
        return (p["t"] ** 2).sum() * p["f"] + float(np.sum(p["n"] ** 3))

    def grad(p):
        return {
            "t": 2 * p["t"].numpy() * p["f"],
            "n": 3 * p["n"] ** 2,
            "f": (p["t"] ** 2).sum(),
        }

    assert check_gradients(loss, grad, params).verdict == "agree"


@pytest.mark.parametrize(
    "layout",
    [
        lambda t: t,
        lambda t: t.T,
        lambda t: t[::2],
        lambda t: t.expand(3, *t.shape),
        lambda t: t[0, 0],
        lambda t: t[:0],
    ],
    ids=["plain", "transposed", "strided", "expanded", "0-d", "empty"],
)
def test_any_layout(layout):
    params = {"t": layout(normal(4, 3)), "u": normal(2)}

    def loss(p):
        return (torch.sin(p["t"]) * 1.5).sum() + p["u"].prod()

    report = check_gradients(loss, torch_gradients(loss), params, vacuous="pass")
    assert report.verdict == "agree"
    assert report.blocks[0].shape == tuple(params["t"].shape)


@pytest.mark.parametrize("make", [normal, lambda *s: normal(*s)[0], lambda *s: normal(*s, 2)])
def test_complex_gradients_have_torch_s_own_convention(make):
    z = torch.complex(make(3, 2), make(3, 2) * 0.5)

    def loss(z):
        return (z * z.conj() * 1.5 + z**2).real.sum()

    assert check_gradients(loss, torch_gradients(loss), z).verdict == "agree"
    conjugate = lambda z: torch_gradients(loss)(z).conj()  # noqa: E731
    assert check_gradients(loss, conjugate, z).verdict == "disagree"
    assert check_gradients(loss, torch_gradients(loss), z.conj()).verdict == "agree"


def test_the_item_cell_of_other_devices_sets_what_numpy_sets():
    """What a CUDA tensor is perturbed by needs no CUDA."""
    from pytest_gradcheck.adapters.torch import KIND, item_cell

    for tensor in (normal(2, 3), normal(3, 2).T, torch.complex(normal(4), normal(4)), normal()):
        one, other = KIND.copy(tensor), KIND.copy(tensor)
        first, second = item_cell(one), KIND.cell(other, print)
        size = tensor.numel() * (2 if tensor.is_complex() else 1)
        for i in range(size):
            first[i] = second[i] = 0.25 * i
        assert KIND.same_bits(one, other)
        assert not KIND.same_bits(one, tensor)
        first[:] = second[:] = np.arange(size) * 1.5
        assert KIND.same_bits(one, other)


def test_parameters_s_bits_flags_and_grads_are_as_they_were():
    params = dict_params(requires_grad=True)
    params["b"].requires_grad_(False)
    params["W"].grad = torch.full((3, 2), 7.0, dtype=torch.float64)
    kept, mark = params["W"].grad, {name: value.clone() for name, value in params.items()}

    def backward(p):
        p["b"].requires_grad_(True)
        dict_loss(p).backward()
        return {name: value.grad for name, value in p.items()}

    def failing(p):
        raise RuntimeError("no")

    assert check_gradients(dict_loss, backward, params).verdict == "agree"
    assert check_gradients(dict_loss, torch_gradients(dict_loss), params).verdict == "agree"
    with pytest.raises(RuntimeError, match=r"no"):
        check_gradients(dict_loss, failing, params)
    assert params["W"].grad is kept
    assert bool((kept == 7).all())
    assert params["b"].grad is None
    assert [value.requires_grad for value in params.values()] == [True, False]
    assert all(torch.equal(params[name], mark[name]) for name in params)


def test_a_func_that_returns_the_gradient_too_may_use_backward():
    def both(p):
        J = dict_loss(p)
        J.backward()
        return J, {name: value.grad for name, value in p.items()}

    assert check_gradients(both, True, dict_params(requires_grad=True)).verdict == "agree"


def test_func_may_differentiate_itself():
    def penalty(p):
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(torch.sin(p).sum(), p, create_graph=True)
        return (slope**2).sum()

    params = normal(4, requires_grad=True)
    assert_gradients_close(penalty, torch_gradients(penalty), params)
    assert_gradients_close(penalty, lambda p: -torch.sin(2 * p), params)


def test_a_func_that_writes_to_its_tensors_is_told_so():
    def scribbles(p):
        with torch.no_grad():
            p["W"] += 1
        return dict_loss(p)

    def replaces(p):
        p["W"] = p["W"] + 0
        return dict_loss(p)

    params = dict_params()
    mark = params["W"].clone()
    for func in (scribbles, replaces):
        with pytest.raises(ValueError, match=r"^func changed its parameters: W is not what it was"):
            check_gradients(func, torch_gradients(dict_loss), params)
    assert torch.equal(params["W"], mark)
    wrong = numerical_gradient(scribbles, params, copy=True)
    assert wrong["W"].shape == (3, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_narrow_tensors_are_checked_in_float64_where_func_allows_it(dtype):
    params = dict_params(dtype=dtype)
    report = assert_gradients_close(dict_loss, torch_gradients(dict_loss), params)
    # The gradient is as coarse as its type, the numeric one is not.
    assert (report.evidence.error_bar < 1e-6 * np.abs(report.evidence.numeric)).all()
    assert report.resolution > (1e-3 if dtype is torch.float16 else 1e-5)


def test_coarse_and_special_dtypes_are_refused_by_name():
    square = lambda w: (w.float() ** 2).sum()  # noqa: E731
    with pytest.raises(TypeError, match=r"^params is a sparse tensor \(torch\.sparse_coo\)"):
        check_gradients(square, lambda w: 2 * w, torch.eye(2).to_sparse())
    with pytest.raises(TypeError, match=r"^n is Tensor of dtype torch\.int64, which has no small"):
        check_gradients(square, lambda w: w, {"n": torch.arange(3)})


def test_what_is_left_out_may_be_of_any_dtype():
    params = {"w": normal(2), "half": normal(2, dtype=torch.bfloat16), "n": torch.arange(2)}

    def loss(p):
        return (p["w"] ** 2 * p["half"].double()).sum() * p["n"][1]

    report = assert_gradients_close(loss, torch_gradients(loss), params, only="w")
    assert set(report.skipped) == {"half", "n"}


def test_J_must_be_one_real_number():
    with pytest.raises(ValueError, match=r"^func returned an array of shape \(5, 2\); J must be"):
        check_gradients(lambda p: X @ p["W"] + p["b"], None, dict_params())
    with pytest.raises(TypeError, match=r"^func returned complex128"):
        check_gradients(lambda p: (p + 0j).sum(), None, normal(2))
    assert check_gradients(lambda p: (p**2).sum().reshape(1, 1), lambda p: 2 * p, normal(2)).ok


def test_functions_of_two_gradients_take_tensors():
    a = dict_params(requires_grad=True)
    assert relative_difference(a, a) == 0
    assert relative_difference(3 * a["W"], a["W"]) == 0.5
    a = dict_params()
    assert compare_gradients(a, {name: value.numpy() for name, value in a.items()}).ok
    assert not compare_gradients(a, {name: 2 * value for name, value in a.items()}).ok


def test_numerical_gradient_is_numpy_s_in_the_same_structure():
    found = numerical_gradient(dict_loss, dict_params())
    assert {name: (type(v), v.dtype, v.shape) for name, v in found.items()} == {
        "W": (np.ndarray, np.float64, (3, 2)),
        "b": (np.ndarray, np.float64, (2,)),
    }
    named = numerical_gradient(net_loss, network())
    assert list(named) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    exact = torch_gradients(net_loss)(network())
    assert all(np.allclose(named[name], exact[name], rtol=1e-6) for name in named)


def test_the_complex_step_is_refused():
    with pytest.raises(ValueError, match=r'^scheme="complex" takes numpy arrays and numbers'):
        check_gradients(dict_loss, torch_gradients(dict_loss), dict_params(), scheme="complex")


# Modules


@pytest.mark.parametrize("device", DEVICES)
def test_a_module_has_torch_s_names(device):
    net = network().to(device)
    mark = {name: value.clone() for name, value in net.state_dict().items()}
    report = assert_gradients_close(net_loss, torch_gradients(net_loss), net)
    assert [block.name for block in report.blocks] == [name for name, _ in net.named_parameters()]
    assert all(torch.equal(value, mark[name]) for name, value in net.state_dict().items())
    assert all(value.grad is None and value.requires_grad for value in net.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_closure_over_a_module_is_perturbed_in_place(dtype):
    net = network(dtype)
    net[0].bias.requires_grad_(False)
    net[0].weight.grad = torch.ones_like(net[0].weight)
    kept, mark = net[0].weight.grad, {n: v.clone() for n, v in net.state_dict().items()}
    loss = lambda: net_loss(net)  # noqa: E731
    assert_gradients_close(loss, torch_gradients(loss, net), net, in_place=True)

    def backward():
        net[0].bias.requires_grad_(True)
        net_loss(net).backward()
        net[0].bias.requires_grad_(False)
        return {name: value.grad for name, value in net.named_parameters()}

    assert_gradients_close(loss, backward, net, in_place=True)
    with pytest.raises(
        GradientMismatch, match=r"^2\.bias: analytic is zero everywhere: never written\?\n"
    ):
        assert_gradients_close(
            loss, lambda: {**backward(), "2.bias": torch.zeros(2)}, net, in_place=True
        )
    with pytest.raises(ValueError, match=r"the gradient does not match params"):
        assert_gradients_close(lambda: (loss(), {}), True, net, in_place=True)
    assert net[0].weight.grad is kept
    assert net[2].bias.grad is None
    assert all(torch.equal(value, mark[name]) for name, value in net.state_dict().items())
    assert [v.requires_grad for v in net.parameters()] == [True, False, True, True]


def test_a_tied_parameter_is_counted_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(3, 2, bias=False)
            self.out = nn.Linear(3, 2, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, x):
            return torch.tanh(self.embed(x)) @ self.out.weight

    torch.manual_seed(0)
    net = Tied().double()
    report = assert_gradients_close(net_loss, torch_gradients(net_loss), net)
    assert [(block.name, block.shape) for block in report.blocks] == [("embed.weight", (2, 3))]

    def of_state(state):
        return torch.func.functional_call(net, state, (X,)).square().sum()

    report = assert_gradients_close(of_state, torch_gradients(of_state), net.state_dict())
    assert [block.name for block in report.blocks] == ["embed.weight"]


def test_a_state_dict_with_buffers():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).double().eval()

    def of_state(state):
        return torch.func.functional_call(net, state, (X,)).square().sum()

    state = net.state_dict()
    with pytest.raises(TypeError, match=r"^1\.num_batches_tracked is Tensor of dtype torch\.int64"):
        check_gradients(of_state, torch_gradients(of_state), state)
    names = [name for name, _ in net.named_parameters()]

    def grad(state):
        rest = lambda p: of_state({**state, **p})  # noqa: E731 - torch differentiates no buffer
        return torch_gradients(rest)({name: state[name] for name in names})

    report = assert_gradients_close(of_state, grad, state, skip=["*num_batches*", "*.running_*"])
    assert [block.name for block in report.blocks] == names
    assert numerical_gradient(of_state, state, only="1.running_*")["1.running_var"].all()


def test_a_module_in_a_container_and_frozen_parameters():
    params = {"net": network(), "scale": torch.tensor(1.5, dtype=torch.float64)}
    params["net"][0].weight.requires_grad_(False)
    loss = lambda p: net_loss(p["net"]) * p["scale"]  # noqa: E731
    report = assert_gradients_close(loss, torch_gradients(loss), params)
    assert [block.name for block in report.blocks] == [
        "net.0.weight",
        "net.0.bias",
        "net.2.weight",
        "net.2.bias",
        "scale",
    ]


def test_a_module_that_cannot_be_copied_is_told_the_other_way():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(normal(2))
            self.lock = threading.Lock()

    net = Holder()
    loss = lambda net: net.w.square().sum()  # noqa: E731
    with pytest.raises(TypeError) as caught:
        check_gradients(loss, torch_gradients(loss), net)
    assert str(caught.value) == (
        "func gets a copy of a module, but copy.deepcopy can't copy this Holder; pass a loss() "
        "without arguments that reads the module, and in_place=True"
    )
    closure = lambda: loss(net)  # noqa: E731
    assert_gradients_close(closure, torch_gradients(closure, net), net, in_place=True)


@pytest.mark.filterwarnings("ignore:`torch.jit.")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_scripted_module_copies_itself_and_keeps_its_ties(dtype):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(torch.tanh(self.first(x)))

    torch.manual_seed(0)
    net, x = torch.jit.script(Twice().to(dtype)), normal(3, 2, dtype=dtype)
    before = [p.clone() for p in net.parameters()]
    loss = lambda net: net(x).sin().sum()  # noqa: E731
    grad = torch_gradients(loss)
    report = assert_gradients_close(loss, grad, net)
    names = [block.name for block in report.blocks]
    assert names == ["first.weight", "first.bias", "second.bias"]
    wrong = {name: value * (1 + (name == "first.bias")) for name, value in grad(net).items()}
    report = check_gradients(loss, wrong, net)
    assert [block.verdict for block in report.blocks] == ["agree", "disagree", "agree"]
    assert all(map(torch.equal, before, net.parameters()))


def test_what_a_layer_returned_last_may_be_kept_in_it():
    class Keeper(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(normal(2))

        def forward(self):
            self.last = self.w.sin()
            return self.last.square().sum()

    net = Keeper()
    net()
    loss = lambda net: net()  # noqa: E731
    assert_gradients_close(loss, torch_gradients(loss), net)
    assert net.last.grad_fn is not None


def test_under_no_grad_torch_s_gradient_is_still_there():
    with torch.no_grad():
        assert_gradients_close(dict_loss, torch_gradients(dict_loss), dict_params())


LAYERS = {
    "linear": (lambda: nn.Linear(4, 3), (5, 4)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 2, 6)),
    "conv2d": (lambda: nn.Conv2d(1, 2, 3, stride=2), (2, 1, 5, 5)),
    "convt": (lambda: nn.ConvTranspose2d(1, 2, 2), (2, 1, 3, 3)),
    "batchnorm": (lambda: nn.BatchNorm1d(3), (6, 3)),
    "layernorm": (lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), (3, 4)),
    "groupnorm": (lambda: nn.GroupNorm(2, 4), (3, 4, 2)),
    "lstm": (lambda: nn.LSTM(2, 3), (4, 2, 2)),
    "gru": (lambda: nn.GRU(2, 3), (4, 2, 2)),
    "bilinear-gelu": (lambda: nn.Sequential(nn.Linear(3, 3), nn.GELU(), nn.Linear(3, 2)), (4, 3)),
    "weight-norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), (4, 3)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True),
        (2, 3, 4),
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_layers_of_torch_are_right_in_both_precisions(name, dtype):
    make, shape = LAYERS[name]
    torch.manual_seed(1)
    layer, x = make().to(dtype), normal(*shape, dtype=dtype)

    def loss(layer):
        out = layer(x)
        out = out[0] if isinstance(out, tuple) else out
        return (out * torch.cos(torch.arange(out.numel(), dtype=dtype)).reshape(out.shape)).sum()

    report = check_gradients(loss, torch_gradients(loss), layer)
    assert report.verdict == "agree" if dtype is torch.float64 else report.verdict != "disagree"


def test_a_planted_bug_in_a_convolution_is_named():
    class Conv(torch.autograd.Function):
        """A convolution whose weight gradient counts the last row twice."""

        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return functional.conv2d(x, weight)

        @staticmethod
        def backward(ctx, dy):
            x, weight = ctx.saved_tensors
            dw = torch.nn.grad.conv2d_weight(x, weight.shape, dy)
            dw[:, :, -1, :] *= 2
            return torch.nn.grad.conv2d_input(x.shape, weight, dy), dw

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.ModuleDict({"conv": nn.Conv2d(1, 2, 3, bias=False)})
            self.head = nn.Linear(2, 1)

        def forward(self, x):
            y = torch.tanh(Conv.apply(x, self.body["conv"].weight))
            return self.head(y.mean(dim=(2, 3)))

    torch.manual_seed(0)
    net, x = Net().double(), normal(2, 1, 5, 5)
    loss = lambda net: net(x).square().sum()  # noqa: E731
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(loss, torch_gradients(loss), net)
    first, *rest = str(caught.value).splitlines()
    assert first == "body.conv.weight is 2 x numeric in position 2 along axis 2"
    assert caught.value.report.wrong == 6
    assert any(re.match(r"body\.conv\.weight +\(2, 1, 3, 3\) +6 / 18 ", row) for row in rest), rest
    assert any(re.match(r"body\.conv\.weight\[\d, 0, 2, \d\] ", row) for row in rest), rest
    assert "head.weight, head.bias agree" in rest, rest


def test_a_planted_bug_in_attention_is_named():
    class Block(nn.Module):
        def __init__(self, tanh):
            super().__init__()
            self.attn = nn.MultiheadAttention(4, 2, batch_first=True)
            self.out = nn.Linear(4, 1)
            self.tanh = tanh

        def forward(self, x):
            y = self.tanh.apply(x + self.attn(x, x, x, need_weights=False)[0])
            return self.out(y)

    x = normal(2, 3, 4)
    loss = lambda net: net(x).square().sum()  # noqa: E731
    torch.manual_seed(0)
    right = Block(RightTanh).double()
    assert check_gradients(loss, torch_gradients(loss), right).verdict == "agree"
    torch.manual_seed(0)
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(loss, torch_gradients(loss), Block(WrongTanh).double())
    wrong = {block.name for block in caught.value.report.blocks if block.wrong}
    assert wrong == {
        "attn.in_proj_weight",
        "attn.in_proj_bias",
        "attn.out_proj.weight",
        "attn.out_proj.bias",
    }
    first, *rest = str(caught.value).splitlines()
    assert first == "the error enters between out.weight and attn.out_proj.bias"
    assert any(re.match(r"attn\.\w+[\w.]*\[\d+(, \d+)?\] ", row) for row in rest), rest


def test_dropout_is_named_before_the_gradient_is_blamed():
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1)).double()
    report = check_gradients(net_loss, torch_gradients(net_loss), net)
    assert report.verdict == "inconclusive"
    assert "does not repeat itself" in report.message()


def test_a_large_module_goes_along_directions():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    net = net.double()
    report = assert_gradients_close(net_loss, torch_gradients(net_loss), net)
    assert report.evaluations < 100

    def wrong(net):
        found = torch_gradients(net_loss)(net)
        found["2.weight"][7, 9] += 0.1
        return found

    with pytest.raises(GradientMismatch, match=r"^2\.weight\[7, 9\]: "):
        assert_gradients_close(net_loss, wrong, net)


# torch_gradients


def test_rounding_of_a_gradient_is_another_one_beside_theta():
    """The mean square of what a LayerNorm returns is constant: rounding is all there is."""
    torch.manual_seed(19)
    net, x = (
        nn.TransformerDecoderLayer(5, 1, 8, dropout=0.0, batch_first=True),
        torch.randn(4, 6, 5),
    )

    def loss(net):
        of = x.to(next(net.parameters()).dtype)
        return net(of, of).square().mean()

    problem = prepare(Call(loss), net, Options())
    analytic = evaluate_gradient(torch_gradients(loss), problem, Options())
    moves = judge._spread(problem, analytic, 0)
    exact = torch_gradients(loss)(copy.deepcopy(net).double())
    for block in problem.blocks:
        true, near = exact[block.name].numpy().ravel(), moves[block.window]
        off = np.abs(analytic.vector[block.window] - true)
        allowed = 2.4e-5 * np.abs(true) + 4e-6 * np.sqrt(np.mean(true**2))
        assert (off <= allowed + 2 * np.maximum(near, np.median(near))).all(), block.name


def unscaled(kind, seed=0):
    """Return a float32 module that saturates, as inputs far from zero make it, and its J."""
    torch.manual_seed(seed)
    x = torch.randn(3, 6, 8)
    if kind == "attention":
        net, x = nn.MultiheadAttention(8, 2, batch_first=True), x + 100
        with torch.no_grad():
            target = torch.randn_like(net(x, x, x)[0])
        return net, lambda net: (net(x, x, x)[0] - target).square().mean()
    if kind == "large attention":
        net, x = nn.MultiheadAttention(40, 4, batch_first=True), 30 * torch.randn(3, 9, 40)
        with torch.no_grad():
            target = torch.randn_like(net(x, x, x)[0])
        return net, lambda net: (net(x, x, x)[0] - target).square().mean()
    net, x = nn.RNNCell(8, 6), x[0] + 100
    target = torch.randn(6, 6)
    return net, lambda net: (net(x) - target).square().mean()


UNSCALED = ("attention", "large attention", "recurrent")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", UNSCALED)
def test_a_float32_gradient_is_not_called_wrong_for_its_own_rounding(kind, seed):
    net, loss = unscaled(kind, seed)
    report = check_gradients(loss, torch_gradients(loss), net)
    assert report.verdict != "disagree"
    assert not report.wrong
    assert report.verdict == "agree" or "to settle it: model.double(), and double data" in (
        report.reasons
    )


@pytest.mark.parametrize("kind", UNSCALED)
@pytest.mark.parametrize("factor", [-1.0, 1.1, 1.01])
def test_nor_is_one_right_that_is_wrong_at_any_precision(kind, factor):
    net, loss = unscaled(kind)
    right = torch_gradients(loss)
    name = max(right(net), key=lambda name: right(net)[name].square().sum())

    def wrong(net):
        found = right(net)
        return {**found, name: factor * found[name]}

    report = check_gradients(loss, wrong, net)
    assert report.verdict == "disagree"


@pytest.mark.parametrize("kind", UNSCALED)
@pytest.mark.parametrize("how", [lambda g: 1.01 * g, lambda g: g + 0.1 * g.abs().max()])
def test_a_kernel_that_is_wrong_in_float32_alone_is_wrong(kind, how):
    net, loss = unscaled(kind)
    right = torch_gradients(loss)
    name = max(right(net), key=lambda name: right(net)[name].square().sum())
    still = how(right(net)[name]) - right(net)[name]

    def wrong(net):
        found = right(net)
        if found[name].dtype == torch.float32:
            found[name] = found[name] + still
        return found

    def scaled(net):
        found = right(net)
        if found[name].dtype == torch.float32:
            found[name] = how(found[name])
        return found

    assert check_gradients(loss, wrong, net).verdict == "disagree"
    assert check_gradients(loss, scaled, net).verdict == "disagree"


def test_a_weighted_loss_of_a_float32_module_is_differenced_in_float64():
    net, x = network(torch.float32), X.float()
    grad = torch_gradients(lambda net: net(x), weighted=True)
    report = check_gradients(grad.loss, grad, net)
    assert report.verdict == "agree"
    assert report.precision == "float64"
    assert report.remarks == ("func was evaluated in float64, with float64 copies of x",)


def test_gradients_of_what_is_unused_or_untouched():
    params = {"used": normal(2), "unused": normal(3), "n": torch.arange(2), "other": [1.0, None]}
    found = torch_gradients(lambda p: (p["used"] ** 2).sum())(params)
    assert torch.equal(found["used"], 2 * params["used"])
    assert torch.equal(found["unused"], torch.zeros(3, dtype=torch.float64))
    assert found["n"] is None
    assert found["other"] == [None, None]


def test_arguments_and_aux():
    loss = lambda p, x, y: (((x @ p["W"] + p["b"] - y) ** 2).sum(), "aux")  # noqa: E731
    grad = torch_gradients(loss, has_aux=True)
    assert_gradients_close(loss, grad, dict_params(), args=(X, normal(5, 2)), has_aux=True)


def test_a_loss_that_torch_cannot_follow_is_told_so():
    with pytest.raises(
        TypeError, match=r"^torch_gradients: loss returned a float that torch can't"
    ):
        torch_gradients(lambda p: p.sum().item())(normal(2))
    with pytest.raises(
        TypeError, match=r"^torch_gradients: loss returned a Tensor that torch can't"
    ):
        torch_gradients(lambda p: p.detach().sum())(normal(2))


def test_gradients_that_are_one_tensor_stay_two():
    params = network().state_dict()
    params = type(params)({"a": normal(2), "b": normal(2, 1)[:, 0].clone()})
    params._metadata = {}
    loss = lambda p: (p["a"] + p["b"]).sum()  # noqa: E731
    assert_gradients_close(loss, torch_gradients(loss), params)


# in_place


def test_in_place_refuses_what_shares_memory():
    shared = normal(3)
    for params, said in (
        ([shared, shared], r"params\[1\] and params\[0\] share memory"),
        ([shared, shared[1:]], r"params\[1\] and params\[0\] share memory"),
        (normal(1).expand(3), "entries of params share memory"),
        (torch.complex(shared, shared).conj(), "params is a view with a conjugation pending"),
    ):
        with pytest.raises(ValueError, match=f"^in_place=True: {said}"):
            check_gradients(lambda: 1.0, lambda: 1.0, params, in_place=True)


# In pytest


def test_the_fixture_s_failure_names_torch_s_parameter(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(
        test_net="""
        import pytest
        import torch
        from pytest_gradcheck import torch_gradients


        class Doubled(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.clone()

            @staticmethod
            def backward(ctx, dy):
                return 2 * dy


        @pytest.mark.parametrize("f", [torch.clone, Doubled.apply])
        def test_net(gradcheck, f):
            torch.manual_seed(0)
            net = torch.nn.ModuleDict({"enc": torch.nn.Linear(2, 1)}).double()
            x = torch.ones(3, 2, dtype=torch.float64)
            loss = lambda net: torch.tanh(f(net["enc"](x))).sum()
            gradcheck(loss, torch_gradients(loss), net)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.re_match_lines(
        [
            r"E +GradientMismatch: enc\.weight and enc\.bias are 2 x numeric \(3 of 3 wrong\)",
            r"E +enc\.weight +.*2 / 2 .*",
            r"E +enc\.bias +.*1 / 1 .*",
            r"FAILED test_net\.py::test_net\[apply\] - GradientMismatch: .*",
        ]
    )


# workers and vectorized


def test_threads_give_the_same():
    net = network()
    serial = check_gradients(net_loss, torch_gradients(net_loss), net)
    threads = check_gradients(net_loss, torch_gradients(net_loss), net, workers=2)
    assert threads.verdict == "agree"
    assert threads.difference == serial.difference
    assert threads.evaluations == serial.evaluations


def test_processes_give_the_same():
    serial = check_gradients(net_loss, torch_gradients(net_loss), network())
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = check_gradients(net_loss, torch_gradients(net_loss), network(), workers=pool)
    assert found.verdict == "agree"
    assert found.difference == pytest.approx(serial.difference, rel=1e-6)


def test_vectorized_takes_vmap():
    seen = set()

    def batched(p):
        seen.add((type(p["W"]), p["W"].ndim))
        return torch.vmap(dict_loss)(p)

    params = dict_params(requires_grad=True)
    report = assert_gradients_close(batched, torch_gradients(dict_loss), params, vectorized=True)
    assert seen == {(torch.Tensor, 3)}
    assert report.evaluations > 16
    with pytest.raises(ValueError, match=r"^vectorized=True: func returned shape"):
        check_gradients(dict_loss, torch_gradients(dict_loss), params, vectorized=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_vmap_batches_a_loss_of_one_point(workers):
    ranks, params = set(), {**dict_params(requires_grad=True), "gain": 1.5, "power": 2}

    def scaled(p, shift):
        ranks.add((p["W"].ndim, p["power"]))
        return p["gain"] * dict_loss(p) ** p["power"] + shift, "beside it"

    def grad(p, shift):
        inner = torch_gradients(dict_loss)({name: p[name] for name in ("W", "b")})
        with torch.no_grad():
            loss = dict_loss(p)
        own = {name: 2 * p["gain"] * loss * one for name, one in inner.items()}
        return {**own, "gain": loss**2, "power": None}

    def check(grad, **options):
        return check_gradients(
            scaled, grad, params, args=(0.5,), has_aux=True, skip="power", **options
        )

    one_by_one, ranks_of_one = check(grad), ranks.copy()
    found = check(grad, vectorized="vmap", workers=workers)
    assert found.ok, found.message()
    assert ranks == ranks_of_one == {(2, 2)}
    assert found.difference == pytest.approx(one_by_one.difference, abs=1e-9)

    def wrong(p, shift):
        return {**grad(p, shift), "gain": 1.001 * grad(p, shift)["gain"]}

    assert [entry.label for entry in check(wrong, vectorized="vmap").worst] == ["gain"]


def test_vmap_takes_no_module():
    net = network()
    with pytest.raises(AttributeError) as caught:
        check_gradients(net_loss, torch_gradients(net_loss), net, vectorized="vmap")
    assert "arrays in plain containers, and no module" in caught.value.__notes__[-1]


class Swish(torch.autograd.Function):
    """x * sigmoid(x), with a wrong derivative, and notes of its calls."""

    seen = torch.zeros(())
    notes = nn.Parameter(torch.zeros(2))

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        Swish.seen += 1
        Swish.notes.grad += 1
        Swish.seen.add_(torch.rand(()))
        return g * (s + x * s * s)


def test_what_a_backward_of_one_s_own_would_be_is_tried_and_leaves_tensors_alone(monkeypatch):
    monkeypatch.setattr(repairs, "MOST_TRIED", 600)
    Swish.notes.grad = kept = torch.zeros(2)
    x = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], dtype=torch.float64)

    def loss(x):
        return (Swish.apply(x) ** 2).sum()

    def checked(**options):
        torch.manual_seed(3)
        Swish.seen.zero_()
        kept.zero_()
        report = check_gradients(loss, torch_gradients(loss), x, **options)
        return report.lines[0], Swish.seen.item(), kept.tolist(), torch.get_rng_state()

    line, *left = checked()
    assert (line.role, line.source) == ("wrong", "return g * (s + x * s * s)")
    assert line.mended == "return g * (s + x * (1 - s) * s)"
    assert Swish.notes.grad is kept
    # What the calls before it have left is left, and nothing else.
    plain, *as_ever = checked(repairs="skip")
    assert plain.role == "made"
    assert left[:2] == as_ever[:2]
    assert torch.equal(left[2], as_ever[2])
