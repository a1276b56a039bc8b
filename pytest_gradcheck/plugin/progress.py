"""The live line of a check that lasts, and what is known of one that is interrupted."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator
from time import perf_counter
from typing import Any

import pytest

from ..hookspecs import hookimpl

SHOWN_AFTER = 2.0
"""Seconds that a check lasts before there is a live line."""

SECONDS_BETWEEN = 0.2

# The line is below the one that pytest is writing: the cursor goes there and comes back, so that
# pytest need not know.  A terminal that pytest colours understands this.
_BELOW, _TO_THE_END, _UP = "\n\r", "\x1b[K", "\x1b[A\r"


class LiveLine:
    """The plugin that shows how far a check is, below the line that pytest is writing."""

    def __init__(self, config: pytest.Config) -> None:
        self._writer = config.get_terminal_writer()
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._since = self._drawn = 0.0
        self._first = 0
        self._listens = self._running = self._visible = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Listen to the checks of tests: below the line of a collection nothing is drawn."""
        self._listens = True
        try:
            return (yield)
        finally:
            self._listens = False

    @hookimpl
    def gradcheck_progress(
        self, evaluations: int, planned: int, worst: Callable[[], str] | None
    ) -> None:
        """Take what a check tells of itself; draw if it is time to."""
        # Capturing is suspended to draw, which no other thread may do.
        if not self._listens or threading.current_thread() is not threading.main_thread():
            return
        now = perf_counter()
        if worst is None:
            self._running = False
            if self._visible:
                self._draw("")
                self._visible = False
        elif not self._running:
            self._running, self._since, self._first = True, now, evaluations
        elif now - self._since >= SHOWN_AFTER and now - self._drawn >= SECONDS_BETWEEN:
            rate = (evaluations - self._first) / (now - self._since)
            self._draw(_line(evaluations, planned, rate, worst()))
            self._drawn, self._visible = now, True

    def _draw(self, text: str) -> None:
        width = self._writer.fullwidth
        back = self._writer.width_of_current_line % width
        column = f"\x1b[{back}C" if back else ""
        shown = text if len(text) < width else text[: width - 2] + "…"
        with self._capture.global_and_fixture_disabled():
            # Not through pytest's writer: to it, this would be part of its own line.
            sys.stdout.write(f"{_BELOW}{shown}{_TO_THE_END}{_UP}{column}")
            sys.stdout.flush()


def _line(evaluations: int, planned: int, rate: float, worst: str) -> str:
    about = f" of about {planned:,}" if planned > evaluations else ""
    speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    told = f", worst so far {worst}" if worst else ""
    return f"gradcheck: {evaluations:,}{about} evaluations, {speed}/s{told}"


def can_be_live(config: pytest.Config) -> bool:
    """Return whether a live line can be drawn without disturbing anything or anybody."""
    if hasattr(config, "workerinput") or any(os.environ.get(n) for n in ("CI", "BUILD_NUMBER")):
        return False
    manager = config.pluginmanager
    if not (manager.has_plugin("terminalreporter") and manager.has_plugin("capturemanager")):
        return False
    # What tests print or log would go where the line is.
    if config.getoption("capture") in ("no", "tee-sys") or _logs_live(config):
        return False
    return bool(config.get_terminal_writer().hasmarkup and sys.__stdout__ and _is_terminal())


def _logs_live(config: pytest.Config) -> bool:
    if not config.pluginmanager.has_plugin("logging"):
        return False
    return bool(config.getini("log_cli")) or config.getoption("log_cli_level") is not None


def _is_terminal() -> bool:
    stream: Any = sys.__stdout__
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # closed, or replaced by something that is no file
        return False


class Interruption:
    """The plugin that repeats what is known of a check that was interrupted.

    pytest shows the place of a KeyboardInterrupt and nothing of what is attached to it.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep what the engine attached."""
        notes = getattr(excinfo.value, "__notes__", ())
        self._lines = [note for note in notes if str(note).startswith("gradcheck: interrupted")]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show it, right above the place of the interruption."""
        for line in self._lines:
            terminalreporter.write_line(line, yellow=True)
