"""The fixtures: the public functions, configured for one test.

The engine, and numpy with it, is imported when a test uses a fixture, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Never, Unpack

import pytest

from .._options import CheckOptions, NumericOptions, require_arrays, require_known, takes
from .config import SETTINGS, fixture_options
from .recorder_and_memory import OF_MARKERS, PERFORMED, nodeid_of

if TYPE_CHECKING:
    import numpy as np

    from .._report.report import GradientReport


CHECKING = frozenset({"gradcheck", "numerical_gradient"})
FIXTURES = CHECKING | {"gradcheck_options", "gradcheck_rng"}


def fixtures_of_ours(item: pytest.Item) -> set[str]:
    """Return the names of the fixtures of this module that a test uses, directly or not."""
    named = FIXTURES.intersection(getattr(item, "fixturenames", ()))
    if not named:
        return set()
    # Not public, but nothing else tells our fixture from one of the user's by the same name.
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return {name for name in named if _reaches_ours(name, known.get(name, ()))}


def _reaches_ours(name: str, definitions: Any) -> bool:
    for definition in reversed(definitions):
        if getattr(definition.func, "__module__", None) == __name__:
            return True
        if name not in definition.argnames:  # an override that doesn't build on ours
            return False
    return False


@dataclass(frozen=True, slots=True)
class _OfATest:
    """What a fixture that checks knows of its test; `_note` is called before a check."""

    options: dict[str, Any]
    _note: Callable[[], None] = field(repr=False)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the repr where IPython's protocol is asked for, as hypothesis does for examples."""
        printer.text(repr(self))


class Gradcheck(_OfATest):
    """`assert_gradients_close` with the options of one test; the fixture ``gradcheck``.

    Attributes
    ----------
    options : dict
        The options in force, from markers, ``gradcheck_options``, command line and ini file.

    Examples
    --------
    >>> from pytest_gradcheck import Gradcheck
    >>> def test_backward(gradcheck: Gradcheck) -> None:
    ...     gradcheck(lambda x: x**2, lambda x: 2 * x, 3.0)
    """

    __slots__ = ()

    @takes(CheckOptions)
    def __call__(
        self,
        func: Callable[..., Any],
        grad: Any,
        params: Any = None,
        *more: Never,
        points: Iterable[Any] | None = None,
        args: tuple[Any, ...] = (),
        has_aux: bool = False,
        in_place: bool = False,
        copy: bool = False,
        **options: Unpack[CheckOptions],
    ) -> GradientReport:
        """Check a gradient; parameters, result and errors are `assert_gradients_close`'s."""
        __tracebackhide__ = True
        from .. import assert_gradients_close

        require_known(Gradcheck.__call__, options, "gradcheck")
        require_arrays("gradcheck", func, grad, more)
        self._note()
        return assert_gradients_close(
            func,
            grad,
            params,
            points=points,
            args=args,
            has_aux=has_aux,
            in_place=in_place,
            copy=copy,
            **{**self.options, **options},
        )


class NumericalGradient(_OfATest):
    """`numerical_gradient` with the options of one test; the fixture of that name.

    Attributes
    ----------
    options : dict
        As in `Gradcheck`, those that `numerical_gradient` takes.

    Examples
    --------
    >>> from pytest_gradcheck import NumericalGradient
    >>> def test_backward(numerical_gradient: NumericalGradient) -> None:
    ...     assert abs(numerical_gradient(lambda x: x**2, 3.0) - 6) < 1e-9
    """

    __slots__ = ()

    @takes(NumericOptions)
    def __call__(
        self,
        func: Callable[..., Any],
        params: Any,
        *,
        args: tuple[Any, ...] = (),
        has_aux: bool = False,
        in_place: bool = False,
        copy: bool = False,
        **options: Unpack[NumericOptions],
    ) -> Any:
        """Difference func; parameters, result and errors are `numerical_gradient`'s."""
        __tracebackhide__ = True
        from .. import numerical_gradient

        require_known(NumericalGradient.__call__, options, "numerical_gradient")
        self._note()
        return numerical_gradient(
            func,
            params,
            args=args,
            has_aux=has_aux,
            in_place=in_place,
            copy=copy,
            **{**self.options, **options},
        )


def _options_in_force(
    request: pytest.FixtureRequest, of_fixture: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **request.config.stash[SETTINGS].options,
        **fixture_options(of_fixture),
        **request.node.stash.get(OF_MARKERS, {}),
    }


def _unless_skipped(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Return what a fixture calls before it checks."""
    if skip := request.config.stash[SETTINGS].skip:
        pytest.skip(skip)  # asked for by getfixturevalue: its collection could not tell
    return partial(request.node.stash.__setitem__, PERFORMED, True)


@pytest.fixture(scope="session")
def gradcheck_options() -> Mapping[str, Any]:
    """Options of the gradient checks in a directory, module or class: override it there.

    Its scope is the session's, so that an override may have any scope and extend this one.
    """
    return {}


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest, gradcheck_options: Mapping[str, Any]) -> Gradcheck:
    """assert_gradients_close, configured by marker, gradcheck_options, command line and ini."""
    return Gradcheck(_options_in_force(request, gradcheck_options), _unless_skipped(request))


@pytest.fixture
def numerical_gradient(
    request: pytest.FixtureRequest, gradcheck_options: Mapping[str, Any]
) -> NumericalGradient:
    """numerical_gradient, configured as the fixture gradcheck is."""
    taken = NumericOptions.__annotations__
    options = _options_in_force(request, gradcheck_options)
    used = {name: value for name, value in options.items() if name in taken}
    return NumericalGradient(used, _unless_skipped(request))


@pytest.fixture
def gradcheck_rng(
    request: pytest.FixtureRequest, gradcheck_options: Mapping[str, Any]
) -> np.random.Generator:
    """Return a numpy Generator, seeded from --gradcheck-seed and the test's name."""
    from hashlib import sha256

    import numpy as np

    seed = _options_in_force(request, gradcheck_options).get("seed", 0)
    # hash() differs from process to process; a digest doesn't.
    digest = sha256(nodeid_of(request.node).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "big")])
