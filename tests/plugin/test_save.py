"""The files of --gradcheck-save, and load_saved."""

import re

import numpy as np
import pytest

from pytest_gradcheck import (
    SavedCheck,
    __version__,
    check_gradients,
    compare_gradients,
    load_saved,
)
from pytest_gradcheck._report.report import FORMAT, save
from pytest_gradcheck.plugin.recorder_and_memory import again, file_name

TESTS = """
    import pytest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import GradientMismatch, assert_gradients_close, check_gradients

    def test_right(gradcheck):
        gradcheck(cost, right, theta)

    @pytest.mark.parametrize("name", ["a/b c", "é"])
    def test_wrong(gradcheck, name):
        gradcheck(cost, wrong, theta)

    def test_two():
        assert all([check_gradients(cost, wrong, theta), check_gradients(cost, wrong, 2 * theta)])

    def test_expected():
        with pytest.raises(GradientMismatch):
            assert_gradients_close(cost, wrong, theta)
"""


@pytest.fixture
def tests(suite):
    suite.makepyfile(test_nn=TESTS)
    return suite


def names(folder):
    return sorted(re.sub(r"-[0-9a-f]{8}-", "-#-", path.name) for path in folder.iterdir())


ALL = [
    "test_nn.py-test_two-#-1-1.npz",
    "test_nn.py-test_two-#-1-2.npz",
    "test_nn.py-test_wrong-a-b-c-#-1-1.npz",
    "test_nn.py-test_wrong-xe9-#-1-1.npz",
]


def test_every_failing_check_is_saved_and_the_failure_says_where(tests):
    result = tests.runpytest_inprocess("--gradcheck-save=kept/here")
    result.assert_outcomes(passed=2, failed=3)
    folder = tests.path / "kept" / "here"
    assert names(folder) == ALL
    result.stdout.fnmatch_lines(
        [
            "*- gradcheck -*",
            f"saved: {folder}/test_nn.py-test_wrong-a-b-c-*-1-1.npz",
            "again: pytest 'test_nn.py::test_wrong[[]a/b c[]]' --gradcheck-seed 0",
        ]
    )
    (path,) = folder.glob("*a-b-c*")
    saved = load_saved(path)
    assert isinstance(saved, SavedCheck)
    assert saved.about == {
        "format": FORMAT,
        "version": __version__,
        "nodeid": "test_nn.py::test_wrong[a/b c]",
        "name": "cost",
        "seed": 0,
        "scheme": "central differences",
        "rtol": 1e-7,
        "difference": saved.about["difference"],
    }
    assert saved.params["params"].tolist() == [1.0, -2.0, 3.0]
    assert saved.analytic["params"].tolist() == [2.0, -6.0, 6.0]
    assert np.abs(saved.numeric["params"] - [2, -4, 6]).max() < 1e-6
    assert (saved.error_bar["params"] < 1e-6).all()
    assert saved.verdict["params"].tolist() == [0, 1, 0]
    again = compare_gradients(saved.analytic, saved.numeric, rtol=1e-6)
    assert [entry.label for entry in again.worst] == ["params[1]"]
    # Other programs need nothing of ours to read it.
    with np.load(path, allow_pickle=False) as file:
        assert {"about", "names", "params_0", "analytic_0", "numeric_0"} <= set(file.files)


def test_the_command_that_is_given_repeats_the_failure(tests):
    result = tests.runpytest_inprocess("--gradcheck-save=kept", "-k", "a/b or two")
    (line, *_) = [line for line in result.outlines if line.startswith("again: ")]
    nodeid = re.match(r"again: pytest '(.*)' --gradcheck-seed 0", line)[1]
    tests.runpytest_inprocess(nodeid, "--gradcheck-seed", "0").assert_outcomes(failed=1)


def test_workers_save_the_same_files(tests):
    pytest.importorskip("xdist")
    tests.makeini("[pytest]\ngradcheck_save = kept\n")
    result = tests.runpytest_subprocess("-n1")
    result.assert_outcomes(passed=2, failed=3)
    assert names(tests.path / "kept") == ALL
    assert sum(line.startswith("saved: ") for line in result.outlines) == 4


@pytest.mark.extra("pytest_rerunfailures")
def test_attempts_are_kept_apart(suite):
    suite.makepyfile(
        test_nn="""
        from quadratic import cost, theta, wrong

        def test_it(gradcheck):
            gradcheck(cost, wrong, theta)
        """
    )
    suite.runpytest_inprocess("--reruns=2", "--gradcheck-save=kept")
    assert names(suite.path / "kept") == [f"test_nn.py-test_it-#-{n}-1.npz" for n in (1, 2, 3)]


def test_a_folder_that_can_not_be_made_loses_nothing(tests):
    result = tests.runpytest_inprocess("--gradcheck-save=test_nn.py/kept", "-W", "error")
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(
        [
            "not saved: *test_nn.py*",
            "*= 6 gradient checks, 4 failed =*",
            "gradcheck: vectors were not saved: *",
        ]
    )
    assert sum("vectors were not saved" in line for line in result.outlines) == 1


def test_a_check_along_directions_has_no_vectors(suite):
    suite.makepyfile(
        """
        import numpy as np

        def test_it(gradcheck):
            def wrong(t):
                gradient = 1 - np.tanh(t) ** 2
                gradient[7] *= 1.1
                return gradient
            gradcheck(lambda t: float(np.sum(np.tanh(t))), wrong, np.linspace(-1, 1, 4000))
        """
    )
    result = suite.runpytest_inprocess("--gradcheck-save=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not saved: parameters were checked along random directions"])
    assert not (suite.path / "kept").exists()


def test_names_of_files_are_safe_and_of_one_check_only():
    hostile = '../a::b\x1b/\\<>:"|?*\udc80' + "x" * 500
    name = file_name(hostile, 1, 1)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,130}\.npz", name)
    assert not name.startswith((".", "-"))
    distinct = {
        file_name(n, a, c) for n in ("t::[a b]", "t::[a-b]") for a in (1, 2) for c in (1, 2)
    }
    assert len(distinct) == 8
    assert again("t.py::test[a'b]", 3) == "pytest 't.py::test[a'\"'\"'b]' --gradcheck-seed 3"


def test_complex_and_odd_blocks_come_back(tmp_path):
    params = {
        "z": np.array([1 + 2j, 3 - 1j]),
        "s": 2.0,
        "\ud800[0]": np.ones((2, 0)),
        "n": {"a": 1.5},
    }

    def cost(p):
        return float(np.sum(np.abs(p["z"]) ** 2) + p["s"] ** 2 + p["n"]["a"])

    def wrong(p):
        return {
            "z": 2 * p["z"].conj(),
            "s": 2 * p["s"],
            "\ud800[0]": np.ones((2, 0)),
            "n": {"a": 1.0},
        }

    report = check_gradients(cost, wrong, params, vacuous="pass")
    save(report, tmp_path / "bug.npz")
    saved = load_saved(str(tmp_path / "bug.npz"))
    assert list(saved.params) == [block.name for block in report.blocks]
    assert saved.params["z"].tolist() == [1 + 2j, 3 - 1j]
    assert saved.analytic["z"].tolist() == [2 - 4j, 6 + 2j]
    assert np.abs(saved.numeric["z"] - 2 * params["z"]).max() < 1e-6
    assert saved.error_bar["z"].dtype == complex
    assert saved.verdict["z"].tolist() == [1, 1]
    assert saved.params["s"].shape == ()
    empty = next(name for name in saved.params if "ud800" in ascii(name))
    assert saved.params[empty].shape == (2, 0)


def test_what_is_no_saved_check_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "array.npy", np.ones(2))
    for name in ("other.npz", "text.npz", "array.npy"):
        with pytest.raises(ValueError, match="is not a file of --gradcheck-save"):
            load_saved(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_saved(tmp_path / "none.npz")


def test_what_is_there_stays_there_when_writing_fails(tmp_path, monkeypatch):
    report = check_gradients(lambda x: x**3, lambda x: 2 * x**2, 2.0)
    path = tmp_path / "bug.npz"
    save(report, path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        save(report, path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["bug.npz"]


def test_the_command_names_a_test_as_it_was_collected(suite):
    pytest.importorskip("xdist")
    suite.makepyfile(
        test_nn="""
        import pytest
        from quadratic import cost, theta, wrong

        @pytest.mark.xdist_group("one")
        def test_it(gradcheck):
            gradcheck(cost, wrong, theta)
        """
    )
    result = suite.runpytest_subprocess("-n1", "--dist=loadgroup", "--gradcheck-save=kept")
    result.stdout.fnmatch_lines(["again: pytest test_nn.py::test_it --gradcheck-seed 0"])


def test_what_can_not_be_kept_costs_no_outcome(tests):
    tests.makeconftest(
        """
        import pytest
        from pytest_gradcheck._report import report

        @pytest.fixture(autouse=True)
        def broken(monkeypatch):
            def fails(*args):
                raise RuntimeError("out of order")
            before = report.save
            report.save = fails
            yield
            report.save = before
        """
    )
    result = tests.runpytest_inprocess("--gradcheck-save=kept")
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(
        [
            "not kept: RuntimeError: out of order",
            "gradcheck: a failing check was not kept: RuntimeError: out of order",
        ]
    )
