"""Every structure that parameters come in: taken apart, named, and put together again."""

import collections
import enum
import types
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, numerical_gradient, numerical_gradient_with_error
from pytest_gradcheck._evaluate import problem
from pytest_gradcheck._params import layout, work_copy
from pytest_gradcheck._params.arrays_and_structure import flatten


def half_square(params: Any) -> float:
    """Return ½Σθ² over all leaves, so that the gradient is the parameters themselves."""
    return float(
        sum(0.5 * np.sum(np.abs(np.asarray(leaf.value)) ** 2) for leaf in flatten(params).leaves)
    )


def identity(params: Any) -> Any:
    return params


def twice(params: Any) -> Any:
    structure = flatten(params)
    return structure.rebuild([2 * leaf.value for leaf in structure.leaves])


def labels(params: Any) -> set[str]:
    """Return the labels of all parameters: each is wrong."""
    report = check_gradients(half_square, twice, params, max_report=0)
    assert report.verdict == "disagree"
    assert report.wrong == report.size
    return {entry.label for entry in report.worst}


class Layer(NamedTuple):
    W: Any
    bias: Any


@dataclass
class Net:
    layers: list
    scale: float


@dataclass(frozen=True)
class Frozen:
    W: Any
    b: Any


@dataclass(frozen=True, slots=True)
class Slots:
    W: Any
    b: Any


@dataclass
class Counted:
    W: Any
    made: int = field(default=0, init=False)
    inits = 0

    def __post_init__(self):
        type(self).inits += 1


class AttributeDict(dict):
    __getattr__ = dict.__getitem__


class Attributes(dict):
    """A well-known recipe: its entries are its attributes, and the other way round."""

    def __init__(self, *given, **entries):
        super().__init__(*given, **entries)
        self.__dict__ = self


class TaggedList(list):
    def __init__(self, items, tag=""):
        super().__init__(items)
        self.tag = tag


class TaggedTuple(tuple):
    def tagged(self, tag):
        self.tag = tag
        return self


class Pair(tuple):
    def __new__(cls, first, second):
        return super().__new__(cls, (first, second))


class Named(Layer):
    """A named tuple that does something to what it is made of."""

    def __new__(cls, W, bias):
        return super().__new__(cls, 2 * W, bias)


W = np.array([[0.5, -1.5, 2.5], [3.5, -4.5, 5.5]])
B = np.array([0.25, -0.75])

STRUCTURES = {
    "float": (2.5, {"params"}),
    "int": (3, {"params"}),
    "float64": (np.float64(2.5), {"params"}),
    "0-d": (np.array(2.5), {"params"}),
    "vector": (B, {"params[0]", "params[1]"}),
    "one entry": (np.array([2.5]), {"params[0]"}),
    "(1, 1, 1)": (np.full((1, 1, 1), 2.5), {"params[0, 0, 0]"}),
    "dict": ({"b": B, "k": 2.5}, {"b[0]", "b[1]", "k"}),
    "0-d in a dict": ({"k": np.array(2.5)}, {"k"}),
    "list": ([B, 2.5], {"params[0][0]", "params[0][1]", "params[1]"}),
    "list of floats": ([1.5, 2.5], {"params[0]", "params[1]"}),
    "tuple": ((B, 2.5), {"params[0][0]", "params[0][1]", "params[1]"}),
    "named tuple": (Layer(B, 2.5), {"W[0]", "W[1]", "bias"}),
    "dataclass": (Net([B], 2.5), {"layers[0][0]", "layers[0][1]", "scale"}),
    "frozen dataclass": (Frozen(B, 2.5), {"W[0]", "W[1]", "b"}),
    "frozen dataclass with slots": (Slots(B, 2.5), {"W[0]", "W[1]", "b"}),
    "namespace": (types.SimpleNamespace(b=B), {"b[0]", "b[1]"}),
    "mapping proxy": (types.MappingProxyType({"b": B}), {"b[0]", "b[1]"}),
    "ordered dict": (collections.OrderedDict(b=B), {"b[0]", "b[1]"}),
    "default dict": (collections.defaultdict(list, b=B), {"b[0]", "b[1]"}),
    "counter": (collections.Counter(a=2.5, b=1.5), {"a", "b"}),
    "attribute dict": (AttributeDict(b=B), {"b[0]", "b[1]"}),
    "attributes": (Attributes(b=B), {"b[0]", "b[1]"}),
    "list subclass": (TaggedList([2.5]), {"params[0]"}),
    "tuple subclass": (Pair(B, 2.5), {"params[0][0]", "params[0][1]", "params[1]"}),
    "named tuple's subclass": (Named(B, 2.5), {"W[0]", "W[1]", "bias"}),
    "layers": (
        {"layers": [{"W": W[:, :1], "bias": B[:1]}, Layer(W[:1, :1], 2.5)]},
        {
            "layers[0].W[0, 0]",
            "layers[0].W[1, 0]",
            "layers[0].bias[0]",
            "layers[1].W[0, 0]",
            "layers[1].bias",
        },
    ),
    "beside empty containers": (
        {"b": B, "none": None, "l": [], "d": {}, "t": ()},
        {"b[0]", "b[1]"},
    ),
    "beside an empty array": ({"b": B, "e": np.zeros((0, 3))}, {"b[0]", "b[1]"}),
    "Fortran": (np.asfortranarray(W), {f"params[{i}, {j}]" for i in range(2) for j in range(3)}),
    "every other": (W[:, ::2], {f"params[{i}, {j}]" for i in range(2) for j in range(2)}),
    "reversed": (W[::-1, ::-1], {f"params[{i}, {j}]" for i in range(2) for j in range(3)}),
    "transposed": (W.T, {f"params[{i}, {j}]" for i in range(3) for j in range(2)}),
    "broadcast": (
        np.broadcast_to(B, (2, 2)),
        {f"params[{i}, {j}]" for i in (0, 1) for j in (0, 1)},
    ),
    "other byte order": (B.astype(">f8"), {"params[0]", "params[1]"}),
    "complex": (np.array([1 + 2j]), {"params[0].real", "params[0].imag"}),
    "complex number": (1 + 2j, {"params.real", "params.imag"}),
    "complex 0-d": (np.array(1 + 2j), {"params.real", "params.imag"}),
    "complex in a dict": ({"z": 1 + 2j, "b": 2.5}, {"z.real", "z.imag", "b"}),
    "complex Fortran": (
        np.asfortranarray([[1 + 2j, 3 - 1j]]),
        {f"params[0, {j}].{part}" for j in (0, 1) for part in ("real", "imag")},
    ),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_right_and_wrong_gradients_in_every_structure(name):
    params, expected = STRUCTURES[name]
    right = check_gradients(half_square, identity, params)
    assert (right.verdict, right.size, right.checked) == ("agree", len(expected), len(expected))
    assert labels(params) == expected


@pytest.mark.parametrize("name", STRUCTURES)
def test_numerical_gradient_has_the_structure_of_params(name):
    params, _ = STRUCTURES[name]
    numeric = numerical_gradient(half_square, params)
    value, error = numerical_gradient_with_error(half_square, params)
    assert type(numeric) in (type(params), float, complex, np.ndarray)
    for found in (numeric, value, error):
        assert [leaf.name for leaf in flatten(found).leaves] == [
            leaf.name for leaf in flatten(params).leaves
        ]
    rows = zip(*(flatten(item).leaves for item in (params, numeric, value)), strict=True)
    for given, plain, accurate in rows:
        assert np.shape(plain.value) == np.shape(given.value)
        np.testing.assert_allclose(plain.value, given.value, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(accurate.value, given.value, rtol=1e-9, atol=1e-11)


def test_numerical_gradient_gives_floats_and_new_float64_arrays():
    params = {"W": np.ones((2, 2), np.float32), "k": 2, "z": np.ones(1, np.complex64)}
    params["k"] = 2.0
    numeric = numerical_gradient(half_square, params)
    assert type(numeric["k"]) is float
    assert numeric["W"].dtype == np.float64
    assert numeric["z"].dtype == np.complex128
    assert numeric["W"] is not params["W"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_wrong_entry_of_an_array_is_named_by_its_index(order):
    weights = np.array(np.arange(1.0, 25.0).reshape(2, 3, 4), order=order)

    def grad(params):
        gradient = params.copy(order="C")
        gradient[1, 0, 3] *= 1.01
        return gradient

    report = check_gradients(half_square, grad, weights)
    assert [entry.label for entry in report.worst] == ["params[1, 0, 3]"]
    assert report.worst[0].index == (1, 0, 3)
    assert report.worst[0].block == "params"


def test_a_gradient_in_another_memory_order_is_the_same_gradient():
    weights = np.arange(1.0, 7.0).reshape(2, 3)
    assert check_gradients(half_square, lambda p: np.asfortranarray(p), weights).ok
    assert check_gradients(
        half_square, lambda p: np.ascontiguousarray(p), np.asfortranarray(weights)
    ).ok


def test_read_only_parameters_are_checked_on_a_writable_copy():
    theta = np.array([1.0, 2.0])
    theta.flags.writeable = False
    seen = []

    def func(params):
        seen.append(params.flags.writeable)
        return half_square(params)

    assert check_gradients(func, identity, theta).ok
    assert all(seen)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_real_dtypes(dtype):
    theta = np.array([0.3, 1.7], dtype=dtype)

    def func(params):
        return np.sum(np.sin(params) * params)

    def grad(params):
        return np.sin(params) + params * np.cos(params)

    right = check_gradients(func, grad, theta)
    assert right.verdict == "agree"
    assert check_gradients(func, lambda p: dtype(1.05) * grad(p), theta).verdict == "disagree"


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.clongdouble])
def test_complex_dtypes(dtype):
    z = np.array([0.3 + 0.4j, 1.7 - 0.2j], dtype=dtype)
    assert check_gradients(lambda p: np.sum(np.abs(p) ** 4), lambda p: 4 * np.abs(p) ** 2 * p, z).ok
    conjugate = check_gradients(
        lambda p: np.sum(np.abs(p) ** 4), lambda p: 4 * np.abs(p) ** 2 * p.conj(), z
    )
    assert {entry.label for entry in conjugate.worst} == {"params[0].imag", "params[1].imag"}


def test_longdouble_is_evaluated_and_judged_in_longdouble():
    """1 + θ·2⁻⁵⁸ is a constant in float64."""
    if np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("longdouble is float64 on this platform")
    tiny = np.longdouble(2) ** -58
    seen = set()

    def func(params):
        seen.add(params.dtype)
        return np.longdouble(1) + tiny * params[0] ** 2

    theta = np.array([1.5], dtype=np.longdouble)
    assert check_gradients(func, lambda p: 2 * tiny * p, theta).ok
    assert check_gradients(func, lambda p: 3 * tiny * p, theta).verdict == "disagree"
    assert seen == {np.dtype(np.longdouble)}


def test_mixed_dtypes_keep_what_each_is():
    params = {
        "a": np.array([0.3], np.float32),
        "b": np.array([0.7]),
        "c": np.array([1.1], np.longdouble),
        "z": np.array([0.5 + 1j], np.complex64),
        "k": np.float32(0.9),
    }
    assert check_gradients(half_square, identity, params).ok
    report = check_gradients(half_square, lambda p: {**p, "b": p["b"] * (1 + 1e-5)}, params)
    assert [block.name for block in report.blocks if block.wrong] == ["b"]


class Color(enum.Enum):
    RED = 1


STRANGE = {
    1: "params[1]",
    (1, 2): "params[(1, 2)]",
    "a b": "params['a b']",
    "": "params['']",
    None: "params[None]",
    2.5: "params[2.5]",
    b"x": "params[b'x']",
    "x[0]": "params['x[0]']",
    "W'": 'params["W\'"]',
    "θ": "θ",
    "conv1/kernel:0": "conv1/kernel:0",
    "encoder.layer-1.weight": "encoder.layer-1.weight",
    "\x1b[31mred": "params['\\x1b[31mred']",
    "two\nlines": "params['two\\nlines']",
    Color.RED: "params[<Color.RED: 1>]",
}


def test_strange_keys_have_names_that_can_be_printed_and_told_apart():
    params = {key: float(position + 1) for position, key in enumerate(STRANGE)}
    assert labels(params) == set(STRANGE.values())
    assert check_gradients(half_square, identity, params).ok


def test_a_key_made_by_numpy_is_the_number_that_it_equals():
    """Dicts find params[np.int64(1)] with 1, so a gradient with the other kind of key matches."""
    assert check_gradients(half_square, lambda p: {1: p[1]}, {np.int64(1): 2.0}).ok


def test_two_leaves_with_one_name_are_an_error():
    with pytest.raises(ValueError, match=r"two parameters have the same name 'a\.b'"):
        check_gradients(half_square, identity, {"a.b": 1.0, "a": {"b": 2.0}})


def cyclic():
    params = [1.0]
    params.append(params)
    return params


def cyclic_deeper():
    inner = {}
    inner["again"] = (inner,)
    return {"a": inner}


@pytest.mark.parametrize(
    ("params", "where"), [(cyclic(), r"params\[1\]"), (cyclic_deeper(), r"a\.again\[0\]")]
)
def test_a_cycle_is_an_error_that_says_where(params, where):
    with pytest.raises(ValueError, match=f"{where} holds itself"):
        check_gradients(lambda p: 1.0, 0.0, params)


def test_one_container_or_array_in_two_places_is_two_blocks():
    shared = np.array([1.0, 2.0])

    def func(params):
        return float(params["a"] @ params["a"] * np.sum(params["b"]))

    def grad(params):
        return {
            "a": 2 * params["a"] * np.sum(params["b"]),
            "b": np.full(2, params["a"] @ params["a"]),
        }

    assert check_gradients(func, grad, {"a": shared, "b": shared}).ok
    layer = {"W": np.array([1.0, 2.0])}
    assert check_gradients(half_square, identity, [layer, layer]).size == 4


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (np.array([1, 2]), r"params is ndarray of dtype int64.*x\.astype\(float\)"),
        ({"n": 3}, r"n is int, which has no small steps.*3\.0"),
        ({"b": True}, r"b is bool"),
        (np.array([True]), r"params is ndarray of dtype bool"),
        ({"W": "text"}, r"W is str"),
        ({1.0, 2.0}, r"params is set"),
        ({"W": np.array([1.0, None])}, r"W is ndarray of dtype object"),
        (np.array(["a"]), r"dtype <U1"),
        (np.zeros(1, "M8[s]"), r"dtype datetime64"),
        (np.zeros(1, [("x", float)]), r"dtype \[.*\({name: x\[name\] for name in x\.dtype\."),
        (np.ma.array([1.0, 2.0], mask=[False, True]), r"params is a masked array"),
        ({"f": len}, r"f is builtin_function_or_method"),
    ],
)
def test_what_is_no_parameter_is_a_type_error_that_names_it(params, said):
    with pytest.raises(TypeError, match=said):
        check_gradients(lambda p: 1.0, lambda p: p, params)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite_are_an_error_that_names_the_entry(bad):
    params = {"W": np.array([[1.0, 2.0], [bad, 4.0]])}
    with pytest.raises(ValueError, match=rf"W\[1, 0\] is {bad}"):
        check_gradients(half_square, identity, params)


@pytest.mark.parametrize(
    "params", [np.zeros(0), np.zeros((3, 0)), {}, [], {"b": None}, {"a": np.zeros(0)}]
)
def test_nothing_to_check_is_said_and_fails(params):
    report = check_gradients(lambda p: 1.0, lambda p: p, params)
    assert (report.verdict, report.ok, report.size) == ("inconclusive", False, 0)
    assert report.reasons == ("nothing was checked: there is no parameter to difference",)
    assert report.message().startswith("nothing was checked: there is no parameter")
    assert numerical_gradient(lambda p: 1.0, np.zeros((3, 0))).shape == (3, 0)


def test_a_dataclass_is_not_constructed_again_for_each_evaluation():
    Counted.inits = 0
    params = Counted(np.array([1.0, 2.0]))
    check_gradients(
        lambda p: float(p.W @ p.W), lambda p: types.SimpleNamespace(W=2 * p.W), params, skip="made"
    )
    assert Counted.inits == 1


def test_containers_keep_their_kind_for_func():
    seen = set()
    made = collections.defaultdict(lambda: 7.0, b=np.ones(2))

    def func(params):
        seen.add((type(params), params.default_factory is made.default_factory))
        return float(np.sum(params["b"] ** 2))

    assert check_gradients(func, lambda p: {"b": 2 * p["b"]}, made).ok
    assert seen == {(collections.defaultdict, True)}


def test_entries_that_are_attributes_too_are_perturbed_as_both():
    """A copy kept the old ones as attributes: func got the user's own arrays, and J stood still."""
    params = Attributes(W=np.array([1.0, 2.0]))

    def func(params):
        params.new = params.W @ params.W
        return float(params.new)

    assert check_gradients(lambda p: float(p.W @ p.W), lambda p: {"W": 2 * p.W}, params).ok
    with pytest.raises(ValueError, match=r"^func changed its parameters: new is not what it was"):
        check_gradients(func, lambda p: {"W": 2 * p.W}, params)
    assert list(params) == ["W"]


@pytest.mark.parametrize("make", [TaggedList, lambda items, tag: TaggedTuple(items).tagged(tag)])
def test_what_a_sequence_holds_beside_its_items_stays_with_it(make):
    params = make([2.0, np.array([3.0])], "square")

    def func(params):
        return params[0] ** 2 + float(params[1] @ params[1]) if params.tag == "square" else 0.0

    assert check_gradients(func, lambda p: [2 * p[0], 2 * p[1]], params).ok


def test_an_array_subclass_stays_one_for_func():
    class Tagged(np.ndarray):
        pass

    seen = set()

    def func(params):
        seen.add(type(params))
        return float(np.sum(np.asarray(params) ** 2))

    assert check_gradients(func, lambda p: 2 * np.asarray(p), np.ones(2).view(Tagged)).ok
    assert seen == {Tagged}


def test_hundreds_of_blocks_and_numbers():
    params = {f"k{i}": 1.0 + i for i in range(50)} | {
        f"a{i}": np.array([1.0 + i]) for i in range(50)
    }
    report = check_gradients(half_square, lambda p: {**p, "k33": 0.0}, params)
    assert [entry.label for entry in report.worst] == ["k33"]
    assert report.evaluations <= 2 * 100 + 60


def many(dtype: Any = np.float64) -> dict[str, Any]:
    """Return a hundred arrays of several lengths, one of another memory order among them."""
    params: dict[str, Any] = {f"p{i}": np.linspace(-1.0, i, i % 5, dtype=dtype) for i in range(99)}
    return {**params, "wide": np.asfortranarray(np.arange(1, 7, dtype=dtype).reshape(2, 3))}


def test_many_small_arrays_are_taken_apart_once(monkeypatch):
    calls = []

    def counted(*given: Any) -> Any:
        calls.append(given)
        return flatten(*given)

    for module in (layout, work_copy, problem):
        monkeypatch.setattr(module, "flatten", counted)
    report = check_gradients(
        lambda p: sum(float(a.ravel() @ a.ravel()) / 2 for a in p.values()), identity, many()
    )
    assert (report.verdict, report.size, len(calls)) == (
        "agree",
        sum(i % 5 for i in range(99)) + 6,
        1,
    )


@pytest.mark.parametrize("name", ["p1", "p73", "p98", "wide"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_func_writes_to_one_of_many_arrays_is_named(name, dtype):
    params, before = many(dtype), many(dtype)

    def writing(p: Any) -> float:
        p[name][...] += 1.0
        return half_square(p)

    with pytest.raises(ValueError, match=f"func changed its parameters: {name} is not what it was"):
        check_gradients(writing, identity, params)
    for key, value in before.items():
        assert params[key].tobytes("A") == value.tobytes("A")


def test_one_wrong_entry_of_many_arrays_whatever_the_order_of_the_gradient():
    def gradient(p: Any) -> Any:
        return {key: value * 1.0 for key, value in reversed(p.items())} | {"p62": p["p62"] * [1, 3]}

    report = check_gradients(half_square, gradient, many(), max_report=0)
    assert [entry.label for entry in report.worst] == ["p62[1]"]
    given = many() | {"p44": np.array([1.0, np.nan, 2.0, np.inf])}
    with pytest.raises(ValueError, match=r"must be finite to be differenced: p44\[1\] is nan"):
        check_gradients(half_square, identity, given)


def test_func_gets_many_arrays_in_their_own_shapes_and_orders():
    shapes = [(), (3,), (2, 2), (0,), (1, 3, 1)]
    each = {f"p{i}": np.full(shapes[i % 5], i + 1.0) for i in range(100)}
    alike = {f"p{i}": np.full((2, 2), i + 1.0) for i in range(100)}
    numbers = {f"p{i}": np.array(i + 1.0) for i in range(100)}
    fortran = {"f": np.asfortranarray(np.ones((2, 3)))}
    for params in (each, alike, numbers, {**alike, **fortran}, {**fortran, **alike}):
        seen = []

        def func(p: Any, seen: list[Any] = seen) -> float:
            seen.append({name: (type(x), x.shape, x.size and x.strides) for name, x in p.items()})
            return half_square(p)

        assert check_gradients(func, identity, params).verdict == "agree"
        told = {name: (np.ndarray, x.shape, x.size and x.strides) for name, x in params.items()}
        assert all(one == told for one in seen)
        assert params["p4"].tolist() == np.full(params["p4"].shape, 5.0).tolist()


@pytest.mark.parametrize("where", [0, 50, 100])
def test_a_number_beside_many_arrays_stays_one(where):
    kinds = set()

    def func(p: list[Any]) -> float:
        kinds.add(type(p[where]))
        return half_square(p)

    params: list[Any] = [np.full(2, i + 1.0) for i in range(100)]
    params.insert(where, 3.0)
    assert check_gradients(func, identity, params).verdict == "agree"
    assert kinds == {float}


@pytest.mark.parametrize("structure", [dict, list])
def test_of_many_blocks_of_a_right_gradient_none_is_made(structure, monkeypatch):
    made = []

    class Counted(layout.Block):
        def __init__(self, *given: Any, **named: Any) -> None:
            made.append(given)
            super().__init__(*given, **named)

    monkeypatch.setattr(layout, "Block", Counted)
    arrays = [np.linspace(0.1, 1.0, 3) + i for i in range(1000)]
    params = arrays if structure is list else {f"p{i}": x for i, x in enumerate(arrays)}

    def func(p: Any) -> float:
        values = p if structure is list else p.values()
        return float((np.concatenate(list(values)) ** 2).sum() / 2)

    report = check_gradients(func, params, params, max_evals=100)
    assert (report.ok, len(made) < 100) == (True, True)
    assert report.directions > 0
    first = "params[0]" if structure is list else "p0"
    assert (len(report.blocks), report.blocks[0].name, len(made) >= 1000) == (1000, first, True)


def test_an_array_that_never_changes_is_rebuilt_once_for_each_direction():
    rebuilt = []

    class Numbers(dict):
        def __copy__(self) -> Any:
            rebuilt.append(1)
            return type(self)(self)

    params = Numbers({f"k{i}": 1.0 + i for i in range(20)})
    report = check_gradients(half_square, identity, params, max_evals=45)
    assert report.directions
    assert len(rebuilt) <= 2 * report.evaluations + 2
