"""pytest-html: the row of a failing test has the failure and its pictures."""

import html
import json
import re
import sys

import pytest

pytest.importorskip("pytest_html")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pages import FAILED, SUITE, warm

warm()

pytestmark = pytest.mark.extra


def rows(path):
    """Return the tests of a page of pytest-html, which it keeps as JSON in an attribute."""
    text = path.read_text(encoding="utf-8")
    blob = re.search(r'data-jsonblob="(.*?)"', text, re.S)[1]
    return json.loads(html.unescape(blob))["tests"]


@pytest.fixture
def tests(suite):
    suite.makepyfile(test_nn=SUITE)
    return suite


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["in process", "-n2"])
def test_the_row_has_text_and_pictures(tests, workers):
    if workers:
        pytest.importorskip("xdist")
    result = tests.runpytest_subprocess("--html=page.html", "--self-contained-html", *workers)
    result.assert_outcomes(passed=4, failed=FAILED)
    found = rows(tests.path / "page.html")
    for name, runs in found.items():
        contents = [extra["content"] for run in runs for extra in run["extras"]]
        if runs[-1]["result"].lower() != "failed":
            assert contents == [], name
            continue
        (content,) = contents
        assert content.startswith('<div class="gradcheck"><pre>')
        assert content.count("<svg") >= 2
        assert "<script" not in content
        assert "<img" not in content
    (row,) = found["test_nn.py::test_row"]
    assert "W is 3/2 x numeric in row 1 (4 of 12 wrong)\n" in html.unescape(
        row["extras"][0]["content"]
    )
    # A section with a map is in the log of its row, as every section is.
    (row,) = found["test_nn.py::test_nan"]
    assert "··NN··" in html.unescape(row["log"])


def test_a_right_check_of_a_failing_test_has_no_picture(suite):
    suite.makepyfile(
        test_nn="""
        from quadratic import cost, right, theta, wrong

        def test_two(gradcheck):
            gradcheck(cost, right, theta)
            gradcheck(cost, wrong, theta)
        """
    )
    result = suite.runpytest_subprocess("--html=page.html", "--self-contained-html")
    result.assert_outcomes(failed=1)
    (row,) = rows(suite.path / "page.html")["test_nn.py::test_two"]
    (extra,) = row["extras"]
    assert "1 of 3 wrong" in html.unescape(extra["content"])


def test_nothing_is_added_when_there_is_no_page(tests):
    reports = tests.inline_run().getreports("pytest_runtest_logreport")
    assert not any(getattr(report, "extras", []) for report in reports)
    assert not any("picture" in r for report in reports for r in getattr(report, "gradcheck", ()))


def test_without_matplotlib_the_text_alone(tests):
    tests.makeconftest("import sys\nsys.modules['matplotlib'] = None\n")
    result = tests.run(
        sys.executable,
        "-m",
        "pytest",
        "--html=page.html",
        "--self-contained-html",
        "-k",
        "test_row",
    )
    result.assert_outcomes(failed=1, deselected=9)
    (row,) = rows(tests.path / "page.html")["test_nn.py::test_row"]
    (extra,) = row["extras"]
    assert "<svg" not in extra["content"]
    needed = "matplotlib is not installed: pip install 'pytest-gradcheck[html]'"
    assert html.unescape(extra["content"]).endswith(f"<p>no pictures: {needed}</p></div>")
