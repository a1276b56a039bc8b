"""Gradient checking with error bars, for pytest and for everywhere else.

The public names are loaded at their first use, because pytest imports this package at its start
and numpy must not be paid for by runs that check no gradient.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._api.adjoint_and_taylor import (
        TaylorRates,
        assert_adjoint,
        assert_taylor_rate,
        check_adjoint,
        taylor_rates,
    )
    from ._api.gradients import (
        assert_gradients_close,
        check_gradients,
        compare_gradients,
        numerical_gradient,
        numerical_gradient_with_error,
        pulled_back,
        relative_difference,
    )
    from ._api.hessians import assert_hessian_close, assert_hvp_close, check_hessian, check_hvp
    from ._api.jacobians import (
        assert_jacobian_close,
        assert_jvp_close,
        assert_vjp_close,
        check_jacobian,
        check_jvp,
        check_vjp,
    )
    from ._diagnosis.evidence_and_places import Diagnosis
    from ._options import GradcheckWarning, Options
    from ._params.arrays_and_structure import ArrayKind, Node
    from ._report.report import (
        BlockReport,
        Entry,
        GradientMismatch,
        GradientReport,
        SavedCheck,
        load_saved,
    )
    from ._source.lines import SourceLine
    from .adapters.jax_and_autograd import autograd_gradients, jax_gradients
    from .adapters.torch import torch_gradients
    from .hookspecs import hookimpl, plugin_manager
    from .plugin.fixtures import Gradcheck, NumericalGradient

__version__ = "0.1.0"

_HOMES = {
    "ArrayKind": "_params.arrays_and_structure",
    "BlockReport": "_report.report",
    "Diagnosis": "_diagnosis.evidence_and_places",
    "Entry": "_report.report",
    "Gradcheck": "plugin.fixtures",
    "GradcheckWarning": "_options",
    "GradientMismatch": "_report.report",
    "GradientReport": "_report.report",
    "Node": "_params.arrays_and_structure",
    "NumericalGradient": "plugin.fixtures",
    "Options": "_options",
    "SavedCheck": "_report.report",
    "SourceLine": "_source.lines",
    "TaylorRates": "_api.adjoint_and_taylor",
    "assert_adjoint": "_api.adjoint_and_taylor",
    "assert_gradients_close": "_api.gradients",
    "assert_hessian_close": "_api.hessians",
    "assert_hvp_close": "_api.hessians",
    "assert_jacobian_close": "_api.jacobians",
    "assert_jvp_close": "_api.jacobians",
    "assert_taylor_rate": "_api.adjoint_and_taylor",
    "assert_vjp_close": "_api.jacobians",
    "autograd_gradients": "adapters.jax_and_autograd",
    "check_adjoint": "_api.adjoint_and_taylor",
    "check_gradients": "_api.gradients",
    "check_hessian": "_api.hessians",
    "check_hvp": "_api.hessians",
    "check_jacobian": "_api.jacobians",
    "check_jvp": "_api.jacobians",
    "check_vjp": "_api.jacobians",
    "compare_gradients": "_api.gradients",
    "hookimpl": "hookspecs",
    "jax_gradients": "adapters.jax_and_autograd",
    "load_saved": "_report.report",
    "numerical_gradient": "_api.gradients",
    "numerical_gradient_with_error": "_api.gradients",
    "plugin_manager": "hookspecs",
    "pulled_back": "_api.gradients",
    "relative_difference": "_api.gradients",
    "taylor_rates": "_api.adjoint_and_taylor",
    "torch_gradients": "adapters.torch",
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
    "SourceLine",
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
