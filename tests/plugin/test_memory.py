"""Parameters that a test failed for are differenced first in the next run, if that saves time."""

import json
from inspect import cleandoc

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, hookimpl, numerical_gradient, plugin_manager
from pytest_gradcheck._gradient import check as gradient_check
from pytest_gradcheck._params.arrays_and_structure import flatten
from pytest_gradcheck._params.layout import blocks_of, coordinate_of
from pytest_gradcheck.plugin.recorder_and_memory import KEY, MOST, TOLD

MODEL = """
    import json
    from pathlib import Path
    import numpy as np

    weights = np.linspace(0.5, 2.0, 60).reshape(6, 10)
    params = {"W": weights, "b": np.array([1.0, 2.0, 3.0])}

    def cost(params):
        return np.sum(np.log(params["W"])) + np.sum(params["b"] ** 2)

    def grad(params):
        # Which entries are wrong is read from a file, so that a next run may differ.
        gradient = {"W": 1 / params["W"], "b": 2 * params["b"]}
        for block, index in json.loads(Path("wrong.json").read_text()):
            gradient[block][tuple(index)] *= 1.5
        return gradient
"""

TEST = """
    from model import cost, grad, params

    def test_it(gradcheck):
        gradcheck(cost, grad, params)
"""

FIRST = "*GradientMismatch: *{} of 63 wrong*"
AGAIN = "*that w* wrong in the last run still *"


@pytest.fixture(autouse=True)
def dear(request, monkeypatch):
    """Take every whole check for one that lasts, as those are that this saves."""
    if "takes_no_time" not in request.node.name:
        monkeypatch.setattr(gradient_check, "WHOLE_AGAIN", -1.0)


@pytest.fixture
def project(suite, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    suite.makepyfile(model=MODEL)
    suite.makepyfile(test_nn=TEST)
    say_wrong(suite, ("W", (1, 3)), ("b", (2,)))
    return suite


def say_wrong(suite, *entries):
    (suite.path / "wrong.json").write_text(json.dumps(entries))


def stored(suite, key=KEY):
    """Return what pytest's cache remembers."""
    path = suite.path / ".pytest_cache" / "v" / key
    return json.loads(path.read_text()) if path.exists() else None


def evaluations(suite, *args):
    """Run the tests and return the evaluations of each check."""
    suite.runpytest_inprocess("--gradcheck-json=checks.json", *args)
    content = json.loads((suite.path / "checks.json").read_text())
    return [check["evaluations"] for check in content["checks"]]


def test_the_next_run_fails_at_once(project):
    result = project.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([FIRST.format(2)])
    result.stdout.no_fnmatch_line(AGAIN)
    labels = stored(project)["test_nn.py::test_it"]["0"]
    assert sorted(labels) == ["W[1, 3]", "b[2]"]

    result = project.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*GradientMismatch: b[[]2[]]: * (2 of 2 wrong)", AGAIN])
    text = result.stdout.str()
    assert "max_evals" not in text
    assert "W      (6, 10)  1 / 1 " in text
    assert sorted(stored(project)["test_nn.py::test_it"]["0"]) == ["W[1, 3]", "b[2]"]


def test_what_was_said_of_all_is_repeated_as_such(project):
    project.runpytest_inprocess().assert_outcomes(failed=1)
    said = stored(project, TOLD)["test_nn.py::test_it"]["0"]
    assert len(said) == 2
    for _ in range(2):  # a check of few parameters puts nothing else in its place
        text = project.runpytest_inprocess().stdout.str()
        for name in ("W", "b"):
            assert f"hint: when all was last checked: {name}: " in text
    say_wrong(project)
    project.runpytest_inprocess().assert_outcomes(passed=1)
    assert stored(project, TOLD) == {}


def test_what_agreed_is_repeated_too(project):
    say_wrong(project, ("W", (1, 3)))
    project.runpytest_inprocess()
    text = project.runpytest_inprocess().stdout.str()
    assert "hint: when all was last checked: b agrees" in text


def test_a_check_that_takes_no_time_is_made_as_a_whole(project):
    say_wrong(project, ("W", (1, 3)))
    first = project.runpytest_inprocess("--gradcheck-json=first.json")
    second = project.runpytest_inprocess("--gradcheck-json=second.json")
    for result in (first, second):
        result.stdout.fnmatch_lines([FIRST.format(1), "*b agrees"])
        result.stdout.no_fnmatch_line(AGAIN)
        result.stdout.no_fnmatch_line("*last checked*")
    checks = [
        json.loads((project.path / f"{name}.json").read_text())["checks"][0]
        for name in ("first", "second")
    ]
    for check in checks:
        del check["seconds"]
    assert checks[0] == checks[1]


def test_it_takes_few_evaluations(project):
    (whole,) = evaluations(project)
    (again,) = evaluations(project)
    assert again < whole / 4


def test_what_was_repaired_is_checked_in_full_and_forgotten(project):
    project.runpytest_inprocess().assert_outcomes(failed=1)
    say_wrong(project)
    (count,) = evaluations(project)
    assert count > 2 * 63
    assert stored(project) == {}
    project.runpytest_inprocess().assert_outcomes(passed=1)


def test_what_can_not_be_told_by_now_is_remembered_as_it_was(suite, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    suite.makepyfile(
        test_nn="""
        import zlib
        from pathlib import Path
        import numpy as np

        noise = float(Path("noise.txt").read_text())

        def cost(x):
            return np.sum(x**3) + noise * zlib.crc32(x.tobytes()) / 2**32

        def test_it(gradcheck):
            gradcheck(cost, lambda x: 3.0001 * x**2, np.array([1.0, 2.0, 3.0]), rtol=1e-6)
        """
    )
    said = []
    for noise, line in (("0", "*3 of 3 wrong*"), ("1e-3", "*inconclusive*"), ("0", AGAIN)):
        (suite.path / "noise.txt").write_text(noise)
        result = suite.runpytest_inprocess()
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([line])
        said.append((stored(suite), stored(suite, TOLD)))
    assert len(said[0][0]["test_nn.py::test_it"]["0"]) == 3
    assert said[0] == said[1] == said[2]


def test_a_mismatch_that_is_caught_by_now_is_forgotten(project):
    project.runpytest_inprocess().assert_outcomes(failed=1)
    caught = TEST.replace("gradcheck(cost", "with raises(AssertionError): gradcheck(cost")
    project.makepyfile(test_nn="from pytest import raises\n" + cleandoc(caught))
    project.runpytest_inprocess().assert_outcomes(passed=1)
    assert (stored(project), stored(project, TOLD)) == ({}, {})


def test_another_error_than_last_time_is_found(project):
    project.runpytest_inprocess().assert_outcomes(failed=1)
    say_wrong(project, ("W", (5, 9)))
    result = project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*GradientMismatch: W[[]5, 9[]]: * (1 of 63 wrong)"])
    result.stdout.no_fnmatch_line(AGAIN)
    assert stored(project)["test_nn.py::test_it"] == {"0": ["W[5, 9]"]}


def test_one_of_two_repaired_is_said_to_be_one(project):
    project.runpytest_inprocess().assert_outcomes(failed=1)
    say_wrong(project, ("b", (2,)))
    result = project.runpytest_inprocess()
    result.stdout.fnmatch_lines(
        [
            "*GradientMismatch: b[[]2[]]: * (1 of 2 wrong)",
            "*1 parameter that was wrong in the last run still is;*",
        ]
    )
    result.stdout.no_fnmatch_line("*W agrees*")


def test_of_a_block_that_was_not_looked_at_as_a_whole_no_hint_is_given(suite, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    suite.makepyfile(
        test_nn="""
        from quadratic import cost, theta, wrong

        def test_one_of_three(gradcheck):
            gradcheck(cost, wrong, theta)

        def test_all(gradcheck):
            gradcheck(cost, lambda x: 3 * x, theta)
        """
    )

    def codes():
        suite.runpytest_inprocess("--gradcheck-json=checks.json").assert_outcomes(failed=2)
        checks = json.loads((suite.path / "checks.json").read_text())["checks"]
        assert [[d["code"] for d in check["diagnoses"]] for check in checks] == [
            [block["code"] for block in check["blocks"] if block["code"]] for check in checks
        ]
        return [
            ([d["code"] for d in check["diagnoses"]], check["checked"], check["repeated"])
            for check in checks
        ]

    assert codes() == [(["entry"], 3, False), (["factor"], 3, False)]
    # 3/2 explains the one entry that was looked at, not the block.
    assert codes() == [([], 1, True), (["factor"], 3, True)]


@pytest.mark.parametrize("way", ["command line", "ini"])
def test_it_can_be_turned_off(project, way):
    project.runpytest_inprocess().assert_outcomes(failed=1)
    before = stored(project)
    args = ["--gradcheck-no-cache"] if way == "command line" else []
    if way == "ini":
        project.makeini("[pytest]\ngradcheck_no_cache = true\n")
    result = project.runpytest_inprocess(*args)
    result.stdout.fnmatch_lines([FIRST.format(2)])
    result.stdout.no_fnmatch_line(AGAIN)
    say_wrong(project)
    project.runpytest_inprocess(*args).assert_outcomes(passed=1)
    assert stored(project) == before


def test_without_the_cache_nothing_is_remembered(project):
    for _ in range(2):
        result = project.runpytest_inprocess("-p", "no:cacheprovider")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([FIRST.format(2)])
    assert stored(project) is None


def test_a_cache_that_holds_something_else_does_no_harm(project):
    path = project.path / ".pytest_cache" / "v" / KEY
    path.parent.mkdir(parents=True)
    for content in ("[1, 2]", '{"test_nn.py::test_it": 3}', "no JSON"):
        path.write_text(content)
        project.runpytest_inprocess().stdout.fnmatch_lines([FIRST.format(2)])
    path.write_text('{"test_nn.py::test_it": {"0": [7, "W[99, 99]", "V[0]", "W", "W[1"]}}')
    project.runpytest_inprocess().stdout.fnmatch_lines([FIRST.format(2)])


def test_only_the_check_that_failed_the_test_is_remembered(project):
    project.makepyfile(
        test_nn="""
        import pytest
        from model import cost, grad, params
        from pytest_gradcheck import GradientMismatch, assert_gradients_close, check_gradients

        def test_meant_to_fail():
            with pytest.raises(GradientMismatch, match="2 of 63 wrong"):
                assert_gradients_close(cost, grad, params)
            assert check_gradients(cost, grad, params).wrong == 2

        def test_third(gradcheck):
            assert check_gradients(cost, grad, params).wrong == 2
            with pytest.raises(GradientMismatch, match="2 of 63 wrong"):
                gradcheck(cost, grad, params)
            gradcheck(cost, grad, params)

        @pytest.mark.xfail
        def test_known():
            assert_gradients_close(cost, grad, params)
        """
    )
    for _ in range(3):
        result = project.runpytest_inprocess()
        result.assert_outcomes(passed=1, failed=1, xfailed=1)
        assert list(stored(project)) == ["test_nn.py::test_third"]
        assert list(stored(project)["test_nn.py::test_third"]) == ["2"]
    result.stdout.fnmatch_lines([AGAIN])


def test_at_most_twenty_are_remembered(project):
    say_wrong(project, *(("W", (i, j)) for i in range(6) for j in range(10)))
    project.runpytest_inprocess().stdout.fnmatch_lines(["*GradientMismatch: *60 of 60 wrong*"])
    assert len(stored(project)["test_nn.py::test_it"]["0"]) == MOST
    result = project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*GradientMismatch: *20 of 20 wrong*", AGAIN])


def test_cases_of_a_test_and_a_deleted_file_are_told_apart(project):
    project.makepyfile(
        test_nn="""
        import pytest
        from model import cost, grad, params

        @pytest.mark.parametrize("case", ["right", "wrong"])
        def test_it(gradcheck, case):
            right = {"W": 1 / params["W"], "b": 2 * params["b"]}
            gradcheck(cost, grad if case == "wrong" else right, params)
        """,
        test_old="""
        from model import cost, grad, params

        def test_old(gradcheck):
            gradcheck(cost, grad, params)
        """,
    )
    project.runpytest_inprocess().assert_outcomes(passed=1, failed=2)
    assert sorted(stored(project)) == ["test_nn.py::test_it[wrong]", "test_old.py::test_old"]
    (project.path / "test_old.py").unlink()
    project.runpytest_inprocess().assert_outcomes(passed=1, failed=1)
    assert list(stored(project)) == ["test_nn.py::test_it[wrong]"]


def test_workers_read_and_the_controller_writes(project):
    pytest.importorskip("xdist")
    project.makepyfile(test_more=TEST)
    project.makeconftest(
        """
        from pytest_gradcheck._gradient import check as gradient_check
        gradient_check.WHOLE_AGAIN = -1.0
        """
    )
    project.runpytest_subprocess("-n1").assert_outcomes(failed=2)
    assert sorted(stored(project)) == ["test_more.py::test_it", "test_nn.py::test_it"]
    result = project.runpytest_subprocess("-n1")
    result.assert_outcomes(failed=2)
    assert sum("wrong in the last run" in line for line in result.outlines) >= 2
    say_wrong(project)
    project.runpytest_subprocess("-n1").assert_outcomes(passed=2)
    assert stored(project) == {}


class Asked:
    """Who is asked for suspects in this test; says what it is told to."""

    labels = ()

    def __call__(self, *labels):
        self.labels = labels

    @hookimpl
    def gradcheck_suspects(self):
        return self.labels


@pytest.fixture
def asked():
    """Return a function that sets the labels that checks of this test are asked for first."""
    plugin_manager().register(asked := Asked())
    yield asked
    plugin_manager().unregister(asked)


def cubes(theta):
    return np.sum(theta**3)


def right(theta):
    return 3 * theta**2


def test_suspects_that_are_right_change_nothing_but_the_count(asked):
    theta = np.linspace(-1, 2, 50)

    def wrong(theta):
        gradient = right(theta)
        gradient[7] *= 2
        return gradient

    for grad in (right, wrong):
        asked()
        plain = check_gradients(cubes, grad, theta)
        asked("params[3]", "params[30]")
        other = check_gradients(cubes, grad, theta)
        assert other.evaluations > plain.evaluations
        for name in ("verdict", "difference", "wrong", "resolution", "worst", "blocks", "checked"):
            assert getattr(other, name) == getattr(plain, name)
        assert not other.repeated


@pytest.mark.parametrize("options", [{"eps": 1e-6}, {"scheme": "complex"}, {"max_evals": 120}])
def test_a_promised_number_of_evaluations_is_kept(asked, options):
    theta = np.linspace(-1, 2, 50)
    asked()
    plain = check_gradients(cubes, 2 * right(theta), theta, **options)
    asked("params[3]")
    again = check_gradients(cubes, 2 * right(theta), theta, **options)
    assert (again.evaluations, again.wrong) == (plain.evaluations, plain.wrong)


def test_one_among_many_is_found_again_without_screening(asked):
    theta = np.linspace(0.5, 2, 20_000)
    gradient = right(theta)
    gradient[4321] *= 1.01
    asked("params[4321]")
    report = check_gradients(cubes, gradient, theta)
    assert (report.worst[0].label, report.wrong, report.checked) == ("params[4321]", 1, 1)
    assert report.repeated
    assert report.evaluations < 30
    assert "max_evals" not in report.message()
    gradient = right(theta)
    assert check_gradients(cubes, gradient, theta).verdict == "agree"


def test_a_suspect_that_can_not_be_told_is_not_accused(asked):
    asked("params[1]")
    rng = np.random.default_rng(0)
    noise = {}

    def noisy(theta):
        return cubes(theta) + 1e-3 * noise.setdefault(theta.tobytes(), rng.normal())

    report = check_gradients(noisy, lambda x: 3.0001 * x**2, np.array([1.0, 2.0, 3.0]))
    assert (report.wrong, report.repeated) == (0, False)


def test_a_number_is_a_suspect_too(asked):
    asked("params")
    report = check_gradients(lambda x: x**2, lambda x: 3 * x, 2.0)
    assert report.repeated
    assert report.worst[0].label == "params"


def test_labels_lead_back_to_coordinates():
    value = {
        "W": np.ones((2, 3)),
        "W2": np.ones(4),
        "z": np.ones(2, dtype=complex),
        "a[1]": 1.0,
        "none": np.empty((0, 2)),
        "list": [1.0, np.ones(1)],
    }
    blocks = blocks_of(flatten(value), (), ())
    for block in blocks:
        for i in range(block.size):
            assert coordinate_of(blocks, block.label(i)) == block.start + i
    for label in ("W[2, 0]", "W[0]", "W", "V[0]", "W2[4]", "z[0]", "W2[0].real", "", "W2[ 1]"):
        assert coordinate_of(blocks, label) is None


def test_the_engine_alone_asks_nobody(asked):
    asked(None)  # no label: whoever asks for it fails
    with pytest.raises(TypeError, match="gradcheck_suspects returned"):
        check_gradients(cubes, right, np.ones(2))
    assert numerical_gradient(lambda x: x**2, 3.0) == pytest.approx(6.0)
