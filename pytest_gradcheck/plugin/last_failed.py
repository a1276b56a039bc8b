"""Remembers, in pytest's cache, which parameters a test failed for: the next run begins there.

Only the check whose GradientMismatch made its test fail is remembered.  A gradient that is meant
to be wrong, in a test that catches the mismatch or looks at the report, is checked in full every
time.  With the parameters what their whole check said is remembered: the next one may look at them
alone.  Workers of pytest-xdist read the cache; what they find out travels on the test's report,
and the process in which the session ends writes it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from .._quoting import listing
from .records import Record, ToRemember, received

if TYPE_CHECKING:
    from .._report.report import GradientReport


KEY = "gradcheck/wrong"
TOLD = "gradcheck/told"

MOST = 20
"""Parameters of one check that are remembered, the worst."""

LONGEST = 200
"""Characters of a label that is remembered."""

LONGEST_TOLD = 400
"""And of a sentence."""

MOST_TOLD = 8
"""Sentences of a check that are remembered, each no longer than the longest hint of a plugin."""

Wrong = dict[str, dict[str, list[str]]]
"""By node id and by the number of the check in its test: labels, or sentences."""


def read(config: pytest.Config, key: str = KEY) -> Wrong:
    """Return what is in the cache; nothing without it, or if it is not what was written."""
    cache = getattr(config, "cache", None)
    try:
        content = cache.get(key, {}) if cache is not None else {}
    except RecursionError:  # lists in lists, thousands deep; pytest takes care of what is no JSON
        content = {}
    found: Wrong = {}
    for nodeid, checks in content.items() if isinstance(content, Mapping) else ():
        if isinstance(checks, Mapping):
            found[nodeid] = {
                number: [label for label in labels if isinstance(label, str)]
                for number, labels in checks.items()
                if isinstance(labels, Sequence) and not isinstance(labels, str)
            }
    return found


def sentences(report: GradientReport) -> list[str]:
    """Return what a whole check said of its blocks, as the next one repeats it."""
    said = [f"{block.name}: {block.hint}" for block in report.blocks if block.hint]
    right = [block.name for block in report.blocks if block.verdict == "agree" and block.checked]
    if right:
        said.append(f"{listing(right)} agree{'s' * (len(right) == 1)}")
    return [f"when all was last checked: {text}"[:LONGEST_TOLD] for text in said[:MOST_TOLD]]


class Memory:
    """What the tests of this process are to look at first; the recorder tells it of checks.

    Without `ask` what was wrong is remembered, but checks are whole: a file of vectors is wanted.
    """

    def __init__(self, config: pytest.Config, ask: bool = True) -> None:
        self._config = config
        self._ask = ask
        self._stored: Wrong | None = None
        self._nodeid = ""
        self._asked = 0
        self._lock = threading.Lock()
        # A check runs in one thread from its first question to its report.
        self._here = threading.local()
        self._open: list[tuple[Record, GradientReport, str]] = []
        self._sent: set[tuple[str, str]] = set()

    def begin(self, nodeid: str) -> None:
        """Count the checks of a test from 0."""
        self._nodeid, self._asked = nodeid, 0

    def suspects(self) -> Sequence[str]:
        """Return the labels of what was wrong in the check that begins."""
        if self._stored is None:
            self._stored = read(self._config)
        with self._lock:
            number, self._asked = str(self._asked), self._asked + 1
        self._here.number = number
        if not self._ask:
            return ()
        return self._stored.get(self._nodeid, {}).get(number, ())

    def told(self) -> Sequence[str]:
        """Return what was said when the check that ends was last made as a whole."""
        number = getattr(self._here, "number", "")
        return read(self._config, TOLD).get(self._nodeid, {}).get(number, ())

    def observe(self, record: Record, report: GradientReport) -> None:
        """Learn what came of the check."""
        number = getattr(self._here, "number", None)
        if number is not None:  # compare_gradients asks for no suspects
            self._open.append((record, report, number))
            self._here.number = None

    def settle(self, error: BaseException | None) -> None:
        """Say on the records what is to be remembered, now that it is known why a test failed."""
        failed = getattr(error, "report", None)
        for record, report, number in self._open:
            labels: list[str] = []
            if report is failed:
                wrong = (entry.label for entry in report.worst if entry.verdict == "disagree")
                labels = [label for label in wrong if len(label) <= LONGEST][:MOST]
            place = self._nodeid, number
            known = place in self._sent or number in (self._stored or {}).get(self._nodeid, {})
            undecided = report is failed and report.verdict == "inconclusive"
            if labels or (known and not undecided):
                news: ToRemember = {"nodeid": self._nodeid, "check": number, "labels": labels}
                if not (labels and report.repeated):
                    news["told"] = sentences(report) if labels else []
                record["wrong"] = news
                self._sent.add(place)
        self._open = []


class Keeper:
    """The plugin that writes the cache; it is not on pytest-xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._news: Wrong = {}
        self._told: Wrong = {}
        self._problem = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what is to be remembered off a test's report."""
        for record in received(report):
            if news := record.get("wrong"):
                self._news.setdefault(news["nodeid"], {})[news["check"]] = news["labels"]
                if "told" in news:
                    self._told.setdefault(news["nodeid"], {})[news["check"]] = news["told"]

    def pytest_sessionfinish(self) -> None:
        """Write what has changed."""
        cache = getattr(self._config, "cache", None)
        if cache is None or not self._news:
            return
        try:
            cache.set(KEY, self._merged(KEY, self._news))
            cache.set(TOLD, self._merged(TOLD, self._told))
        except Warning as warning:  # an error by -W error, which is not to cost the results
            self._problem = f"gradcheck: what was wrong is not remembered: {warning}"

    def _merged(self, key: str, news: Wrong) -> Wrong:
        """Return what is stored with what is new, of files that are still there."""
        stored = read(self._config, key)
        for nodeid, changed in news.items():
            checks = {**stored.pop(nodeid, {}), **changed}
            if left := {number: texts for number, texts in checks.items() if texts}:
                stored[nodeid] = left
        root = self._config.rootpath
        return {n: c for n, c in stored.items() if (root / n.split("::")[0]).exists()}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why nothing was written."""
        if self._problem:
            terminalreporter.write_line(self._problem, red=True)
