"""The hook that the plugin adds to pytest's own manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from ._report import GradientReport


def pytest_gradcheck_result(item: pytest.Item, report: GradientReport) -> None:
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
