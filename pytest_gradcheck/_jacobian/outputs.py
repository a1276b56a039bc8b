"""A func with many outputs, as the engine's: evaluated whole, and looked at one output at a time.

The engine differences a func that returns one number.  `Capture` stands between the two: it
gives the engine one of the outputs, so that perturbing, restoring, counting, leaving the domain
and the like are the engine's own, and keeps all of them for `check`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._evaluate.call import ComplexValueError
from .._params.layout import Block, labels, position_of
from .._params.structure import ROOT, Structure, flatten
from .._quoting import brief, listing

Array = np.ndarray[Any, Any]

OUTPUT = "output"
"""What an output without a name is called."""


def output_name(name: str, called: str = OUTPUT) -> str:
    """Return the name of a leaf of what func returned: ``output``, ``output[1]``, ``residual``."""
    rest = name[len(ROOT) :]
    return called + rest if name.startswith(ROOT) and rest[:1] in ("", "[") else name


@dataclass(frozen=True)
class Outputs:
    """What func returns: its structure, and its leaves laid out in one vector.

    Parameters
    ----------
    structure : Structure
    blocks : tuple of Block
        All real: one coordinate for each entry.
    """

    structure: Structure
    blocks: tuple[Block, ...]

    @property
    def size(self) -> int:
        """How many outputs."""
        return self.blocks[-1].stop if self.blocks else 0


def outputs_of(value: Any, called: str = OUTPUT) -> Outputs:
    """Lay out what func returned.

    Parameters
    ----------
    value : object
        An array or a number, or containers of them.
    called : str
        The name of an output that has none.

    Raises
    ------
    TypeError
        When a leaf is no real array or number.
    ValueError
        When there is no output at all.
    """
    structure = flatten(value, "what func returned")
    blocks, start = list[Block](), 0
    for position, leaf in enumerate(structure.leaves):
        name = output_name(leaf.name, called)
        array = _real(leaf.value, name)
        dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
        stop = start + array.size
        blocks.append(Block(name, array.shape, dtype, False, start, stop, position))
        start = stop
    if not start:
        raise ValueError(
            "func returned nothing to differentiate; it must return an array or a number, or "
            "containers of them (is a return missing?)"
        )
    return Outputs(structure, tuple(blocks))


def _real(value: Any, name: str) -> Array:
    name = brief(name)
    try:
        array = np.asarray(value)
    except Exception:  # what a foreign object's conversion raises is its own business
        array = np.asarray(None)
    if array.dtype.kind == "c":
        raise ComplexValueError(
            f"func returned a complex {name} ({array.dtype}); outputs must be real: return real "
            "and imaginary parts, numpy.stack([z.real, z.imag])"
        )
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"func returned {name} of type {type(value).__name__}; an output is an array or a "
            "number, in dicts, lists, tuples and dataclasses (pass has_aux=True if func returns "
            "(outputs, anything))"
        )
    return array


def output_vector(value: Any, outputs: Outputs, what: str = "func") -> Array:
    """Return what func, or `what`, returned as one vector in the layout of `outputs`; shape (m,).

    Raises
    ------
    TypeError
        When names or shapes are not those of the outputs at the parameters.
    """
    leaves = flatten(value).leaves
    shapes = [(leaf.name, np.shape(leaf.value)) for leaf in leaves]
    known = [(outputs.structure.leaves[block.leaf].name, block.shape) for block in outputs.blocks]
    if shapes != known:
        raise TypeError(
            f"{what} returned {_told(shapes)}, but func's outputs are {_told(known)} at the "
            "parameters; names and shapes must be equal"
        )
    parts = [
        _real(leaf.value, block.name).reshape(-1)
        for leaf, block in zip(leaves, outputs.blocks, strict=True)
    ]
    wide = any(part.dtype.itemsize > 8 and part.dtype.kind == "f" for part in parts)
    return np.concatenate([part.astype(np.longdouble if wide else np.float64) for part in parts])


def _told(shapes: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return listing([f"{output_name(name)} of shape {shape}" for name, shape in shapes]) or "nothing"


def dtypes_of(value: Any) -> tuple[np.dtype[Any], ...]:
    """Return the precision of each leaf of a derivative: float64 for integers."""
    found = (np.asarray(leaf.value).dtype for leaf in flatten(value).leaves)
    return tuple(dtype if dtype.kind == "f" else np.dtype(np.float64) for dtype in found)


class Capture:
    """func, returning one of its outputs and keeping all of them.

    Parameters
    ----------
    func : callable
    has_aux : bool
        func returns ``(outputs, anything)``.
    called : str
        The name of an output that has none.
    beside : callable, optional
        Returns what else is known after a call, shape (m,), to be kept behind the outputs.

    Attributes
    ----------
    outputs : Outputs
        After the first call.
    last : ndarray, shape (m,), or None
        What the last call returned; None when it raised.
    dtypes : tuple of numpy.dtype
        Of each block of outputs at the last call: a func may answer in the precision of its
        parameters, which is raised for it.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        has_aux: bool = False,
        called: str = OUTPUT,
        beside: Callable[[], Array] | None = None,
    ) -> None:
        self.func = func
        self.outputs = Outputs(Structure((), lambda _: None), ())
        self.last: Array | None = None
        self.dtypes: tuple[np.dtype[Any], ...] = ()
        self._has_aux = has_aux
        self.called = called
        self._beside = beside
        self._shown = 0
        self.__qualname__ = str(getattr(func, "__qualname__", type(func).__name__))

    def __call__(self, *given: Any) -> Any:
        """Return the output that the engine sees: NaN where any is not finite."""
        self.last = None
        value = self.func(*given)
        if self._has_aux:
            if not (isinstance(value, tuple) and len(value) >= 2):
                raise TypeError(
                    f"func returned {type(value).__name__}, but has_aux=True says that it returns "
                    "(outputs, anything)"
                )
            value = value[0]
        if not self.outputs.blocks:
            self._begin(value)
        own = self.last = output_vector(value, self.outputs)
        self.dtypes = dtypes_of(value)
        if self._beside is not None:
            self.last = np.concatenate([own, self._beside()])
        if not np.isfinite(own).all():
            return np.nan
        # In its own type: float32 is recognised by it.
        which = position_of(self.outputs.blocks, self._shown)
        return self.dtypes[which].type(own[self._shown])

    def _begin(self, value: Any) -> None:
        outputs = outputs_of(value, self.called)
        vector = output_vector(value, outputs)
        finite = np.isfinite(vector)
        if not finite.all():
            k = int(np.argmin(finite))
            label = labels(outputs.blocks)(k)
            raise ValueError(
                f"func returned {brief(label)} = {vector[k]} at params; outputs must be finite "
                "to be differenced"
            )
        self._shown = int(np.argmax(np.abs(vector)))
        self.outputs = outputs


@dataclass(frozen=True)
class PairBlock(Block):
    """One block of outputs by one block of parameters, in labels ``residual[4] / W[2, 0]``."""

    output: Block | None = None
    param: Block | None = None

    def label(self, coordinate: int) -> str:
        """Return the name of an entry of the block."""
        if self.output is None or self.param is None:
            return super().label(coordinate)
        k, i = divmod(coordinate, max(self.param.size, 1))
        return f"{self.output.label(k)} / {self.param.label(i)}"


def _real_shape(block: Block) -> tuple[int, ...]:
    """Return the shape of a block's coordinates: real and imaginary part last."""
    return (*block.shape, 2) if block.is_complex else block.shape


def pair_blocks(outputs: Sequence[Block], params: Sequence[Block]) -> tuple[PairBlock, ...]:
    """Lay out a Jacobian: one block for each pair, outputs outermost."""
    blocks, start = list[PairBlock](), 0
    for output in outputs:
        for param in params:
            stop = start + output.size * param.size
            blocks.append(
                PairBlock(
                    f"{output.name} / {param.name}",
                    _real_shape(output) + _real_shape(param),
                    param.dtype,
                    False,
                    start,
                    stop,
                    len(blocks),
                    output,
                    param,
                )
            )
            start = stop
    return tuple(blocks)
