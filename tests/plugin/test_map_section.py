"""The section of a failure on a screen of 80 columns, and where there is ASCII alone."""

import re
import shutil
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

ROW = """
    import numpy as np

    def test_row(gradcheck):
        def wrong(params):
            gradient = {name: 2 * value for name, value in params.items()}
            gradient["W"][2] = 0
            return gradient

        params = {"W": np.arange(1.0, 49.0).reshape(6, 8), "b": np.ones(3)}
        gradcheck(lambda p: float(sum(np.sum(v**2) for v in p.values())), wrong, params)
"""

MAP = [
    "error over what would have passed: · agrees, █ > 10,000",
    "",
    "W (6, 8), 8 of 48 wrong",
    "   0              7",
    "0  ················",
    "1  ················",
    "2  ████████████████",
    "3  ················",
    "4  ················",
    "5  ················",
]


def section(lines):
    """Return the lines of the first section of ours, to the empty line before "worst"."""
    start = next(i for i, line in enumerate(lines) if line.strip("-") == " gradcheck ")
    stop = next(i for i in range(start, len(lines)) if lines[i].startswith("worst"))
    return lines[start + 1 : stop - 1]


def test_a_wrong_row(suite):
    suite.makepyfile(ROW)
    result = suite.runpytest_inprocess()
    assert section(result.outlines)[-len(MAP) :] == MAP


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["in process", "-n1"])
def test_a_terminal_that_has_ascii_alone(suite, monkeypatch, workers):
    if workers:
        pytest.importorskip("xdist")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    suite.makepyfile(ROW)
    result = suite.run(sys.executable, "-m", "pytest", *workers)
    result.assert_outcomes(failed=1)
    marks = str.maketrans("·█", ".#")
    assert section(result.outlines)[-len(MAP) :] == [line.translate(marks) for line in MAP]
    # A line with another character would have been printed as one line of escapes.
    (where,) = [line for line in result.outlines if line.startswith("difference ")]
    assert where.isascii()
    assert "\\u" not in where


def test_the_network_of_the_course(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(EXAMPLES / "broken", pytester.path / "broken")
    shutil.copy(EXAMPLES / "network.py", pytester.path)
    monkeypatch.setenv("PYTHONPATH", ".")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "broken", "-k", "seed_5")
    result.assert_outcomes(failed=1, deselected=1)
    found = section(result.outlines)
    assert [
        re.sub(r" +", " ", re.sub(r"\d\.\d+e-\d+ +\de-\d+$", "d r", line)) for line in found
    ] == [
        "forward: disagree",
        "",
        "block shape verdict wrong open kinks difference resolution",
        "W1 (5, 4) agree 0 0 0 d r",
        "b1 (5, 1) disagree 5 0 0 d r",
        "W2 (3, 5) disagree 15 0 0 d r",
        "b2 (3, 1) agree 0 0 0 d r",
        "W3 (1, 3) agree 0 0 0 d r",
        "b3 (1, 1) agree 0 0 0 d r",
        "",
        "W2: analytic = 2 x numeric, everywhere in the block (factor, 327 bits)",
        "b1: analytic = 4 x numeric, everywhere in the block (factor, 108 bits)",
        "",
        "error over what would have passed: █ > 10,000",
        "",
        "b1 (5, 1), 5 of 5 wrong",
        " 0",
        "0 ██",
        "1 ██",
        "2 ██",
        "3 ██",
        "4 ██",
        "",
        "W2 (3, 5), 15 of 15 wrong",
        " 0 4",
        "0 ██████████",
        "1 ██████████",
        "2 ██████████",
    ]
    assert all(len(line) <= 80 for line in found)
