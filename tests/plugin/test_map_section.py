"""The section of a failure on a screen of 80 columns, and where there is ASCII alone."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

ROW = """
    import numpy as np

    def cost(params):
        return float(sum(np.sum(value**2) for value in params.values()))

    def wrong(params):
        gradient = {name: 2 * value for name, value in params.items()}
        gradient["W"][2] = 0
        return gradient

    params = {"W": np.arange(1.0, 33.0).reshape(4, 8), "b": np.ones(3)}

    def test_row(gradcheck):
        gradcheck(cost, wrong, params, max_report=MOST)
"""

MAP = [
    "W (4, 8), x tolerance: · agrees, █ > 10,000",
    "   0              7",
    "0  ················",
    "1  ················",
    "2  ████████████████",
    "3  ················",
]


WITH_ROOM = ROW.replace("MOST", "1")
"""A failure that leaves as many lines of a screen as the map takes."""


def section(lines):
    """Return the lines of the first section of ours."""
    start = next(i for i, line in enumerate(lines) if line.strip("-") == " gradcheck ")
    stop = next(i for i in range(start, len(lines)) if lines[i].startswith("="))
    return lines[start + 1 : stop]


def test_a_wrong_row(suite):
    suite.makepyfile(WITH_ROOM)
    result = suite.runpytest_inprocess()
    assert section(result.outlines)[-len(MAP) :] == MAP


def test_a_failure_that_fills_the_screen_has_no_map(suite):
    suite.makepyfile(ROW.replace("MOST", "5"))
    result = suite.runpytest_inprocess()
    result.stdout.fnmatch_lines(["E * W: only row 2 is wrong: *", "E * central differences; *"])
    result.stdout.no_fnmatch_line("*x tolerance:*")
    assert len(result.outlines) <= 45


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["in process", "-n1"])
def test_a_terminal_that_has_ascii_alone(suite, monkeypatch, workers):
    if workers:
        pytest.importorskip("xdist")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    suite.makepyfile(WITH_ROOM)
    result = suite.run(sys.executable, "-m", "pytest", *workers)
    result.assert_outcomes(failed=1)
    marks = str.maketrans("·█", ".#")
    assert section(result.outlines)[-len(MAP) :] == [line.translate(marks) for line in MAP]


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["in process", "-n1"])
def test_long_names_where_there_is_ascii_alone(suite, monkeypatch, workers):
    if workers:
        pytest.importorskip("xdist")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    suite.makepyfile(
        """
        import numpy as np

        def test_(gradcheck):
            params = {"layers.%d.%s.weight" % (k, 9 * "deeper."): np.ones(3) for k in range(2)}
            def grad(params):
                return {name: (2 + k) * w for k, (name, w) in enumerate(params.items())}
            gradcheck(lambda p: sum(np.sum(w**2) for w in p.values()), grad, params)
        """
    )
    result = suite.run(sys.executable, "-m", "pytest", *workers)
    result.assert_outcomes(failed=1)
    assert result.stdout.str().isascii()
    lines = [line.removeprefix("E").strip() for line in result.outlines]
    (head,) = [line for line in lines if line.startswith("block ") and "shape" in line]
    (row,) = [line for line in lines if "3 / 3" in line]
    assert re.match(r"layers\.1\.\S*\.\.\.\S*weight *\(3,\)", row)
    assert row.index("(3,)") == head.index("shape")
    assert not any("u2026" in line for line in lines)


def test_without_a_head_there_is_more_room(suite):
    suite.makepyfile(ROW.replace("MOST", "5"))
    result = suite.runpytest_inprocess("-q")
    assert section(result.outlines)[-len(MAP) :] == MAP
    assert len(result.outlines) <= 45


@pytest.mark.parametrize("color", ["yes", "no"])
def test_the_section_has_colours_where_pytest_has(suite, monkeypatch, color):
    monkeypatch.delenv("NO_COLOR", raising=False)
    suite.makepyfile(WITH_ROOM)
    text = suite.runpytest_inprocess(f"--color={color}").stdout.str()
    marked = (
        "2  \x1b[31m████████████████\x1b[0m" in text and "\x1b[1mW (4, 8), x tolerance:" in text
    )
    assert marked == (color == "yes")
    assert ("\x1b" in text) == (color == "yes")


def test_the_tables_of_a_section_have_colours(suite, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    suite.makepyfile(WITH_ROOM)
    text = suite.runpytest_inprocess("--color=yes", "-vv").stdout.str()
    for head in ("block  shape", "worst  "):
        assert re.search(rf"\n\x1b\[1m{head}[^\n]*\x1b\[0m", text)


def test_what_is_wrong_everywhere_alike_has_no_map(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(EXAMPLES / "broken", pytester.path / "broken")
    shutil.copy(EXAMPLES / "network.py", pytester.path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", os.environ.get("PYTHONPATH", "")]))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "broken", "-k", "seed_5")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.no_fnmatch_line("*- gradcheck -*")
    result.stdout.no_fnmatch_line("*x tolerance:*")


def test_with_two_v_the_section_has_every_detail(suite):
    suite.makepyfile(ROW.replace("MOST", "5"))
    result = suite.runpytest_inprocess("-vv")
    found = section(result.outlines)
    assert found[0] == "cost: disagree"
    assert [re.split("  +", line)[:3] for line in found[2:5]] == [
        ["block", "shape", "verdict"],
        ["W", "(4, 8)", "disagree"],
        ["b", "(3,)", "agree"],
    ]
    assert sum(re.match(r"[0123]  [·█]{16}$", line) is not None for line in found) == 4
    assert sum(line.startswith("W[2, ") for line in found) == 8
