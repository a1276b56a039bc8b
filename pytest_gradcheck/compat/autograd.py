"""`check_grads` as autograd.test_util has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .._difference.stencils_and_steps import Stream, generator
from . import LENIENT, Library, check_orders, modes_of

__all__ = ["check_grads"]


def check_grads(
    f: Callable[..., Any],
    argnum: int | Sequence[int] = 0,
    modes: str | Sequence[str] = ("fwd", "rev"),
    order: int = 2,
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> Callable[..., None]:
    """Return a function that checks autograd's derivatives of f at its arguments.

    Parameters
    ----------
    f : callable
        Written with ``autograd.numpy``.
    argnum : int or sequence of int, optional
        Which arguments are differentiated, default the first.
    modes : {"fwd", "rev"} or sequence of them, optional
        Forward and reverse mode; default both.
    order : int, optional
        2 (default) checks the derivatives of the derivatives, too.
    rtol, atol : float, optional
        Tolerances per entry, which autograd's own has not: for what is right to some digits by
        design, such as an ODE solved to a tolerance.  Unset: as tight as f allows.

    Returns
    -------
    callable
        ``check(*args, **kwargs)`` raises `GradientMismatch`, an AssertionError, for a derivative
        that is wrong, and names its entry.

    Raises
    ------
    ValueError
        For a mode of another name.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck.compat.autograd import check_grads
    >>> def check():
    ...     import autograd.numpy as anp
    ...     check_grads(anp.tanh, modes=["rev"])(np.array([0.5, -1.0]))
    """
    chosen, options = modes_of(modes), {"rtol": rtol, "atol": atol, **LENIENT}
    which = (argnum,) if isinstance(argnum, int) else tuple(argnum)

    def check(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        autograd_tuple = import_module("autograd.builtins").tuple

        def of_some(some: Any) -> Any:
            given = list(args)
            parts = [some] if isinstance(argnum, int) else list(some)
            for place, part in zip(which, parts, strict=True):
                given[place] = part
            return f(*given, **kwargs)

        of_some.__name__ = of_some.__qualname__ = getattr(f, "__name__", "f")
        parts = [args[place] for place in which]
        x = parts[0] if isinstance(argnum, int) else autograd_tuple(parts)
        check_orders(of_some, x, _library(), chosen, order, options)

    return check


def _library() -> Library:
    core, pair = import_module("autograd.core"), import_module("autograd.builtins").tuple
    return Library(
        lambda f, x, v: core.make_jvp(f, x)(v)[1],
        lambda f, x, u: core.make_vjp(f, x)[0](u),
        # autograd's own convention for complex numbers: covectors are conjugate.
        lambda value, like: core.vspace(like).covector(value),
        lambda array, like: array if isinstance(like, np.ndarray) else array[()],
        pair,
        lambda depth: generator(0, Stream.AUTOGRAD, depth),
    )
