"""What checks report, recorded: two versions of the package are compared bit by bit.

    python benchmarks/recording.py record old.json        # about two minutes on one core
    python benchmarks/recording.py record new.json
    python benchmarks/recording.py compare old.json new.json --list
    python benchmarks/recording.py record part.json --group second_order options    # in seconds
    python benchmarks/recording.py compare old.json part.json --group second_order options

Before and after the internals are rewritten: every case of a recording calls the public functions
alone, and what comes back is kept whole.  Of a report that is `to_dict` without its time, the
texts of the failure, of `details` and of `summary`, and a digest of each vector of the evidence
(so that right gradients are held to the bits of every derivative, too);
of a gradient its numbers; of what raises, the exception, its text and its notes; and the warnings.
A recording is JSON with one case to a line.  Numbers are written by `repr`, which gives every bit
of them back, those that are not finite as strings.

Seconds are left out, also of the texts, and the lines of code that are named, which are those of
the files with the cases; nothing else was found to differ from run to run, threads
and what shows a `repr` included, as long as BLAS has one thread.  Cases that need scipy,
scikit-learn, torch or autograd are left out where those are missing, and `compare` counts them as
being in one recording only.  Make both recordings on one machine with the same versions of numpy
and the others, or the last bits of func itself differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

# One thread, so that BLAS sums in the same order every time.  Read when numpy is imported.
os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks" / "correctness"), str(ROOT / "tests")]

import numpy as np  # noqa: E402

import pytest_gradcheck as pg  # noqa: E402

Case = tuple[str, Callable[[], Any]]
"""A name, and a call of the package."""

GROUPS: dict[str, Callable[[], Iterator[Case]]] = {}

MOST_SHOWN = 12
"""Fields that differ which are listed of a case, and cases of a group."""

WIDTH = 100
"""Characters of a value that differs."""

WHOLE = 64
"""Numbers of an array up to which they are written out; a digest stands for more."""


def group(cases: Callable[[], Iterator[Case]]) -> Callable[[], Iterator[Case]]:
    """Enter the cases of a group under the function's name."""
    GROUPS[cases.__name__] = cases
    return cases


# What is kept of a result


def plain(value: Any) -> Any:
    """Return a result as JSON has it, every bit of its numbers kept."""
    if isinstance(value, pg.GradientReport):
        return of_report(value)
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    return of_array(value)


def of_array(value: Any) -> dict[str, Any]:
    """Return an array, or a number of numpy's, by its numbers or their digest."""
    array = np.ascontiguousarray(np.asarray(value))
    made: dict[str, Any] = {"dtype": str(array.dtype), "shape": list(np.shape(value))}
    if array.size > WHOLE:
        return made | {"digest": hashlib.sha256(array.tobytes()).hexdigest()}
    return made | {"values": [repr(item) for item in array.ravel().tolist()]}


def of_report(report: Any) -> dict[str, Any]:
    """Return all that a report holds and says, but for its time."""
    report = timeless(report)
    kept = {
        "report": without_time(report.to_dict()),
        "message": report.message() if report.ok else str(pg.GradientMismatch(report)),
        "details": report.details(),
        "summary": report.summary(),
    }
    return {key: plain(value) for key, value in kept.items()} | {"evidence": of_evidence(report)}


def timeless(report: Any) -> Any:
    """Return a report whose texts name no time, and no line of the case's own file."""
    points = tuple(timeless(point) for point in report.points)
    return replace(report, seconds=0.0, lines=(), points=points)


def without_time(kept: dict[str, Any]) -> dict[str, Any]:
    """Return a report's dict, and those of its points, without seconds and lines."""
    return {key: value for key, value in kept.items() if key not in ("seconds", "lines")} | {
        "points": [without_time(point) for point in kept["points"]]
    }


def of_evidence(report: Any) -> dict[str, Any] | None:
    """Return the vectors behind a report, each by its digest, and the ladders."""
    evidence = report.evidence
    if evidence is None:
        return None
    names = [item.name for item in fields(evidence) if item.name not in ("blocks", "ladders")]
    vectors = {name: of_array(getattr(evidence, name)) for name in names}
    return vectors | {"ladders": plain(dict(evidence.ladders))}


def outcome(call: Callable[[], Any]) -> dict[str, Any]:
    """Return what a call gave, said or raised."""
    np.random.seed(0)
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            found = {"result": plain(call())}
        except Exception as error:
            notes = list(getattr(error, "__notes__", ()))
            found = {"raised": type(error).__name__, "text": plain(str(error)), "notes": notes}
            report = getattr(error, "report", None)
            if report is not None:
                found |= {"text": "", "result": of_report(report)}
    said = [f"{item.category.__name__}: {item.message}" for item in caught]
    return found | ({"warnings": plain(said)} if said else {})


# Two recordings


def record(path: Path, names: list[str]) -> None:
    """Run the cases of groups and write what they gave."""
    lines = []
    for name in names:
        started, before = time.perf_counter(), len(lines)
        seen: Counter[str] = Counter()
        for title, call in GROUPS[name]():
            seen[title] += 1
            case = title if seen[title] == 1 else f"{title} ({seen[title]})"
            kept = json.dumps(outcome(call), sort_keys=True, ensure_ascii=False, allow_nan=False)
            lines.append(f"{json.dumps(f'{name}: {case}', ensure_ascii=False)}: {kept}")
        took = time.perf_counter() - started
        print(f"{name:14} {len(lines) - before:6} cases {took:7.1f} s", flush=True)
    path.write_text("{\n" + ",\n".join(sorted(lines)) + "\n}\n", encoding="utf-8")


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield ``path: old → new`` of every field in which two results differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            if key not in old or key not in new:
                which, value = ("new", new[key]) if key in new else ("old", old[key])
                yield f"{path}.{key}: only in the {which} one: {brief(value)}"
            else:
                yield from differences(old[key], new[key], f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, another) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, another, f"{path}[{i}]")
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        before, after = old.splitlines(), new.splitlines()
        for i in range(max(len(before), len(after))):
            one, another = ("".join(part[i : i + 1]) for part in (before, after))
            if one != another:
                yield f"{path}, line {i + 1}: {brief(one)} → {brief(another)}"
    elif json.dumps(old) != json.dumps(new):  # 0.0 is not -0.0 here, and 1 not 1.0
        yield f"{path}: {brief(old)} → {brief(new)}"


def brief(value: Any) -> str:
    """Return a value as JSON writes it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def compared(old: dict[str, Any], new: dict[str, Any], everything: bool) -> tuple[list[str], int]:
    """Return the lines that say how two recordings differ, and in how many cases they do."""
    cases: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for case in sorted({*old, *new}):
        both = case in old and case in new
        same = both and json.dumps(old[case]) == json.dumps(new[case])
        kind = "equal" if same else "changed" if both else "only in one"
        cases[case.partition(": ")[0]][kind].append(case)
    lines, differ = [], 0
    for name, kinds in cases.items():
        counts = {kind: len(kinds[kind]) for kind in ("equal", "changed", "only in one")}
        lines.append(f"{name}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
        differ += counts["changed"] + counts["only in one"]
        shown = None if everything else MOST_SHOWN
        lines += [
            f"  only in the {'old' if case in old else 'new'} one: {case}"
            for case in kinds["only in one"][:shown]
        ]
        for case in kinds["changed"][:shown]:
            found = [item.lstrip(".") for item in differences(old[case], new[case])]
            lines += [f"  {case}", *(f"    {item}" for item in found[:MOST_SHOWN])]
            if len(found) > MOST_SHOWN:
                lines.append(f"    and {len(found) - MOST_SHOWN} more")
        if shown is not None and max(counts["changed"], counts["only in one"]) > shown:
            lines.append("  and more; --list names all")
    return lines, differ


def read(path: Path, names: list[str]) -> dict[str, Any]:
    """Return what a recording has of some groups."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {case: kept for case, kept in found.items() if case.partition(": ")[0] in names}


# Gradients of the other benchmarks, right and wrong


CHOSEN = {
    ("largest entry", "one 1e-02"),
    ("largest entry", "one 1e-04"),
    ("largest entry", "one 1e-06"),
    ("largest entry", "gross"),
    ("median entry", "one 1e-03"),
    ("median entry", "one 1e-05"),
    ("random entry", "one 1e-08"),
    ("zero entry", "gross"),
    ("all x", "all 1e-03"),
}
"""The wrong gradients of the accuracy suite that are recorded, beside those that a case brings."""

VIEWS: dict[str, dict[str, Any]] = {
    "rtol 1e-4": {"rtol": 1e-4},
    "eps 1e-5": {"eps": 1e-5},
    "central4": {"scheme": "central4"},
    "forward2": {"scheme": "forward2"},
    "backward": {"scheme": "backward"},
    "complex": {"scheme": "complex"},
    "fourteen": {"max_evals": 14},
}


@group
def accuracy() -> Iterator[Case]:
    """Yield the cases of `accuracy.py`: right, some of the wrong gradients, and other schemes."""
    import cases
    from suite import mutants
    from suite.flat import rebuild

    cases.load.cache_clear()  # some count their calls
    for case in cases.load().values():
        right = case.grad(case.params)
        check = partial(pg.check_gradients, case.func)
        yield f"{case.name}: right", partial(check, case.grad, case.params)
        with np.errstate(all="ignore"):
            wrong = mutants.make(case)
        for mutant in wrong:
            entry = " ".join(mutant.label.split()[:2])
            if mutant.column == "given" or (entry, mutant.column) in CHOSEN:
                gradient = rebuild(right, mutant.gradient, as_given=True)
                yield f"{case.name}: {mutant.label}", partial(check, gradient, case.params)
        for title, options in VIEWS.items():
            yield f"{case.name}, {title}", partial(check, right, case.params, **options)


@group
def numeric() -> Iterator[Case]:
    """Yield the numbers alone: the gradients of the same cases, and their error bars."""
    import cases

    def both(func: Any, params: Any) -> Any:
        return [outcome(partial(one, func, params)) for one in NUMERIC]

    cases.load.cache_clear()
    for case in cases.load().values():
        yield case.name, partial(both, case.func, case.params)


NUMERIC = (pg.numerical_gradient, pg.numerical_gradient_with_error)


FEW: dict[str, Any] = {"max_evals": 60}
"""Models of more parameters than half of it are checked along random directions."""


def of_plans(plans: list[Any]) -> Iterator[Case]:
    """Yield the right gradient of each model and its bugs, with all evaluations and with few."""
    for plan in plans:
        for seed in (0, 1):
            model = plan.model(seed)
            call = partial(pg.check_gradients, model.cost, model.gradient, model.params)
            yield f"{plan.name}, seed {seed}: right", call
            yield f"{plan.name}, seed {seed}, few: right", partial(call, **FEW)
            for name in plan.table:
                call = partial(of_bug, plan, name, seed)
                yield f"{plan.name}, seed {seed}: {name}", call
                yield f"{plan.name}, seed {seed}, few: {name}", partial(call, **FEW)


def of_bug(plan: Any, name: str, seed: int, **given: Any) -> Any:
    bug = plan.bug(name, seed)
    options = {**bug.options, **given}
    return pg.check_gradients(bug.model.cost, bug.gradient, bug.model.params, **options)


@group
def planted() -> Iterator[Case]:
    """Yield the models of `tests/planted` and their bugs."""
    import planted as models

    yield from of_plans(models.load())


@group
def held_out() -> Iterator[Case]:
    """Yield the models of `held_out_bugs.py` and their bugs."""
    import held_out_bugs

    yield from of_plans(held_out_bugs.PLANS)


# Many parameters, along random directions


NETWORKS = {
    "tanh, 5,018": ((64, 48, 32, 10), "tanh", np.float64),
    "relu, 9,696": ((64, 96, 32, 10), "relu", np.float64),
    "softmax, 5,018": ((64, 48, 32, 10), "softmax", np.float64),
    "tanh, 20,810": ((100, 160, 28, 6), "tanh", np.float64),
    "relu, float32, 5,018": ((64, 48, 32, 10), "relu", np.float32),
}


def _changed(name: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a bug: one block of a gradient, or all of them, changed."""
    return lambda g: {key: change(v) if name in (key, "all") else v for key, v in g.items()}


def _first(value: float) -> Callable[[Any], Any]:
    """Return a change: one entry of a block set to a value."""
    return lambda block: np.where(np.arange(block.size).reshape(block.shape) == 7, value, block)


AT_SCALE: dict[str, Callable[[Any], Any]] = {
    "block of zeros": _changed("W2", np.zeros_like),
    "block of NaN": _changed("W2", lambda g: np.full_like(g, np.nan)),
    "one NaN": _changed("W1", _first(np.nan)),
    "one infinite": _changed("W1", _first(np.inf)),
    "float32 gradient": _changed("all", lambda g: g.astype(np.float32)),
    "float16 gradient": _changed("all", lambda g: g.astype(np.float16)),
    "all x 1.001": _changed("all", lambda g: 1.001 * g),
    "all x (1 + 1e-6)": _changed("all", lambda g: (1 + 1e-6) * g),
    "sign of a block": _changed("b1", lambda g: -g),
    "rolled rows": _changed("W1", lambda g: np.roll(g, 1, axis=0)),
    "flipped columns": _changed("W1", lambda g: g[:, ::-1].copy()),
    "a constant added": _changed("W2", lambda g: g + 0.01),
    "every third entry": _changed("W2", lambda g: np.where(np.arange(g.shape[1]) % 3, g, 0.0)),
}


@group
def scale() -> Iterator[Case]:
    """Yield networks with too many parameters to difference each; see `scale.py`."""
    from suite.planted import PLANTED, Network

    for (title, given), seed in product(NETWORKS.items(), (1, 2)):
        sizes, activation, dtype = given
        network = Network(sizes, activation, seed, dtype=dtype)
        right = network.gradient(network.params)
        wrong = {
            name: plant(network, np.random.default_rng(seed)).gradient
            for name, plant in PLANTED.items()
        }
        wrong |= {name: change(right) for name, change in AT_SCALE.items()}
        for (name, gradient), most in product(wrong.items(), (None, 60, 300)):
            call = partial(pg.check_gradients, network.cost, gradient, network.params)
            yield f"{title}, {seed}: {name}, {most}", partial(call, max_evals=most, seed=len(name))
    yield from scale_options(Network((64, 48, 32, 10), "tanh", 2))


def scale_options(network: Any) -> Iterator[Case]:
    """Yield checks along directions under options, and of funcs that are not smooth."""
    right = network.gradient(network.params)
    wrong = {**right, "W1": np.where(np.arange(64) == 5, 1.01 * right["W1"], right["W1"])}
    lines: dict[str, dict[str, Any]] = {
        "rtol 1e-3": {"rtol": 1e-3},
        "rtol 1e-9": {"rtol": 1e-9},
        "atol": {"atol": 1e-3},
        "threshold": {"threshold": 1e-9},
        "only": {"only": "W*"},
        "skip": {"skip": ["W1", "b*"]},
        "seed 9": {"seed": 9},
        "all shown": {"max_report": 0},
        "two shown": {"max_report": 2},
        "in place": {"in_place": True},
        "copies": {"copy": True},
        "two threads": {"workers": 2},
        "few": {"max_evals": 12},
        "fewest": {"max_evals": 8},
        "fails to tell": {"inconclusive": "fail", "max_evals": 10},
        "warns": {"inconclusive": "warn", "max_evals": 10},
        "a sample": {"max_evals": 500, "eps": 1e-5},
        "a sample by four": {"max_evals": 500, "scheme": "central4"},
    }
    for title, options in lines.items():
        for name, gradient in (("right", right), ("wrong", wrong)):
            in_place = partial(network.cost, network.params)
            func = in_place if options.get("in_place") else network.cost
            call = partial(pg.check_gradients, func, gradient, network.params, **options)
            yield f"options: {title}: {name}", call
    for title, func in rough(network).items():
        for name, gradient in (("right", right), ("wrong", wrong)):
            call = partial(pg.check_gradients, func, gradient, network.params)
            yield f"func: {title}: {name}", call
    several = [network.params, {key: 0.5 * value for key, value in network.params.items()}]
    yield (
        "at two points",
        partial(pg.check_gradients, network.cost, network.gradient, points=several),
    )


def rough(network: Any) -> dict[str, Callable[[Any], Any]]:
    """Return funcs of a network that are noisy, bent, ended, or blind to a block."""
    cost, noise = network.cost, np.random.default_rng(0)
    most = float(network.params["W1"].max())

    def raising(p: Any) -> Any:
        if p["W1"].max() > most + 1e-9:
            raise ValueError("too large")
        return cost(p)

    return {
        "noise of 1e-9": lambda p: cost(p) + 1e-9 * np.sin(1e15 * np.sum(p["W1"]) % 6.2),
        "noise of 1e-4": lambda p: cost(p) + 1e-4 * np.sin(1e15 * np.sum(p["W1"]) % 6.2),
        "rounded": lambda p: round(float(cost(p)), 6),
        "never the same": lambda p: cost(p) + 1e-3 * noise.standard_normal(),
        "float32": lambda p: np.float32(cost(p)),
        "offset": lambda p: cost(p) + 1e6,
        "kinks": lambda p: cost(p) + 0.001 * np.abs(p["W2"] - network.params["W2"]).sum(),
        "blind to b1": lambda p: cost({**p, "b1": network.params["b1"]}),
        "constant": lambda p: 1.0,
        "raises beyond a point": raising,
        "NaN beyond a point": lambda p: cost(p) if p["W1"].max() <= most + 1e-9 else np.nan,
    }


# Jacobians and what is made of them


RNG = np.random.default_rng(7)
A = RNG.normal(size=(30, 20))
UNITS = 10.0 ** np.linspace(-8, 8, 20)
SQUARE = RNG.normal(size=(6, 6))
TIMES = np.linspace(0, 2, 25)
INPUT = np.array([1.0, -2.0, 0.5])


def tridiagonal(x: Any) -> Any:
    y = np.concatenate([[0.0], x, [0.0]])
    return (3 - 2 * x) * x - y[:-2] - 2 * y[2:] + 1


def d_tridiagonal(x: Any) -> Any:
    n = x.size
    return np.diag(3 - 4 * x) - np.eye(n, k=-1) - 2 * np.eye(n, k=1)


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max())
    return e / e.sum()


def d_softmax(z: Any) -> Any:
    return np.diag(softmax(z)) - np.outer(softmax(z), softmax(z))


MATRICES: dict[str, tuple[Any, Any, Any]] = {
    "rosenbrock": (
        lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]),
        lambda x: np.array([[-20 * x[0], 10.0], [-1.0, 0.0]]),
        np.array([-1.2, 1.0]),
    ),
    "badly scaled": (
        lambda x: np.array([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001]),
        lambda x: np.array([[1e4 * x[1], 1e4 * x[0]], [-np.exp(-x[0]), -np.exp(-x[1])]]),
        np.array([0.0, 1.0]),
    ),
    "tridiagonal": (tridiagonal, d_tridiagonal, -np.ones(40) + 0.1 * RNG.normal(size=40)),
    "exponential fit": (
        lambda p: p[0] * np.exp(-p[1] * TIMES) + p[2],
        lambda p: np.stack(
            [np.exp(-p[1] * TIMES), -p[0] * TIMES * np.exp(-p[1] * TIMES), TIMES**0], axis=1
        ),
        np.array([2.0, 3.0, 0.5]),
    ),
    "softmax": (softmax, d_softmax, 5 * RNG.normal(size=12)),
    "scaled parameters": (
        lambda x: np.sin(x / UNITS),
        lambda x: np.diag(np.cos(x / UNITS) / UNITS),
        UNITS * RNG.normal(size=20),
    ),
    "scaled outputs": (
        lambda x: UNITS * np.sin(A[:20] @ x),
        lambda x: (UNITS * np.cos(A[:20] @ x))[:, None] * A[:20],
        RNG.normal(size=20),
    ),
    "large offset": (
        lambda x: 1e6 + np.sin(A @ x),
        lambda x: np.cos(A @ x)[:, None] * A,
        RNG.normal(size=20),
    ),
    "relu": (
        lambda x: np.maximum(A @ x, 0),
        lambda x: (A @ x > 0)[:, None] * A,
        RNG.normal(size=20),
    ),
    "kinks": (
        lambda x: np.maximum(x, 0),
        lambda x: np.diag(1.0 * (x > 0)),
        np.array([0.0, 1.0, -1.0]),
    ),
    "float32": (
        lambda x: np.tanh(A.astype(np.float32) @ x.astype(np.float32)),
        lambda x: (1 - np.tanh(A.astype(np.float32) @ x) ** 2)[:, None] * A.astype(np.float32),
        RNG.normal(size=20).astype(np.float32),
    ),
    "number": (lambda x: np.array([x**2, np.sin(x)]), lambda x: np.array([2 * x, np.cos(x)]), 0.7),
    "noisy": (
        lambda x: np.round(np.sin(A @ x), 7),
        lambda x: np.cos(A @ x)[:, None] * A,
        RNG.normal(size=20),
    ),
    "edge": (np.sqrt, lambda x: np.diag(0.5 / np.sqrt(x)), np.array([1e-9, 0.5, 2.0])),
}


SPOILT: dict[str, Callable[[Any], Any]] = {
    "right": lambda j: j,
    "one entry x 1.01": lambda j: _spoilt(j, 1.01),
    "one entry x (1 + 1e-6)": lambda j: _spoilt(j, 1 + 1e-6),
    "one NaN": lambda j: _spoilt(j, np.nan),
    "x 2": lambda j: 2 * j,
    "zeros": np.zeros_like,
    "row x 0.5": lambda j: np.concatenate([j[:1], 0.5 * j[1:2], j[2:]]),
    "transposed": lambda j: j.T,
    "rolled": lambda j: np.roll(j, 1, axis=0),
    "float32": lambda j: j.astype(np.float32),
}


def _spoilt(j: Any, factor: float) -> Any:
    found = np.array(j)
    found[np.unravel_index(np.argmax(np.abs(found)), found.shape)] *= factor
    return found


class Operator:
    """A linear operator as scipy has it."""

    dtype = np.dtype(np.float64)

    def __init__(self, matrix: Any, adjoint: Any = None) -> None:
        self.shape = matrix.shape
        self.matvec = lambda v: matrix @ v
        if adjoint is not None:
            self.rmatvec = lambda u: adjoint @ u


@group
def jacobian() -> Iterator[Case]:
    """Yield Jacobians, products with them and operators, right and wrong."""
    for title, (func, jac, params) in MATRICES.items():
        for name, spoil in SPOILT.items():
            yield f"{title}: {name}", partial(pg.check_jacobian, func, spoil(jac(params)), params)
        for name in ("right", "one entry x 1.01", "x 2"):
            j = SPOILT[name](jac(params))
            for seed in (0, 1):
                yield from products(f"{title}: {name}, seed {seed}", func, j, params, seed=seed)
        yield f"{title}: function", partial(pg.check_jacobian, func, jac, params)
        yield f"{title}: few", partial(pg.check_jacobian, func, jac, params, max_evals=10)
    yield from operators()
    yield from combinations()
    yield from layers()
    yield from adjoints()


def products(title: str, func: Any, j: Any, params: Any, **options: Any) -> Iterator[Case]:
    """Yield both products with a Jacobian."""

    def jvp(x: Any, v: Any) -> Any:
        return j @ v if np.ndim(x) else j * v

    def vjp(x: Any, u: Any) -> Any:
        return j.T @ u

    yield f"jvp: {title}", partial(pg.check_jvp, func, jvp, params, **options)
    yield f"vjp: {title}", partial(pg.check_vjp, func, vjp, params, **options)


def operators() -> Iterator[Case]:
    """Yield Jacobians that are linear operators, and sparse ones where scipy is installed."""
    x = -np.ones(12)
    j = d_tridiagonal(x)
    made = {
        "both": Operator(j, j.T),
        "matvec alone": Operator(j),
        "wrong adjoint": Operator(j, j),
        "twice": Operator(2 * j),
        "twice, both": Operator(2 * j, 2 * j.T),
    }
    for name, operator in made.items():
        yield f"operator: {name}", partial(pg.check_jacobian, tridiagonal, operator, x)
    large = RNG.normal(size=2500)
    for factor in (1.0, 1.001):
        slope = np.where(np.arange(2500) == 4, factor, 1.0) * 2 * large
        operator = Operator(np.zeros((2500, 2500)))
        operator.matvec = lambda v, slope=slope: slope * v
        yield (
            f"large operator x {factor}",
            partial(pg.check_jacobian, lambda x: x**2, operator, large),
        )
    try:
        from scipy import sparse
    except ImportError:
        return
    for name, spoil in SPOILT.items():
        for kind in ("csr_matrix", "csc_array", "coo_matrix"):
            matrix = getattr(sparse, kind)(spoil(j))
            yield f"{kind}: {name}", partial(pg.check_jacobian, tridiagonal, matrix, x)


def combinations() -> Iterator[Case]:
    """Yield Jacobians of so many outputs or parameters that combinations are checked."""
    t = np.linspace(0, 1, 20_000)
    params = {"a": 2.0, "k": 3.0}

    def fit(p: Any) -> Any:
        return {"fit": p["a"] * np.exp(-p["k"] * t)}

    for factor in (1.0, 1.5, 1 + 1e-5, np.nan):
        slow = -params["a"] * t * np.exp(-params["k"] * t)
        slow[777] *= factor
        jac = {"fit": {"a": np.exp(-params["k"] * t), "k": slow}}
        yield f"many outputs x {factor}", partial(pg.check_jacobian, fit, jac, params)
    x = -np.ones(2200) + 0.1 * np.random.default_rng(3).normal(size=2200)
    for name in ("right", "one entry x 1.01", "x 2", "zeros", "row x 0.5"):
        call = partial(pg.check_jacobian, tridiagonal, SPOILT[name](d_tridiagonal(x)), x)
        yield f"many parameters: {name}", call
    y = np.random.default_rng(4).uniform(0.5, 1.5, 6000)
    for factor in (1.0, 1.01):
        spoilt = np.where(np.arange(6000) == 123, factor, 1.0) / y
        for name, check in (("jvp", pg.check_jvp), ("vjp", pg.check_vjp)):
            call = partial(check, np.log, lambda x, v, spoilt=spoilt: spoilt * v, y)
            yield f"many parameters: {name} x {factor}", call


def layer(p: Any) -> Any:
    return np.tanh(p["W"] @ INPUT + p["b"])


def d_layer(p: Any) -> Any:
    slope = 1 - layer(p) ** 2
    by_w = np.einsum("k,kl,j->klj", slope, np.eye(slope.size), INPUT)
    return {"W": by_w, "b": np.diag(slope)}


LAYER = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=4)}


def layers() -> Iterator[Case]:
    """Yield blocks of parameters and outputs with names, and the options of these checks."""
    right = d_layer(LAYER)
    matrix = np.concatenate([right["W"].reshape(4, 12), right["b"]], axis=1)
    spoilt = {"right": right, "matrix": matrix, "matrix x 2": 2 * matrix}
    spoilt |= {"no b": right | {"b": 0 * right["b"]}, "W x 3": right | {"W": 3 * right["W"]}}
    spoilt |= {"missing": {"W": right["W"]}, "wrong shape": right | {"b": np.ones((4, 3))}}
    for name, jac in spoilt.items():
        for title, options in JUDGING.items():
            call = partial(pg.check_jacobian, layer, jac, LAYER, **options)
            yield f"layer: {name}, {title}", call

    def named(p: Any) -> Any:
        return {"residual": p["b"] ** 2, "penalty": np.sum(p["W"])}

    zero = {"W": np.zeros((4, 4, 3)), "b": np.zeros(4)}
    jac = {"residual": zero | {"b": np.diag(2 * LAYER["b"])}}
    for factor in (1.0, 2.0):
        penalty = {"W": factor * np.ones((4, 3)), "b": zero["b"]}
        call = partial(pg.check_jacobian, named, jac | {"penalty": penalty}, LAYER)
        yield f"named outputs x {factor}", call
    scaled = partial(pg.check_jacobian, lambda x, k: (k * x**2, "aux"), params=np.ones(3))
    for factor in (2.0, 2.1):
        derivative = partial(scaled, lambda x, k, f=factor: np.diag(f * k * x), args=(3.0,))
        yield f"args and aux x {factor}", partial(derivative, has_aux=True)
        yield f"args, no aux x {factor}", derivative
    at = [np.array([1.0, 2.0]), np.array([3.0, -1.0]), np.array([-1.0, -2.0])]
    bent = partial(pg.check_jacobian, lambda x: x * np.abs(x), points=at)
    yield "points: right", partial(bent, lambda x: np.diag(2 * np.abs(x)))
    yield "points: wrong", partial(bent, lambda x: np.diag(2 * x))
    yield (
        "jvp, not linear",
        partial(pg.check_jvp, np.sin, lambda x, v: np.cos(x) * v * np.abs(v), INPUT),
    )


JUDGING: dict[str, dict[str, Any]] = {
    "plain": {},
    "rtol": {"rtol": 1e-4},
    "fine rtol": {"rtol": 1e-12},
    "atol": {"atol": 1e-2},
    "threshold": {"threshold": 1e-12},
    "only": {"only": "b"},
    "skip": {"skip": "W"},
    "few": {"max_evals": 12},
    "all shown": {"max_report": 0},
    "passes": {"inconclusive": "pass", "vacuous": "pass"},
}


def adjoints() -> Iterator[Case]:
    """Yield pairs of operators that are, and are not, adjoint."""

    def forward(p: Any) -> Any:
        return {"image": np.cumsum(p["signal"]), "mean": np.mean(p["signal"]) + 2 * p["level"]}

    def backward(y: Any, factor: float = 2.0) -> Any:
        image = np.cumsum(y["image"][::-1])[::-1]
        return {"signal": image + y["mean"] / image.size, "level": factor * y["mean"]}

    for size in (5, 1000):
        x = {"signal": np.zeros(size), "level": 0.0}
        for factor in (2.0, 1.0, 2.0 + 1e-9):
            wrong = partial(backward, factor=factor)
            yield f"adjoint: {size}, {factor}", partial(pg.check_adjoint, forward, wrong, x)
    for size in (16, 2048):
        x = np.zeros(size, complex)
        for factor in (size, 1):
            back = partial(_inverse, factor=factor)
            yield f"adjoint: fft {size} x {factor}", partial(pg.check_adjoint, np.fft.fft, back, x)
    single = A.astype(np.float32)
    pairs: dict[str, tuple[Any, ...]] = {
        "cumsum": (np.cumsum, np.cumsum, np.zeros(3)),
        "float32": (lambda x: single @ x, lambda y: single.T @ y, np.zeros(20, np.float32)),
        "shapes": (lambda x: x.T, lambda y: y.T, (2, 3), (3, 2)),
        "offset": (lambda x: x + 1, lambda y: y, np.zeros(3)),
        "not linear": (lambda x: x, lambda y: y**3, np.zeros(3)),
        "shape differs": (lambda x: x[:3], lambda y: y, np.zeros(4)),
    }
    for name, given in pairs.items():
        yield f"adjoint: {name}", partial(pg.check_adjoint, *given)


def _inverse(y: Any, factor: float) -> Any:
    return factor * np.fft.ifft(y)


# Second derivatives and Taylor remainders


def valley(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def d_valley(x: Any) -> Any:
    g = np.zeros_like(x)
    g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return g


def dd_valley(x: Any) -> Any:
    diagonal = np.zeros_like(x)
    diagonal[:-1] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    diagonal[1:] += 200
    return np.diag(diagonal) + np.diag(-400 * x[:-1], 1) + np.diag(-400 * x[:-1], -1)


def bowl(x: Any) -> Any:
    return np.sum(np.exp(SQUARE @ x / 4))


def d_bowl(x: Any) -> Any:
    return SQUARE.T @ np.exp(SQUARE @ x / 4) / 4


def dd_bowl(x: Any) -> Any:
    return SQUARE.T @ (np.exp(SQUARE @ x / 4)[:, None] * SQUARE) / 16


@group
def second_order() -> Iterator[Case]:
    """Yield Hessians, products with them, and Taylor remainders, right and wrong."""
    x = np.random.default_rng(3).normal(size=6)
    for title, (func, grad, hess) in {
        "valley": (valley, d_valley, dd_valley),
        "bowl": (bowl, d_bowl, dd_bowl),
    }.items():
        spoilt = SPOILT | {"triangle": np.triu, "pair": _pair}
        for known, given in (("with grad", {"grad": grad}), ("func alone", {})):
            for name, spoil in spoilt.items():
                h = spoil(hess(x))
                ends = f"{title}, {known}: {name}"
                product = partial(_product, h)
                yield f"hessian: {ends}", partial(pg.check_hessian, func, h, x, **given)
                yield f"hvp: {ends}", partial(pg.check_hvp, func, product, x, **given)
            both = partial(pg.check_hessian, func, hess, points=[x, 0.3 * x], **given)
            yield f"hessian at points: {title}, {known}", both
        for factor in (1.0, 1.01, 1.5, np.nan):
            for options in ({}, {"seed": 3}, {"step": 0.1, "count": 5}):
                wrong = partial(_scaled, grad, factor)
                for check in (pg.taylor_rates, pg.assert_taylor_rate):
                    yield (
                        f"{check.__name__}: {title} x {factor}, {options}",
                        partial(check, func, wrong, x, **options),
                    )
    large = np.random.default_rng(5).normal(size=5000)
    for factor in (1.0, 1.01):
        spoilt = np.where(np.arange(5000) == 77, factor, 1.0) * 12 * large**2
        call = partial(pg.check_hvp, lambda x: np.sum(x**4), lambda x, v, s=spoilt: s * v, large)
        yield f"large hvp x {factor}", partial(call, grad=lambda x: 4 * x**3)
        yield f"large hvp x {factor}, func alone", call
    yield "too large", partial(pg.check_hessian, valley, np.eye(61), np.ones(61))
    yield "linear", partial(pg.taylor_rates, np.sum, np.ones_like, x)


def _pair(h: Any) -> Any:
    found = h.copy()
    found[1, 2] = found[2, 1] = 1.001 * h[1, 2] + 0.01
    return found


def _product(h: Any, x: Any, v: Any) -> Any:
    return h @ v


def _scaled(grad: Any, factor: float, x: Any) -> Any:
    return factor * grad(x)


# Options, shapes of parameters, and what goes wrong


def small() -> dict[str, Any]:
    """Return the parameters of a small model, as containers of three kinds."""
    rng = np.random.default_rng(3)
    return {"W": rng.normal(size=(4, 5)), "b": [rng.normal(size=5), 0.75]}


def cost(p: Any, power: float = 2) -> Any:
    return np.sum(np.tanh(p["W"] @ p["b"][0]) ** power) + np.exp(p["b"][1])


def costs(p: Any, power: float = 2) -> Any:
    """Return the costs of a batch of parameters."""
    z = np.tanh(np.einsum("kij,kj->ki", p["W"], p["b"][0]))
    return np.sum(z**power, axis=1) + np.exp(p["b"][1])


def gradient(p: Any, power: float = 2) -> Any:
    z = np.tanh(p["W"] @ p["b"][0])
    d = power * z ** (power - 1) * (1 - z**2)
    return {"W": np.outer(d, p["b"][0]), "b": [p["W"].T @ d, np.exp(p["b"][1])]}


def wrong_gradient(p: Any, power: float = 2) -> Any:
    found = gradient(p, power)
    found["W"][2, 3] *= 1.01
    found["b"][1] *= -1
    return found


def slightly_wrong(p: Any, power: float = 2) -> Any:
    found = gradient(p, power)
    found["W"][1, 1] += 1e-6
    return found


def single_gradient(p: Any, power: float = 2) -> Any:
    found = gradient(p, power)
    return {"W": found["W"].astype(np.float32), "b": [found["b"][0].astype(np.float32), 2.0]}


SCHEMES = ("central", "central4", "central6", "forward", "backward", "forward2", "backward2")

OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "args": {"args": (3,)},
    "rtol 1e-2": {"rtol": 1e-2},
    "rtol 1e-5": {"rtol": 1e-5},
    "rtol 1e-11": {"rtol": 1e-11},
    "atol 1e-5": {"atol": 1e-5},
    "rtol and atol": {"rtol": 1e-6, "atol": 1e-6},
    "threshold": {"threshold": 1e-7},
    "fine threshold": {"threshold": 1e-15},
    "all shown": {"max_report": 0},
    "one shown": {"max_report": 1},
    "seed": {"seed": 5},
    "only W": {"only": "W"},
    "only b.*": {"only": ["b*"]},
    "skip": {"skip": ["b*"]},
    "no match": {"only": "V"},
    "nothing left": {"skip": "*"},
    "in place, no number": {"in_place": True, "skip": "b[[]1]"},
    "in place": {"in_place": True},
    "copy": {"copy": True},
    "two threads": {"workers": 2},
    "map": {"workers": map},
    "ten": {"max_evals": 10},
    "twenty": {"max_evals": 20},
    "forty": {"max_evals": 40},
    "nondet": {"nondet_tol": 1e-6},
    "aux": {"has_aux": True},
    "no such scheme": {"scheme": "best"},
    "no such rtol": {"rtol": 2},
    **{f"eps {eps}": {"eps": eps} for eps in (1e-2, 1e-4, 1e-7, 1e-12)},
    **{scheme: {"scheme": scheme} for scheme in (*SCHEMES, "complex")},
    **{f"{scheme}, eps": {"scheme": scheme, "eps": 1e-4} for scheme in (*SCHEMES, "complex")},
}


def of_small(grad: Any, **given: Any) -> Any:
    """Check the small model; in place, by functions of no arguments that read the very arrays."""
    params = small()
    if not given.get("in_place"):
        return pg.check_gradients(cost, grad, params, **given)
    known = partial(grad, params) if callable(grad) else grad
    return pg.check_gradients(partial(cost, params), known, params, **given)


@group
def options() -> Iterator[Case]:
    """Yield one small model under every option."""
    grads = (gradient, wrong_gradient, slightly_wrong, single_gradient, gradient(small()))
    for title, given in OPTIONS.items():
        for number, grad in enumerate(grads):
            name = getattr(grad, "__name__", "as it is")
            yield f"{title}: {name}", partial(of_small, grad, **given)
            if number < 2 and title not in ("in place", "map"):
                yield (
                    f"vectorized, {title}: {name}",
                    partial(pg.check_gradients, costs, grad, small(), **given, vectorized=True),
                )
        kept = {key: value for key, value in given.items() if key in ENGINE}
        if kept or not given:
            yield f"numbers: {title}", partial(numbers, **kept)
            if title not in ("in place", "map"):
                call = partial(numbers, costs, **kept, vectorized=True)
                yield f"numbers, vectorized: {title}", call
    yield "asserted", partial(pg.assert_gradients_close, cost, wrong_gradient, small())
    auxiliary = partial(pg.check_gradients, lambda p: (cost(p), "aux"), has_aux=True)
    yield "aux: right", partial(auxiliary, gradient, small())
    yield "aux: wrong", partial(auxiliary, wrong_gradient, small())
    yield (
        "grad=True",
        partial(pg.check_gradients, lambda p: (cost(p), wrong_gradient(p)), True, small()),
    )


ENGINE = ("args", "eps", "scheme", "seed", "only", "skip", "in_place", "copy", "workers", "has_aux")


def numbers(func: Any = cost, params: Any = None, **given: Any) -> Any:
    """Return what both functions that return gradients make of func, or of the small model."""
    params = small() if params is None else params
    func = partial(func, params) if given.get("in_place") else func
    coarse = {key: value for key, value in given.items() if key not in ("eps", "scheme")}
    return [
        outcome(partial(pg.numerical_gradient, func, params, **given)),
        outcome(partial(pg.numerical_gradient_with_error, func, params, **coarse)),
    ]


@group
def points() -> Iterator[Case]:
    """Yield checks at several points."""
    at = [np.array([1.0, 2.0]), np.array([3.0, -1.0]), np.array([-1.0, -2.0]), np.zeros(2)]

    def func(x: Any) -> Any:
        return np.sum(np.abs(x) ** 3)

    grads = {
        "right": lambda x: 3 * x * np.abs(x),
        "wrong where negative": lambda x: 3 * x**2,
        "wrong": lambda x: 2 * x * np.abs(x),
        "raises": lambda x: 1 / int(x[0] > 0) * x,
        "array": np.ones(2),
    }
    for name, grad in grads.items():
        for count in (0, 1, 2, 3, 4):
            for title in ("none", "rtol 1e-5", "two threads", "ten", "central4", "threshold"):
                call = partial(pg.check_gradients, func, grad, points=at[:count], **OPTIONS[title])
                yield f"{name}, {count}, {title}", call
    yield "NaN", partial(pg.check_gradients, func, grads["right"], points=[at[0], at[1] * np.nan])


SITUATIONS: dict[str, tuple[Any, Any, Any]] = {
    "on a kink": (lambda x: np.abs(x).sum(), np.sign, np.array([0.0, 1.0, -2.0])),
    "on a kink, outside": (lambda x: np.abs(x).sum(), lambda x: x + 2, np.array([0.0, 1.0])),
    "on many kinks": (lambda x: np.abs(x).sum(), np.sign, np.zeros(7)),
    "beside a kink": (lambda x: np.abs(x).sum(), np.sign, np.array([1e-9, -1e-7, 1e-5])),
    "relu at zero": (lambda x: np.maximum(x, 0).sum(), lambda x: 1.0 * (x > 0), np.zeros(3)),
    "on a jump": (lambda x: np.floor(x).sum(), np.zeros_like, np.array([0.0, 1.0, 0.5])),
    "rounded to 4": (lambda x: np.round(np.sum(x**2), 4), lambda x: 2 * x, INPUT),
    "rounded to 9": (lambda x: np.round(np.sum(x**2), 9), lambda x: 2 * x, INPUT),
    "mostly noise": (lambda x: np.sum(x**2) + np.sin(1e15 * x[0] % 6), lambda x: 2 * x, INPUT),
    "constant": (lambda x: 3.0, np.zeros_like, INPUT),
    "stationary": (lambda x: np.sum(x**2), lambda x: 2 * x, np.zeros(3)),
    "flat in one": (lambda x: x[0] ** 2, lambda x: np.array([2 * x[0], 0.0]), np.ones(2)),
    "dead block": (
        lambda p: np.sum(p["a"] ** 2),
        lambda p: {"a": 2 * p["a"], "b": np.zeros(2)},
        {"a": np.ones(3), "b": np.ones(2)},
    ),
    "ignored, not zero": (
        lambda p: np.sum(p["a"] ** 2),
        lambda p: {"a": 2 * p["a"], "b": np.ones(2)},
        {"a": np.ones(3), "b": np.ones(2)},
    ),
    "edge of √": (lambda x: np.sqrt(x).sum(), lambda x: 0.5 / np.sqrt(x), np.array([0.0, 1.0])),
    "edge of x^1.5": (lambda x: (x**1.5).sum(), lambda x: 1.5 * x**0.5, np.array([0.0, 1.0])),
    "near an edge": (lambda x: np.log(x).sum(), lambda x: 1 / x, np.array([1e-8, 1.0])),
    "huge J": (lambda x: 1e12 + np.sum(x**2), lambda x: 2 * x, INPUT),
    "tiny": (lambda x: 1e-300 * np.sum(x**2), lambda x: 2e-300 * x, INPUT),
    "huge": (lambda x: 1e300 * np.sum(x**2), lambda x: 2e300 * x, INPUT),
    "units": (lambda x: np.sum((x / UNITS) ** 2), lambda x: 2 * x / UNITS**2, UNITS * 1.3),
    "complex": (
        lambda z: np.sum(np.abs(z) ** 2),
        lambda z: 2 * z,
        np.array([1 + 2j, -0.5j, 3.0]),
    ),
    "float32": (
        lambda x: np.sum(x**3),
        lambda x: 3 * x**2,
        np.array([1.5, -0.3], np.float32),
    ),
    "float32 inside": (lambda x: np.sum(x.astype("f4") ** 3), lambda x: 3 * x**2, INPUT),
    "float16": (lambda x: np.sum(x**3), lambda x: 3 * x**2, np.array([1.5, -0.3], np.float16)),
    "longdouble": (lambda x: np.sum(x**3), lambda x: 3 * x**2, INPUT.astype(np.longdouble)),
    "number": (np.sin, np.cos, 1.0),
    "whole number": (lambda x: x**2, lambda x: 2 * x, 3),
    "list": (lambda p: p[0] * p[1] ** 2, lambda p: [p[1] ** 2, 2 * p[0] * p[1]], [2.0, 3.0]),
    "list, wrong": (lambda p: p[0] * p[1], lambda p: [p[0], p[1]], [2.0, 3.0]),
    "tuple": (lambda p: p[0] * p[1], lambda p: (p[1], p[0]), (2.0, 3.0)),
    "empty": (np.sum, np.ones_like, np.zeros(0)),
    "NaN in params": (np.sum, np.ones_like, np.array([np.nan, 1.0])),
    "NaN in J": (lambda x: np.sum(x) * np.nan, np.ones_like, INPUT),
    "NaN in grad": (np.sum, lambda x: x * np.nan, INPUT),
    "text": ("cost", np.ones_like, INPUT),
    "grad of another shape": (np.sum, lambda x: np.ones(4), INPUT),
    "grad is None": (np.sum, lambda x: None, INPUT),
    "complex J": (lambda x: np.sum(x) * 1j, np.ones_like, INPUT),
    "J of shape (3,)": (lambda x: x, np.ones_like, INPUT),
}

WAYS: dict[str, dict[str, Any]] = {
    "none": {},
    "rtol": {"rtol": 1e-6},
    "kinks fail": {"kinks": "fail"},
    "warns": {"inconclusive": "warn", "vacuous": "warn"},
    "passes": {"inconclusive": "pass", "vacuous": "pass"},
    "eps": {"eps": 1e-6},
    "two threads": {"workers": 2},
    "complex": {"scheme": "complex"},
    "forward2": {"scheme": "forward2"},
    "central6": {"scheme": "central6"},
    "threshold": {"threshold": 1e-6},
    "twelve": {"max_evals": 12},
}


@group
def situations() -> Iterator[Case]:
    """Yield kinks, edges, noise, what is vacuous and what is bad input, under several options."""
    for title, (func, grad, params) in SITUATIONS.items():
        for name, given in WAYS.items():
            yield f"{title}: {name}", partial(pg.check_gradients, func, grad, params, **given)
        yield f"{title}: numbers", partial(numbers, func, params)
    for title, make in UNSTEADY.items():
        for name in ("none", "warns", "passes", "rtol", "eps", "forward2", "complex"):
            call = partial(_fresh, make, gradient, **WAYS[name])
            yield f"{title}: {name}", call
        yield f"{title}: nondet", partial(_fresh, make, gradient, nondet_tol=1e-2)
        yield f"{title}: wrong", partial(_fresh, make, wrong_gradient)
        yield f"{title}: numbers", partial(_numbers_of, make)


def _fresh(make: Any, grad: Any, **given: Any) -> Any:
    return pg.check_gradients(make(), grad, small(), **given)


def _numbers_of(make: Any) -> Any:
    return numbers(make(), small())


def _failing(error: BaseException | float, beyond: float) -> Callable[[], Any]:
    """Return a maker of funcs that raise, or return a number, where one weight is larger."""

    def func(p: Any) -> Any:
        if p["W"][1, 2] <= small()["W"][1, 2] + beyond:
            return cost(p)
        if isinstance(error, float):
            return error
        raise error

    return lambda: func


def _noisy() -> Any:
    rng = np.random.default_rng(1)
    return lambda p: cost(p) + 1e-3 * rng.standard_normal()


def _drifting() -> Any:
    calls: list[int] = []
    return lambda p: calls.append(1) or cost(p) + 1e-6 * len(calls)


def _writing() -> Any:
    def func(p: Any) -> Any:
        found = cost(p)
        p["W"] *= 2
        return found

    return func


UNSTEADY: dict[str, Callable[[], Any]] = {
    "raises beside": _failing(ValueError("outside"), 0.0),
    "raises at 1e-3": _failing(ValueError("outside"), 1e-3),
    "raises a KeyError": _failing(KeyError("absent"), 0.0),
    "raises a ZeroDivisionError": _failing(ZeroDivisionError("by zero"), 0.0),
    "raises a TypeError": _failing(TypeError("no way"), 0.0),
    "raises everywhere": _failing(RuntimeError("never"), -1.0),
    "raises a LinAlgError": _failing(np.linalg.LinAlgError("singular"), 0.0),
    "NaN beside": _failing(math.nan, 0.0),
    "infinite at 1e-6": _failing(math.inf, 1e-6),
    "noise": _noisy,
    "drift": _drifting,
    "writes to its input": _writing,
}


# What needs no func, and the ways in from elsewhere


@group
def compare_gradients() -> Iterator[Case]:
    """Yield comparisons of two gradients that are both given."""
    right = gradient(small())
    given = {
        "equal": right,
        "wrong": wrong_gradient(small()),
        "slightly wrong": slightly_wrong(small()),
        "single": single_gradient(small()),
        "twice": {"W": 2 * right["W"], "b": right["b"]},
        "transposed": {"W": right["W"].T, "b": right["b"]},
        "NaN": {"W": right["W"] * np.nan, "b": right["b"]},
        "missing": {"W": right["W"]},
        "array": np.ones(3),
    }
    names = ("none", "rtol 1e-2", "atol 1e-5", "threshold", "all shown", "only W", "skip")
    for title, analytic in given.items():
        for name in names:
            call = partial(pg.compare_gradients, analytic, right, **OPTIONS[name])
            yield f"{title}: {name}", call
    for one, another in ((1.0, 1.0), (1.0, 1.1), ([1, 2], [1, 3]), (0.0, 0.0), (np.nan, np.nan)):
        yield f"{one}, {another}", partial(pg.compare_gradients, one, another)
        yield f"relative, {one}, {another}", partial(pg.relative_difference, one, another)
    yield "relative", partial(pg.relative_difference, given["wrong"], right)


@group
def manifold() -> Iterator[Case]:
    """Yield gradients under a constraint, pulled back to tangent coordinates."""
    q = np.array([0.5, -0.1, 0.7, 0.2])
    q /= np.linalg.norm(q)
    weights = np.array([1.0, -2.0, 0.5, 3.0])

    def retract(x: Any, t: Any) -> Any:
        return (x + t) / np.linalg.norm(x + t)

    def check(grad: Any) -> Any:
        given = pg.pulled_back(
            lambda x: np.sum(weights * x**3), grad, q, retract=retract, tangent=np.zeros(4)
        )
        return pg.check_gradients(*given)

    yield "right", partial(check, lambda x: 3 * weights * x**2)
    yield "across", partial(check, lambda x: 3 * weights * x**2 + 5 * x)
    yield "wrong", partial(check, lambda x: 3 * weights * x)


@group
def torch_tensors() -> Iterator[Case]:
    """Yield tensors of torch and its own checker's signature, where it is installed."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    from pytest_gradcheck.compat.torch import gradcheck, gradgradcheck

    w = torch.tensor(small()["W"], requires_grad=True)

    def func(p: Any) -> Any:
        return torch.tanh(p["W"]).pow(2).sum() + p["b"].exp()

    params = {"W": w, "b": torch.tensor(0.3, dtype=torch.float64, requires_grad=True)}
    right = pg.torch_gradients(func)
    yield "right", partial(pg.check_gradients, func, right, params)
    for factor in (1.01, 2.0):
        wrong = partial(_times, right, factor)
        yield f"x {factor}", partial(pg.check_gradients, func, wrong, params)
        few = partial(pg.check_gradients, func, wrong, params, max_evals=10)
        yield f"x {factor}, few", few
    yield "float32", partial(
        pg.check_gradients, func, right, {k: v.detach().float() for k, v in params.items()}
    )  # fmt: skip
    yield "numbers", partial(numbers, func, params)
    yield "gradcheck", partial(gradcheck, torch.tanh, (w,))
    yield "gradgradcheck", partial(gradgradcheck, torch.tanh, (w,))
    yield (
        "gradcheck of a detached part",
        partial(gradcheck, lambda x: x * torch.tanh(x).detach(), (w,), raise_exception=True),
    )


def _times(right: Any, factor: float, p: Any) -> Any:
    return {key: factor * value for key, value in right(p).items()}


def main() -> int:
    """Record, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("record", help="run the cases and write what they give")
    making.add_argument("file", type=Path)
    comparing = commands.add_parser("compare", help="say what differs; status 1 if anything does")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--list", action="store_true", help="name every case that differs")
    for command in (making, comparing):
        command.add_argument("--group", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    given = parser.parse_args()
    if given.command == "record":
        record(given.file, given.group)
        return 0
    old, new = (read(path, given.group) for path in (given.old, given.new))
    lines, differ = compared(old, new, given.list)
    print("\n".join(lines))
    return min(differ, 1)


if __name__ == "__main__":
    sys.exit(main())
