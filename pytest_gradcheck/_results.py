"""Gathers the checks of a session where the session ends: the summary and the JSON file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ._config import Settings
from ._version import __version__

SCHEMA = "pytest-gradcheck/1"


class Results:
    """The plugin that receives what the recorders sent; it is not on pytest-xdist's workers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._total = 0
        self._failed = 0
        self._lines: list[tuple[str, bool]] = []
        self._checks: list[dict[str, Any]] = []
        self._problem = ""

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
                self._checks.append({"nodeid": report.nodeid, **record["check"]})

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the JSON file."""
        path = self._settings.json
        if path is None:
            return
        try:
            self._write(path)
        except OSError as error:
            self._problem = f"gradcheck: the JSON file was not written: {error}"
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR
            if not session.config.pluginmanager.has_plugin("terminalreporter"):
                print(self._problem, file=sys.stderr)

    def _write(self, path: Path) -> None:
        import json

        content = {"schema": SCHEMA, "version": __version__, "checks": self._checks}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the checks that ``--gradcheck-summary`` asks for."""
        if self._lines and self._settings.summary != "none":
            checks = "1 gradient check" if self._total == 1 else f"{self._total} gradient checks"
            terminalreporter.write_sep("=", f"{checks}, {self._failed} failed")
            for line, failed in self._lines:
                terminalreporter.write_line(line, red=failed)
        if self._problem:
            terminalreporter.write_line(self._problem, red=True)
