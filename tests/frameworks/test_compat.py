"""The checkers of other libraries, by their signatures: their meanings kept, bugs named."""

import numpy as np
import pytest

from pytest_gradcheck import GradientMismatch
from pytest_gradcheck.compat.scipy import check_grad

RNG = np.random.default_rng(5)


def rosenbrock(x, scale=100.0):
    return scale * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def gradient(x, scale=100.0):
    return np.array(
        [-4 * scale * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 2 * scale * (x[1] - x[0] ** 2)]
    )


# scipy.optimize.check_grad


def test_scipy_gives_a_float_near_zero_for_a_right_gradient():
    found = check_grad(rosenbrock, gradient, [2.0, -1.0])
    assert type(found) is float
    assert found == 0
    assert check_grad(rosenbrock, gradient, np.array([2.0, -1.0]), 5.0) == 0
    assert check_grad(rosenbrock, gradient, [2.0, -1.0], epsilon=1e-6, direction="random") == 0


def test_scipy_gives_the_norm_of_what_is_wrong():
    found = check_grad(rosenbrock, lambda x: gradient(x) + np.array([0, 3.0]), [2.0, -1.0])
    assert found == pytest.approx(3.0, rel=1e-5)
    assert np.isnan(check_grad(rosenbrock, lambda x: gradient(x) * np.nan, [2.0, -1.0]))


def test_scipy_takes_vectors_and_numbers():
    assert check_grad(np.sin, lambda x: np.diag(np.cos(x)), [0.1, 0.2]) == 0
    wrong = check_grad(np.sin, lambda x: np.diag(np.cos(x)) + np.eye(2, k=1), [0.1, 0.2])
    assert wrong == pytest.approx(1.0, rel=1e-5)
    assert check_grad(lambda x: x[0] ** 3, lambda x: 3 * x**2, 2.0) == 0


@pytest.mark.extra("scipy")
def test_scipy_agrees_with_scipy():
    from scipy import optimize

    for grad in (gradient, lambda x: gradient(x) + 1.0):
        ours, theirs = (f(rosenbrock, grad, [2.0, -1.0]) for f in (check_grad, optimize.check_grad))
        assert ours == pytest.approx(theirs, abs=1e-4)
    with pytest.raises(ValueError, match="direction must be 'all' or 'random'"):
        check_grad(rosenbrock, gradient, [2.0, -1.0], direction="some")


def test_scipy_counts_no_kink_and_no_rounding():
    assert check_grad(lambda x: np.abs(x).sum(), np.sign, [0.0, 1.0]) == 0
    big = check_grad(lambda x: 1e9 + 1e8 * np.sum(x**2), lambda x: 2e8 * x, [1.0, 3.0])
    assert big == 0


# autograd.test_util.check_grads


@pytest.mark.extra("autograd")
def test_autograd():
    import autograd.numpy as anp
    from autograd.extend import defvjp, primitive

    from pytest_gradcheck.compat.autograd import check_grads

    x = RNG.normal(size=3)
    check_grads(anp.tanh)(x)
    check_grads(lambda a, b: anp.dot(a, b), (0, 1), modes=["rev"], order=2)(
        RNG.normal(size=(2, 3)), x
    )
    check_grads(lambda a, k=1.0: k * a**2, modes=["fwd", "rev"])(0.7, k=3.0)
    check_grads(lambda z: anp.abs(z) ** 2 + anp.real(anp.exp(z)))(x + 1j * RNG.normal(size=3))
    check_grads(lambda p: p["a"] * anp.sum(p["b"]), modes=["rev"])({"a": 2.0, "b": x})
    check_grads(lambda a: a[5:])(x)  # nothing to differentiate, and nothing that could be wrong

    @primitive
    def cube(x):
        return x**3

    defvjp(cube, lambda ans, x: lambda g: 2 * g * x**2)
    with pytest.raises(
        AssertionError, match=r"^output / params is 2/3 x numeric \(3 of 9 wrong\)\n"
    ) as caught:
        check_grads(cube, modes=["rev"], order=1)(x)
    assert isinstance(caught.value, GradientMismatch)
    assert caught.value.report.blocks[0].hint == "analytic = 2/3 x numeric, everywhere in the block"
    with pytest.raises(ValueError, match="modes are 'fwd' and 'rev', not 'both'"):
        check_grads(cube, modes=["both"])


@pytest.mark.extra("autograd")
def test_autograd_second_order():
    import autograd.numpy as anp
    from autograd.extend import defvjp, primitive

    from pytest_gradcheck.compat.autograd import check_grads

    @primitive
    def inner(x):
        return 3 * x**2

    defvjp(inner, lambda ans, x: lambda g: 5 * g * x)

    @primitive
    def cube(x):
        return x**3

    defvjp(cube, lambda ans, x: lambda g: g * inner(x))
    x = anp.array([0.5, 2.0])
    check_grads(cube, modes=["rev"], order=1)(x)
    with pytest.raises(GradientMismatch):
        check_grads(cube, modes=["rev"], order=2)(x)


@pytest.mark.extra("autograd")
@pytest.mark.parametrize(("off", "rtol"), [(0.0, None), (1e-3, None), (1e-5, None), (0.05, 0.02)])
def test_autograd_second_order_wrong_in_one_entry(off, rtol):
    import autograd.numpy as anp
    from autograd.extend import defvjp, primitive

    from pytest_gradcheck.compat.autograd import check_grads

    calls = []

    @primitive
    def slope(x):
        return anp.cos(x)

    @primitive
    def wave(x):
        calls.append(1)
        return anp.sin(x)

    which = np.arange(30) == 17
    defvjp(slope, lambda ans, x: lambda g: -g * anp.sin(x) * (1 + off * which))
    defvjp(wave, lambda ans, x: lambda g: g * slope(x))
    x = np.linspace(0.3, 1.4, 30)
    if not off:
        check_grads(wave, modes=["rev"])(x)
        # Two for each entry, the products, and few more for second derivatives.
        assert len(calls) <= 3 * 30 + 80
        return
    check_grads(wave, modes=["rev"], order=1)(x)
    with pytest.raises(GradientMismatch) as caught:
        check_grads(wave, modes=["rev"], rtol=rtol)(x)
    report = caught.value.report
    assert [entry.label for entry in report.worst] == ["output[17] / params[0][17]"]
    assert caught.value.__notes__ == ["gradcheck: reverse mode (VJP) check of vjp_wave failed"]


@pytest.mark.extra("autograd")
def test_autograd_modes_tolerances_and_noise():
    import autograd.numpy as anp
    from autograd.extend import defjvp, defvjp, primitive

    from pytest_gradcheck.compat.autograd import check_grads

    @primitive
    def solved(x):
        return anp.sin(x)

    defvjp(solved, lambda ans, x: lambda g: g * anp.cos(x))
    defjvp(solved, lambda g, ans, x: g * (anp.cos(x) + 1e-6))  # right to some digits
    x = anp.array([0.5, 1.2])
    check_grads(solved, modes="rev", order=1)(x)
    with pytest.raises(GradientMismatch) as caught:
        check_grads(solved, order=1)(x)
    assert caught.value.__notes__ == ["gradcheck: forward mode (JVP) check of solved failed"]
    check_grads(solved, order=1, rtol=1e-5)(x)
    with pytest.raises(GradientMismatch, match=r"^func does not repeat itself: output"):
        check_grads(lambda x: x + RNG.normal(size=2), order=1)(x)


# jax.test_util.check_grads


@pytest.mark.extra("jax")
def test_jax_arguments_as_its_users_have_them():
    import jax
    import jax.numpy as jnp

    from pytest_gradcheck.compat.jax import check_grads

    x = jnp.array([0.5, -1.0, 2.0])
    check_grads(lambda x: (x**2, jnp.argmax(x)), (x,), order=1, modes="rev")
    check_grads(jnp.tanh, (jnp.zeros((0, 3)),), order=2)
    check_grads(jnp.tanh, (x.astype(jnp.float32),), order=2)
    with pytest.raises(ValueError, match=r"^check_grads: f returns no floating-point numbers"):
        check_grads(jnp.argmax, (x,), order=1)

    @jax.custom_vjp
    def square(z):
        return z * z

    square.defvjp(lambda z: (z * z, z), lambda z, g: (2 * jnp.conj(z) * g,))
    with pytest.raises(GradientMismatch) as caught:
        check_grads(square, (x + 1j,), order=1, modes=["rev"])
    assert "a missing conjugate" in caught.value.__notes__[0]


@pytest.mark.extra("jax")
def test_jax():
    import jax
    import jax.numpy as jnp

    from pytest_gradcheck.compat.jax import check_grads

    x = jnp.array([0.5, -1.0, 2.0])
    check_grads(jnp.tanh, (x,), order=2)
    check_grads(lambda a, b: {"out": a @ b["w"]}, (x, {"w": jnp.ones((3, 2))}), 1, modes=["rev"])

    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (2 * g * x**2,))
    with pytest.raises(
        AssertionError, match=r"^output / params\[0\] is 2/3 x numeric \(3 of 9 wrong\)\n"
    ):
        check_grads(cube, (x,), order=1, modes=["rev"])
    with pytest.raises(ValueError, match="modes are"):
        check_grads(cube, (x,), 1, modes=["both"])


# torch.autograd.gradcheck


@pytest.mark.extra("torch")
def test_torch():
    import torch

    from pytest_gradcheck.compat.torch import gradcheck, gradgradcheck

    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    w = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(torch.tanh, (x,)) is True
    assert gradcheck(torch.tanh, x, eps=1e-6, atol=1e-4, fast_mode=True)
    assert gradcheck(lambda w, x: (w @ x, x.detach(), x**2), (w, x))
    assert gradgradcheck(lambda w, x: torch.sigmoid(w @ x), (w, x))
    z = torch.tensor([0.5 + 1j, -1.0], dtype=torch.complex128, requires_grad=True)
    assert gradcheck(lambda z: torch.exp(z) * z.conj(), (z,))
    assert gradcheck(lambda x: x.mul_(2), (x,))
    assert gradcheck(lambda x: x[3:], (x,))  # nothing that could be wrong

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * g * x**2

    with pytest.raises(
        RuntimeError, match=r"^reverse mode: output\[0\] / inputs\[0\] is 2/3 x"
    ) as caught:
        gradcheck(Cube.apply, (x,))
    assert type(caught.value).__name__ == "GradcheckError"
    assert caught.value.report.wrong == 3
    assert gradcheck(Cube.apply, (x,), raise_exception=False) is False
    with pytest.raises(TypeError, match="gradcheck has no option speed"):
        gradcheck(Cube.apply, (x,), speed=1)
    with pytest.raises(ValueError, match="no input is a floating-point tensor"):
        gradcheck(Cube.apply, (torch.ones(2),))


@pytest.mark.extra("torch")
@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_torch_in_forward_mode_and_in_batches():
    import torch

    from pytest_gradcheck.compat.torch import gradcheck, gradgradcheck

    class Product(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * y, g * x

        @staticmethod
        def jvp(ctx, dx, dy):
            x, y = ctx.saved_tensors
            return dx * y - x * dy  # it should be a sum

    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    both = x, (x.detach() + 1).requires_grad_()
    assert gradcheck(Product.apply, both)
    with pytest.raises(RuntimeError, match=r"^forward mode: output\[0\] / inputs\[1\]"):
        gradcheck(Product.apply, both, check_forward_ad=True)
    options = {"check_forward_ad": True, "raise_exception": False}
    assert gradcheck(Product.apply, both, **options) is False
    assert gradcheck(Product.apply, both, check_backward_ad=False, **options) is False
    every = {"check_forward_ad": True, "check_batched_grad": True}
    every |= {"gen_non_contig_grad_outputs": True}
    z = torch.tensor([0.5 + 1j, -1.0], dtype=torch.complex128, requires_grad=True)
    assert gradcheck(lambda x, y: (x * y, x.sin()), both, **every)
    assert gradcheck(lambda z: z * z.conj(), (z,), **every)
    assert gradgradcheck(lambda x, y: x**2 * y, both, check_fwd_over_rev=True)

    class Raw(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, g):
            # It reads one row of a batch, whatever it gets, and memory without its strides.
            return 2 * torch.as_strided(g, (3,), (1,))

    assert gradcheck(Raw.apply, (x,))
    alone = {"raise_exception": False}
    assert gradcheck(Raw.apply, (x,), gen_non_contig_grad_outputs=True, **alone) is False


@pytest.mark.extra("torch")
def test_torch_options_that_ask_for_what_is_not_checked():
    import torch

    from pytest_gradcheck.compat.torch import gradcheck

    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    for name in ("check_undefined_grad", "check_batched_forward_grad", "masked"):
        with pytest.raises(ValueError, match=rf"^gradcheck: {name}=True is not checked here; "):
            gradcheck(torch.sin, (x,), **{name: True})
        assert gradcheck(torch.sin, (x,), **{name: False})
    with pytest.raises(ValueError, match="neither mode is to be checked"):
        gradcheck(torch.sin, (x,), check_backward_ad=False)
    low = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    with pytest.raises(TypeError, match=r"^gradcheck: inputs\[0\] is torch.bfloat16, in which no"):
        gradcheck(torch.sin, (low,))
    dots = torch.tensor([[0.0, 2.0], [3.0, 0.0]], dtype=torch.float64).to_sparse()
    with pytest.raises(TypeError, match=r"^gradcheck: inputs\[0\] is a sparse tensor \(torch.spa"):
        gradcheck(torch.sparse.sum, (dots.requires_grad_(),))


@pytest.mark.extra("torch")
def test_torch_outputs_may_be_sparse():
    import torch

    from pytest_gradcheck.compat.torch import gradcheck

    x = torch.tensor([0.4, -1.5, 2.0], dtype=torch.float64, requires_grad=True)
    places = torch.tensor([[0, 2, 1], [1, 0, 1]])

    def scattered(x):
        return torch.sparse_coo_tensor(places, x.sin(), (3, 2), check_invariants=True)

    assert gradcheck(scattered, (x,))

    def cut(x):
        return scattered(x + x - x.detach())

    assert gradcheck(cut, (x,), raise_exception=False) is False


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
@pytest.mark.extra("torch")
def test_torch_products_that_are_zero_or_computed_in_float32():
    import torch

    from pytest_gradcheck.compat.torch import gradcheck, gradgradcheck

    zero = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    # The second derivative of abs is a tensor that torch never writes, and a batch of zeros is
    # what each of them is.
    assert gradgradcheck(torch.abs, (zero,))
    assert gradcheck(lambda x: x**2, (zero,), check_batched_grad=True)

    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    for name, forward in (("jvp", True), ("vjp", False)):
        on_the_way = {"check_forward_ad": forward, "check_backward_ad": not forward}
        assert gradcheck(lambda x: x.float().sin().double(), (x,), **on_the_way), name

    class Single(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, dy):
            return (2 * ctx.saved_tensors[0] * dy).float()

    class Absolute(Single):
        @staticmethod
        def backward(ctx, dy):
            return 2 * ctx.saved_tensors[0] * dy.abs()

    class Nearly(Single):
        @staticmethod
        def backward(ctx, dy):
            return 2 * ctx.saved_tensors[0] * (dy + 1e-5 * dy**2)

    assert gradcheck(Single.apply, (x,))
    for wrong in (Absolute, Nearly):
        with pytest.raises(RuntimeError, match="vjp is not linear in u"):
            gradcheck(wrong.apply, (x,))


@pytest.mark.extra("jax")
def test_jax_in_bfloat16():
    import jax.numpy as jnp

    from pytest_gradcheck.compat.jax import check_grads

    x = jnp.linspace(0.2, 1, 4).astype(jnp.bfloat16)
    check_grads(jnp.sin, (x,), order=1)
    import jax

    wrong = jax.custom_vjp(jnp.sin)
    wrong.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (-g * jnp.cos(x),))
    with pytest.raises(AssertionError, match=r"^output\[\d\] / params\[0\]\[\d\]: analytic -"):
        check_grads(wrong, (x,), order=1, modes=["rev"])


def test_importing_a_module_imports_no_library():
    import subprocess
    import sys

    names = ("scipy", "autograd", "jax", "torch")
    code = "import sys\n" + "".join(f"import pytest_gradcheck.compat.{n}\n" for n in names)
    code += f"print([n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
