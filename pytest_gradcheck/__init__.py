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
    from ._options import Options
    from ._report import BlockReport, Entry, GradcheckWarning, GradientMismatch, GradientReport
    from ._saved import SavedCheck, load_saved
    from .hookspecs import hookimpl, plugin_manager

_HOMES = {
    "BlockReport": "_report",
    "Entry": "_report",
    "GradcheckWarning": "_report",
    "GradientMismatch": "_report",
    "GradientReport": "_report",
    "Node": "_blocks",
    "Options": "_options",
    "SavedCheck": "_saved",
    "assert_gradients_close": "_check",
    "check_gradients": "_check",
    "compare_gradients": "_given",
    "hookimpl": "hookspecs",
    "load_saved": "_saved",
    "numerical_gradient": "_gradient",
    "numerical_gradient_with_error": "_gradient",
    "plugin_manager": "hookspecs",
    "relative_difference": "_compare",
}

__all__ = [
    "BlockReport",
    "Entry",
    "GradcheckWarning",
    "GradientMismatch",
    "GradientReport",
    "Node",
    "Options",
    "SavedCheck",
    "__version__",
    "assert_gradients_close",
    "check_gradients",
    "compare_gradients",
    "hookimpl",
    "load_saved",
    "numerical_gradient",
    "numerical_gradient_with_error",
    "plugin_manager",
    "relative_difference",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
