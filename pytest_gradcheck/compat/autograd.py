"""`check_grads` as autograd.test_util has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .._difference.stencils_and_steps import Stream, generator
from . import LENIENT, Real, assert_modes, modes_of, random_like

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
        _check(of_some, x, chosen, order, options, 0)

    return check


def _check(
    f: Any, x: Any, modes: Sequence[str], order: int, options: dict[str, Any], depth: int
) -> None:
    __tracebackhide__ = True
    core, getval = import_module("autograd.core"), import_module("autograd.tracer").getval
    make_jvp, make_vjp, vspace = core.make_jvp, core.make_vjp, core.vspace
    space = vspace(x)
    y = f(x)
    back = vspace(y)
    here, there = Real(x, from_numpy=_number), Real(y, from_numpy=_number)
    if not (here.size and there.size):
        return  # as autograd's own: an empty array has no derivatives that could be wrong

    def func(arrays: Any) -> Any:
        return there.arrays(getval(f(here.value(arrays))))

    def jvp(arrays: Any, v: Any) -> Any:
        return there.arrays(make_jvp(f, here.value(arrays))(here.value(v))[1])

    def vjp(arrays: Any, u: Any) -> Any:
        pull, _ = make_vjp(f, here.value(arrays))
        # autograd's own convention for complex numbers: covectors are conjugate.
        return here.arrays(space.covector(pull(back.covector(there.value(u)))))

    func.__qualname__ = getattr(f, "__name__", "f")
    params = here.arrays(x)
    assert_modes(func, {"jvp": jvp, "vjp": vjp}, here, params, modes, depth, options)
    if order < 2:
        return
    rng = generator(0, Stream.AUTOGRAD, depth)
    pair = import_module("autograd.builtins").tuple
    if "fwd" in modes:
        v = here.value(random_like(here.arrays(x), rng))

        def jvp_of(p: Any) -> Any:
            return make_jvp(f, p[0])(p[1])[1]

        jvp_of.__name__ = f"jvp_{func.__qualname__}"
        _check(jvp_of, pair((x, v)), modes, order - 1, options, depth + 1)
    if "rev" in modes:
        u = there.value(random_like(there.arrays(y), rng))

        def vjp_of(p: Any) -> Any:
            return make_vjp(f, p[0])[0](p[1])

        vjp_of.__name__ = f"vjp_{func.__qualname__}"
        _check(vjp_of, pair((x, u)), modes, order - 1, options, depth + 1)


def _number(array: Any, like: Any) -> Any:
    return array if isinstance(like, np.ndarray) else array[()]
