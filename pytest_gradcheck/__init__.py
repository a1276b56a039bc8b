"""Gradient checking with error bars, for pytest and for everywhere else.

The public names are loaded at their first use, because pytest imports this package at its start
and numpy must not be paid for by runs that check no gradient.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from ._blocks import Node
    from ._check import (
        assert_gradients_close,
        check_gradients,
    )
    from ._compare import relative_difference
    from ._given import compare_gradients
    from ._gradient import numerical_gradient, numerical_gradient_with_error
    from ._kinds import ArrayKind
    from ._options import Options
    from ._repair import Diagnosis
    from ._report import BlockReport, Entry, GradcheckWarning, GradientMismatch, GradientReport
    from .adapters.autograd_autodiff import autograd_gradients
    from .adapters.jax_autodiff import jax_gradients
    from .adapters.torch_autodiff import torch_gradients
    from .hookspecs import hookimpl, plugin_manager

_HOMES = {
    "ArrayKind": "_kinds",
    "BlockReport": "_report",
    "Diagnosis": "_repair",
    "Entry": "_report",
    "GradcheckWarning": "_report",
    "GradientMismatch": "_report",
    "GradientReport": "_report",
    "Node": "_blocks",
    "Options": "_options",
    "assert_gradients_close": "_check",
    "autograd_gradients": "adapters.autograd_autodiff",
    "check_gradients": "_check",
    "compare_gradients": "_given",
    "hookimpl": "hookspecs",
    "jax_gradients": "adapters.jax_autodiff",
    "numerical_gradient": "_gradient",
    "numerical_gradient_with_error": "_gradient",
    "plugin_manager": "hookspecs",
    "relative_difference": "_compare",
    "torch_gradients": "adapters.torch_autodiff",
}

__all__ = [
    "ArrayKind",
    "BlockReport",
    "Diagnosis",
    "Entry",
    "GradcheckWarning",
    "GradientMismatch",
    "GradientReport",
    "Node",
    "Options",
    "__version__",
    "assert_gradients_close",
    "autograd_gradients",
    "check_gradients",
    "compare_gradients",
    "hookimpl",
    "jax_gradients",
    "numerical_gradient",
    "numerical_gradient_with_error",
    "plugin_manager",
    "relative_difference",
    "torch_gradients",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
