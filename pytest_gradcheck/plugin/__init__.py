"""The pytest plugin: where pytest's hooks meet the parts of the host layer.

Nothing here imports numpy or the engine before a test makes its first check; a test asserts it.
"""

from __future__ import annotations

from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import pytest

from .. import hookspecs
from .._quoting import tell_terminal
from .config import MARKER, SETTINGS, add_options, read_settings
from .fixtures import (
    CHECKING,
    fixtures_of_ours,
    gradcheck,
    gradcheck_options,
    gradcheck_rng,
    numerical_gradient,
)
from .progress_and_results import LiveLine, Results, Shown, can_be_live, drawable, require_extra
from .recorder_and_memory import NODEID, Memory, Recorder, ResultHook

# pytest finds the fixtures in this module because it is the one that the entry point names.
__all__ = ["gradcheck", "gradcheck_options", "gradcheck_rng", "numerical_gradient"]

# The names of the engine's hooks: what is marked as a specification there.
_ENGINE_HOOKS = frozenset(
    name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the command line and the ini keys."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare ``pytest_gradcheck_result``."""
    pluginmanager.add_hookspecs(ResultHook)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker and start the parts that live as long as the session."""
    config.addinivalue_line(
        "markers",
        "gradcheck(**options): a gradient check. Bare it only selects; with options it sets those "
        "of the fixtures gradcheck and numerical_gradient, which the test then has to call.",
    )
    settings = config.stash[SETTINGS] = read_settings(config)
    memory = Memory(config, ask=settings.save is None) if settings.cache else None
    config.pluginmanager.register(Recorder(config, memory), "gradcheck-recorder")
    config.pluginmanager.register(EngineHooks(config), "gradcheck-engine-hooks")
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist has it
        if settings.html is not None:
            require_extra()
        config.pluginmanager.register(Results(settings), "gradcheck-results")
        config.pluginmanager.register(Shown(config), "gradcheck-shown")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Learn of the terminal, once pytest has it: width, letters, whether progress can be shown."""
    width, ascii_alone = _terminal(session.config)
    if width:
        session.config.add_cleanup(tell_terminal(width, ascii_alone))
    if can_be_live(session.config):
        session.config.pluginmanager.register(LiveLine(session.config), "gradcheck-live-line")


def _terminal(config: pytest.Config) -> tuple[int, bool]:
    """Return the columns of the terminal, 0 without one, and whether it lacks our marks."""
    if hasattr(config, "workerinput"):  # it has a terminal reporter, but of its own
        width, ascii_alone = config.workerinput.get(TERMINAL, (0, False))
        return width, ascii_alone
    has_one = config.pluginmanager.has_plugin("terminalreporter")
    width = config.get_terminal_writer().fullwidth if has_one else 0
    return width, drawable(config) is not str


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist of the terminal."""
    node.workerinput[TERMINAL] = _terminal(node.config)


TERMINAL = "gradcheck_terminal"


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Show the options that hold for the whole session, if there are any, and for what."""
    # A function such as `assert_gradients_close` means the same in a test, a script and a notebook:
    # what its call says, and no more.
    settings = config.stash[SETTINGS]
    shown = [f"{name}={value!r}" for name, value in settings.options.items()]
    lines = [f"gradcheck, for its fixtures only: {', '.join(shown)}"] if shown else []
    return [*lines, *([f"gradcheck: {settings.skip}"] if settings.skip else [])]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that use a fixture of ours, early enough for ``-m``."""
    used = fixtures_of_ours(item)
    if not used:
        return
    # Under --dist loadgroup pytest-xdist changes the node id of some tests later on.
    item.stash[NODEID] = item.nodeid
    if item.get_closest_marker(MARKER) is None:
        item.add_marker(MARKER)
    skip = item.config.stash[SETTINGS].skip
    if skip and used & CHECKING:
        item.add_marker(pytest.mark.skip(reason=skip))


class EngineHooks:
    """Hands conftest files and plugins with hooks of the engine, ours too, on to its manager.

    pytest repeats the registrations that came before this one, so none is missed.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_plugin_registered(self, plugin: object) -> None:
        """Register a plugin with the engine, until the session ends, if it has hooks for it."""
        marked = f"{hookspecs.PROJECT}_impl"
        # Of what it has alone, as pluggy does: a `__getattr__` of its own may raise anything.
        named = [getattr(plugin, name, None) for name in sorted(_ENGINE_HOOKS & {*dir(plugin)})]
        found = [one for one in named if isinstance(getattr(one, marked, None), dict)]
        if isinstance(plugin, ModuleType):
            for one in named:
                if isinstance(one, FunctionType) and one not in found:
                    self._warn_of_unmarked(one)
        if not found:
            return
        if isinstance(plugin, (Recorder, LiveLine)):  # for them alone no manager is made
            self._config.add_cleanup(hookspecs.register_lazily(plugin))
            return
        manager = hookspecs.plugin_manager()
        # A session inside a session (pytester in process) may meet a plugin of the outer one.
        if not manager.is_registered(plugin):
            manager.register(plugin)
            self._config.add_cleanup(partial(manager.unregister, plugin))

    def _warn_of_unmarked(self, function: FunctionType) -> None:
        """Say that a function with the name of a hook is none."""
        code = function.__code__
        said = (
            f"{code.co_filename}:{code.co_firstlineno}: {function.__name__} lacks the decorator "
            "pytest_gradcheck.hookimpl, so it is never called"
        )
        try:
            self._config.issue_config_time_warning(pytest.PytestWarning(said), stacklevel=3)
        except pytest.PytestWarning:  # an error by -W error
            raise pytest.UsageError(said) from None
