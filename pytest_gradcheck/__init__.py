"""Gradient checking with error bars, for pytest and for everywhere else.

The public names are loaded at their first use, because pytest imports this package at its start
and numpy must not be paid for by runs that check no gradient.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from ._adjoint import assert_adjoint, check_adjoint
    from ._check import (
        assert_gradients_close,
        check_gradients,
    )
    from ._compare import relative_difference
    from ._derivatives import assert_jacobian_close, check_jacobian
    from ._fixtures import Gradcheck, NumericalGradient
    from ._given import compare_gradients
    from ._gradient import numerical_gradient, numerical_gradient_with_error
    from ._hessian import (
        assert_hessian_close,
        assert_hvp_close,
        check_hessian,
        check_hvp,
    )
    from ._kinds import ArrayKind
    from ._manifold import pulled_back
    from ._nodes import Node
    from ._options import Options
    from ._products import assert_jvp_close, assert_vjp_close, check_jvp, check_vjp
    from ._repair import Diagnosis
    from ._report import BlockReport, Entry, GradcheckWarning, GradientMismatch, GradientReport
    from ._saved import SavedCheck, load_saved
    from ._taylor import TaylorRates, assert_taylor_rate, taylor_rates
    from .adapters.autograd_autodiff import autograd_gradients
    from .adapters.jax_autodiff import jax_gradients
    from .adapters.torch_autodiff import torch_gradients
    from .hookspecs import hookimpl, plugin_manager

_HOMES = {
    "ArrayKind": "_kinds",
    "BlockReport": "_report",
    "Diagnosis": "_repair",
    "Entry": "_report",
    "Gradcheck": "_fixtures",
    "GradcheckWarning": "_report",
    "GradientMismatch": "_report",
    "GradientReport": "_report",
    "Node": "_nodes",
    "NumericalGradient": "_fixtures",
    "Options": "_options",
    "SavedCheck": "_saved",
    "TaylorRates": "_taylor",
    "assert_adjoint": "_adjoint",
    "assert_gradients_close": "_check",
    "assert_hessian_close": "_hessian",
    "assert_hvp_close": "_hessian",
    "assert_jacobian_close": "_derivatives",
    "assert_jvp_close": "_products",
    "assert_taylor_rate": "_taylor",
    "assert_vjp_close": "_products",
    "autograd_gradients": "adapters.autograd_autodiff",
    "check_adjoint": "_adjoint",
    "check_gradients": "_check",
    "check_hessian": "_hessian",
    "check_hvp": "_hessian",
    "check_jacobian": "_derivatives",
    "check_jvp": "_products",
    "check_vjp": "_products",
    "compare_gradients": "_given",
    "hookimpl": "hookspecs",
    "jax_gradients": "adapters.jax_autodiff",
    "load_saved": "_saved",
    "numerical_gradient": "_gradient",
    "numerical_gradient_with_error": "_gradient",
    "plugin_manager": "hookspecs",
    "pulled_back": "_manifold",
    "relative_difference": "_compare",
    "taylor_rates": "_taylor",
    "torch_gradients": "adapters.torch_autodiff",
}

__all__ = [
    "ArrayKind",
    "BlockReport",
    "Diagnosis",
    "Entry",
    "Gradcheck",
    "GradcheckWarning",
    "GradientMismatch",
    "GradientReport",
    "Node",
    "NumericalGradient",
    "Options",
    "SavedCheck",
    "TaylorRates",
    "__version__",
    "assert_adjoint",
    "assert_gradients_close",
    "assert_hessian_close",
    "assert_hvp_close",
    "assert_jacobian_close",
    "assert_jvp_close",
    "assert_taylor_rate",
    "assert_vjp_close",
    "autograd_gradients",
    "check_adjoint",
    "check_gradients",
    "check_hessian",
    "check_hvp",
    "check_jacobian",
    "check_jvp",
    "check_vjp",
    "compare_gradients",
    "hookimpl",
    "jax_gradients",
    "load_saved",
    "numerical_gradient",
    "numerical_gradient_with_error",
    "plugin_manager",
    "pulled_back",
    "relative_difference",
    "taylor_rates",
    "torch_gradients",
]


if not TYPE_CHECKING:  # or a type checker takes every name, a misspelt one too, for Any

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
