"""Structures, options, marker arguments and ini strings that nobody would think of."""

import json
import math
import re
import warnings
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amounts import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytest_gradcheck import GradientReport, check_gradients, numerical_gradient
from pytest_gradcheck._options import CLI_FIELDS, NAMES
from pytest_gradcheck.plugin.config import fixture_options, marker_options, read_settings


def fuzz(count):
    return settings(
        derandomize=True,
        deadline=None,
        database=None,
        max_examples=examples(count),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


# Structures

Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Layer:
    W: Any
    b: Any = None


SHAPES = [(), (1,), (3,), (0,), (2, 2), (2, 0, 3), (1, 1, 2)]

numbers = st.integers(-3000, 3000).map(lambda thousandths: thousandths / 1000)


@st.composite
def arrays(draw):
    shape = draw(st.sampled_from(SHAPES))
    size = math.prod(shape)
    values = draw(st.lists(numbers, min_size=size, max_size=size))
    array = np.array(values, dtype=draw(st.sampled_from([np.float64, np.float64, np.float32])))
    array = array.reshape(shape)
    look = draw(st.sampled_from(["C", "F", "reversed", "strided", "read-only"]))
    if look == "F":
        return np.asfortranarray(array)
    if look == "reversed" and array.ndim:
        return array[::-1]
    if look == "strided" and array.ndim:
        return np.repeat(array, 2, axis=0)[::2]
    array.setflags(write=look != "read-only")
    return array


keys = st.one_of(
    st.text(max_size=4),
    st.sampled_from(["W", "a.b", "x[0]", "", "\x1b[31m", "\u202e", "0", "a b"]),
    st.integers(-2, 2),
    st.tuples(st.integers(0, 1), st.text(max_size=2)),
)

structures = st.recursive(
    arrays() | numbers,
    lambda inner: st.one_of(
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(OrderedDict),
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
        st.tuples(inner, inner | st.none()).map(lambda pair: Layer(*pair)),
    ),
    max_leaves=6,
)


def children(value):
    """Return the steps to the parts of a container with each, or None for a leaf."""
    if isinstance(value, dict):
        plain = re.compile(r"[\w.\-/:]+")
        return [
            (f".{key}" if isinstance(key, str) and plain.fullmatch(key) else f"[{key!r}]", item)
            for key, item in value.items()
        ]
    if isinstance(value, Pair):
        return [(".left", value.left), (".right", value.right)]
    if isinstance(value, Layer):
        return [(".W", value.W), (".b", value.b)]
    if isinstance(value, (list, tuple)):
        return [(f"[{k}]", item) for k, item in enumerate(value)]
    return [] if value is None else None


def leaves(value, path=""):
    """Return the name and the value of each leaf, as the documentation names them."""
    parts = children(value)
    if parts is None:
        name = path[1:] if path.startswith(".") else "params" + path
        return [(name, value)]
    return [leaf for step, part in parts for leaf in leaves(part, path + step)]


def mapped(function, value):
    """Return a structure with `function` of each leaf in its place, one after the other."""
    if isinstance(value, dict):
        return type(value)((key, mapped(function, item)) for key, item in value.items())
    if isinstance(value, Pair):
        return Pair(mapped(function, value.left), mapped(function, value.right))
    if isinstance(value, Layer):
        return Layer(mapped(function, value.W), mapped(function, value.b))
    if isinstance(value, (list, tuple)):
        return type(value)([mapped(function, item) for item in value])
    return None if value is None else function(value)


def cost(params):
    """Σ w·(x³/3 + x), whose slope w·(x² + 1) is nowhere small."""
    total = 0.0
    for k, (_, leaf) in enumerate(leaves(params)):
        x = np.asarray(leaf, dtype=np.float64)
        total += (1 + k % 3) * float(np.sum(x**3 / 3 + x))
    return total


def gradient(params):
    count = iter(range(10_000))

    def slope(leaf):
        found = (1 + next(count) % 3) * (np.asarray(leaf, dtype=np.float64) ** 2 + 1)
        return found if isinstance(leaf, np.ndarray) else float(found)

    return mapped(slope, params)


def bits(params):
    return [(name, type(leaf), np.asarray(leaf).tobytes()) for name, leaf in leaves(params)]


def round_trip(report):
    """Return a report as strict JSON brings it back."""

    def refuse(name):
        raise ValueError(name)

    text = json.dumps(report.to_dict(), allow_nan=False, ensure_ascii=False)
    return json.loads(text.encode("utf-8").decode("utf-8"), parse_constant=refuse)


@fuzz(120)
@given(params=structures, data=st.data())
def test_any_structure(params, data):
    named = leaves(params)
    names = [name for name, _ in named]
    assume(len(set(names)) == len(names))
    before = bits(params)
    options = {
        "vacuous": "pass",
        "copy": data.draw(st.booleans()),
        "workers": data.draw(st.sampled_from([1, 1, map])),
    }
    right = check_gradients(cost, gradient, params, **options)
    assert [block.name for block in right.blocks] == names
    assert [block.shape for block in right.blocks] == [np.shape(leaf) for _, leaf in named]
    size = sum(np.size(leaf) for _, leaf in named)
    assert right.size == size
    assert (right.verdict, right.wrong) == ("agree" if size else "inconclusive", 0)
    assert round_trip(right) == right.to_dict()
    assert bits(params) == before
    if not size:
        return
    place = data.draw(st.sampled_from([k for k, (_, leaf) in enumerate(named) if np.size(leaf)]))
    index = data.draw(st.sampled_from(list(np.ndindex(np.shape(named[place][1])))))

    def spoiled(p):
        count = iter(range(len(named)))

        def spoil(leaf):
            if next(count) != place:
                return leaf
            if not isinstance(leaf, np.ndarray):
                return leaf * 1.5
            copy = leaf.copy()
            copy[index] *= 1.5
            return copy

        return mapped(spoil, gradient(p))

    wrong = check_gradients(cost, spoiled, params, **options)
    inside = f"[{', '.join(map(str, index))}]" if index else ""
    assert [e.label for e in wrong.worst if e.verdict == "disagree"] == [names[place] + inside]
    assert (wrong.wrong, wrong.verdict) == (1, "disagree")
    assert round_trip(wrong) == wrong.to_dict()
    text = wrong.message() + wrong.details() + wrong.summary()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert bits(params) == before


@fuzz(40)
@given(params=structures)
def test_any_structure_comes_back_from_the_engine_alone(params):
    names = [name for name, _ in leaves(params)]
    assume(len(set(names)) == len(names))
    before = bits(params)
    found = numerical_gradient(cost, params)
    assert bits(params) == before
    assert type(found) is (type(params) if children(params) is not None else type(found))
    for (name, numeric), (other, exact) in zip(
        leaves(found), leaves(gradient(params)), strict=True
    ):
        assert name == other
        assert np.shape(numeric) == np.shape(exact)
        np.testing.assert_allclose(numeric, exact, rtol=1e-5)


@fuzz(40)
@given(params=structures, other=structures)
def test_a_gradient_of_another_structure_is_refused_by_name(params, other):
    names, others = ([name for name, _ in leaves(value)] for value in (params, other))
    assume(len(set(names)) == len(names) and len(set(others)) == len(others) and names)
    shapes, other_shapes = ([np.shape(leaf) for _, leaf in leaves(v)] for v in (params, other))
    assume(
        sorted(zip(names, shapes, strict=True)) != sorted(zip(others, other_shapes, strict=True))
    )
    before = bits(params)
    with pytest.raises((TypeError, ValueError), match="the gradient "):
        check_gradients(cost, other, params)
    assert bits(params) == before


@fuzz(40)
@given(params=structures)
def test_in_place_any_structure_of_arrays(params):
    params = mapped(lambda leaf: np.array(leaf, dtype=float), params)
    named = leaves(params)
    assume(len({name for name, _ in named}) == len(named))
    before = bits(params)
    report = check_gradients(
        lambda: cost(params), lambda: gradient(params), params, in_place=True, vacuous="pass"
    )
    assert report.wrong == 0
    assert bits(params) == before
    assert all(leaf is other for (_, leaf), (_, other) in zip(named, leaves(params), strict=True))


tiny = st.floats(-3, 3) | st.sampled_from([5e-324, 1e-300, 1e-38, 1e-20, 1e-16, 1e-8, 0.0, -0.0])


@fuzz(80)
@given(
    params=st.lists(
        tiny | st.lists(tiny, min_size=1, max_size=4).map(np.array), min_size=1, max_size=4
    ),
    data=st.data(),
)
def test_parameters_of_any_size_are_never_accused_and_never_passed(params, data):
    """Where no step can show a slope the check may be inconclusive, and nothing else."""
    assert check_gradients(cost, gradient, params).wrong == 0
    wrong = gradient(params)
    place = data.draw(st.sampled_from(range(len(params))))
    if isinstance(wrong[place], float):
        wrong[place] *= 1.5
        label = f"params[{place}]"
    else:
        index = data.draw(st.sampled_from(range(len(wrong[place]))))
        wrong[place][index] *= 1.5
        label = f"params[{place}][{index}]"
    report = check_gradients(cost, wrong, params)
    assert not report.ok
    assert {entry.label for entry in report.worst if entry.verdict == "disagree"} <= {label}


# Options


class Odd:
    """Has a text, a truth and a number that are all of no use."""

    def __repr__(self):
        raise RuntimeError("not to be shown")

    def __bool__(self):
        raise RuntimeError("neither")

    def __eq__(self, other):
        raise RuntimeError("not to be compared")

    def __float__(self):
        raise RuntimeError("no number")

    __hash__ = object.__hash__


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.integers(),
    st.floats(),
    st.floats(1e-12, 1.0),
    st.complex_numbers(),
    st.text(max_size=6),
    st.binary(max_size=3),
    st.decimals(),
    st.fractions(),
    st.sampled_from(
        [
            Odd(),
            Odd,
            object(),
            np.float64(1e-5),
            np.float32(1e-5),
            np.int64(9),
            np.True_,
            np.array(1e-5),
            np.array([1e-5, 1.0]),
            np.array("central"),
            np.datetime64("NaT", "s"),
            np.ma.masked,
            10**400,
            "1e-5",
            "1e400",
            "9" * 5000,
            "central",
            "central4",
            "forward",
            "complex",
            "fail",
            "warn",
            "pass",
            "W",
            "b*",
            "[",
            "params",
            math,
            ...,
        ]
    ),
)

values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=2), scalars)


def small(name, value):
    """Return whether a value is none of the few that are legal and of no use here."""
    if name != "workers":
        return True
    if callable(value):
        return False  # what any callable does as a map is its own business
    return not isinstance(value, (int, float, np.number, np.ndarray)) or bool(
        np.all(np.asarray(value) < 5)
    )


given_options = st.dictionaries(st.sampled_from(NAMES), values, max_size=3)

PARAMS = {"W": np.array([[1.0, 2.0]]), "b": np.array([0.5])}


def quadratic(params):
    return sum((value**2).sum() for value in params.values())


def told(error):
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


@fuzz(400)
@given(options=given_options)
def test_any_options_make_a_report_or_an_error_that_names_one(options):
    assume(all(small(name, value) for name, value in options.items()))
    before = bits(PARAMS)
    grads = {name: 2 * value for name, value in PARAMS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report = check_gradients(quadratic, grads, PARAMS, **options)
        except (TypeError, ValueError) as error:
            text = told(error)
            assert any(name in text for name in options), text
            assert len(text) < 1000
            assert all(c.isprintable() or c == "\n" for c in text)
        else:
            assert isinstance(report, GradientReport)
            assert report.wrong == 0, report.message()
            assert round_trip(report) == report.to_dict()
    assert bits(PARAMS) == before


@fuzz(60)
@given(name=st.text(min_size=1, max_size=8), value=values)
def test_an_unknown_option_is_named(name, value):
    assume(name not in NAMES)
    with pytest.raises(pytest.fail.Exception) as caught:
        fixture_options({name: value})
    assert str(caught.value).startswith("fixture gradcheck_options: no option named ")
    assert all(c.isprintable() for c in str(caught.value))


@fuzz(60)
@given(value=values)
def test_what_the_options_of_a_directory_are_no_mapping_of(value):
    try:
        found = fixture_options(value)
    except pytest.fail.Exception as error:
        text = str(error)
        assert text.startswith("fixture gradcheck_options: ")
        assert len(text) < 1500
    else:
        assert found == {}  # None of the keys drawn here is an option
        assert value == {}


# Markers


@pytest.fixture
def marked(request):
    """Return a function that reads the options of markers, as if they stood at this very test."""
    own = request.node.own_markers
    before = list(own)

    def read(*marks):
        own[:] = [mark.mark for mark in marks]
        try:
            return marker_options(request.node)
        finally:
            own[:] = before

    return read


@fuzz(300)
@given(
    marks=st.lists(
        st.tuples(
            st.lists(values, max_size=1),
            st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), values, max_size=2),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_marker_gives_options_or_an_error_that_names_one(marked, marks):
    stacked = [
        pytest.mark.gradcheck.with_args(*positional, **keywords) for positional, keywords in marks
    ]
    try:
        found = marked(*stacked)
    except pytest.fail.Exception as error:
        text = str(error)
        assert text.startswith("marker gradcheck: ")
        assert len(text) < 1500
        assert all(c.isprintable() for c in text)
        positional = any(arguments for arguments, _ in marks)
        keywords = {name for _, given in marks for name in given}
        refused = any(f"marker gradcheck: {name} " in text for name in keywords & {*NAMES})
        assert refused or "; the options are rtol, atol, eps, " in text
        assert (positional and "takes options by keyword only, not " in text) or any(
            f"marker gradcheck: {name} " in text or name not in NAMES for name in keywords
        )
    else:
        assert not any(arguments for arguments, _ in marks)
        assert set(found) == {name for _, keywords in marks for name in keywords} <= set(NAMES)
        nearest = {name: None for _, keywords in reversed(marks) for name in keywords}
        assert list(found) == list(nearest)


# Ini file and command line


written = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
    st.sampled_from(
        ["1e-5", "nan", "inf", "-1", "0", "1e400", "9" * 400, "0x10", "1_000", "true", "central"]
    ),
    st.floats().map(str),
    st.integers().map(str),
)


@pytest.mark.parametrize("way", ["ini", "command line"])
@fuzz(40)
@given(name=st.sampled_from([item.name for item in CLI_FIELDS]), value=written)
def test_any_string_is_a_setting_or_an_error_that_names_its_key(pytester, capsys, way, name, value):
    if way == "ini":
        arguments, key = ["-o", f"gradcheck_{name}={value}"], f"gradcheck_{name}"
    else:
        key = f"--gradcheck-{name.replace('_', '-')}"
        arguments = [f"{key}={value}"]
    options, said = {}, key
    try:
        config = pytester.parseconfig(*arguments, "-p", "no:hypothesispytest")
        options = read_settings(config).options
    except pytest.UsageError as error:
        said = str(error) + capsys.readouterr().err
    assert key in said
    assert len(said) < 3000
    assert set(options) <= {name}
    assert all(option is not None for option in options.values())
