"""The hooks of the engine, and the manager that calls them.

Nothing here knows pytest or numpy.  A conftest file, an installed package (entry-point group
``pytest_gradcheck``) and a plain script implement a hook in the same way::

    from pytest_gradcheck import hookimpl

    @hookimpl
    def gradcheck_flatten(value):
        ...

A script registers its module with ``plugin_manager().register(module)``; the other two are found.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._diagnosis.evidence import Diagnosis
    from ._params.arrays import ArrayKind
    from ._params.structure import Node
    from ._report.report import GradientReport


PROJECT = "pytest_gradcheck"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

T = TypeVar("T")


class Slot(Generic[T]):
    """What a session has set for the checks of a test, in whichever thread they are made.

    It is no ContextVar: the threads that a test starts, or pytest-run-parallel for it, begin with
    an empty context, and nothing would be known of their checks.
    """

    def __init__(self) -> None:
        self._value: T | None = None

    def get(self) -> T | None:
        """Return what is set; None for nothing."""
        return self._value

    def set(self, value: T) -> T | None:
        """Set it; return what was set before."""
        before, self._value = self._value, value
        return before

    def reset(self, before: T | None) -> None:
        """Set what `set` returned."""
        self._value = before


observer: Slot[Callable[[GradientReport], None]] = Slot()
"""Called with every report.  The pytest plugin sets it around each test."""

progress: Slot[Callable[[int, int, Callable[[], str] | None], None]] = Slot()
"""Called now and then during a check: with the evaluations so far, about how many there will be
(0: not known), and a function that returns what is worst so far; with None for it at the end."""

suspects: Slot[Callable[[], Sequence[str]]] = Slot()
"""Called once in each check; returns labels (``W2[1, 3]``) of parameters to difference first."""


@hookspec(firstresult=True)
def gradcheck_flatten(value: Any) -> Node | None:
    """Take a container apart.

    Parameters
    ----------
    value : object
        A part of ``params`` or of a gradient that is neither an array nor a number.

    Returns
    -------
    Node or None
        The named children and the function that puts new children together again, or None for
        "not mine": the next implementation is asked.
    """


@hookspec(firstresult=True)
def gradcheck_array(value: Any) -> ArrayKind | None:
    """Say how a library's arrays are read, copied and perturbed.

    Parameters
    ----------
    value : object
        A part of ``params`` or of a gradient, or J, that is neither numpy's nor a number and that
        no ``gradcheck_flatten`` takes apart.

    Returns
    -------
    ArrayKind or None
        For this value and all others of its type: asked once.  None for "not mine".
    """


@hookspec
def gradcheck_explain(
    report: GradientReport,
) -> str | Diagnosis | Sequence[str | Diagnosis] | None:
    """Say what the failure looks like to you.

    Parameters
    ----------
    report : GradientReport
        A finished check that did not agree.

    Returns
    -------
    str, Diagnosis, sequence of them, or None
        A plain sentence, shown as ``hint: ...`` and listed in ``report.hints``, on one line and
        up to 500 characters of it.  A `Diagnosis` is also in ``report.diagnoses``, at the place
        that its bits give it.  None: nothing to say.
    """


@cache
def plugin_manager() -> pluggy.PluginManager:
    """Return the manager of the engine's hooks, made at its first use.

    Returns
    -------
    pluggy.PluginManager
        With the built-in containers and everything of the entry-point group
        ``pytest_gradcheck`` registered.
    """
    from . import adapters, hookspecs

    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    for adapter in adapters.built_in():
        manager.register(adapter)
    manager.load_setuptools_entrypoints(PROJECT)
    return manager
