"""The lines of the user's code that a failure names."""

import os
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from pytest_gradcheck import SourceLine, check_gradients, check_hessian, check_jacobian
from pytest_gradcheck._source import repairs, trace

HERE = __file__


@pytest.fixture(autouse=True)
def no_repairs(monkeypatch):
    """Let the order of the lines be theirs: what comes first by a repair has tests of its own."""
    monkeypatch.setattr(repairs, "MOST_TRIED", 0)


X = np.random.default_rng(3).normal(size=(4, 6))
Y = np.random.default_rng(4).normal(size=(2, 6))


def params():
    rng = np.random.default_rng(5)
    return {
        "W1": rng.normal(size=(3, 4)),
        "b1": rng.normal(size=(3, 1)),
        "W2": rng.normal(size=(2, 3)),
        "b2": rng.normal(size=(2, 1)),
    }


def forward(p):
    a = np.tanh(p["W1"] @ X + p["b1"])
    return a, p["W2"] @ a + p["b2"]


def cost(p):
    return np.sum((forward(p)[1] - Y) ** 2)


def line_of(text):
    """Return the number of the only line of this file that holds a text, but for this call's."""
    lines = Path(HERE).read_text(encoding="utf-8").splitlines()
    (number,) = (n for n, line in enumerate(lines, 1) if line.endswith(text) and "_of" not in line)
    return number


def line_text(text):
    """Return the statement of that line."""
    line = Path(HERE).read_text(encoding="utf-8").splitlines()[line_of(text) - 1]
    return line.partition("#")[0].strip()


def told(report):
    return [(line.blocks, line.line, line.role) for line in report.lines]


def changed_in_place(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    dz1 = p["W2"].T @ dz2 * (1 - a**2)
    grads = {}
    grads["W1"], grads["b1"] = dz1 @ X.T, dz1.sum(axis=1, keepdims=True)
    grads["W2"] = dz2 @ a.T
    grads["b2"] = dz2.sum(axis=1, keepdims=True)
    grads["W2"] *= 2  # the bug
    return grads


def test_the_last_change_in_place_is_named_with_the_line_that_made_the_array():
    report = check_gradients(cost, changed_in_place, params())
    assert report.lines == (
        SourceLine(("W2",), HERE, line_of("# the bug"), 'grads["W2"] *= 2', "changed"),
        SourceLine(
            ("W2",),
            HERE,
            line_of('grads["W2"] = dz2 @ a.T'),
            'grads["W2"] = dz2 @ a.T',
            "made",
        ),
    )
    text = report.message().splitlines()
    bug, made = line_of("# the bug"), line_of('grads["W2"] = dz2 @ a.T')
    assert f'W2     grads["W2"] *= 2  test_lines.py:{bug}, made at :{made}' in text


@pytest.mark.parametrize("is_doubled", [True, False])
def test_a_statement_on_the_line_of_its_condition_is_named_only_if_it_is_executed(is_doubled):
    def grad(p):
        right = changed_in_place(p)
        right["W2"] /= 2
        right["b2"] /= 2  # too little
        if is_doubled: right["b2"] *= 8  # fmt: skip  # noqa: E701
        return right

    first = check_gradients(cost, grad, params()).lines[0]
    where = "# fmt: skip  # noqa: E701" if is_doubled else "# too little"
    assert (first.blocks, first.line) == (("b2",), line_of(where))


def doubled_and_no_more(array):
    array *= 2  # in a function that returns nothing
    return


def changed_by_a_function(p):
    right = upstream(p)
    right["W1"], right["b1"] = first_layer(p)
    doubled_and_no_more(right["W2"])  # by a call
    return right


def first_layer(p):
    a, out = forward(p)
    dz1 = p["W2"].T @ (2 * (out - Y)) * (1 - a**2)
    return dz1 @ X.T, dz1.sum(axis=1, keepdims=True)


def test_a_return_of_nothing_makes_nothing():
    report = check_gradients(cost, changed_by_a_function, params())
    assert [(line.line, line.role) for line in report.lines] == [
        (line_of("# by a call"), "changed"),
        (line_of('"W2": dz2 @ a.T,'), "made"),
        (line_of("# in a function that returns nothing"), "from"),
    ]


def in_forms(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    size = np.abs(dW2 := 2 * dz2 @ a.T).max()  # named on the way
    dW1, *biases = *first_layer(p), 3 * dz2.sum(axis=1, keepdims=True), size  # starred
    rest = {
        "b1": biases[0],
        "b2": (  # in parentheses
            biases[1] / 2
        ),
    }
    return dict(W1=dW1, W2=dW2, **rest)


def test_statements_of_all_forms_are_read():
    (weights, *_), (bias, before, *_) = (
        check_gradients(cost, in_forms, params(), only=name).lines for name in ("W2", "b2")
    )
    assert (weights.line, weights.role) == (line_of("# named on the way"), "made")
    assert (bias.line, bias.role) == (line_of('"b2": (  # in parentheses'), "made")
    assert bias.source == '"b2": biases[1] / 2'
    assert (before.line, before.role) == (line_of("# starred"), "from")


def upstream(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    dz1 = p["W2"].T @ dz2 * (1 - a)  # upstream of two blocks
    return {
        "W1": dz1 @ X.T,  # first
        "b1": dz1.sum(axis=1, keepdims=True),
        "W2": dz2 @ a.T,
        "b2": dz2.sum(axis=1, keepdims=True),
    }


def test_what_a_library_copies_is_known_by_its_bits():
    text = "def copied(grad):\n    return lambda p: {k: v.copy() for k, v in grad(p).items()}"
    names = {}
    exec(compile(text, "/lib/site-packages/library.py", "exec"), names)
    plain, through = (
        check_gradients(cost, grad, params()).lines
        for grad in (upstream, names["copied"](upstream))
    )
    made = [line for line in plain if line.role == "made"]
    assert [line.blocks for line in made] == [("W1",), ("b1",)]
    assert [line for line in through if line.role == "made"] == made


def test_what_two_wrong_blocks_come_from_and_no_right_one_is_named_first():
    report = check_gradients(cost, upstream, params())
    assert told(report) == [
        (("W1", "b1"), line_of("# upstream of two blocks"), "shared"),
        (("W1",), line_of('"W1": dz1 @ X.T,  # first'), "made"),
        (("b1",), line_of('"b1": dz1.sum(axis=1, keepdims=True),'), "made"),
        (("W2",), line_of('"W2": dz2 @ a.T,'), "right"),
    ]
    # The hint says that the error enters between W2 and W1: the lines of both are there.
    assert f"test_lines.py:{report.lines[-1].line}, right" in report.message()
    assert report.lines[0].source == 'dz1 = p["W2"].T @ dz2 * (1 - a)'
    assert report.lines[1].source == '"W1": dz1 @ X.T'


class Layer:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def backward(self, dz, a):
        self.dW = dz @ a.T
        self.db = dz.sum(axis=1, keepdims=True)
        if dz.shape[0] == 3:
            self.db /= 6  # the mean of a sum


def layered(p):
    first, second = Layer(p["W1"], p["b1"]), Layer(p["W2"], p["b2"])
    a, out = forward(p)
    dz = 2 * (out - Y)
    second.backward(dz, a)
    first.backward(second.W.T @ dz * (1 - a**2), X)
    layers = [first, second]
    found = {f"W{i}": layer.dW for i, layer in enumerate(layers, 1)}
    return found | {f"b{i}": layer.db for i, layer in enumerate(layers, 1)}


def slope_by_name(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    da1 = p["W2"].T @ dz2
    slope = 1 - a  # the square is lost
    dz1 = da1 * slope
    return all_of(dz1, dz2, a)


def derivative_left_out(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    da1 = p["W2"].T @ dz2
    dz1 = da1  # tanh is left out
    dz1 = dz1 / np.sqrt(1.5)
    dz1 = dz1 * np.sqrt(1.5)
    return all_of(dz1, dz2, a)


def scaled_in_place(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    scale = np.sqrt(1.5)
    dz1 = p["W2"].T @ dz2 * (1 - a)  # the square is lost here
    dz1 *= scale
    dz1 /= scale
    return all_of(dz1, dz2, a)


def along_the_wrong_axis(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    axis = 1
    da1 = p["W2"].T @ dz2 - dz2.mean(axis=axis).sum()  # nothing belongs there
    slope = 1 - a**2
    dz1 = da1 * slope
    return all_of(dz1, dz2, a)


def all_of(dz1, dz2, a):
    sums = np.sum(dz1, axis=1)[:, None], np.sum(dz2, axis=1)[:, None]
    return {"W1": dz1 @ X.T, "b1": sums[0], "W2": dz2 @ a.T, "b2": sums[1]}


def negated_at_last(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    dz1 = p["W2"].T @ dz2 * (1 - a**2)
    found = all_of(dz1, dz2, a)
    return {name: -value for name, value in found.items()}  # of what is right


@pytest.mark.parametrize(
    ("grad", "text"),
    [
        (slope_by_name, "# the square is lost"),
        (derivative_left_out, "# tanh is left out"),
        (scaled_in_place, "# the square is lost here"),
        (negated_at_last, "# of what is right"),
    ],
)
def test_what_only_puts_together_is_not_named_first(grad, text):
    report = check_gradients(cost, grad, params())
    assert report.lines[0].line == line_of(text)
    assert report.lines[0].role == "shared"


def test_a_number_that_is_set_is_not_named_before_what_is_computed():
    report = check_gradients(cost, along_the_wrong_axis, params())
    sources = [line.source for line in report.lines if line.role == "shared"]
    assert sources[0] in ("slope = 1 - a**2", line_text("# nothing belongs there"))
    assert set(sources[2:]) == {"axis = 1", "dz1 = da1 * slope"}


LAMBDA = 0.3
NAME = "W1"


def penalised(p):
    return cost(p) + LAMBDA * np.sum(p["W1"] ** 2)


def a_term_of_two(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    dz1 = p["W2"].T @ dz2 * (1 - a**2)
    data = np.abs(dz1) @ X.T  # the signs are lost
    decay = 2 * LAMBDA * p["W1"]
    rest = all_of(dz1, dz2, a)
    found = {}
    found[NAME] = data + decay
    found["b1"], found["W2"], found["b2"] = rest["b1"], rest["W2"], rest["b2"]
    return found


def test_of_a_sum_the_term_is_named_that_no_hint_would_have_told():
    report = check_gradients(penalised, a_term_of_two, params())
    assert [block.name for block in report.blocks if block.wrong] == ["W1"]
    assert report.lines[0].line == line_of("# the signs are lost")
    assert any(line.source == "found[NAME] = data + decay" for line in report.lines)


def test_attributes_of_layers_are_followed():
    report = check_gradients(cost, layered, params())
    assert told(report)[:2] == [
        (("b1",), line_of("# the mean of a sum"), "changed"),
        (("b1",), line_of("self.db = dz.sum(axis=1, keepdims=True)"), "made"),
    ]


def as_tuple(W, b):
    gap = W @ X + b - Y
    db = gap.sum(axis=1, keepdims=True)
    return (
        2 * gap @ X.T,
        4 * db,  # of a tuple
    )


def affine():
    rng = np.random.default_rng(6)
    return rng.normal(size=(2, 4)), rng.normal(size=(2, 1))


def test_an_expression_in_a_returned_tuple_is_named():
    report = check_gradients(
        lambda p: np.sum((p[0] @ X + p[1] - Y) ** 2), lambda p: as_tuple(*p), affine()
    )
    assert told(report)[0] == (("params[1]",), line_of("# of a tuple"), "made")
    assert report.lines[0].source == "4 * db"


def test_of_lambdas_on_one_line_the_one_that_is_grad_is_named():
    outer = lambda c: lambda x: c * x  # noqa: E731
    for grad, source in ((lambda x: 3 * x, "3 * x"), (outer(3), "c * x")):
        report = check_gradients(lambda x: x @ x, grad, np.array([1.0, 2.0]))
        assert [line.source for line in report.lines] == [source]
    report = check_gradients(lambda x: x @ x, lambda x: 4 * x, np.array([1.0, 2.0]))
    assert [line.source for line in report.lines] == ["4 * x"]


def test_a_lambda_s_expression_is_named():
    x = np.array([1.0, 2.0])
    grad = lambda x: 3 * x  # noqa: E731
    report = check_gradients(lambda x: x @ x, grad, x)
    (line,) = report.lines
    assert (line.line, line.source) == (line_of("3 * x  # noqa: E731"), "3 * x")


def by_a_helper(p):
    a, out = forward(p)
    dz2 = 2 * (out - Y)
    grads = dict.fromkeys(p)
    for i, dz, source in ((1, p["W2"].T @ dz2 * (1 - a**2), X), (2, dz2, a)):
        grads[f"W{i}"], grads[f"b{i}"] = linear(dz, source)
    np.multiply(grads["b2"], 3, out=grads["b2"])  # by a library
    return grads


def linear(dz, a):
    dW = dz @ a.T
    db = dz.sum(axis=1, keepdims=True)
    return dW, db


def test_a_change_by_a_library_and_an_array_made_in_a_helper_are_found():
    report = check_gradients(cost, by_a_helper, params())
    assert told(report)[:2] == [
        (("b2",), line_of("# by a library"), "changed"),
        (("b2",), line_of("    db = dz.sum(axis=1, keepdims=True)"), "made"),
    ]


def swapped(p):
    grads = upstream_right(p)
    grads["b1"], grads["b3"] = grads["b3"], grads["b1"]  # exchanged
    return grads


def upstream_right(p):
    return {"b1": 2 * p["b1"], "b3": 3 * p["b3"]}


def test_what_takes_another_s_place_is_named():
    report = check_gradients(
        lambda p: np.sum(p["b1"] ** 2 + 1.5 * p["b3"] ** 2),
        swapped,
        {"b1": np.array([1.0, 2.0]), "b3": np.array([3.0, 5.0])},
    )
    assert report.lines[0].line == line_of("# exchanged")


def copied(p):
    dW = 3 * p["W"]  # then copied
    return {name: value.copy() for name, value in {"W": dW}.items()}


def test_a_copy_is_made_where_it_is_copied_from_what_is_named_behind():
    report = check_gradients(lambda p: np.sum(p["W"] ** 2), copied, {"W": np.ones(3)})
    assert line_of("# then copied") in [line.line for line in report.lines]


def with_pair(p):
    gap = p - 1.0
    return gap @ gap, 4 * gap  # with the cost


def test_a_func_that_returns_its_gradient_is_called_once_more():
    report = check_gradients(with_pair, True, np.array([0.5, 2.0]))
    assert [line.line for line in report.lines][:1] == [line_of("# with the cost")]


def count_calls(grad):
    def counted(p):
        counted.calls += 1
        return grad(p)

    counted.calls = 0
    return counted


def test_nothing_is_traced_where_the_gradient_is_right(monkeypatch):
    calls = []
    monkeypatch.setattr("pytest_gradcheck._gradient.follow_up_calls.traced", calls.append)
    right, wrong = (
        check_gradients(lambda p: p @ p, lambda p, c=c: c * p, np.array([1.0, 2.0])) for c in (2, 3)
    )
    assert (right.verdict, wrong.verdict, len(calls)) == ("agree", "disagree", 1)


def test_a_failure_costs_one_call_of_grad_and_none_of_func(monkeypatch):
    func, grad = count_calls(lambda p: p @ p), count_calls(lambda p: 3 * p)
    x = np.array([1.0, 2.0])
    with_lines = check_gradients(func, grad, x)
    calls, evaluations = grad.calls, with_lines.evaluations
    monkeypatch.setattr("pytest_gradcheck._gradient.follow_up_calls.traced", None)
    without = check_gradients(lambda p: p @ p, grad, x)
    assert (calls, evaluations) == (grad.calls - calls + 1, without.evaluations)
    assert func.calls == evaluations


def test_an_error_in_the_tracing_costs_the_lines_and_no_more(monkeypatch):
    def broken(*_):
        raise RuntimeError("no tracer")

    monkeypatch.setattr("pytest_gradcheck._gradient.follow_up_calls.lines_of", broken)
    report = check_gradients(lambda p: p @ p, lambda p: 3 * p, np.array([1.0, 2.0]))
    assert (report.verdict, report.lines) == ("disagree", ())
    assert "is made by" not in report.message()


@pytest.mark.parametrize("limit", ["SECONDS", "MOST_STEPS", "MOST_BYTES"])
def test_beyond_a_limit_nothing_is_said(monkeypatch, limit):
    monkeypatch.setattr(f"pytest_gradcheck._source.trace.{limit}", -1)
    report = check_gradients(cost, changed_in_place, params())
    assert (report.verdict, report.lines) == ("disagree", ())


def by_numpy_alone(p):
    return np.multiply(p, 3)


def test_of_a_gradient_that_no_line_of_the_user_made_nothing_is_said():
    from functools import partial

    report = check_gradients(lambda p: p @ p, partial(np.multiply, 3), np.array([1.0, 2.0]))
    assert (report.verdict, report.lines) == ("disagree", ())


def test_a_gradient_that_fails_in_its_last_call_costs_the_lines_and_no_more():
    calls = []

    def grad(p):
        calls.append(1)
        if sys.gettrace() is not before or len(calls) > most:
            raise RuntimeError("once too often")
        return 3 * p

    before, most = sys.gettrace(), 10**6
    check_gradients(lambda p: p @ p, lambda p: calls.append(1) or 3 * p, np.array([1.0, 2.0]))
    most = len(calls) - 1
    calls.clear()
    report = check_gradients(lambda p: p @ p, grad, np.array([1.0, 2.0]))
    assert (report.verdict, report.lines) == ("disagree", ())
    assert sys.gettrace() is before


class Debugger:
    """A trace function as a debugger sets it."""

    def __init__(self):
        self.seen = []

    def __call__(self, frame, event, value):
        self.seen.append((frame.f_code.co_name, event))
        return self


@pytest.fixture
def traced_by(monkeypatch):
    before, debugger = sys.gettrace(), Debugger()
    sys.settrace(debugger)
    yield debugger
    sys.settrace(before)


def test_a_debugger_s_trace_function_is_put_back(traced_by):
    report = check_gradients(cost, changed_in_place, params())
    assert sys.gettrace() is traced_by
    assert report.lines[0].line == line_of("# the bug")
    traced_by.seen.clear()
    forward(params())
    assert ("forward", "return") in traced_by.seen


def test_it_is_put_back_after_an_interruption(traced_by):
    def grad():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trace.traced(grad)
    assert sys.gettrace() is traced_by


def test_other_threads_are_not_followed():
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            changed_in_place(params())

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        report = check_gradients(cost, upstream, params())
    finally:
        stop.set()
        thread.join()
    assert report.lines[0].line == line_of("# upstream of two blocks")


def test_checks_in_threads_name_their_lines():
    found = {}

    def check(name, grad):
        found[name] = check_gradients(cost, grad, params()).lines[0].line

    jobs = {"upstream": upstream, "changed": changed_in_place}
    threads = [threading.Thread(target=check, args=job) for job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {
        "upstream": line_of("# upstream of two blocks"),
        "changed": line_of("# the bug"),
    }


def test_the_lines_are_builtins_in_the_json():
    plain = check_gradients(cost, changed_in_place, params()).to_dict()["lines"]
    assert plain[0] == {
        "blocks": ["W2"],
        "file": HERE,
        "line": line_of("# the bug"),
        "source": 'grads["W2"] *= 2',
        "role": "changed",
        "mended": "",
    }


@pytest.mark.parametrize("width", [76, 60, 46])
def test_the_table_of_lines_fits(width):
    lines = tuple(
        SourceLine(
            (f"layers[{k}].weight",),
            "/a/very_long_name_of_a_module_of_mine.py",
            k,
            "x" * 90,
            "made",
        )
        for k in range(12)
    )
    from pytest_gradcheck._source.lines import source_table

    table = source_table(lines, width)
    assert len(table) == 9
    assert max(map(len, table)) <= width
    assert all(line.endswith(f":{k}") for k, line in enumerate(table[1:]))


@pytest.mark.parametrize("under", ["nothing", "coverage", "xdist"])
def test_in_pytest(pytester, under, monkeypatch):
    # What measures these tests themselves is not the coverage that is tried.
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
    pytester.makepyfile(
        net=textwrap.dedent(
            """
            def cost(p):
                return (p["w"] ** 2).sum()

            def grad(p):
                dw = 2 * p["w"]
                dw[0] = 0
                return {"w": dw}

            def later():
                return 1
            """
        ),
        test_net="""
            import numpy as np
            import net

            def test_it(gradcheck):
                gradcheck(net.cost, net.grad, {"w": np.arange(1.0, 4.0)})

            def test_later():
                assert net.later() == 1
            """,
    )
    pytest_ = ["-m", "pytest", "-p", "no:cacheprovider"]
    if under == "coverage":
        pytest.importorskip("coverage")
        pytest_ = ["-m", "coverage", "run", "--include", "net.py", *pytest_]
    if under == "xdist":
        pytest.importorskip("xdist")
        pytest_ += ["-n", "1"]
    result = pytester.run(sys.executable, *pytest_)
    result.stdout.fnmatch_lines(["E *w      dw[[]0] = 0   net.py:6, made at :5"])
    if under == "coverage":
        result = pytester.run(sys.executable, "-m", "coverage", "report")
        result.stdout.fnmatch_lines(["net.py * 100%"])


def residual(x):
    return np.array([x[0] ** 2 + x[1], np.sin(x[1])])


def jacobian(x):
    J = np.array([[2 * x[0], 1.0], [0.0, np.cos(x[1])]])
    J[1, 1] = -J[1, 1]  # a sign
    return J


def test_the_line_of_a_jacobian_is_named():
    report = check_jacobian(residual, jacobian, np.array([1.0, 2.0]))
    (block,) = report.blocks
    assert told(report) == [
        ((block.name,), line_of("# a sign"), "changed"),
        ((block.name,), line_of("J = np.array([[2 * x[0], 1.0], [0.0, np.cos(x[1])]])"), "made"),
    ]


def hessian(x):
    H = np.diag(6 * x)
    return H + 1.0  # an offset


def test_the_line_of_a_hessian_is_named():
    report = check_hessian(lambda x: np.sum(x**3), hessian, np.array([1.0, 2.0]))
    assert report.lines[0].line == line_of("# an offset")


def one_vector(theta):
    p = {"W": theta[:8].reshape(2, 4), "b": theta[8:].reshape(2, 1)}
    gap = p["W"] @ X + p["b"] - Y
    dW = 2 * gap @ X.T
    db = gap.sum(axis=1)  # without its 2
    return np.concatenate([dW.ravel(), db])


def test_the_part_of_a_vector_that_is_wrong_is_named():
    def cost(theta):
        return np.sum((theta[:8].reshape(2, 4) @ X + theta[8:].reshape(2, 1) - Y) ** 2)

    report = check_gradients(cost, one_vector, np.linspace(-1.0, 1.0, 10))
    assert told(report) == [
        (("params",), line_of("# without its 2"), "made"),
        (("params",), line_of("return np.concatenate([dW.ravel(), db])"), "made"),
    ]


def slope_and_intercept(theta):
    residual = X.T @ theta[:-1] + theta[-1] - Y[0]
    found = np.empty_like(theta)
    found[:-1] = np.abs(X) @ residual  # of other data
    found[-1] = residual.sum()
    return found


def test_what_wrote_right_entries_alone_is_not_named():
    def cost(theta):
        return 0.5 * np.sum((X.T @ theta[:-1] + theta[-1] - Y[0]) ** 2)

    report = check_gradients(cost, slope_and_intercept, np.linspace(-1.0, 1.0, 5))
    assert told(report)[0] == (("params",), line_of("# of other data"), "changed")
    assert not [line for line in report.lines if "residual.sum" in line.source]
    assert not [line for line in report.lines if line.source.startswith("residual")]


class Scaled:
    def __init__(self, name):
        self.name = name

    def forward(self, p, x):
        self.x = x
        return p[self.name] * x

    def backward(self, p, d, grads):
        grads[self.name] += d * np.abs(self.x)  # the absolute value
        return d * p[self.name]


def through(p):
    stack = [Scaled(name) for name in ("s", "t")]
    value = X[0]
    for one in stack:
        value = one.forward(p, value)
    return stack, value


def by_names_of_layers(p):
    stack, value = through(p)
    grads = {name: np.zeros_like(one) for name, one in p.items()}
    d = np.cos(value)
    for one in reversed(stack):
        d = one.backward(p, d, grads)
    return grads


def test_a_change_is_seen_whatever_names_the_entry():
    report = check_gradients(
        lambda p: np.sum(np.sin(through(p)[1])),
        by_names_of_layers,
        {"s": np.linspace(0.5, 1.0, 6), "t": np.linspace(-1.0, -0.4, 6)},
    )
    assert (("s", "t"), line_of("# the absolute value"), "shared") in told(report)


def test_methods_that_func_names_and_functions_in_comprehensions_are_run_by_it():
    run = trace.run_by(lambda p: np.sum(through(p)[1]))
    assert Scaled.forward.__code__ in run
    assert Scaled.backward.__code__ not in run
    assert cost.__code__ not in run
