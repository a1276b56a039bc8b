"""What the plugin meets: full disks, broken files, hangs, crashes, interruptions, hostile names.

Whatever it is, the outcomes of tests stay what they are, and no file is left half written.
"""

import errno
import html
import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from amounts import first_quick, woven
from hostile import HOSTILE, harmless
from pages import warm

from pytest_gradcheck import check_gradients, load_saved
from pytest_gradcheck._gradient import check as gradient_check
from pytest_gradcheck._report.report import FORMAT, save
from pytest_gradcheck.plugin.recorder_and_memory import KEY

with suppress(ImportError):  # without the extra html
    warm()

TESTS = """
    from quadratic import cost, right, theta, wrong

    def test_right(gradcheck):
        gradcheck(cost, right, theta)

    def test_wrong(gradcheck):
        gradcheck(cost, wrong, theta)

    def test_last(gradcheck):
        gradcheck(cost, right, theta)
"""


@pytest.fixture
def tests(suite):
    suite.makepyfile(test_nn=TESTS)
    return suite


def outcomes(path):
    """Return the checks of a JSON file: test and verdict."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [(check["nodeid"].split("::")[1], check["verdict"]) for check in content["checks"]]


ALL = [("test_right", "agree"), ("test_wrong", "disagree"), ("test_last", "agree")]


def left_behind(folder):
    return sorted(path.name for path in folder.rglob(".gradcheck-*"))


# A disk that is full


@contextmanager
def small_disk(folder, size):
    """Mount a file system of so many bytes, which takes root and `mount`; else skip."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip(f"no disk of its own: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Write until there is no more room."""
    with (folder / "filler").open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"x" * 4096)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


@pytest.fixture
def full(suite):
    """Return a folder on a disk that is full, with files of an earlier run."""
    with small_disk(suite.path / "disk", 64 * 1024) as folder:
        for name in ("page.html", "checks.json"):
            (folder / name).write_text("of an earlier run")
        fill(folder)
        yield folder


FULL = [
    ("html", "page.html", "gradcheck: the HTML file was not written: *No space left on device*"),
    ("json", "checks.json", "gradcheck: the JSON file was not written: *No space left on device*"),
    ("html", "new/page.html", "gradcheck: the HTML file was not written: *"),
    ("save", "", "gradcheck: vectors were not saved: *No space left on device*"),
    ("save", "new", "gradcheck: vectors were not saved: *"),
]


@pytest.mark.parametrize(("option", "name", "text"), FULL, ids=[f"{o} {n}" for o, n, _ in FULL])
def test_a_full_disk_costs_no_outcome_and_no_earlier_file(tests, full, option, name, text):
    if option == "html":
        pytest.importorskip("jinja2")
        pytest.importorskip("matplotlib")
    result = (
        tests.runpytest_inprocess(
            f"--gradcheck-{option}={full / name}", "--gradcheck-json=here.json", "-W", "error"
        )
        if option != "json"
        else tests.runpytest_inprocess(f"--gradcheck-json={full / name}")
    )
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*= 3 gradient checks, 1 failed =*", text])
    assert (
        sum("was not written" in line or "were not saved" in line for line in result.outlines) == 1
    )
    assert (full / "page.html").read_text() == "of an earlier run"
    assert (full / "checks.json").read_text() == "of an earlier run"
    assert left_behind(full) == []
    assert not list(full.rglob("*.npz"))
    if option != "json":
        assert outcomes(tests.path / "here.json") == ALL


def test_a_full_disk_alone_is_no_success(tests, full):
    result = tests.runpytest_inprocess(f"--gradcheck-json={full / 'checks.json'}", "-k", "right")
    result.assert_outcomes(passed=1, deselected=2)
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_disk_that_fills_up_keeps_what_was_saved_before(tests):
    """Room for the first file and not for the second."""
    tests.makepyfile(
        test_nn="""
        import numpy as np
        from quadratic import cost, theta, wrong

        def test_small(gradcheck):
            gradcheck(cost, wrong, theta)

        def test_large(gradcheck):
            x = np.random.default_rng(0).normal(size=1500)
            gradcheck(lambda x: np.sum(x**2), 3 * x, x)
        """
    )
    with small_disk(tests.path / "disk", 24 * 1024) as folder:
        result = tests.runpytest_inprocess(f"--gradcheck-save={folder}")
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines(["saved: *test_small*", "not saved: *No space left on device*"])
        (kept,) = folder.iterdir()
        assert load_saved(kept).analytic["params"].tolist() == [2.0, -6.0, 6.0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("option", ["json", "html"])
def test_a_device_that_is_full(tests, option):
    if option == "html":
        pytest.importorskip("jinja2")
        pytest.importorskip("matplotlib")
    result = tests.runpytest_inprocess(f"--gradcheck-{option}=/dev/full")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [f"gradcheck: the {option.upper()} file was not written: *No space*"]
    )
    assert Path("/dev/full").is_char_device()


# Paths that can't be


def file_as_folder(folder):
    (folder / "file").write_text("whole")
    return folder / "file" / "below"


def loop(folder):
    (folder / "loop").symlink_to("loop")
    return folder / "loop" / "below"


PATHS = {
    "a file as a folder": (file_as_folder, "*/file*"),
    "too long a name": (lambda folder: folder / ("n" * 300) / "below", "*File name too long*"),
    "a link to itself": (loop, "*/loop*"),
    "no file system": (lambda folder: Path("/proc/none/below"), "*No such file or directory*"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the texts are those of Linux")
@pytest.mark.parametrize("option", ["json", "html", "save"])
@pytest.mark.parametrize("name", PATHS)
def test_a_path_that_can_not_be(tests, name, option):
    make, text = PATHS[name]
    path = make(tests.path)
    result = tests.runpytest_inprocess(f"--gradcheck-{option}={path}", "-W", "error")
    result.assert_outcomes(passed=2, failed=1)
    what = (
        "vectors were not saved"
        if option == "save"
        else f"the {option.upper()} file was not written"
    )
    result.stdout.fnmatch_lines([f"gradcheck: {what}: {text}"])
    assert left_behind(tests.path) == []
    if name == "a file as a folder":
        assert (tests.path / "file").read_text() == "whole"


def test_a_file_where_the_folder_of_saved_checks_would_be(tests):
    (tests.path / "kept").write_text("whole")
    result = tests.runpytest_inprocess("--gradcheck-save=kept")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["not saved: *", "gradcheck: vectors were not saved: *File exists*"]
    )
    assert (tests.path / "kept").read_text() == "whole"


# Saved files that are not what they were


@pytest.fixture
def saved(tmp_path):
    report = check_gradients(lambda x: np.sum(x**3), lambda x: 2 * x**2, np.array([1.0, 2.0]))
    save(report, tmp_path / "bug.npz", "test_nn.py::test_it")
    return tmp_path / "bug.npz"


def rewritten(path, **changes):
    """Write the arrays of a file again with others in place of some; None leaves one out."""
    with np.load(path) as file:
        arrays = {**{name: file[name] for name in file.files}, **changes}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


def text(value):
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def test_a_file_of_a_newer_version_says_what_reads_it(saved):
    rewritten(saved, about=text({"format": "pytest-gradcheck-saved/2", "version": "7.0.0"}))
    with pytest.raises(ValueError) as caught:
        load_saved(saved)
    from pytest_gradcheck import __version__

    assert str(caught.value) == (
        f"{saved} has the format 'pytest-gradcheck-saved/2', of pytest-gradcheck 7.0.0; this "
        f"version, {__version__}, reads {FORMAT!r}: read it with that one "
        "(pip install -U pytest-gradcheck)"
    )


CHANGES = {
    "another format": {"about": text({"format": "other/1"})},
    "no format": {"about": text({"version": "0.1.0"})},
    "a format that is no text": {"about": text({"format": 2})},
    "about a list": {"about": text(["format", FORMAT])},
    "about a number": {"about": text(3)},
    "about no JSON": {"about": np.frombuffer(b"{", dtype=np.uint8)},
    "about no UTF-8": {"about": np.frombuffer(b"\xff\xfe\xfa", dtype=np.uint8)},
    "about missing": {"about": None},
    "names missing": {"names": None},
    "names a number": {"names": text(3)},
    "names of lists": {"names": text([["params"]])},
    "a name too many": {"names": text(["params", "more"])},
    "a vector missing": {"analytic_0": None},
    "objects": {"analytic_0": np.array([{}, None], dtype=object)},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_was_changed_is_refused(saved, name):
    rewritten(saved, **CHANGES[name])
    with pytest.raises(ValueError) as caught:
        load_saved(saved)
    assert str(caught.value).startswith(f"{saved} is not a file of --gradcheck-save")


def test_a_file_that_was_cut_off_anywhere_is_refused(saved):
    whole = saved.read_bytes()
    for length in (*range(0, len(whole) - 1, 97), len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(ValueError) as caught:
            load_saved(saved)
        assert str(caught.value).startswith(f"{saved} is not a file of --gradcheck-save"), length
    saved.write_bytes(whole)
    assert load_saved(saved).verdict["params"].tolist() == [1, 1]


def test_a_file_with_a_flipped_byte_is_refused_or_the_same(saved):
    whole = saved.read_bytes()
    before = load_saved(saved)
    refused = 0
    for place in range(0, len(whole), 31):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        saved.write_bytes(changed)
        try:
            found = load_saved(saved)
        except ValueError:
            refused += 1
            continue
        for vector in ("params", "analytic", "numeric", "error_bar", "verdict"):
            first, second = getattr(before, vector), getattr(found, vector)
            assert list(first) == list(second)
            assert all(first[k].tobytes() == second[k].tobytes() for k in first), place
    assert refused > 20


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"\x00" * 100, b"\x93NUMPY", bytes(range(256)) * 4, b"<html>"],
    ids=["empty", "zip", "zeros", "npy", "bytes", "html"],
)
def test_a_file_that_is_another_is_refused(tmp_path, content):
    (tmp_path / "bug.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"bug\.npz is not a file of --gradcheck-save"):
        load_saved(tmp_path / "bug.npz")


def test_nothing_in_a_saved_file_is_executed(tmp_path):
    class Fires:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    array = np.empty(1, dtype=object)
    array[0] = Fires()
    np.savez(tmp_path / "bug.npz", about=array, names=array)
    with pytest.raises(ValueError, match="is not a file of --gradcheck-save"):
        load_saved(tmp_path / "bug.npz")
    assert not (tmp_path / "executed").exists()


# The cache


LABELS = [f"params[{n}]" for n in range(200_000)]

CACHES = {
    "nothing": b"",
    "no JSON": b"{'test_nn.py::test_wrong'",
    "binary": bytes(range(256)),
    "NUL": b"\x00" * 1000,
    "a number": b"3",
    "null": b"null",
    "text": b'"test_nn.py::test_wrong"',
    "a list": b'["test_nn.py::test_wrong"]',
    "NaN": b'{"test_nn.py::test_wrong": NaN}',
    "a test with a number": b'{"test_nn.py::test_wrong": 3}',
    "a test with a list": b'{"test_nn.py::test_wrong": ["params[1]"]}',
    "a check with text": b'{"test_nn.py::test_wrong": {"0": "params[1]"}}',
    "a check with null": b'{"test_nn.py::test_wrong": {"0": null}}',
    "a check with a dict": b'{"test_nn.py::test_wrong": {"0": {"params[1]": 1}}}',
    "labels that are none": b'{"test_nn.py::test_wrong": {"0": [1, null, [], {}, true, ""]}}',
    "labels of nothing": json.dumps(
        {"test_nn.py::test_wrong": {"0": ["V[0]", "params", "params[9]", "params[-1]", "params[1"]}}
    ).encode(),
    "hostile labels": json.dumps(
        {"test_nn.py::test_wrong": {"0": list(HOSTILE.values())}}
    ).encode(),
    "many labels": json.dumps({"test_nn.py::test_wrong": {"0": LABELS}}).encode(),
    "a newer version's": b'{"version": 2, "tests": {"test_nn.py::test_wrong": {"wrong": []}}}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep inside": b'{"test_nn.py::test_wrong": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.fixture
def cached(tests, monkeypatch):
    """Return the file of the cache; the cache is on, and of use to checks however short."""
    monkeypatch.setattr(gradient_check, "WHOLE_AGAIN", -1.0)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    path = tests.path / ".pytest_cache" / "v" / KEY
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("name", woven(CACHES, every=2))
def test_a_broken_cache_is_an_empty_one(tests, cached, name):
    cached.write_bytes(CACHES[name])
    result = tests.runpytest_inprocess("--gradcheck-json=checks.json", "-W", "error")
    result.assert_outcomes(passed=2, failed=1)
    assert outcomes(tests.path / "checks.json") == ALL
    result.stdout.fnmatch_lines(["*GradientMismatch: params[[]1]: * (1 of 3 wrong)"])
    # And it is sound from then on.
    assert json.loads(cached.read_text())["test_nn.py::test_wrong"] == {"0": ["params[1]"]}
    again = tests.runpytest_inprocess("-W", "error")
    again.assert_outcomes(passed=2, failed=1)
    again.stdout.fnmatch_lines(["* (1 of 1 wrong)", "*wrong in the last run still is*"])


@pytest.mark.parametrize("filters", ["default", "error"])
def test_a_cache_that_can_not_be_read_or_written(tests, cached, filters):
    cached.mkdir()  # a folder where the file would be
    result = tests.runpytest_subprocess(
        "--gradcheck-json=checks.json", "-W", filters, "-o", "cache_dir=.pytest_cache"
    )
    result.assert_outcomes(passed=2, failed=1, warnings=int(filters == "default"))
    assert outcomes(tests.path / "checks.json") == ALL
    said = "gradcheck: what was wrong is not remembered: " if filters == "error" else "*"
    result.stdout.fnmatch_lines(
        [f"{said}*cache could not write path *wrong: *Is a directory*"], consecutive=False
    )


# A func that does not come back


HANGS = """
    import time
    from pathlib import Path
    import numpy as np
    import pytest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import assert_gradients_close

    calls = []

    def hangs(*args):
        calls.append(None)
        while len(calls) > 10:
            time.sleep(0.01)
        return cost(theta if not args else args[0])

    def test_first(gradcheck):
        gradcheck(cost, wrong, theta)

    @pytest.mark.timeout(1)
    def test_hangs(gradcheck):
        before = theta.tobytes()
        try:
            {call}
        finally:
            Path("same.txt").write_text(str(theta.tobytes() == before))

    def test_last(gradcheck):
        gradcheck(cost, right, theta)
"""

CALLS = {
    "in place": "gradcheck(hangs, lambda: right(theta), theta, in_place=True)",
    "a copy": "gradcheck(hangs, right, theta)",
    "map": "gradcheck(hangs, right, theta, workers=map)",
}


@pytest.mark.extra("pytest_timeout")
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no SIGALRM here")
@pytest.mark.parametrize("how", CALLS)
def test_a_hang_that_a_signal_ends_fails_one_test(suite, how):
    suite.makepyfile(test_nn=HANGS.format(call=CALLS[how]))
    result = suite.runpytest_subprocess("-otimeout_method=signal", "--gradcheck-json=checks.json")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*Failed: Timeout*1.0s*"])
    result.stdout.fnmatch_lines(["*= 2 gradient checks, 1 failed =*"])
    assert (suite.path / "same.txt").read_text() == "True"
    assert outcomes(suite.path / "checks.json") == [
        ("test_first", "disagree"),
        ("test_last", "agree"),
    ]


@pytest.mark.extra("pytest_timeout")
def test_a_hang_that_a_thread_ends_leaves_no_half_of_a_file(suite):
    """pytest-timeout's other method ends the process: nothing can be said, nothing may be broken."""
    suite.makepyfile(test_nn=HANGS.format(call=CALLS["in place"]))
    (suite.path / "checks.json").write_text("of an earlier run")
    result = suite.runpytest_subprocess(
        "-otimeout_method=thread", "--gradcheck-json=checks.json", "--gradcheck-save=kept"
    )
    assert result.ret == 1
    assert any("Timeout" in line for line in result.outlines + result.errlines)
    assert (suite.path / "checks.json").read_text() == "of an earlier run"
    (kept,) = (suite.path / "kept").iterdir()
    assert load_saved(kept).about["nodeid"] == "test_nn.py::test_first"
    assert left_behind(suite.path) == []


@pytest.mark.extra("pytest_timeout")
def test_a_hang_on_a_worker_is_reported_by_xdist(suite):
    pytest.importorskip("xdist")
    suite.makepyfile(test_nn=HANGS.format(call=CALLS["in place"]))
    result = suite.runpytest_subprocess(
        "-otimeout_method=thread", "-n1", "--gradcheck-json=checks.json"
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*crashed while running *test_hangs*"])
    assert sorted(outcomes(suite.path / "checks.json")) == [
        ("test_first", "disagree"),
        ("test_last", "agree"),
    ]


# A process that ends in mid-check


ENDS = """
    import os
    import signal
    import pytest
    from quadratic import cost, right, theta, wrong

    calls = []

    def ends(x):
        calls.append(None)
        if len(calls) == 10:
            {end}
        return cost(x)

    def test_right(gradcheck):
        gradcheck(cost, right, theta)

    def test_ends(gradcheck):
        gradcheck(ends, right, theta)

    def test_wrong(gradcheck):
        gradcheck(cost, wrong, theta)

    def test_last(gradcheck):
        gradcheck(cost, right, theta)
"""

CRASHES = {
    "os._exit": "os._exit(3)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "a fault in compiled code": "__import__('ctypes').string_at(0)",
}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL here")
@pytest.mark.parametrize("how", first_quick(CRASHES))
def test_a_worker_that_ends_in_mid_check_loses_nothing_else(suite, how):
    pytest.importorskip("xdist")
    suite.makepyfile(test_nn=ENDS.format(end=CRASHES[how]))
    result = suite.runpytest_subprocess(
        "-n1", "--gradcheck-json=checks.json", "--gradcheck-save=kept"
    )
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*crashed while running *test_ends*"])
    result.stdout.fnmatch_lines(["*= 3 gradient checks, 1 failed =*"])
    assert sorted(outcomes(suite.path / "checks.json")) == sorted(ALL)
    (kept,) = (suite.path / "kept").iterdir()
    assert load_saved(kept).about["nodeid"] == "test_nn.py::test_wrong"
    assert left_behind(suite.path) == []


STOPS = {
    "sys.exit": ("__import__('sys').exit(3)", "*SystemExit: 3*"),
    "an error": ("raise LookupError('no data')", "*LookupError: no data*"),
    "a skip": ("pytest.skip('no GPU')", "*no GPU*"),
    "a failure": ("pytest.fail('no data')", "*Failed: no data*"),
    "an expected failure": ("pytest.xfail('known')", "*known*"),
    "an error without text": ("raise type('Odd', (Exception,), {'__str__': None})", "*Odd*"),
}


@pytest.mark.parametrize("how", STOPS)
def test_a_func_that_stops_costs_its_own_test_alone(suite, how):
    end, said = STOPS[how]
    suite.makepyfile(test_nn=ENDS.format(end=end))
    result = suite.runpytest_inprocess("--gradcheck-json=checks.json", "-rA", "-W", "error")
    counts = {
        "a skip": {"skipped": 1, "failed": 1},
        "an expected failure": {"xfailed": 1, "failed": 1},
    }
    result.assert_outcomes(passed=2, **counts.get(how, {"failed": 2}))
    result.stdout.fnmatch_lines([said])
    assert outcomes(suite.path / "checks.json") == ALL


def test_pytest_exit_in_mid_check_ends_the_session_with_what_is_known(suite):
    suite.makepyfile(test_nn=ENDS.format(end="pytest.exit('enough', returncode=7)"))
    result = suite.runpytest_inprocess("--gradcheck-json=checks.json")
    assert result.ret == 7
    result.stdout.fnmatch_lines(["*Exit: enough*"])
    assert outcomes(suite.path / "checks.json") == [("test_right", "agree")]


# Ctrl-C

WAITS = """
    import time
    import numpy as np
    import pytest
    from pathlib import Path
    from quadratic import cost, right, theta, wrong

    many = np.linspace(1.0, 2.0, 40)
    calls = []

    def waits(*args):
        calls.append(None)
        if len(calls) == 60:
            Path("waiting").touch()
            time.sleep(60)
        return np.sum((args[0] if args else many) ** 2)

    def test_right(gradcheck):
        gradcheck(cost, right, theta)

    def test_wrong(gradcheck):
        gradcheck(cost, wrong, theta)

    def test_waits(gradcheck):
        before = many.tobytes()
        try:
            {call}
        finally:
            Path("same.txt").write_text(str(many.tobytes() == before))
            Path("calls.txt").write_text(str(len(calls)))

    def test_last(gradcheck):
        gradcheck(cost, right, theta)
"""

WAITING = {
    "a copy": "gradcheck(waits, 2 * many, many)",
    "in place": "gradcheck(waits, 2 * many, many, in_place=True)",
    "map": "gradcheck(waits, 2 * many, many, workers=map)",
}


def interrupt(suite, *args):
    """Run pytest, send it SIGINT once its func waits, and return its status and its text."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]
    process = subprocess.Popen(
        command, cwd=suite.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    waiting = suite.path / "waiting"
    try:
        for _ in range(6000):
            if waiting.exists() or process.poll() is not None:
                break
            pause()
        assert waiting.exists()
        pause()
        process.send_signal(signal.SIGINT)
        written = process.communicate(timeout=120)[0]
    finally:
        process.kill()
        process.wait()
    return process.returncode, written


def pause():
    import time

    time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
@pytest.mark.parametrize("how", first_quick(WAITING))
def test_ctrl_c_in_mid_check_says_what_is_known(suite, how):
    suite.makepyfile(test_nn=WAITS.format(call=WAITING[how]))
    status, written = interrupt(
        suite, "--gradcheck-json=checks.json", "--gradcheck-save=kept", "--gradcheck-summary=all"
    )
    assert status == pytest.ExitCode.INTERRUPTED
    assert re.search(r"gradcheck: interrupted after \d+ of about 89 evaluations; no param", written)
    assert "2 gradient checks, 1 failed" in written
    assert "1 failed, 1 passed" in written
    assert (suite.path / "same.txt").read_text() == "True"
    assert (suite.path / "calls.txt").read_text() == "60"
    assert outcomes(suite.path / "checks.json") == ALL[:2]
    assert len(list((suite.path / "kept").iterdir())) == 1
    assert left_behind(suite.path) == []


# Hooks


RESULTS = {
    "returns something": ("return 3", {"passed": 2, "failed": 1}),
    "raises an error": ("raise LookupError('no server')", {"failed": 3}),
    "raises an error without text": (
        "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})",
        {"failed": 3},
    ),
    "exits": ("raise SystemExit(3)", {"failed": 3}),
    "skips": ("__import__('pytest').skip('no server')", {"skipped": 3}),
    "changes the report": ("report.verdict = 'agree'", {"failed": 3}),
    "changes a list of it": ("report.to_dict().clear()", {"passed": 2, "failed": 1}),
}


@pytest.mark.parametrize("how", RESULTS)
def test_pytest_gradcheck_result(tests, how):
    body, counts = RESULTS[how]
    tests.makeconftest(f"def pytest_gradcheck_result(item, report):\n    {body}\n")
    result = tests.runpytest_inprocess("--gradcheck-json=checks.json", "-W", "error")
    result.assert_outcomes(**counts)
    assert outcomes(tests.path / "checks.json") == ALL  # the checks themselves are known


def test_a_hook_of_the_engine_that_fails_costs_the_failing_test_its_report_alone(tests):
    tests.makeconftest(
        """
        from pytest_gradcheck import hookimpl

        @hookimpl
        def gradcheck_explain(report):
            return 3
        """
    )
    result = tests.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["E * TypeError: gradcheck_explain returned int; return a sentence (str), a Diagnosis, *"]
    )


MARKERS = {
    "rtol=object()": "marker gradcheck: rtol must be a positive finite number, not <object *",
    "rtol=10**400": "marker gradcheck: rtol must be a positive finite number, not 1000*000",
    "scheme=['central']": "marker gradcheck: scheme must be one of 'central', *, not [[]'central'[]]*",
    "max_evals=float('nan')": "marker gradcheck: max_evals must be a whole number, 8 or more, not nan*",
    "only=3": "marker gradcheck: only must be a glob pattern or a list of them, not 3*",
    "**{'a\\x1b[31m': 1}": "marker gradcheck: no option named a\\x1b[[]31m; the options are *",
    "**{'x' * 10**6: 1}": "marker gradcheck: no option named xxx*…*xxx; the options are *",
    "'x' * 10**6": "marker gradcheck: takes options by keyword only, not ('xxx*…*xxx',); *",
    "Odd()": "marker gradcheck: takes options by keyword only, not <tuple, whose repr raises *",
    "rtol=Odd()": "marker gradcheck: rtol must be a positive finite number, not <Odd, whose repr *",
}


@pytest.mark.parametrize("arguments", MARKERS)
def test_odd_arguments_of_the_marker(suite, arguments):
    suite.makepyfile(
        f"""
        import pytest
        from quadratic import cost, right, theta

        class Odd:
            def __repr__(self):
                raise RuntimeError("not to be shown")

        @pytest.mark.gradcheck({arguments})
        def test_it(gradcheck): ...

        def test_other(gradcheck):
            gradcheck(cost, right, theta)
        """
    )
    result = suite.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([MARKERS[arguments]])
    assert max(map(len, result.outlines)) < 1000


# Names


HOSTILE_TESTS = """
    import json
    from pathlib import Path
    import numpy as np
    import pytest
    from pytest_gradcheck import check_gradients, hookimpl

    NAMES = json.loads(Path("names.json").read_text())

    def named(name):
        def cost(p):
            return float(np.sum(p[name] ** 2))
        cost.__qualname__ = name
        return cost

    @pytest.mark.parametrize("name", NAMES, ids=[name[:1000] for name in NAMES])
    def test_wrong(gradcheck, name):
        x = np.arange(1.0, 4.0)
        gradcheck(named(name), {name: 3 * x}, {name: x})

    @pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
    def test_error(gradcheck, name):
        gradcheck(named(name), {}, {name: np.arange(1.0, 4.0)})

    @pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
    @pytest.mark.filterwarnings("default")
    def test_warns(gradcheck, name):
        x = np.arange(1.0, 4.0)
        noisy = named(name)
        rng = np.random.default_rng(0)
        def cost(p):
            return noisy(p) + rng.normal()
        cost.__qualname__ = name
        gradcheck(cost, {name: 2 * x}, {name: x}, inconclusive="warn")
"""


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    """Run tests with hostile names once, with every file that can be written; return folder, text."""
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "names.json").write_text(json.dumps(list(HOSTILE.values())))
    lines = HOSTILE_TESTS.splitlines()
    (folder / "test_nn.py").write_text("\n".join(line[4:] for line in lines))
    (folder / "conftest.py").write_text(
        "import json\nfrom pathlib import Path\nfrom pytest_gradcheck import hookimpl\n"
        "@hookimpl\ndef gradcheck_explain(report):\n"
        "    return json.loads(Path('names.json').read_text())\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:hypothesispytest",
        "--color=no",
        "--tb=line",
        "-rA",
        "--gradcheck-summary=all",
        "--gradcheck-json=checks.json",
        "--gradcheck-html=page.html",
        "--gradcheck-save=kept",
        "--junitxml=junit.xml",
        "-ojunit_logging=all",
        "--html=other.html",
        "--self-contained-html",
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "COLUMNS": "80"}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(command, cwd=folder, capture_output=True, env=environment, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stderr.decode()[-2000:]
    return folder, done.stdout.decode("utf-8")


@pytest.mark.extra("pytest_html")
def test_hostile_names_in_the_terminal(hostile_run):
    _, written = hostile_run
    count = len(HOSTILE)
    assert f"{2 * count} failed, {count} passed" in written
    assert harmless(written.replace("\t", " "))
    assert max(map(len, written.splitlines())) < 8000  # a node id of 1,000 characters, escaped


@pytest.mark.extra("pytest_html")
def test_hostile_names_in_json(hostile_run):
    folder, _ = hostile_run
    text = (folder / "checks.json").read_text(encoding="utf-8")
    assert harmless(text)
    checks = json.loads(text)["checks"]
    wrong = [check for check in checks if "test_wrong" in check["nodeid"]]
    assert len(wrong) == len(HOSTILE)
    for check, name in zip(wrong, HOSTILE.values(), strict=True):
        assert check["name"] == name.encode("utf-8", "backslashreplace").decode()
        assert not any("\x1b" in value for value in check["hints"])


@pytest.mark.extra("pytest_html")
def test_hostile_names_in_junit(hostile_run):
    folder, _ = hostile_run
    root = ET.parse(folder / "junit.xml").getroot()
    cases = list(root.iter("testcase"))
    assert len(cases) == 3 * len(HOSTILE)
    assert sum(len(case.findall("failure")) for case in cases) == 2 * len(HOSTILE)
    for element in root.iter():
        for said in (element.text or "", *element.attrib.values()):
            assert harmless(said.replace("\t", " ")), element.tag


@pytest.mark.extra("pytest_html")
@pytest.mark.parametrize("name", ["page.html", "other.html"])
def test_hostile_names_in_pages(hostile_run, name):
    folder, _ = hostile_run
    text = (folder / name).read_text(encoding="utf-8")
    for character in "\x1b\x9b\u202e\u2066\0\U000e0041\ud800":
        assert character not in text, ascii(character)
    assert "<script>alert" not in text
    if name == "other.html":
        blob = html.unescape(re.search(r'data-jsonblob="(.*?)"', text, re.S)[1])
        contents = [
            extra["content"]
            for runs in json.loads(blob)["tests"].values()
            for run in runs
            for extra in run["extras"]
        ]
        assert len(contents) >= len(HOSTILE)
        for content in contents:
            assert "<script>" not in content
            assert harmless(content)
    else:
        assert text.count("<script>") == 1


@pytest.mark.extra("pytest_html")
def test_hostile_names_in_files_and_cache(hostile_run):
    folder, _ = hostile_run
    kept = sorted((folder / "kept").iterdir())
    assert len(kept) == len(HOSTILE)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,130}\.npz", path.name) for path in kept)
    names = {name for path in kept for name in load_saved(path).params}
    assert len(names) == len(HOSTILE)
    cache = (folder / ".pytest_cache" / "v" / KEY).read_text(encoding="utf-8")
    assert harmless(cache)
    assert len(cache) < 100_000
    assert left_behind(folder) == []


def test_there_are_enough_rows():
    """A table that a slip of an editor empties would pass in silence."""
    tables = (FULL, CHANGES, CACHES, CALLS, CRASHES, STOPS, WAITING, RESULTS, MARKERS)
    assert sum(map(len, tables)) + 3 * len(PATHS) + 5 * len(HOSTILE) >= 135
