"""`gradcheck` and `gradgradcheck` as torch.autograd has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._api import jacobians
from .._api.gradients import announced, compare_gradients
from .._report.report import GradientReport
from ..adapters.torch import KIND
from . import LENIENT, TITLES, Real

__all__ = ["gradcheck", "gradgradcheck"]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    atol: float | None = None,
    rtol: float | None = None,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    check_batched_grad: bool = False,
    gen_non_contig_grad_outputs: bool = False,
    **others: Any,
) -> bool:
    """Check torch's derivatives of func, as ``torch.autograd.gradcheck`` does.

    Parameters
    ----------
    func : callable
        ``func(*inputs)`` returns a tensor or a tuple of tensors.
    inputs : tensor or tuple
        Those of floating point that require a gradient are differentiated.
    raise_exception : bool, optional
        False: return False for a derivative that is wrong.
    nondet_tol : float, optional
        By how much func may differ between two calls.
    atol, rtol : float, optional
        Tolerances per entry.  Unset: as tight as the dtypes allow, which is tighter than torch's
        1e-5 and 1e-3.
    check_forward_ad : bool, optional
        Check forward mode, too.
    check_backward_ad : bool, optional
        False: do not check reverse mode.
    check_batched_grad : bool, optional
        Check that a batch of cotangents under torch's vmap gives what they give one by one.
    gen_non_contig_grad_outputs : bool, optional
        Pass cotangents and tangents that are not contiguous.
    **others
        torch's ``eps`` and ``fast_mode`` are taken and not used, and so are other options of torch
        that are False or None.

    Returns
    -------
    bool

    Raises
    ------
    RuntimeError
        torch's ``GradcheckError``, with the report as ``.report``.
    TypeError
        For an option that torch has not, either, and for an input of bfloat16 or float8.
    ValueError
        When no input requires a gradient, neither mode is to be checked, or an option asks for what
        is not checked here (``check_undefined_grad=True``).

    Examples
    --------
    >>> from pytest_gradcheck.compat.torch import gradcheck
    >>> def check():
    ...     import torch
    ...     x = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    ...     assert gradcheck(torch.tanh, (x,))
    """
    __tracebackhide__ = True
    _require_known(others)
    given = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    options = {"nondet_tol": nondet_tol, "atol": atol, "rtol": rtol, **LENIENT}
    check = _Check(func, tuple(given), gen_non_contig_grad_outputs, options)
    if not (check_backward_ad or check_forward_ad or check_batched_grad):
        raise ValueError("gradcheck: neither mode is to be checked")
    if not (check.here.size and check.there.size):
        return True  # as torch's own: an empty tensor has no derivatives that could be wrong
    mode, report = "", None
    if check_backward_ad or check_forward_ad:
        mode, report = check.modes(reverse=check_backward_ad, forward=check_forward_ad)
    if check_batched_grad and (report is None or report.ok):
        mode, report = "reverse mode, batched", check.batched()
    if report is None or report.ok:
        return True
    if not raise_exception:
        return False
    error = import_module("torch.autograd.gradcheck").GradcheckError(f"{mode}: {report.message()}")
    error.report = report
    if remark := check.here.remark or check.there.remark:
        error.add_note(f"gradcheck: {remark}")
    raise error


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    **options: Any,
) -> bool:
    """Check torch's second derivatives of func, as ``torch.autograd.gradgradcheck`` does.

    Parameters
    ----------
    func, inputs
        As in `gradcheck`.
    grad_outputs : tensor or tuple, optional
        The cotangents; unset: random ones.
    check_fwd_over_rev : bool, optional
        Check forward mode over reverse mode, too.
    check_rev_over_rev : bool, optional
        False: do not check reverse mode over reverse mode.
    **options
        raise_exception, nondet_tol, atol, rtol, check_batched_grad, gen_non_contig_grad_outputs
        and torch's others, as in `gradcheck`.

    Returns
    -------
    bool

    Raises
    ------
    RuntimeError, TypeError, ValueError
        As in `gradcheck`.

    Examples
    --------
    >>> from pytest_gradcheck.compat.torch import gradgradcheck
    >>> def check():
    ...     import torch
    ...     x = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    ...     assert gradgradcheck(torch.tanh, (x,))
    """
    __tracebackhide__ = True
    torch = import_module("torch")
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    outputs = _required(func(*_apart(given)))
    if grad_outputs is None:
        rng = torch.Generator().manual_seed(0)
        grad_outputs = tuple(_random(out, rng).requires_grad_() for out in outputs)
    elif not isinstance(grad_outputs, (tuple, list)):
        grad_outputs = (grad_outputs,)

    def gradient(*both: Any) -> Any:
        some, cotangents = both[: len(given)], both[len(given) :]
        wanted = [one for one in some if _checked(one)]
        found = torch.autograd.grad(
            _differentiable(func(*some)), wanted, cotangents, create_graph=True, allow_unused=True
        )
        return tuple(one for one in found if one is not None)

    gradient.__name__ = gradient.__qualname__ = f"gradient of {getattr(func, '__name__', 'func')}"
    return gradcheck(
        gradient,
        (*given, *grad_outputs),
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        **options,
    )


UNUSED = frozenset({"eps", "fast_mode"})
"""torch's options that say how it differences; steps are chosen here, and every entry is looked at.
"""

UNCHECKED = frozenset(
    {
        "masked", "check_undefined_grad", "check_grad_dtypes", "check_sparse_nnz",
        "check_batched_forward_grad",
    }
)  # fmt: skip
"""torch's options that ask for more than derivatives, which is not checked here."""


def _require_known(others: dict[str, Any]) -> None:
    unknown = sorted(set(others) - UNUSED - UNCHECKED)
    if unknown:
        raise TypeError(f"gradcheck has no option {', '.join(unknown)}")
    asked = sorted(name for name in UNCHECKED if others.get(name))
    if asked:
        raise ValueError(
            f"gradcheck: {asked[0]}={others[asked[0]]!r} is not checked here; leave it out, and "
            "use torch.autograd.gradcheck for that"
        )


def _checked(value: Any) -> bool:
    if not isinstance(value, import_module("torch").Tensor) or not value.requires_grad:
        return False
    return bool(value.is_floating_point() or value.is_complex())


def _differentiable(out: Any) -> tuple[Any, ...]:
    torch = import_module("torch")
    outputs = out if isinstance(out, (tuple, list)) else (out,)
    checked = (one for one in outputs if _checked(one))
    return tuple(one if one.layout is torch.strided else one.to_dense() for one in checked)


def _required(out: Any) -> tuple[Any, ...]:
    """Return the outputs that are differentiated; ValueError when there is none."""
    outputs = _differentiable(out)
    if not outputs:
        raise ValueError(
            "gradcheck: func returned no tensor that requires a gradient, so there is nothing to "
            "check (.item(), .detach(), numpy or a missing return on the way?)"
        )
    return outputs


def _apart(inputs: Sequence[Any]) -> list[Any]:
    """Return inputs that are no leaves, because func may work in place on them."""
    return [one.clone() if _checked(one) else one for one in inputs]


class _Check:
    """func, its inputs and its outputs as real arrays, and what is checked of its derivatives."""

    def __init__(self, func: Any, inputs: tuple[Any, ...], strided: bool, options: Any) -> None:
        self.torch = import_module("torch")
        self.func, self.inputs, self.strided, self.options = func, inputs, strided, options
        self.places = [i for i, one in enumerate(inputs) if _checked(one)]
        if not self.places:
            raise ValueError(
                "gradcheck: no input is a floating-point tensor with requires_grad=True, so there "
                "is nothing to check"
            )
        self.named = SimpleNamespace(**{f"inputs[{i}]": inputs[i] for i in self.places})
        for name, one in vars(self.named).items():
            if one.layout is not self.torch.strided:
                raise TypeError(
                    f"gradcheck: {name} is a sparse tensor ({one.layout}), whose entries can't be "
                    "perturbed one by one; pass its values as a dense tensor, and make the sparse "
                    "one in func"
                )
            if not one.is_complex() and one.element_size() < 4 and one.dtype != self.torch.float16:
                raise TypeError(
                    f"gradcheck: {name} is {one.dtype}, in which no step is small enough; check "
                    "the same function with float32 or float64"
                )
        self.here = Real(self.named, KIND.to_numpy, self._tensor)
        self.outputs = _required(func(*_apart(inputs)))
        self.there = Real(list(self.outputs), KIND.to_numpy, self._tensor)
        self.name = getattr(func, "__name__", type(func).__name__)

    def _tensor(self, array: Any, like: Any) -> Any:
        # In the array's own type and with its strides: func may be evaluated in float64.
        made = self.torch.from_numpy(np.asarray(array)).to(like.device)
        return made.requires_grad_(like.requires_grad)

    def _called(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        given = list(self.inputs)
        for i, one in zip(self.places, leaves, strict=True):
            given[i] = one
        return _differentiable(self.func(*_apart(given)))

    def _leaves(self, arrays: Any) -> list[Any]:
        return list(vars(self.here.value(arrays)).values())

    def _pulled(self, leaves: Any, cotangents: Any, **how: Any) -> list[Any]:
        """Return the gradients of the leaves, dense, zeros where there is none."""
        found = self._called(leaves)
        grads = self.torch.autograd.grad(found, leaves, cotangents, allow_unused=True, **how)
        batch = cotangents[0].shape[:1] if how else ()
        return [
            self.torch.zeros((*batch, *leaf.shape), dtype=leaf.dtype)
            if grad is None
            else (grad.to_dense() if grad.is_sparse else grad).detach()
            for leaf, grad in zip(leaves, grads, strict=True)
        ]

    def _pushed(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Return the tangents of the outputs, zeros where there is none."""
        forward = import_module("torch.autograd.forward_ad")
        with forward.dual_level():
            pairs = zip(leaves, tangents, strict=True)
            found = self._called([forward.make_dual(leaf, tangent) for leaf, tangent in pairs])
            parts = [forward.unpack_dual(one) for one in found]
            return [
                self.torch.zeros_like(part.primal) if part.tangent is None else part.tangent
                for part in parts
            ]

    def modes(self, *, reverse: bool, forward: bool) -> tuple[str, GradientReport]:
        """Check reverse mode, forward mode or both; return which failed or was last."""

        def func(arrays: Any) -> Any:
            return self.there.arrays(list(self._called(self._leaves(arrays))))

        def vjp(arrays: Any, u: Any) -> Any:
            cotangents = [one.detach() for one in self.there.value(u)]
            return self._inputs(self._pulled(self._leaves(arrays), cotangents))

        def jvp(arrays: Any, v: Any) -> Any:
            tangents = [one.detach() for one in self._leaves(v)]
            return self.there.arrays(self._pushed(self._leaves(arrays), tangents))

        func.__qualname__ = self.name
        chosen: dict[str, Callable[..., Any]] = {"vjp": vjp} if reverse else {}
        chosen |= {"jvp": jvp} if forward else {}
        mode, report = jacobians.check_products(
            func, chosen, self.here.arrays(self.named), strided=self.strided, **self.options
        )
        return TITLES[mode], announced(report)

    def _inputs(self, values: Sequence[Any]) -> Any:
        return self.here.arrays(SimpleNamespace(**dict(zip(vars(self.named), values, strict=True))))

    def batched(self) -> GradientReport | None:
        """Compare the gradients of a batch of cotangents with those of each; None if all are 0."""
        leaves, some = [one.detach().requires_grad_() for one in vars(self.named).values()], BATCH
        rng = self.torch.Generator().manual_seed(0)
        batches = [_random(out, rng, some) for out in self.outputs]
        # Copies: what a backward does to its grad_output would be done to the batch.
        alone = [self._pulled(leaves, [batch[i].clone() for batch in batches]) for i in range(some)]
        together = self._pulled(leaves, batches, is_grads_batched=True)
        stacked = [self.torch.stack(parts) for parts in zip(*alone, strict=True)]
        if not any(one.any() for one in (*together, *stacked)):
            return None
        return compare_gradients(self._inputs(together), self._inputs(stacked))


def _random(like: Any, rng: Any, *batch: int) -> Any:
    """Return normal random numbers of a tensor's type, a batch of its shape, on its device."""
    made = import_module("torch").randn((*batch, *like.shape), dtype=like.dtype, generator=rng)
    return made.to(like.device)


BATCH = 2  # cotangents in a batch: two tell whether one is taken for the other
