"""What may stand in the place of a statement: changes of one expression, and factors of a term.

Another number, operator, or name of an array of the same shape; an index or an exponent that is one
off, the edge of a comparison, a sign; a term, a factor or a call left out; a transposition; a
derivative, a factor, a divisor or a term put in; the statement left out.
"""

from __future__ import annotations

import ast
import builtins
import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, permutations
from typing import Any

import numpy as np

from .trace import Kind, Sight

# Operators, by those that they are taken for.
OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
# Comparisons: at the edge, and the other way round.
EDGES: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
# Functions that are taken for each other.
ALIKE = {"sum": "mean", "sin": "cos", "sinh": "cosh", "max": "min", "maximum": "minimum"}
ALIKE |= {other: one for one, other in ALIKE.items()}

# Of tanh, the logistic function and relu, by their values; and the other part of a whole.
DERIVATIVES = ("(1 - {0} ** 2)", "{0} * (1 - {0})", "(1 - {0})", "({0} > 0)")
MOST_BESIDE = 6  # entries of a dict, list or call of which two are exchanged
Change = tuple[ast.AST, str, Any]  # a node of a tree, a field of it, and what else may be there
# What yields the changes of one kind to a statement.
Changes = Callable[[ast.stmt, Sight], Iterator[Change]]
# Names of functions, or of what they are in, whose arguments are no terms.
LIBRARIES = {"np", "numpy", "sp", "scipy", "math", *dir(builtins)}
# Expressions that are no array, and no number.
SEVERAL = (ast.Tuple, ast.List, ast.Dict, ast.ListComp, ast.GeneratorExp, ast.Starred)
# In the text of an expression that is rather a number than an array.
SIZES = re.compile(r"\blen\(|\brange\(|\.shape\b|\.size\b|\.ndim\b")
# Of the text of a factor, the names and sizes.
NAMES = re.compile(r"len\([^)]*\)|[^-+*/ ]*\.shape|(?![\d. ])[^-+*/ ]+")


def variants(statement: ast.stmt, sight: Sight, changes: Changes) -> Iterator[ast.stmt]:
    """Yield a statement as it is after some changes; one copy, that is restored meanwhile."""
    if changes is others:
        yield from _as_a_whole(statement)
    new = copy.deepcopy(statement)
    for owner, field, other in [*changes(new, sight)]:
        was = getattr(owner, field)
        setattr(owner, field, other)
        yield new
        setattr(owner, field, was)
    if changes is others:
        yield from _renamed(statement, sight.names)


def _renamed(one: ast.stmt, names: Mapping[str, Kind]) -> Iterator[ast.stmt]:
    """Yield a statement in which a name that it has several times is another one each time."""
    value = getattr(one, "value", None)
    loads = [each.id for each in ast.walk(value or ast.Pass()) if isinstance(each, ast.Name)]
    for name in {each: None for each in loads if loads.count(each) > 1 and each in names}:
        for other, kind in names.items():
            if kind == names[name] and other != name and other.isidentifier():
                new: Any = copy.deepcopy(one)
                for each in ast.walk(new.value):
                    if isinstance(each, ast.Name) and each.id == name:
                        each.id = other
                yield new


def _as_a_whole(one: ast.stmt) -> Iterator[ast.stmt]:
    """Yield nothing for a statement that assigns; that it adds to what was there, or doesn't."""
    if not isinstance(one, (ast.Assign, ast.AugAssign)):
        return
    yield ast.Pass()
    if isinstance(one, ast.AugAssign):
        yield ast.Assign([one.target], one.value)
        yield from _one_by_one(one)
    elif isinstance(one.targets[0], (ast.Name, ast.Subscript)):
        before = copy.copy(one.targets[0])
        before.ctx = ast.Load()
        # Never in place: the array may be one that was given.
        yield ast.Assign(one.targets, ast.BinOp(before, ast.Add(), one.value))


def _one_by_one(one: ast.AugAssign) -> Iterator[ast.stmt]:
    """Yield what adds each time where an index comes several times: `+=` does it once."""
    name = {ast.Add: "add", ast.Sub: "subtract"}.get(type(one.op))
    target = one.target
    if name is None or not isinstance(target, ast.Subscript):
        return
    parts = getattr(target.slice, "elts", [target.slice])
    if not any(isinstance(part, ast.Slice) for part in parts):
        yield ast.Expr(
            ast.Call(parsed(f"np.{name}.at"), [target.value, target.slice, one.value], [])
        )


def _slots(node: ast.AST, skip: str = "") -> Iterator[tuple[ast.AST, str, Any, ast.expr]]:
    """Yield the expressions that a statement evaluates, each with where it is: node, field, index.

    Those that hold others come first; none in a field `skip`.
    """
    for field, value in ast.iter_fields(node):
        if field in ("target", "targets", "optional_vars", skip):
            continue
        several = isinstance(value, list)
        for index, one in enumerate(value) if several else ((None, value),):
            if isinstance(one, ast.expr):
                yield node, field, index, one
            if isinstance(one, (ast.expr, ast.keyword, ast.comprehension, ast.withitem)):
                yield from _slots(one, skip)


def _put(owner: ast.AST, field: str, index: int | None, new: Any) -> Change:
    if index is None:
        return owner, field, new
    several = [*getattr(owner, field)]
    several[index] = new
    return owner, field, several


def _only_named(statement: ast.stmt) -> ast.expr | None:
    """Return what a statement only gives a name to: a number, or something there is."""
    value = statement.value if isinstance(statement, ast.Assign) else None
    plain = isinstance(value, (ast.Constant, ast.Name, ast.Attribute, ast.Subscript))
    return value if plain else None


def names_given(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield others for what a statement only gives a name to."""
    value = _only_named(statement)
    for other in _instead(value, sight.names) if value is not None else ():
        number = isinstance(other, ast.Constant) and not str(other.value).startswith("-")
        named = isinstance(other, (ast.Name, ast.Subscript)) or getattr(other, "attr", "T") != "T"
        if number or named:
            yield statement, "value", other


def slips(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield changes by one step: of an index, an exponent, the edge of a comparison."""
    for one in _expressions(statement):
        if isinstance(one, ast.Subscript):
            yield from _shifted(one, sight.names)
        elif isinstance(one, ast.Compare) and len(one.ops) == 1:
            yield from ((one, "ops", [other()]) for other in EDGES.get(type(one.ops[0]), ()))
        elif isinstance(one, ast.BinOp) and isinstance(one.op, ast.Pow):
            less = ast.BinOp(one.right, ast.Sub(), ast.Constant(1))
            # Of a number others are tried anyway.
            yield from [(one, "right", less)] * (not isinstance(one.right, ast.Constant))


def turned(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield other signs of terms, which in a recursion no factor tells, and what is transposed.

    Of what is written to that is the order of its indices.
    """
    augmented = isinstance(statement, ast.AugAssign) and type(statement.op) in OTHER
    if augmented:
        yield statement, "op", OTHER[type(statement.op)]()  # type: ignore[attr-defined]
    for owner, field, index, term in _terms(statement):
        # What stands behind an operator has another one instead.
        behind = (augmented and owner is statement) or (
            isinstance(owner, ast.BinOp) and field == "right"
        )
        if not behind and not isinstance(term, ast.UnaryOp):
            yield _put(owner, field, index, ast.UnaryOp(ast.USub(), term))
    value, made = getattr(statement, "value", None), sight.made
    square = made is not None and len(made.shape) == 2 and made.shape[0] == made.shape[1]
    if square and isinstance(value, (ast.BinOp, ast.Call)):  # else it is tried with other names
        yield statement, "value", ast.Attribute(value, "T", ast.Load())
    for one in _expressions(statement):
        if isinstance(one, ast.Subscript) and isinstance(one.ctx, ast.Store):
            yield from _exchanged(one.slice, "elts")


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield what a statement evaluates or writes to, not what is in statements that it holds."""
    for one in ast.iter_child_nodes(statement):
        if isinstance(one, ast.expr):
            yield from (each for each in ast.walk(one) if isinstance(each, ast.expr))


def _shifted(one: ast.Subscript, names: Mapping[str, Kind]) -> Iterator[Change]:
    """Yield changes of an index by one; where it is written to, other names for it, too.

    A number in it, and names in what is read, are changed as they are anywhere.
    """
    several = isinstance(one.slice, ast.Tuple)
    parts = one.slice.elts if several else [one.slice]  # type: ignore[attr-defined]
    whole = [name for name, kind in names.items() if kind.what == "number" and kind.value % 1 == 0]
    owner, field = (one.slice, "elts") if several else (one, "slice")
    writes = isinstance(one.ctx, ast.Store)
    for index, part in enumerate(parts):
        found: list[ast.expr] = []
        if isinstance(part, ast.Name) and part.id in whole:
            steps = (ast.Add(), ast.Sub())
            found = [ast.BinOp(part, step, ast.Constant(1)) for step in steps]
            found += [parsed(name) for name in whole if writes and name != part.id]
        elif isinstance(part, ast.Slice):
            found = [*_other_end(part)]
        yield from (_put(owner, field, index if several else None, other) for other in found)


def _other_end(one: ast.Slice) -> Iterator[ast.expr]:
    """Yield the slice of as many at the other end, of the other part, and that without a bound."""
    low, high = one.lower, one.upper
    if (bound := low or high) is not None and not (low and high):
        less = bound.operand if isinstance(bound, ast.UnaryOp) else ast.UnaryOp(ast.USub(), bound)
        for end in (less, bound):
            yield ast.Slice(high and end, low and end, one.step)
    if high is not None:
        yield ast.Slice(low, None, one.step)
    if low is not None:
        yield ast.Slice(None, high, one.step)


def others(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield changes of what is there: for a part of it, for another of its kind, for less."""
    for owner, field, index, one in _slots(statement):
        for new in _instead(one, sight.names):
            yield _put(owner, field, index, new)
        if _is_blank(one):  # in the place of an array
            for name, kind in sight.names.items():
                if kind == sight.made and kind.what == "array":
                    yield _put(owner, field, index, parsed(name))
        if isinstance(one, ast.BinOp) and type(one.op) in OTHER:
            yield one, "op", OTHER[type(one.op)]()
        for name in ("elts", "values", "keywords"):
            if name != "keywords" or getattr(getattr(one, "func", None), "id", "") == "dict":
                yield from _exchanged(one, name)


def _exchanged(one: ast.expr, field: str) -> Iterator[Change]:
    """Yield exchanges of two entries of a dict, a list or a tuple."""
    entries = [*getattr(one, field, ())][:MOST_BESIDE]
    for i, j in combinations(range(len(entries)), 2):
        several = [*getattr(one, field)]
        several[i], several[j] = several[j], several[i]
        if field == "keywords":
            pairs = zip(getattr(one, field), several, strict=True)
            several = [ast.keyword(own.arg, other.value) for own, other in pairs]
        yield one, field, several


def _instead(one: ast.expr, names: Mapping[str, Kind]) -> Iterator[ast.expr]:
    """Yield what may stand for an expression."""
    if isinstance(one, ast.Constant):
        yield from map(ast.Constant, _numbers(one.value))
        if _is_blank(one):  # of a factor that is none, or a position
            yield from (parsed(name) for name, kind in names.items() if kind.what == "number")
    elif isinstance(one, ast.UnaryOp):
        yield one.operand
    elif isinstance(one, ast.BinOp):
        yield one.left
        yield ast.UnaryOp(ast.USub(), one.right) if isinstance(one.op, ast.Sub) else one.right
        if isinstance(one.op, (ast.Div, ast.MatMult)):  # of a difference, the sign is its factor
            yield ast.BinOp(one.right, one.op, one.left)
    elif isinstance(one, ast.Call):
        yield from _calls(one, names)
    elif isinstance(one, (ast.Name, ast.Subscript, ast.Attribute)):
        if isinstance(one, ast.Attribute) and one.attr == "T":
            yield one.value
        kind = names.get(ast.unparse(one))
        for name, other in names.items():
            if other == kind and name != ast.unparse(one):
                yield parsed(name)
        if kind is not None and kind.what != "dict":
            yield ast.BinOp(one, ast.Pow(), ast.Constant(2))
        axes = len(kind.shape) if kind is not None and kind.what == "array" else 0
        if isinstance(one, ast.Subscript) or axes == 2:
            yield ast.Attribute(one, "T", ast.Load())
        if axes > 2:
            swap = ast.Attribute(one, "swapaxes", ast.Load())
            yield ast.Call(swap, [ast.Constant(-1), ast.Constant(-2)], [])


def _calls(one: ast.Call, names: Mapping[str, Kind]) -> Iterator[ast.expr]:
    """Yield what may stand for a call: an argument, the object of a method, another function."""
    yield from one.args[:2]
    if len(one.args) == 2:
        yield ast.Call(one.func, one.args[::-1], one.keywords)
    if isinstance(one.func, ast.Attribute):
        owner = one.func.value
        if not isinstance(owner, ast.Name) or owner.id in names:  # else it is a module
            yield owner
        if other := ALIKE.get(one.func.attr):
            yield ast.Call(ast.Attribute(owner, other, ast.Load()), one.args, one.keywords)


def _is_blank(one: ast.expr) -> bool:
    """Return whether an expression is 0 or 1, which may stand for something that has a name."""
    value = getattr(one, "value", None)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value in (0, 1)


def _numbers(value: Any) -> list[Any]:
    """Return what a number may be taken for."""
    found: tuple[Any, ...] = ()
    if isinstance(value, bool):
        found = (not value,)
    elif isinstance(value, int):
        found = (0, 1, 2, value + 1, value - 1, -value)
    elif isinstance(value, float):
        found = (2 * value, value / 2, -value, 1.0)
    return [other for other in dict.fromkeys(found) if other != value]


def parsed(text: str) -> ast.expr:
    """Return the expression that a text is."""
    return ast.parse(text, mode="eval").body


def derivatives(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield changes of an array, or of what was computed of it alone, for its derivative."""
    arrays = {name for name, kind in sight.names.items() if kind.what == "array"}
    known = set[ast.AST]()
    for owner, field, index, one in _slots(statement):
        if one not in known and isinstance(one, (ast.Name, ast.Subscript, ast.BinOp)):
            inside = [each for each in ast.walk(one) if isinstance(each, ast.expr)]
            own = {ast.unparse(each) for each in inside} & arrays
            if len(own) == 1:
                known |= {*inside}
                for text in DERIVATIVES:
                    yield _put(owner, field, index, parsed(text.format(*own)))


def more(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield changes that put in a factor, a divisor or a term, of what is at hand."""
    value, made = getattr(statement, "value", None), sight.made
    if not isinstance(value, ast.expr) or made is None or made.what == "dict":
        return
    for name, kind in sight.names.items():
        if kind.what == "dict" or not _fits(kind.shape, made.shape):
            continue
        forms = ("{0}", *DERIVATIVES) if kind.what == "array" else ("{0}",)
        for new in _with(value, name, forms, kind == made):
            yield statement, "value", new


def _with(one: ast.expr, name: str, forms: Sequence[str], added: bool) -> Iterator[ast.expr]:
    """Yield an expression times what has a name, in some forms, over it, plus and minus it."""
    for form in forms:
        yield ast.BinOp(one, ast.Mult(), parsed(form.format(name)))
    for operator in (ast.Div, ast.Add, ast.Sub) if added else (ast.Div,):
        yield ast.BinOp(one, operator(), parsed(name))


def inner(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield changes that put a factor, a divisor or a term to a part of the statement's value."""
    free = {id(one) for *_, one in _terms(statement)} - {id(getattr(statement, "value", None))}
    for owner, field, index, one in _slots(statement, "slice"):
        if id(one) not in free and not (isinstance(owner, ast.Call) and field == "args"):
            continue
        if not _has_array(one, sight):
            continue
        for name, kind in sight.names.items():
            if kind.what != "dict":
                for new in _with(one, name, ("{0}",), kind.what == "array"):
                    yield _put(owner, field, index, new)


def _is_library(function: ast.expr) -> bool:
    while isinstance(function, (ast.Attribute, ast.Subscript, ast.Call)):
        function = function.func if isinstance(function, ast.Call) else function.value
    return not isinstance(function, ast.Name) or function.id in LIBRARIES


def _has_array(one: ast.expr, sight: Sight) -> bool:
    """Return whether an expression is made of arrays, and no size: an array of another is large."""
    if isinstance(one, SEVERAL) or SIZES.search(ast.unparse(one)):
        return False
    kinds = [sight.names.get(ast.unparse(each)) for each in ast.walk(one)]
    return any(kind is not None and kind.what == "array" for kind in kinds)


def _fits(shape: tuple[int, ...], made: tuple[int, ...]) -> bool:
    """Return whether an array of one shape can be multiplied into another's."""
    try:
        return np.broadcast_shapes(shape, made) == made
    except ValueError:
        return False


# What may stand in the place of a term is told by what happens to a multiple of it.

NEAR = 1e-5  # by how much, relatively, a factor may be off from the number that it is taken for

# What a factor may be of one number above 0 that is at hand.
FACTORS: dict[str, Callable[[float], float]] = {
    "{}": lambda a: a,
    "1 / {}": lambda a: 1 / a,
    "2 * {}": lambda a: 2 * a,
    "{} / 2": lambda a: a / 2,
    "2 / {}": lambda a: 2 / a,
    "1 / {} ** 0.5": lambda a: a**-0.5,
}

# What it may be of two.
PAIRS: dict[str, Callable[[float, float], float]] = {
    "{} * {}": lambda a, b: a * b,
    "{} / {}": lambda a, b: a / b,
    "2 * {} * {}": lambda a, b: 2 * a * b,
    "2 * {} / {}": lambda a, b: 2 * a / b,
}


@dataclass(frozen=True)
class Multiple:
    """A term with where it stands: `added` would be added to it, else it is what is multiplied.

    Where that is behind the statement, `behind` is what multiplies there.
    """

    owner: ast.AST
    field: str
    index: int | None
    term: ast.expr
    added: str = ""
    behind: ast.stmt | None = None

    def factors(self, times: float, moved: int, sight: Sight) -> Iterator[tuple[float, str]]:
        """Yield what the factor may be, with how odd that is."""
        # Of one more of the term it would take so many `times` as much; it has `moved` coordinates.
        number = times + (not self.added)
        if not math.isfinite(number) or not number:
            return
        simple = Fraction(number).limit_denominator(4)
        known = _known(abs(number), sight)
        if abs(simple.numerator) <= 4 and _is_near(number, float(simple)):
            over = f" / {simple.denominator}" if simple.denominator > 1 else ""
            yield 0, f"{simple.numerator}{over}"
        elif known is None and moved > 2:  # one number is a multiple of any other
            yield 3, f"{number:.9g}"
        if known is not None:
            coefficient = f"{number:.2g}"
            if self.added and SIZES.search(known[1]) and _is_near(number, float(coefficient)):
                yield 0.5, coefficient  # of weight decay: that a size gives it is chance
            yield known[0], "-" * (number < 0) + known[1]

    def unlikely(self, factor: str, statement: ast.stmt, text: str, sight: Sight) -> float:
        """Return how unlikely it is that this of all terms lacks the factor; of which statement."""
        # Likeliest is one where its name stands, then one with other numbers for factors; that a
        # statement is missing, only where no other lacks it.
        if self.behind is not None:
            return 3
        names = NAMES.findall(factor)
        if _only_named(statement) is not None:
            return -0.5
        if names and all(re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) for name in names):
            return -0.5
        numbers = [each for each in _factors(self.term) if _is_number(each, sight)]
        if factor.lstrip("-") in [ast.unparse(each) for each in numbers]:
            return 2
        # A name by itself is rather what was computed elsewhere.
        return (not numbers) + 0.5 * isinstance(self.term, ast.Name)

    @contextmanager
    def tried(self, statement: ast.stmt, factor: str) -> Iterator[list[ast.stmt]]:
        """Have the term multiplied in the statement meanwhile."""
        if not self.added:
            new = parsed(_times(factor, f"({ast.unparse(self.term)})"))
        else:
            less = factor.startswith("-")
            text = _times(factor.lstrip("-"), self.added)
            new = ast.BinOp(self.term, ast.Sub() if less else ast.Add(), parsed(text))
        owner, field, other = _put(self.owner, self.field, self.index, new)
        was = getattr(owner, field)
        setattr(owner, field, other)
        try:
            yield [statement] if self.behind is None else [statement, self.behind]
        finally:
            setattr(owner, field, was)


# What yields the terms of one kind of a statement.
Multiples = Callable[[ast.stmt, Sight], Iterator[Multiple]]


def _times(factor: str, text: str) -> str:
    """Return the product of two expressions as it would be written."""
    if factor in ("1", "-1"):
        return factor.replace("1", text)
    over = factor.removeprefix("1 / ")
    return f"{factor} * {text}" if over == factor else f"{text} / {over}"


def terms_of(statement: ast.stmt, sight: Sight) -> Iterator[Multiple]:
    """Yield the terms of a statement, which may be multiplied; an array that it writes to, behind.

    ``dz[range(m), y] -= 1`` is most often followed by ``dz /= m``.
    """
    for owner, field, index, term in _terms(statement):
        yield Multiple(owner, field, index, term)
    target = getattr(statement, "target", None) or getattr(statement, "targets", [None])[0]
    array = target.value if isinstance(target, ast.Subscript) else None
    if isinstance(array, ast.Name) and _has_array(array, sight):
        again = ast.Assign([ast.Name(array.id, ast.Store())], array)
        yield Multiple(again, "value", None, array, behind=again)


def additions(statement: ast.stmt, sight: Sight) -> Iterator[Multiple]:
    """Yield arrays that may be added to the statement's value."""
    value = getattr(statement, "value", None)
    if isinstance(value, ast.expr) and sight.made is not None:
        for name, kind in sight.names.items():
            if kind == sight.made and kind.what == "array":
                yield Multiple(statement, "value", None, value, name)


def _terms(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.expr]]:
    """Yield what is not a factor of something larger, with where it is."""
    calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
    dicts = [one for one in calls if getattr(one.func, "id", "") == "dict"]
    entries = {id(word) for one in dicts for word in one.keywords}
    for owner, field, index, one in _slots(node, "slice"):
        if isinstance(owner, ast.keyword):
            free = id(owner) in entries
        elif isinstance(owner, ast.BinOp):
            free = isinstance(owner.op, (ast.Add, ast.Sub))
        elif isinstance(owner, ast.Call):
            # np.where(mask, one, other), np.add.at(array, index, one)
            inside = getattr(owner.func, "attr", "") in ("where", "at") and bool(index)
            free = inside or (field == "args" and not _is_library(owner.func))
        elif isinstance(owner, (ast.If, ast.For, ast.Assert, ast.Starred)):
            free = False
        else:
            held = (ast.stmt, ast.Dict, ast.List, ast.Tuple, ast.ListComp, ast.IfExp)
            free = isinstance(owner, held) and field not in ("keys", "test")
        several = isinstance(one, (*SEVERAL, ast.Compare))
        if free and not several and not isinstance(getattr(one, "value", None), (bool, str)):
            yield owner, field, index, one


def _factors(term: ast.expr) -> Iterator[ast.expr]:
    """Yield what a product is made of."""
    if isinstance(term, ast.UnaryOp):
        yield from _factors(term.operand)
    elif isinstance(getattr(term, "value", None), ast.BinOp):  # (active / m)[:, None]
        yield from _factors(term.value)  # type: ignore[attr-defined]
    elif isinstance(term, ast.BinOp) and isinstance(term.op, (ast.Mult, ast.Div, ast.MatMult)):
        yield from _factors(term.left)
        yield from _factors(term.right)
    else:
        yield term


def _is_number(one: ast.expr, sight: Sight) -> bool:
    """Return whether an expression is a number: as written, by its name, or a size."""
    kind, text = sight.names.get(ast.unparse(one)), ast.unparse(one)
    known = isinstance(one, ast.Constant) or (kind is not None and kind.what == "number")
    return known or text.startswith("len(") or text.endswith(".size") or ".shape[" in text


def _known(number: float, sight: Sight) -> tuple[int, str] | None:
    """Return what a positive number may be of those at hand, with how odd that is."""
    known = {value: text for text, value in reversed([*_at_hand(sight)]) if value not in (0, 1)}
    for value, name in known.items():
        for text, one in FACTORS.items():
            if _is_near(number, one(value)):
                return 1, text.format(name)
    for (value, name), (other, second) in permutations(known.items(), 2):
        for text, two in PAIRS.items():
            if _is_near(number, two(value, other)):
                return 2, text.format(name, second)
    return None


def _is_near(number: float, other: float) -> bool:
    return abs(number - other) <= NEAR * abs(number)


def _at_hand(sight: Sight) -> Iterator[tuple[str, float]]:
    """Yield numbers with their names, and the sizes of arrays."""
    for name, kind in sight.names.items():
        if kind.what == "number":
            yield name, abs(kind.value)
    for name, kind in sight.names.items():
        if kind.what == "array" and kind.shape:
            yield f"len({name})", kind.shape[0]
            yield f"{name}.shape[-1]", kind.shape[-1]
            yield f"{name}.size", math.prod(kind.shape)
