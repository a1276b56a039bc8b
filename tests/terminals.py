"""Pytest in a terminal that a test can read: what is written to it, and what is on its screen."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

AT_ONCE = """
    import pytest_gradcheck.plugin.progress_and_results as live
    import pytest_gradcheck._evaluate.evaluator as evaluator

    live.SHOWN_AFTER = live.SECONDS_BETWEEN = evaluator.BATCH_SECONDS = 0.0
"""
"""A conftest file with which the live line is drawn as soon and as often as it can be."""


NO_TIME = """
import pytest_gradcheck.plugin.progress_and_results as live

live.perf_counter = lambda: 7.0
"""
"""A conftest file under which no time passes for the live line."""


def written_by_pytest(folder: os.PathLike[str], *args: str) -> str:
    """Run pytest in a folder, in a pseudo-terminal, and return all that it wrote."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", *args]
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:  # Linux's way to say that the other end is closed
        pass
    finally:
        os.close(ours)
        process.wait()
    return written.decode()


TOKEN = r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|."
"""An escape sequence of one kind or the other, or a character."""


def screen(written: str) -> list[str]:
    """Return the lines that a terminal shows after all that was written, without colours."""
    rows, row, column = [""], 0, 0
    for token in re.findall(TOKEN, written, re.S):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif token == "\x1b[K":
            rows[row] = rows[row][:column]
        elif token == "\x1b[A":
            row -= 1
        elif token.endswith("C") and token.startswith("\x1b["):
            column += int(token[2:-1])
        elif not token.startswith("\x1b"):
            rows[row] = rows[row][:column].ljust(column) + token + rows[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in rows]
