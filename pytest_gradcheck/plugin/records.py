"""What is known of each check of a test, on its way from where it ran to where it is shown.

Builtins only: pytest-xdist carries them from a worker to the controller with the test's report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pytest

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
    row: list[str]
    """Of the table at the end: func's name, and what came of it."""
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


def send(report: pytest.TestReport, records: list[Record]) -> None:
    """Put the checks that a test has made since its last report on this one."""
    report.gradcheck = records  # type: ignore[attr-defined]


def send_uncalled(report: pytest.TestReport, fixture: str) -> None:
    """Put the name of a fixture that a test asked for and never called on its report."""
    if fixture:
        report.gradcheck_uncalled = fixture  # type: ignore[attr-defined]


def uncalled(report: pytest.TestReport) -> str:
    """Return the name of such a fixture; empty for none."""
    return str(getattr(report, "gradcheck_uncalled", ""))


def received(report: pytest.TestReport) -> Sequence[Record]:
    """Return what was sent with a report."""
    records: Sequence[Record] = getattr(report, "gradcheck", ())
    return records
