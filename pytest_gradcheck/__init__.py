"""Gradient checking with error bars, for pytest and for everywhere else.

The public names are loaded at their first use, because pytest imports this package at its start
and numpy must not be paid for by runs that check no gradient.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # "as" says that a name is public
    from ._api.adjoint_and_taylor import TaylorRates as TaylorRates
    from ._api.adjoint_and_taylor import assert_adjoint as assert_adjoint
    from ._api.adjoint_and_taylor import assert_taylor_rate as assert_taylor_rate
    from ._api.adjoint_and_taylor import check_adjoint as check_adjoint
    from ._api.adjoint_and_taylor import taylor_rates as taylor_rates
    from ._api.gradients import assert_gradients_close as assert_gradients_close
    from ._api.gradients import check_gradients as check_gradients
    from ._api.gradients import compare_gradients as compare_gradients
    from ._api.gradients import numerical_gradient as numerical_gradient
    from ._api.gradients import numerical_gradient_with_error as numerical_gradient_with_error
    from ._api.gradients import pulled_back as pulled_back
    from ._api.gradients import relative_difference as relative_difference
    from ._api.hessians import assert_hessian_close as assert_hessian_close
    from ._api.hessians import assert_hvp_close as assert_hvp_close
    from ._api.hessians import check_hessian as check_hessian
    from ._api.hessians import check_hvp as check_hvp
    from ._api.jacobians import assert_jacobian_close as assert_jacobian_close
    from ._api.jacobians import assert_jvp_close as assert_jvp_close
    from ._api.jacobians import assert_vjp_close as assert_vjp_close
    from ._api.jacobians import check_jacobian as check_jacobian
    from ._api.jacobians import check_jvp as check_jvp
    from ._api.jacobians import check_vjp as check_vjp
    from ._diagnosis.evidence_and_places import Diagnosis as Diagnosis
    from ._options import GradcheckWarning as GradcheckWarning
    from ._options import Options as Options
    from ._params.arrays_and_structure import ArrayKind as ArrayKind
    from ._params.arrays_and_structure import Node as Node
    from ._report.report import BlockReport as BlockReport
    from ._report.report import Entry as Entry
    from ._report.report import GradientMismatch as GradientMismatch
    from ._report.report import GradientReport as GradientReport
    from ._report.report import SavedCheck as SavedCheck
    from ._report.report import load_saved as load_saved
    from ._source.lines import SourceLine as SourceLine
    from .adapters.jax_and_autograd import autograd_gradients as autograd_gradients
    from .adapters.jax_and_autograd import jax_gradients as jax_gradients
    from .adapters.torch import torch_gradients as torch_gradients
    from .hookspecs import hookimpl as hookimpl
    from .hookspecs import plugin_manager as plugin_manager
    from .plugin.fixtures import Gradcheck as Gradcheck
    from .plugin.fixtures import NumericalGradient as NumericalGradient

__version__ = "0.1.0"

_HOMES = {
    name: module
    for module, names in {
        "_api.adjoint_and_taylor": "TaylorRates assert_adjoint assert_taylor_rate check_adjoint "
        "taylor_rates",
        "_api.gradients": "assert_gradients_close check_gradients compare_gradients "
        "numerical_gradient numerical_gradient_with_error pulled_back relative_difference",
        "_api.hessians": "assert_hessian_close assert_hvp_close check_hessian check_hvp",
        "_api.jacobians": "assert_jacobian_close assert_jvp_close assert_vjp_close "
        "check_jacobian check_jvp check_vjp",
        "_diagnosis.evidence_and_places": "Diagnosis",
        "_options": "GradcheckWarning Options",
        "_params.arrays_and_structure": "ArrayKind Node",
        "_report.report": "BlockReport Entry GradientMismatch GradientReport SavedCheck load_saved",
        "_source.lines": "SourceLine",
        "adapters.jax_and_autograd": "autograd_gradients jax_gradients",
        "adapters.torch": "torch_gradients",
        "hookspecs": "hookimpl plugin_manager",
        "plugin.fixtures": "Gradcheck NumericalGradient",
    }.items()
    for name in names.split()
}
"""Where each public name is loaded from."""

__all__ = sorted([*_HOMES, "__version__"])


if not TYPE_CHECKING:  # or a type checker takes every name, a misspelt one too, for Any

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
