"""Failures as the place shows them where they are read: a terminal, or pytest-html's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ._keeping import MOST_PICTURES, page_of_pytest_html
from ._recorder import TITLE

_UNDRAWN = "█·…"


class Shown:
    """The plugin that adapts the reports of tests; it is not on pytest-xdist's workers.

    Parameters
    ----------
    config : pytest.Config
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._plain: bool | None = None
        self._drawn = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Change a report before the terminal and pytest-html get it."""
        records: Sequence[dict[str, Any]] = getattr(report, "gradcheck", ())
        if not records:
            return
        if self._plain is None:
            self._plain = not _is_unicode(self._config)
        if self._plain:
            from ._map import plain

            report.sections = [
                (title, plain(text) if title == TITLE else text) for title, text in report.sections
            ]
        if report.failed and page_of_pytest_html(self._config):
            self._add_extras(report, records)

    def _add_extras(self, report: pytest.TestReport, records: Sequence[dict[str, Any]]) -> None:
        from importlib import import_module

        from ._page import Checked, fragment

        pytest_html: Any = import_module("pytest_html")
        for record in records:
            if "message" not in record or self._drawn == MOST_PICTURES:
                continue
            self._drawn += 1
            check = Checked(report.nodeid, True, {}, record["message"], record["picture"])
            content = fragment(check, f"gradcheck-{self._drawn}")
            found = [*getattr(report, "extras", ()), pytest_html.extras.html(content)]
            report.extras = found  # type: ignore[attr-defined]


def _is_unicode(config: pytest.Config) -> bool:
    """Return whether the terminal has the marks of a map."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    # pytest's writer keeps its stream to itself.
    stream = getattr(getattr(reporter, "_tw", None), "_file", None)
    try:
        _UNDRAWN.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
