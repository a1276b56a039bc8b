"""Fixtures, hooks and adapters as users write them, checked by mypy and never run."""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
import pluggy
import pytest

from pytest_gradcheck import (
    ArrayKind,
    Diagnosis,
    Gradcheck,
    GradientReport,
    Node,
    NumericalGradient,
    hookimpl,
    plugin_manager,
)

# Fixtures


@pytest.fixture(scope="module")
def gradcheck_options() -> Mapping[str, Any]:
    return {"rtol": 1e-5}


@pytest.mark.gradcheck(rtol=1e-5)
def test_with_the_fixtures(
    gradcheck: Gradcheck,
    numerical_gradient: NumericalGradient,
    gradcheck_rng: np.random.Generator,
) -> None:
    x = gradcheck_rng.normal(size=3)
    assert_type(gradcheck(np.sum, np.ones_like, x, rtol=1e-6, in_place=False), GradientReport)
    assert_type(numerical_gradient(np.sum, x, eps=1e-6), Any)
    assert_type(gradcheck.options, dict[str, Any])
    gradcheck(np.sum)  # type: ignore[call-arg]
    gradcheck(np.sum, np.ones_like, x, rtool=1e-6)  # type: ignore[call-arg]
    gradcheck(np.sum, np.ones_like, x, rtol="1e-6")  # type: ignore[arg-type]
    numerical_gradient(np.sum, x, rtol=1e-6)  # type: ignore[call-arg]
    numerical_gradient(np.sum, x, scheme=2)  # type: ignore[arg-type]
    gradcheck.option  # type: ignore[attr-defined]


def pytest_gradcheck_result(item: pytest.Item, report: GradientReport) -> None:
    print(item.nodeid, report.summary())


# Hooks of the engine


class Pair:
    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right


@hookimpl
def gradcheck_flatten(value: Any) -> Node | None:
    if not isinstance(value, Pair):
        return None
    return Node([(".left", value.left), (".right", value.right)], lambda new: Pair(*new))


@hookimpl(tryfirst=True)
def gradcheck_explain(report: GradientReport) -> Sequence[str | Diagnosis]:
    return ["looks like mine", *report.diagnoses]


@hookimpl
def gradcheck_checked(report: GradientReport) -> None:
    print(report.summary())


@hookimpl
def gradcheck_progress(evaluations: int, planned: int, worst: Callable[[], str] | None) -> None:
    print(evaluations, planned, worst() if worst else "done")


@hookimpl
def gradcheck_suspects() -> list[str]:
    return ["W[0, 1]"]


class StandardLibraryKind(ArrayKind):
    mutable = True

    def to_numpy(self, value: Any) -> npt.NDArray[Any]:
        return np.frombuffer(value, value.typecode)

    def like(self, value: Any, array_: npt.NDArray[Any]) -> Any:
        return array.array(value.typecode, array_.tolist())

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        return array.array(dtype.char if dtype else value.typecode, value)

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Any:
        return np.frombuffer(value, value.typecode)


class HalfAKind(ArrayKind):
    def to_numpy(self, value: Any) -> npt.NDArray[Any]:
        return np.frombuffer(value, value.typecode)


HalfAKind()  # type: ignore[abstract]
KIND: ArrayKind = StandardLibraryKind()


@hookimpl
def gradcheck_array(value: Any) -> ArrayKind | None:
    return KIND if isinstance(value, array.array) else None


def register() -> None:
    assert_type(plugin_manager(), pluggy.PluginManager)
    take: Callable[[Any], Node | None] = gradcheck_flatten
    take(Node([("a", 1.0)], list))
    Node([1.0], list)  # type: ignore[list-item]
