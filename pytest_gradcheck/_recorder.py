"""Takes note of every check that a test makes and sends it on with the test's report.

Checks reach the recorder through `hookspecs.observer`.  What leaves it are builtins only, in the
attribute ``gradcheck`` of pytest's TestReport, which pytest-xdist carries from a worker to the
controller like the rest of the report: `Recorder.pytest_runtest_makereport` is the only way out.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from ._config import marker_options
from ._keeping import Kept
from ._memory import Memory
from ._names import quoted
from .hookspecs import observer, suspects

if TYPE_CHECKING:
    from ._report import GradientReport

UNUSED = """no check used these options

A marker's options reach the checks that a test makes through the fixtures gradcheck and
numerical_gradient, and this test made none.  Request a fixture and call it, or give the options
to assert_gradients_close itself.  To select tests, leave the marker without options; to set
options for a directory, a module or a class, override the fixture gradcheck_options there."""

MOST_SECTIONS = 10
"""Failing checks of one phase of a test that are shown in full; a line of the summary has each."""

TITLE = "gradcheck"
"""Of the sections of a test's report."""

NODEID = pytest.StashKey[str]()
"""A test's node id as it was collected: what seeds its generator and what it is remembered by."""

_options = pytest.StashKey[dict[str, Any]]()
_performed = pytest.StashKey[bool]()


class Recorder:
    """The plugin that accompanies each test, on workers and wherever tests run in process.

    Parameters
    ----------
    whole : bool
        Whether the session needs whole checks (for a file of them) and not just a line.
    memory : Memory or None
        Knows what was wrong in the last run.
    kept : Kept
        Makes pictures and files of failing checks.
    """

    def __init__(self, whole: bool, memory: Memory | None, kept: Kept) -> None:
        self._whole = whole
        self._memory = memory
        self._kept = kept
        # Checks of one test may end in several threads at once.
        self._lock = threading.Lock()
        self._item: pytest.Item | None = None
        self._records: list[dict[str, Any]] = []
        # Each section is a list of texts, because more may be said of a check at its test's end.
        self._sections: list[list[str]] = []
        self._failing: list[tuple[dict[str, Any], GradientReport, list[str]]] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Observe checks during setup, call and teardown, reruns included."""
        previous, self._item = self._item, item
        observed = observer.set(self._observe)
        asked = suspects.set(self._suspects)
        try:
            return (yield)
        finally:
            suspects.reset(asked)
            observer.reset(observed)
            self._item = previous

    def _suspects(self) -> Sequence[str]:
        return () if self._memory is None else self._memory.suspects()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Read the test's markers."""
        self._kept.begin(item.stash.get(NODEID, item.nodeid))
        item.stash[_performed] = False
        if self._memory is not None:
            self._memory.begin(item.stash.get(NODEID, item.nodeid))
        item.stash[_options] = marker_options(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that passed but whose marker's options nothing has used."""
        __tracebackhide__ = True  # an error in another plugin's hook is no matter of ours
        result = yield
        options = item.stash.get(_options, {})
        if options and not item.stash.get(_performed, False):
            given = ", ".join(f"{name}={quoted(value)}" for name, value in options.items())
            pytest.fail(f"marker gradcheck({given}): {UNUSED}", pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put what has been checked since the last report on this one."""
        report = yield
        if self._memory is not None:
            error = call.excinfo.value if call.excinfo and report.failed else None
            self._memory.settle(error)
        if report.failed and self._item is not None:
            self._keep(self._item.stash.get(NODEID, self._item.nodeid))
        if self._records:
            report.gradcheck = self._records  # type: ignore[attr-defined]
            report.sections += [(TITLE, "\n\n".join(texts)) for texts in self._sections]
        self._records, self._sections, self._failing = [], [], []
        return report

    def _keep(self, nodeid: str) -> None:
        """Make pictures and files, now that it is known that these checks failed a test."""
        for record, report, section in self._failing:
            try:
                said = self._kept.keep(record, report, nodeid)
            except Exception as error:  # no picture is worth the outcome of a test
                said = f"not kept: {type(error).__name__}: {error}"
                record["problem"] = f"gradcheck: a failing check was {said}"
            section += [said] if said else []

    def _observe(self, report: GradientReport) -> None:
        if (item := self._item) is None:  # a thread that outlived its test
            return
        record: dict[str, Any] = {"ok": report.ok, "summary": report.summary()}
        if self._whole:
            record["check"] = report.to_dict()
        with self._lock:
            self._take(record, report)
        item.ihook.pytest_gradcheck_result(item=item, report=report)

    def _take(self, record: dict[str, Any], report: GradientReport) -> None:
        self._records.append(record)
        if self._memory is not None:
            self._memory.observe(record, report)
        if not report.ok:
            section: list[str] = []
            if len(self._sections) < MOST_SECTIONS:
                section.append(report.details())
                self._sections.append(section)
            if self._kept.anything:
                self._failing.append((record, report, section))


def note_performed(item: pytest.Item) -> None:
    """Note that a test makes a check through a fixture, and so with its markers' options."""
    item.stash[_performed] = True


def options_of_markers(item: pytest.Item) -> dict[str, Any]:
    """Return the options that the markers of a test in progress give."""
    return item.stash.get(_options, {})
