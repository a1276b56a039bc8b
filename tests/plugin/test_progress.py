"""Checks that last: the live line in a terminal, and what an interrupted check leaves behind."""

import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from amounts import first_quick

from pytest_gradcheck import (
    check_gradients,
    check_jacobian,
    check_vjp,
    hookimpl,
    numerical_gradient,
    plugin_manager,
)
from pytest_gradcheck._evaluate import evaluator
from pytest_gradcheck._gradient.check import worst_so_far

pytest.importorskip("pty")

from terminals import AT_ONCE, NO_TIME, screen

TESTS = """
    import numpy as np

    theta = np.linspace(1.0, 2.0, 40)

    def cost(theta):
        print("printed by func")
        return np.sum(theta**2)

    def grad(theta):
        gradient = 2 * theta
        gradient[7] *= 1.5
        return gradient

    def test_first():
        pass

    def test_wrong(gradcheck):
        gradcheck(cost, grad, theta)

    def test_right(gradcheck):
        gradcheck(cost, lambda theta: 2 * theta, theta)
"""


@pytest.fixture
def terminal(suite, in_terminal):
    """Return a function that runs pytest in a terminal and returns all that it wrote."""
    suite.makeconftest(AT_ONCE)
    suite.makepyfile(test_nn=TESTS)
    return in_terminal


def test_the_line_is_live_where_there_is_ascii_alone(suite, in_terminal, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    suite.makeconftest(AT_ONCE)
    suite.makepyfile(test_nn=TESTS)
    written = in_terminal()
    assert "test_nn.py .F." in " ".join(screen(written))
    assert "evaluations" in written
    assert "UnicodeEncodeError" not in written


def test_the_line_is_live_in_a_terminal_and_gone_afterwards(terminal):
    written = terminal()
    drawn = re.findall(r"gradcheck: ([\d,]+)(?: of about ([\d,]+))? evaluations, \S+/s", written)
    assert len(drawn) > 20
    assert "89" in {about for _, about in drawn}
    assert "worst so far params[7]: analytic" in written
    lines = screen(written)
    assert "test_nn.py .F." in " ".join(lines)
    assert not any(line.startswith("gradcheck:") for line in lines)
    # What func printed is captured and shown with the failure alone.
    assert sum(line.startswith("test_nn.py .F.") for line in lines) == 1
    shown = [line for line in lines if line == "printed by func"]
    assert len(shown) == written.count("printed by func")
    assert lines.index("printed by func") > next(
        i for i, line in enumerate(lines) if "Captured stdout call" in line
    )


def test_a_line_that_pytest_is_writing_is_left_as_it_was(terminal):
    lines = screen(terminal("-v"))
    passed = [line for line in lines if line.startswith("test_nn.py::test_") and "%]" in line]
    assert [line.split()[:2] for line in passed] == [
        ["test_nn.py::test_first", "PASSED"],
        ["test_nn.py::test_wrong", "FAILED"],
        ["test_nn.py::test_right", "PASSED"],
    ]
    assert not any(line.startswith("gradcheck:") for line in lines)


@pytest.mark.parametrize(
    "args",
    first_quick(
        [
            ["-s"],
            ["-p", "no:terminal"],
            ["--capture=tee-sys"],
            ["--log-cli-level=INFO"],
            ["--color=no"],
            ["-n1"],
        ],
        count=2,
    ),
)
def test_no_line_where_it_would_disturb(terminal, args):
    if args == ["-n1"]:
        pytest.importorskip("xdist")
    assert " evaluations, " not in terminal(*args).split("FAILURES")[0]


def test_no_line_for_a_check_outside_of_tests_or_in_another_thread(suite, in_terminal):
    suite.makeconftest(AT_ONCE)
    suite.makepyfile(
        test_nn="""
        from threading import Thread

        import numpy as np
        from pytest_gradcheck import check_gradients

        def check():
            theta = np.linspace(1.0, 2.0, 40)
            assert check_gradients(lambda x: np.sum(x**2), lambda x: 2 * x, theta)

        check()

        def test_in_a_thread():
            thread = Thread(target=check)
            thread.start()
            thread.join()
        """
    )
    written = in_terminal()
    assert "1 passed" in written
    assert " evaluations, " not in written


def test_no_line_in_the_logs_of_ci(terminal, monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert " of about " not in terminal()


def test_no_line_where_there_is_no_terminal(suite):
    suite.makeconftest(AT_ONCE)
    suite.makepyfile(test_nn=TESTS)
    result = suite.runpytest_subprocess("--color=yes")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.no_fnmatch_line("*of about*")


def test_a_short_check_shows_nothing(suite, terminal):
    (suite.path / "conftest.py").write_text(NO_TIME)
    assert " of about " not in terminal()


def cubes(theta):
    return np.sum(theta**3)


class Listener:
    def __init__(self):
        self.said = []

    @hookimpl
    def gradcheck_progress(self, evaluations, planned, worst):
        self.said.append((evaluations, planned, None if worst is None else worst()))


@pytest.fixture
def told(monkeypatch):
    """Return what checks of this test tell of themselves, at every occasion."""
    monkeypatch.setattr(evaluator, "BATCH_SECONDS", 0.0)
    listener = Listener()
    plugin_manager().register(listener)
    yield listener.said
    plugin_manager().unregister(listener)


def test_what_a_check_tells(told):
    theta = {"a": np.linspace(1, 2, 10), "b": np.linspace(0.5, 3, 8)}
    right = {name: 3 * value**2 for name, value in theta.items()}
    wrong = {"a": right["a"].copy(), "b": right["b"].copy()}
    wrong["a"][3] *= 1.1
    wrong["b"][2] *= 2

    def func(params):
        return cubes(params["a"]) + cubes(params["b"])

    report = check_gradients(func, wrong, theta)
    counts = [evaluations for evaluations, _, _ in told]
    assert counts == sorted(counts)
    assert told[-1] == (report.evaluations, 9 + 36, None)
    worst = [text for _, _, text in told if text]
    assert worst[0].startswith("a[3]: analytic ")
    assert worst[0].endswith(" (not confirmed)")
    assert any(text.startswith("b[2]: ") and text.endswith("(not confirmed)") for text in worst)
    assert worst[-1].endswith(" (confirmed)")
    told.clear()
    assert check_gradients(func, right, theta).ok
    assert len(told) > 18
    assert not any(text for _, _, text in told)
    told.clear()
    numerical_gradient(func, theta)
    assert len(told) > 18


def test_a_check_along_directions_tells_too(told):
    theta = np.linspace(0.5, 2, 5000)
    gradient = 3 * theta**2
    gradient[[99, 4000]] *= 2
    report = check_gradients(cubes, gradient, theta)
    assert report.wrong == 2
    counts = [evaluations for evaluations, _, _ in told]
    assert counts == sorted(counts)
    assert told[-1] == (report.evaluations, 0, None)
    assert told[-2][2].startswith("params[")
    assert told[-2][2].endswith("(confirmed)")


@pytest.mark.parametrize("options", [{"vectorized": True}, {"workers": 2}])
def test_what_is_evaluated_side_by_side_is_told_too(told, options):
    theta = {"a": np.linspace(1, 2, 30), "b": np.linspace(2, 3, 300)}
    gradient = {name: 3 * value**2 for name, value in theta.items()}
    gradient["b"][250] *= 2

    def func(params):
        return np.sum(params["a"] ** 3, axis=-1) + np.sum(params["b"] ** 3, axis=-1)

    report = check_gradients(func, gradient, theta, **options)
    assert report.wrong == 1
    assert len(told) > 3
    assert told[-1][::2] == (report.evaluations, None)
    assert told[-2][2].startswith("b[250]: analytic ")


def test_part_of_a_block_is_not_taken_for_its_beginning(told):
    """A batch in which func raises is evaluated one by one, and is not all of the block."""
    theta = np.linspace(1, 2, 30)

    def func(theta):
        if np.ndim(theta) == 2 and len(theta) > 9:
            raise FloatingPointError
        return np.sum(theta**3, axis=-1)

    assert check_gradients(func, 3 * theta**2, theta, vectorized=True).ok
    assert len(told) > 10
    assert not any(text for _, _, text in told)


def test_an_entry_that_is_not_finite_stands_out_most():
    progress = SimpleNamespace(accused=lambda: {0: 1.0, 1: 2.0, 2: 3.0})
    analytic = np.array([1e9, np.nan, 5.0])
    assert worst_so_far(progress, analytic, "p[{}]".format) == (
        "p[1]: analytic nan, numeric 2 (confirmed)"
    )


def test_nobody_listens_unless_asked():
    listener = Listener()
    plugin_manager().register(listener)
    plugin_manager().unregister(listener)
    assert check_gradients(cubes, lambda x: 3 * x**2, np.ones(5)).ok
    assert listener.said == []


class Interrupted:
    """func that Ctrl-C interrupts in evaluation number n."""

    def __init__(self, func, n):
        self.func, self.n, self.calls = func, n, 0

    def __call__(self, *args):
        self.calls += 1
        if self.calls == self.n:
            raise KeyboardInterrupt
        return self.func(*args)


@pytest.mark.parametrize("n", [3, 9, 10, 11, 30, 49, 50, 53])
@pytest.mark.parametrize("in_place", [False, True])
def test_an_interrupted_check_leaves_the_arrays_as_they_were(n, in_place):
    theta = np.linspace(1, 2, 20)
    before = theta.copy()

    def grad(*args):
        gradient = 3 * theta**2
        gradient[4] *= 2
        return gradient

    func = Interrupted((lambda: cubes(theta)) if in_place else cubes, n)
    with pytest.raises(KeyboardInterrupt) as caught:
        check_gradients(func, grad, theta, in_place=in_place)
    assert theta.tobytes() == before.tobytes()
    (note,) = caught.value.__notes__
    assert re.match(r"gradcheck: interrupted after \d+( of about 49)? evaluations; ", note)
    if n >= 30:
        assert "worst so far params[4]: analytic 8.79" in note
        assert note.endswith("(not confirmed)")
    else:
        assert note.endswith("no parameter stands out so far")


def test_a_jacobian_tells_how_far_it_is(told):
    x = np.linspace(1, 2, 30)
    jac = np.diag(3 * x**2)
    jac[4, 4] *= 2
    jac[0, 0] *= 1.01
    report = check_jacobian(lambda x: x**3, jac, x)
    counts = [evaluations for evaluations, _, _ in told]
    assert counts == sorted(counts)
    assert told[-1] == (report.evaluations, 9 + 60, None)
    worst = [text for _, _, text in told if text]
    assert worst[0].startswith("output[0] / params[0]: analytic 3.03, numeric 3 ")
    assert worst[0].endswith("(not confirmed)")
    assert "output[4] / params[4]: analytic 7.76932, numeric 3.88466 (not confirmed)" in worst
    assert worst[-1] == "output[0] / params[0]: analytic 3.03, numeric 3 (confirmed)"


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_jacobian_says_how_far_it_was(workers):
    x = np.linspace(1, 2, 30)
    before = x.copy()
    jac = np.diag(3 * x**2)
    jac[4, 4] *= 2

    def func(x):
        if x[20] != before[20] and np.count_nonzero(x != before) == 1:
            raise KeyboardInterrupt
        return x**3

    with pytest.raises(KeyboardInterrupt) as caught:
        check_jacobian(func, jac, x, workers=workers)
    (note,) = caught.value.__notes__
    called = 9 + 40 if workers == 1 else r"\d+"
    assert re.match(rf"gradcheck: interrupted after {called} of about 69 evaluations; ", note)
    if workers == 1:
        assert "worst so far output[4] / params[4]: analytic 7.76932, numeric 3.88466 " in note
    assert x.tobytes() == before.tobytes()


def test_an_interrupted_combination_leaves_one_note():
    x = np.linspace(1, 2, 40)
    func = Interrupted(lambda x: x**3, 70)
    with pytest.raises(KeyboardInterrupt) as caught:
        check_vjp(func, lambda x, u: 3 * x**2 * u, x, max_evals=90)
    (note,) = caught.value.__notes__
    assert note.startswith("gradcheck: interrupted after ")


def test_an_interrupted_numerical_gradient_says_how_far_it_was():
    with pytest.raises(KeyboardInterrupt) as caught:
        numerical_gradient(Interrupted(cubes, 20), np.ones(30))
    assert caught.value.__notes__ == [
        "gradcheck: interrupted after 19 of about 69 evaluations; no parameter stands out so far"
    ]


INTERRUPTED = """
    import numpy as np
    from pathlib import Path
    from pytest_gradcheck import assert_gradients_close

    theta = np.linspace(1.0, 2.0, 40)
    calls = []

    def cost():
        calls.append(None)
        if len(calls) == 60:
            wait()
        return np.sum(theta**2)

    def grad():
        gradient = 2 * theta
        gradient[7] *= 1.5
        return gradient

    def test_it(request):
        before = theta.tobytes()
        try:
            assert_gradients_close(cost, grad, theta, in_place=True)
        finally:
            Path("same.txt").write_text(str(theta.tobytes() == before))
"""

RAISES = "def wait():\n    raise KeyboardInterrupt\n"
SLEEPS = "import time\ndef wait():\n    print('waiting', flush=True)\n    time.sleep(60)\n"

SENTENCE = (
    "gradcheck: interrupted after * of about 89 evaluations; worst so far params[[]7[]]: "
    "analytic 3.53846, numeric 2.35897 (not confirmed)"
)


def makepy(suite, wait):
    suite.makepyfile(test_nn=INTERRUPTED)
    path = suite.path / "test_nn.py"
    path.write_text(wait + path.read_text())


def test_ctrl_c_is_heard_and_says_what_is_known(suite):
    makepy(suite, RAISES)
    result = suite.runpytest_subprocess("-rs")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([SENTENCE, "*KeyboardInterrupt*"])
    assert (suite.path / "same.txt").read_text() == "True"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_a_real_signal(suite):
    makepy(suite, SLEEPS)
    command = [sys.executable, "-m", "pytest", "-s"]
    process = subprocess.Popen(command, cwd=suite.path, stdout=subprocess.PIPE, text=True)
    written = ""
    while "waiting" not in written:
        line = process.stdout.readline()
        assert line, written
        written += line
    time.sleep(0.05)  # from print to sleep
    process.send_signal(signal.SIGINT)
    written += process.communicate(timeout=120)[0]
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "gradcheck: interrupted after 59 of about 89 evaluations; worst so far" in written
    assert "params[7]: analytic 3.53846, numeric 2.35897 (not confirmed)" in written
    assert (suite.path / "same.txt").read_text() == "True"


def test_an_interruption_that_is_not_ours_is_pytests_alone(suite):
    suite.makepyfile("def test_it():\n    raise KeyboardInterrupt")
    result = suite.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.no_fnmatch_line("*gradcheck: interrupted*")
