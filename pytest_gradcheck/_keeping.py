"""What is kept of a failing check in the process that ran it: its picture, and its vectors."""

from __future__ import annotations

import os
import re
import shlex
from hashlib import sha256
from pathlib import Path
from subprocess import list2cmdline
from typing import TYPE_CHECKING, Any

import pytest

from ._config import SETTINGS

if TYPE_CHECKING:
    from ._report import GradientReport

MOST_PICTURES = 50
"""Failing checks with pictures: of a page, and of what a worker sends for it."""

LONGEST_STEM = 100
"""Characters of a test's name in the name of a file."""


def wants_pictures(config: pytest.Config) -> bool:
    """Return whether anything is going to draw: our page, or that of pytest-html."""
    return config.stash[SETTINGS].html is not None or page_of_pytest_html(config)


def page_of_pytest_html(config: pytest.Config) -> bool:
    """Return whether pytest-html writes a page; on a worker too, which has its option only."""
    return config.pluginmanager.has_plugin("html") and bool(config.getoption("htmlpath", None))


class Kept:
    """Adds to the records of failing checks what others need that have no evidence.

    Parameters
    ----------
    config : pytest.Config
    """

    def __init__(self, config: pytest.Config) -> None:
        self._pictures = MOST_PICTURES if wants_pictures(config) else 0
        self._folder = config.stash[SETTINGS].save
        self._attempts: dict[str, int] = {}
        self._number = 0

    @property
    def anything(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._pictures) or self._folder is not None

    def begin(self, nodeid: str) -> None:
        """Count the attempts at a test, and its failing checks from 1."""
        self._attempts[nodeid] = self._attempts.get(nodeid, 0) + 1
        self._number = 0

    def keep(self, record: dict[str, Any], report: GradientReport, nodeid: str) -> str:
        """Add a failing check's picture to its record and save its vectors.

        Returns
        -------
        str
            Lines for the section of the failure.
        """
        if self._pictures:
            from ._picture import picture_of

            self._pictures -= 1
            record["picture"] = picture_of(report)
            record["message"] = report.message()
        return self._save(self._folder, record, report, nodeid) if self._folder else ""

    def _save(
        self, folder: Path, record: dict[str, Any], report: GradientReport, nodeid: str
    ) -> str:
        from ._saved import save

        if report.evidence is None:
            return "not saved: parameters were checked along random directions"
        self._number += 1
        path = folder / file_name(nodeid, self._attempts.get(nodeid, 1), self._number)
        try:
            save(report, path, nodeid)
        except OSError as error:
            record["problem"] = f"gradcheck: vectors were not saved: {error}"
            return f"not saved: {error}"
        return f"saved: {path}\nagain: {again(nodeid, report.seed)}"


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
