"""`gradcheck` and `gradgradcheck` as torch.autograd has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._api import jacobians
from .._report.report import GradientReport
from ._real import LENIENT, Real

__all__ = ["gradcheck", "gradgradcheck"]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    atol: float | None = None,
    rtol: float | None = None,
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
    **others
        torch's other options (``eps``, ``fast_mode``, ``check_…``) are taken and not used.

    Returns
    -------
    bool

    Raises
    ------
    RuntimeError
        torch's ``GradcheckError``, with the report as ``.report``.
    TypeError
        For an option that torch has not, either.
    ValueError
        When no input requires a gradient.

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
    report = _report(func, tuple(given), options)
    if not report.ok and raise_exception:
        error = import_module("torch.autograd.gradcheck").GradcheckError(report.message())
        error.report = report
        raise error
    return report.ok


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    atol: float | None = None,
    rtol: float | None = None,
    **others: Any,
) -> bool:
    """Check torch's second derivatives of func, as ``torch.autograd.gradgradcheck`` does.

    Parameters
    ----------
    func, inputs, raise_exception, nondet_tol, atol, rtol, **others
        As in `gradcheck`.
    grad_outputs : tensor or tuple, optional
        The cotangents; unset: random ones.

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

    _require_known(others)
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    outputs = _required(func(*_apart(given)))
    if grad_outputs is None:
        rng = torch.Generator().manual_seed(0)
        chosen = [
            torch.randn(out.shape, dtype=out.dtype, generator=rng).to(out.device) for out in outputs
        ]
        grad_outputs = tuple(one.requires_grad_() for one in chosen)
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
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        atol=atol,
        rtol=rtol,
    )


KNOWN = frozenset(
    {
        "eps", "fast_mode", "masked", "check_undefined_grad", "check_grad_dtypes",
        "check_batched_grad", "check_batched_forward_grad", "check_forward_ad",
        "check_backward_ad", "check_sparse_nnz", "gen_non_contig_grad_outputs",
        "check_fwd_over_rev", "check_rev_over_rev",
    }
)  # fmt: skip
"""torch's options that have no counterpart here."""


def _require_known(others: dict[str, Any]) -> None:
    unknown = sorted(set(others) - KNOWN)
    if unknown:
        raise TypeError(f"gradcheck has no option {', '.join(unknown)}")


def _checked(value: Any) -> bool:
    torch = import_module("torch")

    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return False
    return bool(value.is_floating_point() or value.is_complex())


def _differentiable(out: Any) -> tuple[Any, ...]:
    outputs = out if isinstance(out, (tuple, list)) else (out,)
    return tuple(one for one in outputs if _checked(one))


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


def _report(func: Any, inputs: tuple[Any, ...], options: Any) -> GradientReport:
    torch = import_module("torch")

    def to_numpy(tensor: Any) -> Any:
        return tensor.detach().resolve_conj().resolve_neg().cpu().numpy()

    def tensor(array: Any, like: Any) -> Any:
        made = torch.from_numpy(np.array(array)).to(like.dtype)
        return made.to(like.device).requires_grad_(like.requires_grad)

    places = [i for i, one in enumerate(inputs) if _checked(one)]
    if not places:
        raise ValueError(
            "gradcheck: no input is a floating-point tensor with requires_grad=True, so there is "
            "nothing to check"
        )
    named = SimpleNamespace(**{f"inputs[{i}]": inputs[i] for i in places})
    here = Real(named, to_numpy, tensor)
    outputs = _required(func(*_apart(inputs)))
    there = Real(list(outputs), to_numpy, tensor)

    def called(arrays: Any) -> tuple[list[Any], tuple[Any, ...]]:
        moved = vars(here.value(arrays))
        given = list(inputs)
        for i, one in zip(places, moved.values(), strict=True):
            given[i] = one
        return list(moved.values()), _differentiable(func(*_apart(given)))

    def evaluate(arrays: Any) -> Any:
        return there.arrays(list(called(arrays)[1]))

    def vjp(arrays: Any, u: Any) -> Any:
        leaves, found = called(arrays)
        cotangents = [one.detach() for one in there.value(u)]
        grads = torch.autograd.grad(found, leaves, cotangents, allow_unused=True)
        filled = [
            torch.zeros_like(leaf) if grad is None else grad.detach()
            for leaf, grad in zip(leaves, grads, strict=True)
        ]
        dense = [grad.to_dense() if grad.is_sparse else grad for grad in filled]
        return here.arrays(SimpleNamespace(**dict(zip(vars(named), dense, strict=True))))

    evaluate.__qualname__ = getattr(func, "__name__", type(func).__name__)
    return jacobians.check_vjp(evaluate, vjp, here.arrays(named), **options)
