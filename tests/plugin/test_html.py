"""The page of --gradcheck-html."""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

import pytest
from amounts import long

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pages import CHECKS, FAILED, SUITE, Reader, warm

from pytest_gradcheck._report import pictures_and_page

warm()


@pytest.fixture
def tests(suite):
    suite.makepyfile(test_nn=SUITE)
    return suite


def read(suite, name="page.html"):
    return (suite.path / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text():
    """A list with the page of one run, once a test made it: all look at the same."""
    return []


@pytest.fixture
def page_of_a_run(tests, text):
    """Return the text of the page of a run, and what a reader makes of it."""
    if not text:
        result = tests.runpytest_inprocess("--gradcheck-html=out/page.html")
        result.assert_outcomes(passed=4, failed=FAILED)
        result.stdout.fnmatch_lines(["gradcheck: the HTML file is */out/page.html"])
        text.append(read(tests, "out/page.html"))
    return text[0], Reader(text[0])


def test_all_checks_are_on_it_failures_first(page_of_a_run):
    text, page = page_of_a_run
    assert text.startswith("<!DOCTYPE html>")
    assert len(page.rows) == CHECKS
    assert [row[0] for row in page.rows] == ["failed"] * FAILED + ["expected"] + ["passed"] * 3
    assert page.rows[0][:5] == [
        "failed",
        "test_nn.py::test_row",
        "W[1, 3]",
        "W is 3/2 x numeric in row 1 (4 of 12 wrong)",
        "4 / 14",
    ]
    assert page.rows[2][2] == "params[0]"
    assert page.rows[2][3].startswith("params[0]: inconclusive (3 of 3 can't be told)")
    assert page.rows[-1][1:5] == ["test_nn.py::test_right[2]", "", "", "0 / 3"]
    # A check that was meant to fail says what was found, too.
    assert page.rows[FAILED][:2] == ["expected", "test_nn.py::test_expected"]
    assert page.rows[FAILED][2] == "params[1]"
    names = [attrs["data-name"] for tag, attrs in page.tags if "data-name" in attrs]
    assert names[:3] == ["total", "cost", "<lambda>"]
    assert page.count("article") == FAILED
    assert "<title>Gradient checks: 6 failed</title>" in text
    # What the failure says is there, word for word.
    assert ">W is 3/2 x numeric in row 1 (4 of 12 wrong)\n" in text


def test_pictures_of_what_fails_and_of_nothing_else(page_of_a_run):
    _, page = page_of_a_run
    labels = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert labels[:4] == [
        "W (3, 4): 4 of 12 wrong",
        "analytic against numeric, 14 of 14 parameters",
        "error of differences by their step size; dotted: of the analytic value",
        "params (3,): 1 of 3 wrong",
    ]
    assert len(page.ids) == len(set(page.ids))
    rows = [attrs for tag, attrs in page.tags if tag == "tr" and "data-status" in attrs]
    details = [attrs["data-details"] for attrs in rows if "data-details" in attrs]
    assert details == [f"check-{n}" for n in range(1, FAILED + 1)]
    assert set(details) <= set(page.ids)


def test_its_policy_allows_its_own_script_and_nothing_else(page_of_a_run):
    text, page = page_of_a_run
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert page.count("script") == len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    (policy,) = [
        attrs["content"]
        for tag, attrs in page.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # No address but those that name a vocabulary, and pictures inside the page.
    for tag, attrs in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert re.match(r"#|data:", attrs.get(name) or "#"), (tag, attrs)
        assert not any(name.startswith("on") for name in attrs)


def test_what_a_test_names_is_text(page_of_a_run):
    text, page = page_of_a_run
    assert page.count("img") == 0
    hostile = [row[1] for row in page.rows if "test_hostile" in row[1]]
    assert hostile[0].startswith("test_nn.py::test_hostile[</script><script>window.hacked=1")
    assert hostile[1] == "test_nn.py::test_hostile[a\"'`${1}\\x1b[31m{{ 7*7 }}]"
    assert "\x1b" not in text
    assert "\\udc80" in text
    assert "L" * 100 not in text


def test_no_check_makes_a_page_that_says_so(suite):
    suite.makepyfile("def test_it(): ...")
    suite.runpytest_inprocess("--gradcheck-html=page.html").assert_outcomes(passed=1)
    text = read(suite)
    assert "No gradient was checked in this run." in text
    assert Reader(text).rows == []


def test_only_so_many_failures_have_pictures_and_it_says_so(suite, monkeypatch):
    assert pictures_and_page.MOST_DETAILS == 50
    monkeypatch.setattr(pictures_and_page, "MOST_DETAILS", 4)
    suite.makepyfile(
        """
        from quadratic import cost, theta, wrong
        from pytest_gradcheck import check_gradients

        def test_it():
            assert all([check_gradients(cost, wrong, theta[:2]) for n in range(7)])
        """
    )
    suite.runpytest_inprocess("--gradcheck-html=page.html").assert_outcomes(failed=1)
    text = read(suite)
    page = Reader(text)
    assert len(page.rows) == 7
    assert page.count("article") == 4
    assert (
        "Details and pictures are of the first 4 failing checks; 3 more are in the table only."
    ) in text


def test_workers_send_what_the_page_needs(tests):
    pytest.importorskip("xdist")
    result = tests.runpytest_subprocess("-n1", "--gradcheck-html=page.html")
    result.assert_outcomes(passed=4, failed=FAILED)
    page = Reader(read(tests))
    assert len(page.rows) == CHECKS
    assert page.count("article") == FAILED
    assert page.count("svg") > FAILED
    assert not list(tests.path.glob(".gradcheck-*"))


@pytest.mark.extra("pytest_rerunfailures")
def test_an_attempt_that_is_repeated_is_no_failure(suite):
    suite.makepyfile(
        """
        from quadratic import cost, right, theta, wrong

        grads = [wrong, right]

        def test_flaky(gradcheck):
            gradcheck(cost, grads.pop(0), theta)
        """
    )
    suite.runpytest_inprocess("--reruns=1", "--gradcheck-html=page.html").assert_outcomes(passed=1)
    page = Reader(read(suite))
    assert [row[0] for row in page.rows] == ["expected", "passed"]
    assert page.count("article") == 0


def test_it_is_written_without_a_terminal(tests):
    tests.runpytest_inprocess("-p", "no:terminal", "--gradcheck-html=page.html", "-k", "test_right")
    assert len(Reader(read(tests)).rows) == 3


def test_a_path_in_the_ini_file_is_relative_to_that_file(tests, monkeypatch):
    tests.makeini("[pytest]\ngradcheck_html = out/page.html\n")
    below = tests.mkdir("below")
    monkeypatch.chdir(below)
    tests.runpytest_inprocess("..", "-k", "test_right")
    assert len(Reader(read(tests, "out/page.html")).rows) == 3


def test_it_takes_the_place_of_what_was_there(tests):
    (tests.path / "real.html").write_text("old")
    (tests.path / "page.html").symlink_to("real.html")
    tests.runpytest_inprocess("--gradcheck-html=page.html", "-k", "test_right")
    assert (tests.path / "page.html").is_symlink()
    assert len(Reader(read(tests, "real.html")).rows) == 3


@pytest.mark.parametrize("path", [".", long("test_nn.py/page.html")])
def test_a_path_that_can_not_be_written_loses_nothing_else(tests, path):
    result = tests.runpytest_inprocess(f"--gradcheck-html={path}", "--gradcheck-json=checks.json")
    result.assert_outcomes(passed=4, failed=FAILED)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            f"*= {CHECKS} gradient checks, {FAILED} failed =*",
            "gradcheck: the HTML file was not written: *",
            "FAILED test_nn.py::test_row - *",
        ]
    )
    assert len(json.loads(read(tests, "checks.json"))["checks"]) == CHECKS
    assert not list(tests.path.glob(".gradcheck-*"))


def test_a_path_that_can_not_be_written_is_no_success(tests):
    args = ("--gradcheck-html=.", "-k", "test_right")
    result = tests.runpytest_inprocess(*args)
    result.assert_outcomes(passed=3, deselected=7)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.no_fnmatch_line("gradcheck: the HTML file is *")
    result = tests.runpytest_inprocess("-p", "no:terminal", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["gradcheck: the HTML file was not written: *"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said(tests):
    result = tests.runpytest_inprocess("--gradcheck-html=/dev/full", "-k", "test_right")
    result.assert_outcomes(passed=3, deselected=7)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["gradcheck: the HTML file was not written: *No space left*"])
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("absent", [["jinja2"], ["matplotlib"], ["jinja2", "matplotlib"]])
def test_without_the_extra_nothing_is_run(tests, monkeypatch, absent):
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    result = tests.runpytest_inprocess("--gradcheck-html=page.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"ERROR: --gradcheck-html needs {' and '.join(absent)}: "
            "pip install 'pytest-gradcheck[[]html[]]'"
        ]
    )
    result.stdout.no_fnmatch_line("*passed*")
    assert not (tests.path / "page.html").exists()


def test_what_a_library_can_not_draw_costs_no_result(tests):
    tests.makeconftest(
        """
        import pytest
        from pytest_gradcheck._report import pictures_and_page

        before = pictures_and_page.svgs_of

        @pytest.fixture(scope="session", autouse=True)
        def broken():
            def svgs_of(picture, prefix):
                raise RuntimeError("no fonts here")

            pictures_and_page.svgs_of = svgs_of

        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure():
            pictures_and_page.svgs_of = before
        """
    )
    result = tests.runpytest_inprocess("--gradcheck-html=page.html")
    result.assert_outcomes(passed=4, failed=FAILED)
    result.stdout.fnmatch_lines(
        ["gradcheck: the HTML file was not written: RuntimeError: no fonts here"]
    )


def test_nothing_is_drawn_or_sent_when_it_is_not_asked_for(tests):
    reports = tests.inline_run("--gradcheck-json=checks.json").getreports(
        "pytest_runtest_logreport"
    )
    records = [record for report in reports for record in getattr(report, "gradcheck", ())]
    assert len(records) == CHECKS
    assert not any({"picture", "message"} & set(record) for record in records)


def test_a_narrow_screen_gets_a_text_of_its_own(tests):
    tests.runpytest_inprocess("--gradcheck-html=page.html", "-k", "test_row")
    text = read(tests)
    (narrow,) = re.findall(r'<pre class="slim"[^>]*>(.*?)</pre>', text, re.S)
    (broad,) = re.findall(r'<pre class="broad"[^>]*>(.*?)</pre>', text, re.S)
    first, *lines = narrow.splitlines()
    assert broad.splitlines()[0] == first
    assert 20 < max(map(len, lines)) <= 50 < max(map(len, broad.splitlines()))
