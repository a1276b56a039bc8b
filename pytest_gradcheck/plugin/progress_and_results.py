"""What is shown of checks: the live line of one that lasts, and a session's results at its end."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from .. import __version__
from .._quoting import replacing
from ..hookspecs import hookimpl
from .config import Settings
from .recorder_and_memory import (
    MOST_PICTURES,
    TITLE,
    Record,
    ToRemember,
    page_of_pytest_html,
    received,
    remember,
)

SHOWN_AFTER = 2.0  # seconds that a check lasts before there is a live line
SECONDS_BETWEEN = 0.2

# The line is below the one that pytest is writing: the cursor goes there and comes back, so that
# pytest need not know.  A terminal that pytest colours understands this.
_BELOW, _TO_THE_END, _UP = "\n\r", "\x1b[K", "\x1b[A\r"


class LiveLine:
    """The plugin that shows how far a check is, below the line that pytest is writing."""

    def __init__(self, config: pytest.Config) -> None:
        self._writer, self._letters = config.get_terminal_writer(), drawable(config)
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
        text = self._letters(text)
        mark = self._letters("…")
        shown = text if len(text) < width else text[: width - 1 - len(mark)] + mark
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
    logs = manager.has_plugin("logging") and (
        config.getini("log_cli") or config.getoption("log_cli_level") is not None
    )
    if config.getoption("capture") in ("no", "tee-sys") or logs:
        return False
    stream: Any = sys.__stdout__
    try:
        return bool(config.get_terminal_writer().hasmarkup and stream.isatty())
    except (AttributeError, ValueError):  # None, closed, or replaced by something that is no file
        return False


# What is shown of a session's checks: the summary, the JSON file, the page, failures.
#
# Failures are shown as the place shows them where they are read: a terminal, or pytest-html's page.


_PARAMETERS = re.compile(r"(::\w+)\[.*\]$", re.DOTALL)

SCHEMA = "pytest-gradcheck/1"

MOST_ROWS = 10
"""Failing checks of one test that the summary lists, unless it is to list all: hypothesis, for one,
makes a hundred of them while it shrinks what it found."""

EXTRA = ("jinja2", "matplotlib")  # what ``--gradcheck-html`` needs; the extra ``html`` brings it


def require_extra() -> None:
    """Raise `pytest.UsageError` when ``--gradcheck-html`` can't work, before any test is run."""
    from importlib.util import find_spec

    absent = [name for name in EXTRA if find_spec(name) is None]
    if absent:
        raise pytest.UsageError(
            f"--gradcheck-html needs {' and '.join(absent)}: pip install 'pytest-gradcheck[html]'"
        )


class Results:
    """The plugin that receives what the recorders sent; it is not on pytest-xdist's workers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._total = 0
        self._failed = 0
        self._rows: dict[str, list[tuple[list[str], bool]]] = {}
        self._left_out = Counter[str]()
        self._checks: list[tuple[str, bool, Record]] = []
        self._problems: dict[str, None] = {}
        self._news: list[ToRemember] = []
        self._written: list[str] = []
        self._uncalled = Counter[tuple[str, str]]()
        self._interrupted: list[str] = []
        self._runs = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Learn that tests are run: an editor that only collects them is to overwrite no file."""
        self._runs = not session.config.option.collectonly

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the checks off a test's report."""
        if fixture := getattr(report, "gradcheck_uncalled", ""):
            # Of a function's many sets of parameters one line is enough.
            self._uncalled[_PARAMETERS.sub(r"\1", report.nodeid), fixture] += 1
        for record in received(report):
            # A check that was meant to fail, in a test that passed, is no failure.
            failed = report.failed and not record["ok"]
            self._total += 1
            self._failed += failed
            if failed or self._settings.summary == "all":
                func, *cells, remark = record["row"]
                if not (failed or record["ok"]):
                    remark = ", ".join(filter(None, ("its test does not fail", remark)))
                rows = self._rows.setdefault(report.nodeid, [])
                rows.append(([f"{report.nodeid} {func}".rstrip(), *cells, remark], failed))
                if len(rows) > MOST_ROWS and self._settings.summary != "all":
                    del rows[-2]  # the last may be the one that is raised
                    self._left_out[report.nodeid] += 1
            if "check" in record:
                self._checks.append((report.nodeid, failed, record))
            if problem := record.get("problem"):
                self._problems[problem] = None
            if news := record.get("wrong"):
                self._news.append(news)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the JSON file, the page, and what the next run is to look at first."""
        if not self._runs:
            return
        self._try(session, "JSON file", self._settings.json, self._json)
        self._try(session, "HTML file", self._settings.html, self._html)
        if problem := remember(session.config, self._news):
            self._problems[problem] = None

    def _try(
        self, session: pytest.Session, what: str, path: Path | None, content: Callable[[], str]
    ) -> None:
        if path is None:
            return
        try:
            text = content()
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as stream:
                stream.write(text.encode("utf-8", "backslashreplace"))
            self._written.append(f"gradcheck: the {what} is {path}")
        # Other people's libraries draw the page, and no error of theirs may cost the results.
        except Exception as error:
            said = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            problem = f"gradcheck: the {what} was not written: {said}"
            self._problems[problem] = None
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR
            if not session.config.pluginmanager.has_plugin("terminalreporter"):
                print(problem, file=sys.stderr)

    def _json(self) -> str:
        import json

        checks = [{"nodeid": nodeid, **record["check"]} for nodeid, _, record in self._checks]
        content = {"schema": SCHEMA, "version": __version__, "checks": checks}
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def _html(self) -> str:
        from datetime import datetime

        from .._report.pictures_and_page import Checked, page

        checks = [Checked(*each) for each in self._checks]
        return page(checks, datetime.now().astimezone().isoformat(timespec="seconds"))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep what the engine attached: pytest shows where it was, and no notes."""
        notes = map(str, getattr(excinfo.value, "__notes__", ()))
        self._interrupted = [note for note in notes if note.startswith("gradcheck: interrupted")]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the checks that ``--gradcheck-summary`` asks for."""
        for note in self._interrupted:
            terminalreporter.write_line(note, yellow=True)
        if self._rows and self._settings.summary != "none":
            checks = "1 gradient check" if self._total == 1 else f"{self._total} gradient checks"
            terminalreporter.write_sep("=", f"{checks}, {self._failed} failed")
            self._table(terminalreporter)
        for written in self._written:
            terminalreporter.write_line(written)
        for problem in self._problems:
            terminalreporter.write_line(problem, red=True)
        for (test, fixture), count in self._uncalled.items():
            if self._settings.summary != "none":
                times = f", in {count:,} tests" if count > 1 else ""
                said = f"gradcheck: {test} asks for {fixture} and never calls it{times}"
                terminalreporter.write_line(said, yellow=True)

    def _table(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write a line for each check, those that failed first; what a line lacks goes below it."""
        from .._report.message import table_of_rows

        for nodeid, count in self._left_out.items():
            cells = self._rows[nodeid][-1][0]
            cells[-1] = ", ".join(filter(None, (cells[-1], f"and {count:,} more of this test")))
        rows = sorted(chain(*self._rows.values()), key=lambda pair: not pair[1])
        width = terminalreporter.config.get_terminal_writer().fullwidth
        header, *lines = table_of_rows([row for row, _ in rows], width)
        letters = drawable(terminalreporter.config)
        terminalreporter.write_line(header, bold=True)
        number = -1
        for line in lines:
            number += not line.startswith(" ")
            terminalreporter.write_line(letters(line), red=rows[number][1])


_UNDRAWN = "█·…"

_HEADER = re.compile(r"(block|worst)  .*|.*, x tolerance:")
_WRONG = re.compile("[░▒▓█]+")


class Shown:
    """The plugin that adapts the reports of tests; it is not on pytest-xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._drawn = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Change a report before the terminal and pytest-html get it."""
        records = received(report)
        if not records:
            return
        _change_ours(report, drawable(self._config))
        if report.failed and page_of_pytest_html(self._config):
            self._add_extras(report, records)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, object]:
        """Colour our sections before pytest prints them, and after all others have read them."""
        writer = self._config.get_terminal_writer()
        if writer.hasmarkup:
            for kind in ("failed", "error"):
                for report in terminalreporter.stats.get(kind, ()):
                    _change_ours(report, partial(_coloured, markup=writer.markup))
        return (yield)

    def _add_extras(self, report: pytest.TestReport, records: Sequence[Record]) -> None:
        from importlib import import_module

        from .._report.pictures_and_page import fragment

        pytest_html: Any = import_module("pytest_html")
        for record in records:
            if "message" not in record or self._drawn == MOST_PICTURES:
                continue
            self._drawn += 1
            prefix = f"gradcheck-{self._drawn}"
            content = fragment(record["message"], record["picture"], prefix)
            found = [*getattr(report, "extras", ()), pytest_html.extras.html(content)]
            report.extras = found  # type: ignore[attr-defined]


def _change_ours(report: pytest.TestReport, change: Callable[[str], str]) -> None:
    report.sections = [
        (title, change(text) if title == TITLE else text) for title, text in report.sections
    ]


def _coloured(text: str, markup: Callable[..., str]) -> str:
    """Return a section with the heads of its tables and what is wrong in its maps marked up."""

    def line(plain: str) -> str:
        head = _HEADER.match(plain)
        told = markup(head[0], bold=True) if head else ""
        rest = plain[head.end() :] if head else plain
        return told + _WRONG.sub(lambda found: markup(found[0], red=True), rest)

    return "\n".join(map(line, text.split("\n")))


def drawable(config: pytest.Config) -> Callable[[str], str]:
    """Return what puts plain letters for the marks of a map where the terminal has none."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    # pytest's writer keeps its stream to itself.
    stream = getattr(getattr(reporter, "_tw", None), "_file", None)
    try:
        _UNDRAWN.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        from .._report.error_map import plain

        return plain
    return str
