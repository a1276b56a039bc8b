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
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._diagnosis.evidence_and_places import Diagnosis
    from ._params.arrays_and_structure import ArrayKind, Node
    from ._report.report import GradientReport


PROJECT = "pytest_gradcheck"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


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
def gradcheck_explain(report: GradientReport) -> str | Diagnosis | Sequence[str | Diagnosis] | None:
    """Say what the failure looks like to you.

    Parameters
    ----------
    report : GradientReport
        A finished check that does not pass.

    Returns
    -------
    str, Diagnosis, sequence of them, or None
        A plain sentence, shown as ``hint: ...`` and listed in ``report.hints``, on one line and
        up to 500 characters of it.  A `Diagnosis` is also in ``report.diagnoses``, at the place
        that its bits give it.  None: nothing to say.
    """


@hookspec
def gradcheck_checked(report: GradientReport) -> None:
    """Learn of a check as soon as it is finished, before anything is raised for it.

    It is called for every check, of a gradient or of another derivative, in the thread that made
    it.  In pytest, ``pytest_gradcheck_result`` is told of the test, too.

    Parameters
    ----------
    report : GradientReport
        The finished check, with all hints.
    """


@hookspec
def gradcheck_progress(evaluations: int, planned: int, worst: Callable[[], str] | None) -> None:
    """Learn how far a check is, some twenty times a second while it calls func.

    It is called in the thread that makes the check, and should return soon.

    Parameters
    ----------
    evaluations : int
        Of func, so far.
    planned : int
        About how many there will be; 0: not known.
    worst : callable or None
        Returns the parameter that stands out most so far, in a line of text, or an empty one.
        None: the check is over.
    """


@hookspec
def gradcheck_suspects() -> Sequence[str] | None:
    """Name parameters to look at first, such as those that were wrong the last time.

    It is called once at the beginning of each check of a gradient, at each of its points, in the
    thread that makes it.  If one of them is wrong, the check ends there and its report says so;
    else it goes on as if nobody had been asked.

    Returns
    -------
    list or tuple of str, or None
        Labels as reports have them, ``W2[1, 3]``; those that params does not have are passed over.
    """


_listening: list[object] = []


def register_lazily(plugin: object) -> Callable[[], None]:
    """Register a plugin once there is a manager, which is not made for it; return the undoing."""
    _listening.append(plugin)
    if plugin_manager.cache_info().currsize:
        plugin_manager().register(plugin)

    def unregister() -> None:
        _listening.remove(plugin)
        if plugin_manager.cache_info().currsize:
            plugin_manager().unregister(plugin)

    return unregister


def progress_listener() -> Callable[[int, int, Callable[[], str] | None], None] | None:
    """Return what a check tells of its progress, or None while nobody listens."""
    hook = plugin_manager().hook.gradcheck_progress
    if not hook.get_hookimpls():
        return None
    return lambda evaluations, planned, worst: hook(
        evaluations=evaluations, planned=planned, worst=worst
    )


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
    for plugin in _listening:
        manager.register(plugin)
    return manager
