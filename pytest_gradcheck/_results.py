"""Gathers the checks of a session where the session ends: the summary, the JSON file, the page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ._config import Settings
from ._version import __version__

SCHEMA = "pytest-gradcheck/1"

EXTRA = ("jinja2", "matplotlib")
"""What ``--gradcheck-html`` needs; the extra ``html`` brings it."""


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
        self._lines: list[tuple[str, bool]] = []
        self._checks: list[tuple[str, bool, dict[str, Any]]] = []
        self._problems: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the checks off a test's report."""
        for record in getattr(report, "gradcheck", ()):
            # A check that was meant to fail, in a test that passed, is no failure.
            failed = report.failed and not record["ok"]
            self._total += 1
            self._failed += failed
            if failed or self._settings.summary == "all":
                self._lines.append((f"{report.nodeid} - {record['summary']}", failed))
            if "check" in record:
                self._checks.append((report.nodeid, failed, record))
            if problem := record.get("problem"):
                self._problems[problem] = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the JSON file and the page."""
        self._try(session, "JSON file", self._settings.json, self._json)
        self._try(session, "HTML file", self._settings.html, self._html)

    def _try(
        self, session: pytest.Session, what: str, path: Path | None, content: Callable[[], str]
    ) -> None:
        if path is None:
            return
        from ._writing import replacing

        try:
            text = content()
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as stream:
                stream.write(text.encode("utf-8", "backslashreplace"))
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

        from ._page import Checked, page

        checks = [
            Checked(
                nodeid, failed, record["check"], record.get("message", ""), record.get("picture")
            )
            for nodeid, failed, record in self._checks
        ]
        return page(checks, datetime.now().astimezone().isoformat(timespec="seconds"))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the checks that ``--gradcheck-summary`` asks for."""
        if self._lines and self._settings.summary != "none":
            checks = "1 gradient check" if self._total == 1 else f"{self._total} gradient checks"
            terminalreporter.write_sep("=", f"{checks}, {self._failed} failed")
            for line, failed in self._lines:
                terminalreporter.write_line(line, red=failed)
        for problem in self._problems:
            terminalreporter.write_line(problem, red=True)
