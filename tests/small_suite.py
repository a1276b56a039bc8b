"""A small suite of a user's, what comes of its checks, and how to read it back."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

import pytest

SUITE = """
    import numpy as np
    import pytest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import GradientMismatch, assert_gradients_close

    def test_right(gradcheck):
        report = gradcheck(cost, right, theta)
        assert report.ok

    def test_wrong(gradcheck):
        gradcheck(cost, wrong, theta)

    def test_inconclusive(gradcheck):
        gradcheck(lambda x: float(np.float32(np.sum(x**2))), right, theta, rtol=1e-9)

    @pytest.mark.gradcheck(rtol=1e-5)
    @pytest.mark.parametrize("scale", [1, 2])
    def test_drawn(gradcheck, gradcheck_rng, scale):
        x = gradcheck_rng.standard_normal(3)
        report = gradcheck(lambda x: scale * np.sum(x**2), lambda x: 2 * scale * x, x)
        assert report.rtol == 1e-5

    def test_plain():
        assert_gradients_close(cost, wrong, theta)

    def test_meant_to_be_wrong():
        with pytest.raises(GradientMismatch):
            assert_gradients_close(cost, wrong, theta)

    def test_without_a_check():
        assert theta.shape == (3,)
"""

VERDICTS = [
    ("test_right", "agree"),
    ("test_wrong", "disagree"),
    ("test_inconclusive", "inconclusive"),
    ("test_drawn[1]", "agree"),
    ("test_drawn[2]", "agree"),
    ("test_plain", "disagree"),
    ("test_meant_to_be_wrong", "disagree"),
]
"""Of each check of `SUITE`, in its order."""

OUTCOMES = {"passed": 5, "failed": 3}

SUMMARY = [
    "*= 7 gradient checks, 3 failed =*",
    "test_wrong cost *1 of 3 wrong *",
    "test_inconclusive *3 of 3 open *",
    "test_plain cost *1 of 3 wrong *",
]
"""Lines of the terminal, in any order."""


def need_plugin(name: str) -> None:
    """Skip the test unless the plugin with this entry point is installed."""
    if name not in metadata.entry_points(group="pytest11").names:
        pytest.skip(f"no plugin {name} here: pip install 'pytest-gradcheck[beside]'")


def checks(suite) -> list[dict[str, Any]]:
    """Return the checks of the last run, without the times that they took."""
    content = json.loads((suite.path / "checks.json").read_text(encoding="utf-8"))
    return [{k: v for k, v in check.items() if k != "seconds"} for check in content["checks"]]


def verdicts(suite) -> list[tuple[str, str]]:
    """Return test and verdict of every check of the last run."""
    return [(check["nodeid"].split("::", 1)[1], check["verdict"]) for check in checks(suite)]
