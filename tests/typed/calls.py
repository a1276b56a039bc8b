"""Calls of the public functions, checked by mypy and never run: what they take and return.

A comment ``type: ignore[...]`` marks a mistake that mypy must report; one that it does not report
is an error itself, by ``warn_unused_ignores``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import pytest_gradcheck
from pytest_gradcheck import (
    BlockReport,
    Diagnosis,
    Entry,
    GradcheckWarning,
    GradientMismatch,
    GradientReport,
    Options,
    SavedCheck,
    SourceLine,
    TaylorRates,
    assert_adjoint,
    assert_gradients_close,
    assert_hessian_close,
    assert_hvp_close,
    assert_jacobian_close,
    assert_jvp_close,
    assert_taylor_rate,
    assert_vjp_close,
    autograd_gradients,
    check_adjoint,
    check_gradients,
    check_hessian,
    check_hvp,
    check_jacobian,
    check_jvp,
    check_vjp,
    compare_gradients,
    jax_gradients,
    load_saved,
    numerical_gradient,
    numerical_gradient_with_error,
    pulled_back,
    relative_difference,
    taylor_rates,
    torch_gradients,
)
from pytest_gradcheck.compat import autograd, jax, scipy, torch
from pytest_gradcheck.strategies import points

Vector = npt.NDArray[np.float64]

theta: Vector = np.ones(3)


def cost(x: Vector) -> float:
    return float(np.sum(x**2))


def backward(x: Vector) -> Vector:
    return 2 * x


def cost_of(params: dict[str, Vector], scale: float) -> np.float64:
    return np.float64(scale * np.sum(params["W"]))


def cost_and_cache(x: Vector) -> tuple[float, Vector]:
    return cost(x), x


def product(x: Vector, v: Vector) -> Vector:
    return 2 * x * v


def a_gradient_in_every_form() -> None:
    assert_type(check_gradients(cost, backward, theta), GradientReport)
    assert_type(assert_gradients_close(cost, backward, theta), GradientReport)
    check_gradients(cost, 2 * theta, theta)
    check_gradients(cost_of, {"W": theta}, {"W": theta}, args=(2.0,))
    check_gradients(cost_and_cache, backward, theta, has_aux=True)
    check_gradients(cost_and_cache, True, theta)
    check_gradients(lambda: float(theta.sum()), np.ones(3), theta, in_place=True)
    check_gradients(cost, backward, points=[theta, -theta])
    check_gradients(cost, backward, points=(theta for _ in range(3)))


def every_option_has_the_type_of_the_table() -> None:
    check_gradients(
        cost, backward, theta,
        rtol=1e-5, atol=None, eps=1e-6, threshold=1e-7, scheme="central4", max_evals=100, seed=1,
        only="W*", skip=["b*", "c"], nondet_tol=0, inconclusive="warn", kinks="fail",
        vacuous="pass", repairs="skip", max_report=0, workers=4, vectorized=True, copy=True,
    )  # fmt: skip
    check_gradients(cost, backward, theta, workers=ThreadPoolExecutor(2))
    check_gradients(cost, backward, theta, workers=ProcessPoolExecutor())
    check_gradients(cost, backward, theta, workers=map)
    check_gradients(cost, backward, theta, vectorized="vmap")
    check_gradients(cost, backward, theta, vectorized="map")  # type: ignore[arg-type]
    check_gradients(cost, backward, theta).verdikt  # type: ignore[attr-defined]
    check_gradients(cost, backward, theta, rtol="1e-5")  # type: ignore[arg-type]
    check_gradients(cost, backward, theta, rtool=1e-5)  # type: ignore[call-arg]
    check_gradients(cost, backward, theta, seed=None)  # type: ignore[arg-type]
    check_gradients(cost, backward, theta, only=1)  # type: ignore[arg-type]
    check_gradients(cost, backward, theta, workers="all")  # type: ignore[arg-type]
    check_gradients(cost, backward, theta, (1.0,))  # type: ignore[arg-type]
    check_gradients(1.0, backward, theta)  # type: ignore[arg-type]
    check_gradients(cost)  # type: ignore[call-arg]


def other_derivatives() -> None:
    assert_type(check_jacobian(np.sin, lambda x: np.diag(np.cos(x)), theta), GradientReport)
    assert_type(assert_jacobian_close(np.sin, np.eye(3), theta, rtol=1e-6), GradientReport)
    assert_type(check_jvp(backward, product, theta, seed=3), GradientReport)
    assert_type(assert_jvp_close(backward, product, theta, args=()), GradientReport)
    assert_type(check_vjp(backward, product, theta, only=["x"]), GradientReport)
    assert_type(assert_vjp_close(backward, product, theta), GradientReport)
    assert_type(check_hessian(cost, 2 * np.eye(3), theta, grad=backward), GradientReport)
    assert_type(assert_hessian_close(cost, 2 * np.eye(3), theta), GradientReport)
    assert_type(check_hvp(cost, product, theta, grad=backward), GradientReport)
    assert_type(assert_hvp_close(cost, product, theta), GradientReport)
    assert_type(check_adjoint(backward, backward, theta), GradientReport)
    assert_type(assert_adjoint(backward, backward, theta, theta, rtol=1e-9), GradientReport)
    check_jacobian(np.sin, np.eye(3), theta, eps=1e-6)  # type: ignore[call-arg]
    check_jvp(backward, 2 * theta, theta)  # type: ignore[arg-type]
    check_hessian(cost, np.eye(3), theta, grad=2 * theta)  # type: ignore[arg-type]
    rates = taylor_rates(cost, backward, theta, step=0.1, count=4)
    assert_type(rates, TaylorRates)
    assert_type(assert_taylor_rate(cost, backward, theta, least=1.9), TaylorRates)
    assert_type(rates.rate1, float)
    rates.rate1 = 2.0  # type: ignore[misc]


def a_misspelt_option_is_refused_everywhere() -> None:
    assert_gradients_close(cost, backward, theta, rtool=1e-5)  # type: ignore[call-arg]
    compare_gradients(theta, theta, rtool=1e-5)  # type: ignore[call-arg]
    numerical_gradient(cost, theta, epsilon=1e-5)  # type: ignore[call-arg]
    numerical_gradient_with_error(cost, theta, sead=1)  # type: ignore[call-arg]
    taylor_rates(cost, backward, theta, sead=1)  # type: ignore[call-arg]
    assert_taylor_rate(cost, backward, theta, sead=1)  # type: ignore[call-arg]
    check_jacobian(np.sin, np.eye(3), theta, rtool=1e-5)  # type: ignore[call-arg]
    assert_jacobian_close(np.sin, np.eye(3), theta, rtool=1e-5)  # type: ignore[call-arg]
    check_jvp(backward, product, theta, rtool=1e-5)  # type: ignore[call-arg]
    assert_jvp_close(backward, product, theta, rtool=1e-5)  # type: ignore[call-arg]
    check_vjp(backward, product, theta, rtool=1e-5)  # type: ignore[call-arg]
    assert_vjp_close(backward, product, theta, rtool=1e-5)  # type: ignore[call-arg]
    check_hessian(cost, np.eye(3), theta, rtool=1e-5)  # type: ignore[call-arg]
    assert_hessian_close(cost, np.eye(3), theta, rtool=1e-5)  # type: ignore[call-arg]
    check_hvp(cost, product, theta, rtool=1e-5)  # type: ignore[call-arg]
    assert_hvp_close(cost, product, theta, rtool=1e-5)  # type: ignore[call-arg]
    check_adjoint(backward, backward, theta, rtool=1e-5)  # type: ignore[call-arg]
    assert_adjoint(backward, backward, theta, rtool=1e-5)  # type: ignore[call-arg]


def an_option_of_another_type_is_refused_everywhere() -> None:
    assert_gradients_close(cost, backward, theta, rtol="1e-5")  # type: ignore[arg-type]
    compare_gradients(theta, theta, rtol="1e-5")  # type: ignore[arg-type]
    numerical_gradient(cost, theta, eps="1e-5")  # type: ignore[arg-type]
    numerical_gradient_with_error(cost, theta, seed="1")  # type: ignore[arg-type]
    taylor_rates(cost, backward, theta, seed="1")  # type: ignore[arg-type]
    assert_taylor_rate(cost, backward, theta, seed="1")  # type: ignore[arg-type]
    check_jacobian(np.sin, np.eye(3), theta, rtol="1e-5")  # type: ignore[arg-type]
    assert_jacobian_close(np.sin, np.eye(3), theta, rtol="1e-5")  # type: ignore[arg-type]
    check_jvp(backward, product, theta, rtol="1e-5")  # type: ignore[arg-type]
    assert_jvp_close(backward, product, theta, rtol="1e-5")  # type: ignore[arg-type]
    check_vjp(backward, product, theta, rtol="1e-5")  # type: ignore[arg-type]
    assert_vjp_close(backward, product, theta, rtol="1e-5")  # type: ignore[arg-type]
    check_hessian(cost, np.eye(3), theta, rtol="1e-5")  # type: ignore[arg-type]
    assert_hessian_close(cost, np.eye(3), theta, rtol="1e-5")  # type: ignore[arg-type]
    check_hvp(cost, product, theta, rtol="1e-5")  # type: ignore[arg-type]
    assert_hvp_close(cost, product, theta, rtol="1e-5")  # type: ignore[arg-type]
    check_adjoint(backward, backward, theta, rtol="1e-5")  # type: ignore[arg-type]
    assert_adjoint(backward, backward, theta, rtol="1e-5")  # type: ignore[arg-type]


def gradients_alone() -> None:
    assert_type(numerical_gradient(cost, theta, eps=1e-6), Any)
    assert_type(numerical_gradient_with_error(cost, theta, seed=1), tuple[Any, Any])
    numerical_gradient_with_error(cost, theta, eps=1e-6)  # type: ignore[call-arg]
    assert_type(relative_difference(theta, 2 * theta), float)
    assert_type(compare_gradients({"W": theta}, {"W": theta}, rtol=1e-7), GradientReport)
    compare_gradients(theta, theta, seed=1)  # type: ignore[call-arg]
    assert_type(compare_gradients(theta, theta, baseline=theta, factor=3.0), GradientReport)
    compare_gradients(theta, theta, factor="3")  # type: ignore[arg-type]
    check_gradients(cost, backward, theta, entries={"params": [0, 2]}, reference=cost)
    check_gradients(cost, backward, theta, reference=1.0)  # type: ignore[arg-type]
    check_jacobian(backward, product, theta, entries={"params": theta > 0}, reference=backward)
    check_jvp(backward, product, theta, strided=True, reference=backward)
    check_hvp(cost, product, theta, strided=True)
    check_hvp(cost, product, theta, reference=cost)  # type: ignore[call-arg]
    assert_type(torch_gradients(cost, has_aux=True, weighted=True), Callable[..., Any])
    assert_type(jax_gradients(cost), Callable[..., Any])
    assert_type(autograd_gradients(cost), Callable[..., Any])
    func, grad, start = pulled_back(cost, backward, theta, retract=np.add, tangent=np.zeros(2))
    assert_type(check_gradients(func, grad, start), GradientReport)


def what_a_report_says() -> None:
    report = check_gradients(cost, backward, theta)
    assert_type(report.verdict, str)
    assert_type(report.rtol, float | None)
    assert_type(report.blocks, tuple[BlockReport, ...])
    assert_type(report.worst, tuple[Entry, ...])
    assert_type(report.diagnoses, tuple[Diagnosis, ...])
    assert_type(report.lines, tuple[SourceLine, ...])
    assert_type(report.points, tuple[GradientReport, ...])
    assert_type([entry.label for entry in report.worst], list[str])
    assert_type(report.worst[0].slopes, tuple[float, float] | None)
    assert_type(report.message(), str)
    assert_type(report.details(unicode=False), str)
    assert_type(report.to_dict(), dict[str, Any])
    assert_type(report.raise_if_failed(), GradientReport)
    report.verdict = "agree"  # type: ignore[misc]
    report.details(False)  # type: ignore[call-arg]
    report.verdicts  # type: ignore[attr-defined]
    try:
        report.raise_if_failed()
    except GradientMismatch as mismatch:
        assert_type(mismatch.report, GradientReport)
    warning: type[UserWarning] = GradcheckWarning
    assert issubclass(warning, Warning)
    assert_type(Options(rtol=1e-5).rtol, float | None)
    Options(rtool=1e-5)  # type: ignore[call-arg]
    saved = load_saved(Path("check.npz"))
    assert_type(saved, SavedCheck)
    assert_type(saved.params["W"], np.ndarray[Any, Any])


def the_checkers_of_other_libraries() -> None:
    assert_type(scipy.check_grad(cost, backward, theta, epsilon=1e-6), float)
    assert_type(torch.gradcheck(cost, (theta,), raise_exception=False), bool)
    assert_type(torch.gradgradcheck(cost, (theta,), atol=1e-5), bool)
    autograd.check_grads(cost, argnum=(0, 1), modes=["rev"], order=1)(theta, theta)
    jax.check_grads(cost, (theta,), 2, modes=["fwd"])
    jax.check_grads(cost, (theta,))  # type: ignore[call-arg]
    assert_type(points((3,), low=0.1, high=1.0), Any)


def names_that_are_not_there() -> None:
    assert_type(pytest_gradcheck.__version__, str)
    pytest_gradcheck.check_gradient  # type: ignore[attr-defined]
