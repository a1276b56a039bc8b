"""Takes note of every check that a test makes, sends it on, and remembers what failed.

What leaves a process is builtins only: pytest-xdist carries it from a worker to the controller with
the test's report.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from subprocess import list2cmdline
from typing import TYPE_CHECKING, Any, ClassVar, NotRequired, TypedDict

import pytest

from .._quoting import listing, quoted
from ..hookspecs import hookimpl
from .config import MARKER, SETTINGS, marker_options

if TYPE_CHECKING:
    from .._report.report import GradientReport

NODEID = pytest.StashKey[str]()
"""A test's node id as it was collected: what seeds its generator and what it is remembered by."""


def nodeid_of(item: pytest.Item) -> str:
    """Return a test's node id as it was collected."""
    return item.stash.get(NODEID, item.nodeid)


class ToRemember(TypedDict):
    """What the next run is to look at first."""

    nodeid: str
    check: str
    """Its number in the test."""
    labels: list[str]
    """Of parameters; none: what was remembered is right by now."""
    told: NotRequired[list[str]]
    """What a whole check said; left out by one that looked at few parameters."""


class Record(TypedDict):
    """One check."""

    ok: bool
    row: NotRequired[list[str]]
    """Of the table at the end: func's name, and what came of it; where the table has it."""
    check: NotRequired[dict[str, Any]]
    """As from `GradientReport.to_dict`, where the session writes whole checks."""
    found: NotRequired[list[str]]
    """With it, the worst parameter and the first line."""
    message: NotRequired[str]
    narrow: NotRequired[str]
    """The message for a narrow page."""
    picture: NotRequired[dict[str, Any]]
    """As from `picture_of`, with the message: of some that failed a test, where somebody draws."""
    problem: NotRequired[str]
    """A line for the summary: something could not be kept."""
    wrong: NotRequired[ToRemember]


def received(report: pytest.TestReport) -> Sequence[Record]:
    """Return the checks that a test has made since its last report, as sent with this one."""
    records: Sequence[Record] = getattr(report, "gradcheck", ())
    return records


# Takes note of every check that a test makes and sends it on with the test's report.
#
# Checks reach the recorder through the engine's hook ``gradcheck_checked``.  What leaves it is a
# `Record`, and `Recorder.pytest_runtest_makereport` is the only way out.
# A failing check's picture and vectors are kept in the process that ran it.


class ResultHook:
    """The hook that the plugin adds to pytest's own manager."""

    def pytest_gradcheck_result(self, item: pytest.Item, report: GradientReport) -> None:
        """Learn of a check as soon as it is finished, before anything is raised for it.

        It is called in the process that runs the test, for every check during the test's setup,
        call and teardown, whichever way the check was called, and in the thread that made it.  What
        it returns is ignored.

        Parameters
        ----------
        item : pytest.Item
            The test that is running.
        report : GradientReport
            The finished check.
        """


MOST_PICTURES = 50  # failing checks with pictures: of a page, and of what a worker sends for it
LONGEST_STEM = 100  # characters of a test's name in the name of a file


def page_of_pytest_html(config: pytest.Config) -> bool:
    """Return whether pytest-html writes a page; on a worker too, which has its option only."""
    return config.pluginmanager.has_plugin("html") and bool(config.getoption("htmlpath", None))


class Kept:
    """Adds to the records of failing checks what others need that have no evidence."""

    def __init__(self, config: pytest.Config) -> None:
        # Our page draws them, or that of pytest-html.
        draws = config.stash[SETTINGS].html is not None or page_of_pytest_html(config)
        self._pictures = MOST_PICTURES if draws else 0
        self._folder = config.stash[SETTINGS].save
        self._attempts: Counter[str] = Counter()
        self._nodeid, self._number = "", 0

    @property
    def anything(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._pictures) or self._folder is not None

    def begin(self, nodeid: str) -> None:
        """Count the attempts at a test, and its failing checks from 1."""
        self._nodeid, self._number = nodeid, 0
        self._attempts[nodeid] += 1

    def keep(self, record: Record, report: GradientReport) -> str:
        """Add the picture of a failing check, save its vectors; return lines about it."""
        try:
            if self._pictures:
                from .._quoting import NARROWEST
                from .._report.message import message
                from .._report.pictures_and_page import picture_of

                self._pictures -= 1
                record["picture"] = picture_of(report)
                record["message"], record["narrow"] = message(report), message(report, NARROWEST)
            return self._save(self._folder, report) if self._folder else ""
        except OSError as error:
            record["problem"] = f"gradcheck: vectors were not saved: {error}"
            return f"not saved: {error}"
        except Exception as error:  # no picture is worth the outcome of a test
            said = f"not kept: {type(error).__name__}: {error}"
            record["problem"] = f"gradcheck: a failing check was {said}"
            return said

    def _save(self, folder: Path, report: GradientReport) -> str:
        from .._report.report import save

        if report.evidence is None:
            return "not saved: parameters were checked along random directions"
        self._number += 1
        path = folder / file_name(self._nodeid, self._attempts[self._nodeid], self._number)
        save(report, path, self._nodeid)
        return f"saved: {path}\nagain: {again(self._nodeid, report.seed)}"


def file_name(nodeid: str, attempt: int, number: int) -> str:
    """Return a file's name for a check: readable, safe everywhere, and of no other check."""
    file, _, test = nodeid.partition("::")
    stem = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{file.rpartition('/')[2]}-{test}").strip("-.")
    digest = sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{stem[:LONGEST_STEM]}-{digest}-{attempt}-{number}.npz"


def again(nodeid: str, seed: int) -> str:
    """Return the command that repeats a test's checks."""
    quoted = list2cmdline([nodeid]) if os.name == "nt" else shlex.quote(nodeid)
    return f"pytest {quoted} --gradcheck-seed {seed}"


UNUSED = """no check used these options

A marker's options reach the checks that a test makes through the fixtures gradcheck and
numerical_gradient, and this test made none.  Request a fixture and call it, or give the options
to assert_gradients_close itself.  To select tests, leave the marker without options; to set
options for a directory, a module or a class, override the fixture gradcheck_options there."""

MOST_SECTIONS = 10  # failing checks of one phase of a test that are shown in full

SCREEN, AROUND, HEAD = 45, 18, 6
"""Lines that one failure takes at most with a map, and those around its text and in its summary,
with a head of the session, which ``-q`` leaves out."""

TITLE = "gradcheck"  # of the sections of a test's report

OF_MARKERS = pytest.StashKey[dict[str, Any]]()
"""The options that a test's markers give, while it is in progress."""
PERFORMED = pytest.StashKey[bool]()
"""Whether a test made a check through a fixture, and so with its markers' options."""
_uncalled = pytest.StashKey[str]()


class Recorder:
    """The plugin that accompanies each test, on workers and wherever tests run in process.

    `memory` knows what was wrong in the last run.
    """

    # Of a session in a session, both are registered with the engine.  No ContextVar: the threads
    # that a test starts begin with an empty context, and nothing would be known of their checks.
    hearing: ClassVar[Recorder | None] = None
    """That of the innermost session that runs a test, which alone hears of the test's checks."""

    def __init__(self, config: pytest.Config, memory: Memory | None) -> None:
        settings, verbosity = config.stash[SETTINGS], config.get_verbosity()
        # For a file of them checks are sent whole; a line of those that pass is seldom listed.
        self._whole = settings.json is not None or settings.html is not None
        self._listed = self._whole or settings.summary == "all"
        self._details = verbosity > 1
        self._room = SCREEN - AROUND + (HEAD if verbosity < 0 else 0)
        self._memory = memory
        self._kept = Kept(config)
        # Checks of one test may end in several threads at once.
        self._lock = threading.Lock()
        self._item: pytest.Item | None = None
        self._records: list[Record] = []
        self._failing: list[tuple[Record, GradientReport]] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Hear of checks during setup, call and teardown, reruns included."""
        outer, Recorder.hearing = Recorder.hearing, self
        previous, self._item = self._item, item
        try:
            return (yield)
        finally:
            self._item = previous
            Recorder.hearing = outer

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Hide our frames in what is raised by a check that a module makes while it is imported."""
        report = yield
        call = getattr(report, "call", None)
        if report.failed and call is not None and _hide_our_frames(call.excinfo.value):
            told = collector.repr_failure(call.excinfo)
            report.longrepr = told if hasattr(told, "toterminal") else report.longrepr
        return report

    @hookimpl
    def gradcheck_suspects(self) -> Sequence[str] | None:
        """Say what was wrong in the last run of the check that begins."""
        return self._memory.suspects() if Recorder.hearing is self and self._memory else None

    @hookimpl
    def gradcheck_explain(self, report: GradientReport) -> Sequence[str] | None:
        """Say what the check looked like when it was last made as a whole."""
        hears = Recorder.hearing is self and report.repeated
        return list(self._memory.told()) if hears and self._memory else None

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Read the test's markers."""
        self._kept.begin(nodeid_of(item))
        item.stash[PERFORMED] = False
        if self._memory is not None:
            self._memory.begin(nodeid_of(item))
        item.stash[OF_MARKERS] = marker_options(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that passed but whose marker's options nothing has used."""
        # Those of a class or a module are of no concern to a test that checks nothing.
        __tracebackhide__ = True  # an error in another plugin's hook is no matter of ours
        result = yield
        options = item.stash.get(OF_MARKERS, {})
        if item.stash.get(PERFORMED, False):
            return result
        own = any(mark.name == MARKER and mark.kwargs for mark in item.own_markers)
        if options and (own or self._records):
            given = ", ".join(f"{name}={quoted(value)}" for name, value in options.items())
            __tracebackhide__ = False  # else pytest says that all entries are hidden
            pytest.fail(f"marker gradcheck({given}): {UNUSED}", pytrace=False)
        item.stash[_uncalled] = _asked_for(item)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put what has been checked since the last report on this one."""
        if call.excinfo is not None:
            _hide_our_frames(call.excinfo.value)
        report = yield
        raised = _raised(call) if report.failed else None
        if self._memory is not None:
            self._memory.settle(raised)
        if self._records:
            if report.failed:
                report.sections += [
                    (TITLE, text) for text in self._texts(raised, report.longreprtext)
                ]
            report.gradcheck = self._records  # type: ignore[attr-defined]
        if raised is not None:
            _in_one_line(report)
        fixture = item.stash.get(_uncalled, "")
        if fixture and report.when == "call" and report.passed:
            report.gradcheck_uncalled = fixture  # type: ignore[attr-defined]
        self._records, self._failing = [], []
        return report

    def _texts(self, raised: GradientReport | None, above: str) -> Iterator[str]:
        """Yield what the sections say, now that it is known which checks failed a test."""
        # Where one was raised, the others were caught, or meant to fail. What pytest prints `above`
        # is not said again: the message of the one that was raised, in a doctest or a group too.
        room = self._room - len(above.splitlines())
        for number, (record, report) in enumerate(self._failing):
            texts = []
            if report is raised or (raised is None and number < MOST_SECTIONS):
                from .._report.message import section

                printed = report is raised or report.message().partition("\n")[0] in above
                texts.append(section(report, whole=self._details, printed=printed, room=room))
            texts.append(self._kept.keep(record, report))
            if text := "\n\n".join(filter(None, texts)):
                yield text

    @hookimpl
    def gradcheck_checked(self, report: GradientReport) -> None:
        """Take note of a check, and hand it on to pytest's own hook."""
        item = self._item
        if Recorder.hearing is not self or item is None:  # a thread may outlive its test
            return
        record: Record = {"ok": report.ok}
        # Of a check that passes, most sessions only count that there was one.
        if self._listed or not report.ok:
            from .._report.message import finding, row

            record["row"] = row(report)
            if self._whole:
                record["check"], record["found"] = report.to_dict(), finding(report)
        with self._lock:
            self._records.append(record)
            if self._memory is not None:
                self._memory.observe(record, report)
            if not report.ok:
                if len(self._failing) >= MOST_SECTIONS and not self._kept.anything:
                    del self._failing[-1]  # the last may be the one that is raised
                self._failing.append((record, report))
        item.ihook.pytest_gradcheck_result(item=item, report=report)


def _raised(call: pytest.CallInfo[None]) -> GradientReport | None:
    """Return the report of the `GradientMismatch` that ended a phase of a test, if one did."""
    module = sys.modules.get("pytest_gradcheck._report.report")  # unless it is imported, none did
    if module is None or call.excinfo is None:
        return None
    error = call.excinfo.value
    return error.report if isinstance(error, module.GradientMismatch) else None


def _all_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it came of, and what it is a group of, each once."""
    rest: list[BaseException | None] = [error]
    seen: set[int] = set()  # `raise error from error` is its own cause
    while rest:
        one = rest.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        members = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        rest += [one.__cause__, one.__context__, *members]


def _hide_our_frames(raised: BaseException) -> bool:
    """Mark our modules in the tracebacks of an error and its causes; return whether any is there.

    pytest looks for the mark.
    """
    # What contextlib runs between two of our frames is taken out.
    package, found = __name__.partition(".")[0], False
    for error in _all_of(raised):
        tb, ours = error.__traceback__, None
        while tb is not None:
            names = tb.tb_frame.f_globals
            home = str(names.get("__name__")).partition(".")[0]
            if home == package:
                from .._report.report import hide_frame

                names["__tracebackhide__"], found = hide_frame, True
                if ours is not None:
                    ours.tb_next = tb
                ours = tb
            elif home != "contextlib":
                ours = None
            tb = tb.tb_next
    return found


def _in_one_line(report: pytest.TestReport) -> None:
    """Leave the first line of what pytest's short summary repeats: with CI set, it repeats all."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = crash.message.split("\n", 1)[0]


def _asked_for(item: pytest.Item) -> str:
    """Return which fixture that checks a test's own arguments name; empty for none of ours."""
    from .fixtures import CHECKING, fixtures_of_ours

    named = getattr(getattr(item, "_fixtureinfo", None), "argnames", ())
    ours = CHECKING & fixtures_of_ours(item)
    return next((name for name in named if name in ours), "")


# Remembers, in pytest's cache, which parameters a test failed for: the next run begins there.
#
# Only the check whose GradientMismatch made its test fail is remembered.  A gradient that is meant
# to be wrong, in a test that catches the mismatch or looks at the report, is checked in full every
# time.  With the parameters what their whole check said is remembered: the next one may look at
# them alone.  Workers of pytest-xdist read the cache; what they find out travels on the test's
# report, and the process in which the session ends writes it.


KEY = "gradcheck/wrong"
TOLD = "gradcheck/told"
MOST = 20  # parameters of one check that are remembered, the worst
LONGEST = 200  # characters of a label that is remembered
LONGEST_TOLD = 400  # and of a sentence

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

    def settle(self, failed: GradientReport | None) -> None:
        """Say on the records what is to be remembered, now that it is known what failed a test."""
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


def remember(config: pytest.Config, news: Sequence[ToRemember]) -> str:
    """Write to the cache what is to be remembered; return a line that says why it was not."""
    cache = getattr(config, "cache", None)
    if cache is None or not news:
        return ""
    changed: dict[str, Wrong] = {KEY: {}, TOLD: {}}
    for one in news:
        changed[KEY].setdefault(one["nodeid"], {})[one["check"]] = one["labels"]
        if "told" in one:
            changed[TOLD].setdefault(one["nodeid"], {})[one["check"]] = one["told"]
    try:
        for key, some in changed.items():
            cache.set(key, _merged(config, key, some))
    except Warning as warning:  # an error by -W error, which is not to cost the results
        return f"gradcheck: what was wrong is not remembered: {warning}"
    return ""


def _merged(config: pytest.Config, key: str, news: Wrong) -> Wrong:
    """Return what is stored with what is new, of files that are still there."""
    stored = read(config, key)
    for nodeid, changed in news.items():
        checks = {**stored.pop(nodeid, {}), **changed}
        if left := {number: texts for number, texts in checks.items() if texts}:
            stored[nodeid] = left
    return {n: c for n, c in stored.items() if (config.rootpath / n.split("::")[0]).exists()}
