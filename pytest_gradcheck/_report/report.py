"""The result of a check: a value first, text second, its vectors in a file if asked."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from .._params.arrays_and_structure import Array, complex_of
from .._quoting import quoted, replacing, shown
from .._verdict.tolerance_and_comparison import Evidence

if TYPE_CHECKING:  # a gradient that is right has neither, and their rooms are not loaded
    from .._diagnosis.evidence_and_places import Diagnosis
    from .._source.lines import SourceLine

VERDICTS = ("agree", "disagree", "inconclusive")
# Of `GradientReport.to_dict`; a change that breaks a reader changes the number.
SCHEMA = "pytest-gradcheck/1"
# What we raise for the user: the text says all. Another error of ours is a bug, shown in full.
SAID = (AssertionError, ImportError, TypeError, ValueError)


@dataclass(frozen=True)
class Entry:
    """One parameter that is wrong, open or on a kink.

    Attributes
    ----------
    label : str
        ``W2[1, 3]``.
    block : str
        ``W2``.
    index : tuple of int
    analytic, numeric, error_bar : float
    error : float
        |analytic − numeric|.
    ratio : float
        The error over what would have passed: tolerance and error bar.
    verdict : str
        "agree", "disagree" or "inconclusive".
    reason : str
        Why it was left open, or "not differentiable here".
    slopes : tuple of (float, float) or None
        Backward and forward slope at a kink.
    """

    label: str
    block: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    error_bar: float
    error: float
    ratio: float
    verdict: str
    reason: str = ""
    slopes: tuple[float, float] | None = None


@dataclass(frozen=True)
class BlockReport:
    """One block of the parameters.

    Attributes
    ----------
    name : str
    shape : tuple of int
    size, checked : int
        How many parameters it has, and how many were differenced.
    wrong, open, kinks : int
        How many disagree, are inconclusive, are on a kink.
    difference : float
        ‖analytic − numeric‖₂ / (‖analytic‖₂ + ‖numeric‖₂) of the block.
    resolution : float
        What the tolerances and the error bar of the largest entries come to, relative to them:
        a relative error below it is not seen.  Of a block whose gradient is zero, relative to the
        whole gradient.
    verdict : str
    vacuous : bool
        func does not depend on it here and its gradient is zero: nothing was checked.
    hint : str
        What the error looks like; empty when nothing is convincing.
    code : str
        The hint's stable code.
    entry_seen, row_seen, block_seen : float or None
        Where noise left entries open and the block was told by directions through it: how large an
        error would have been seen of one entry, in parts of the root mean square of the block's
        gradient; of one row, in parts of its own; of the whole block, in parts of its gradient.
        None where each entry was told.
    """

    name: str
    shape: tuple[int, ...]
    size: int
    checked: int
    wrong: int
    open: int
    kinks: int
    difference: float
    resolution: float
    verdict: str
    vacuous: bool = False
    hint: str = ""
    code: str = ""
    entry_seen: float | None = None
    row_seen: float | None = None
    block_seen: float | None = None


@dataclass(frozen=True)
class GradientReport:
    """The result of a check.

    Attributes
    ----------
    name : str
        func's name.
    ok : bool
        Whether a test passes, the options applied.
    verdict : str
        "agree", "disagree" or "inconclusive", of the whole check.
    difference : float
        ‖analytic − numeric‖₂ / (‖analytic‖₂ + ‖numeric‖₂).
    size, checked, wrong, open, kinks : int
        Parameters in all, differenced, that disagree, are inconclusive, are on a kink.
    evaluations : int
        Calls of func.
    seconds : float
        Wall-clock time of the check.
    rtol, atol : float or None
        As given; None where unset.
    rtol_used : float
        The relative tolerance that was applied.
    threshold : float or None
        As given; None where unset.
    resolution : float
        A relative error below this is not seen, in the block that is known worst.
    noise : float
        Standard deviation of func's value at the parameters.
    precision : str
        The floating-point format that func's values have.
    value : float
        J at the parameters.
    seed : int
        Of the random directions.
    scheme : str
        The difference formula, in words.
    blocks : tuple of BlockReport
        In the order of params.
    worst : tuple of Entry
        Worst first, over all blocks.  Those that disagree, then those that are open; kinks last.
        At most 10,000, unless `max_report` is larger, or 0.
    reasons : tuple of str
        Sentences about the whole check: why it can't tell, what would settle it.
    warning : str
        Non-empty when the test passes with a warning.
    vacuous : tuple of str
        Names of blocks on which nothing was checked.
    skipped : tuple of str
        Names of leaves that were left out.
    hints : tuple of str
        From implementations of ``gradcheck_explain``.
    max_report : int
        How many of `worst` the message shows; 0: all.
    directions : int
        Random directions that all parameters were checked along at once, because differencing
        each would have taken more than ``max_evals``; 0 where each was differenced.
    miss : float
        The chance that those directions all miss an error ten times the resolution.
    patterns : tuple of str
        What the directions say of the error.
    remarks : tuple of str
        Of how func was evaluated: by a reference, in float64, slowly.
    repeated : bool
        Only parameters that were wrong in the last run were differenced, and some still are.
    diagnoses : tuple of Diagnosis
        What the error looks like, over all blocks, best first; empty when nothing is convincing.
    lines : tuple of SourceLine
        The lines of the user's code that what is wrong comes from, the likeliest first; empty
        where nothing is known of it.
    at : str
        Which of several points it is of, ``points[2]``; empty for a check at one.
    points : tuple of GradientReport
        Of each point, where there were several.
    coarse : bool
        Some blocks were told by directions through them, and not entry by entry: func is float32,
        or noisy.  Their `entry_seen`, `row_seen` and `block_seen` say what would have been seen.
    evidence : Evidence or None
        The vectors behind the report where each parameter was differenced; not in `to_dict`.
    """

    name: str
    ok: bool
    verdict: str
    difference: float
    size: int
    checked: int
    wrong: int
    open: int
    kinks: int
    evaluations: int
    seconds: float
    rtol: float | None
    atol: float | None
    rtol_used: float
    threshold: float | None
    resolution: float
    noise: float
    precision: str
    value: float
    seed: int
    scheme: str
    blocks: tuple[BlockReport, ...] = ()
    worst: tuple[Entry, ...] = ()
    reasons: tuple[str, ...] = ()
    warning: str = ""
    vacuous: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    max_report: int = 5
    directions: int = 0
    miss: float = 0.0
    patterns: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    repeated: bool = False
    diagnoses: tuple[Diagnosis, ...] = ()
    lines: tuple[SourceLine, ...] = ()
    at: str = ""
    points: tuple[GradientReport, ...] = ()
    coarse: bool = False
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    @classmethod
    def later(cls, make: Callable[[], GradientReport], **known: Any) -> GradientReport:
        """Return a report of which some fields are `known`; the others are made when asked for."""
        # Of a right gradient nobody reads more than that it is right, and making the rest takes as
        # long as finding that out.
        report = cls.__new__(cls)
        vars(report).update(known, _make=make)
        return report

    if not TYPE_CHECKING:  # to a type checker, every name would be an attribute

        def __getattr__(self, name: str) -> Any:
            own = vars(self)
            if (make := own.get("_make")) and name in self.__dataclass_fields__:
                own.update(vars(make()), _make=None)
            if name in own:  # another thread may have made it
                return own[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __bool__(self) -> bool:
        return self.ok

    def message(self) -> str:
        """Return the text of the failure; its first line names the worst parameter."""
        from .message import message

        return message(self)

    def details(self, *, unicode: bool = True) -> str:
        """Return the long text: every block, maps of the error, and up to 100 parameters.

        Parameters
        ----------
        unicode : bool, optional
            False: ASCII alone, for a terminal that has no more.
        """
        from .message import details

        return details(self, unicode=unicode)

    def summary(self) -> str:
        """Return one line."""
        from .message import summary

        return summary(self)

    def plot(self) -> Any:
        """Draw the check: a map of the error for each wrong block, and how both gradients differ.

        Needs matplotlib, which the extra ``pytest-gradcheck[html]`` brings.

        Returns
        -------
        matplotlib.figure.Figure
            Maps of at most 6 blocks; analytic against numeric; for the worst parameters,
            differences at several steps.  Of a check along random directions, what was located.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            When there is nothing to draw.

        Examples
        --------
        >>> from pytest_gradcheck import check_gradients
        >>> figure = check_gradients(lambda x: x**3, lambda x: 2 * x**2, 2.0).plot()
        >>> figure.savefig("bug.png")  # doctest: +SKIP
        """
        from .pictures_and_page import figure_of, picture_of

        return figure_of(picture_of(self))

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the text, and the pictures of `plot` as SVG."""
        from .pictures_and_page import notebook

        return notebook(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.summary()}>"

    def __str__(self) -> str:
        return self.summary() if self.ok else self.message()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as builtins; NaN and infinity as strings.

        Returns
        -------
        dict
            Keys are the attributes, and "schema".  At most 1,000 entries of `worst`.
        """
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        del plain["evidence"]
        plain["worst"] = self.worst[:1000]
        return {"schema": SCHEMA, **{key: _builtin(value) for key, value in plain.items()}}

    def raise_if_failed(self) -> GradientReport:
        """Return the report, or raise `GradientMismatch` when it is not `ok`."""
        __tracebackhide__ = hide_frame
        if not self.ok:
            raise GradientMismatch(self)
        return self


for _item in fields(GradientReport):
    # A default found on the class would hide that the field is still to be made.
    if _item.name in vars(GradientReport):
        delattr(GradientReport, _item.name)


def _builtin(value: Any) -> Any:
    if isinstance(value, GradientReport):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): _builtin(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_builtin(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    # A lone surrogate, as file names may hold, is no Unicode: nobody could decode it.
    return None if value is None else str(value).encode("utf-8", "backslashreplace").decode()


def hide_frame(excinfo: Any) -> bool:
    """Tell pytest whether to leave our frames out; ``--full-trace`` shows them all."""
    tb = excinfo.value.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    home = str(tb.tb_frame.f_globals.get("__name__")) if tb else ""
    ours = home.partition(".")[0] == __name__.partition(".")[0]
    return isinstance(excinfo.value, SAID) or not ours


class GradientMismatch(AssertionError):  # noqa: N818 - the public name of the contract
    """The analytic gradient is wrong, or can't be told to be right.

    Attributes
    ----------
    report : GradientReport
    """

    report: GradientReport

    def __init__(self, report: GradientReport) -> None:
        super().__init__(report.message())
        self.report = report

    def __repr__(self) -> str:
        return f"GradientMismatch({str(self).partition(chr(10))[0]!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _mismatch, (self.report,)


def _mismatch(report: GradientReport) -> GradientMismatch:
    return GradientMismatch(report)


# pytest's short summary has 80 columns for the test's name, the exception's and its first line.
# Python leaves out the module's name for built-in exceptions alone, and the worst parameter is
# worth more there than "pytest_gradcheck."; `__reduce__` keeps the exception picklable.
GradientMismatch.__module__ = "builtins"


# The vectors of a check as a file: numpy's .npz, read without pickle

FORMAT = "pytest-gradcheck-saved/1"
VECTORS = ("params", "analytic", "numeric", "error_bar", "verdict")


@dataclass(frozen=True, eq=False)
class SavedCheck:
    """What ``--gradcheck-save`` kept of a check.

    Attributes
    ----------
    about : dict of str to str, int or float
        "format", "version" (of this package), "nodeid", "name" (func's), "seed", "scheme",
        "rtol" (as applied) and "difference".
    params, analytic, numeric, error_bar : dict of str to ndarray
        By the block's name, of its shape; complex where the parameters are.  In `numeric` NaN and
        in `error_bar` infinity where nothing was differenced.
    verdict : dict of str to ndarray of int
        0 agree, 1 disagree, 2 inconclusive; of a complex entry, the worse of its two parts.
    """

    about: Mapping[str, Any]
    params: Mapping[str, Array]
    analytic: Mapping[str, Array]
    numeric: Mapping[str, Array]
    error_bar: Mapping[str, Array]
    verdict: Mapping[str, Array]


def save(report: GradientReport, path: Path, nodeid: str = "") -> None:
    """Write the vectors of a check, whole or not at all, in a folder that is made."""
    # ValueError when the report has no evidence, OSError when it can't be written.
    evidence = report.evidence
    if evidence is None:
        raise ValueError("parameters were checked along random directions: there are no vectors")
    about = {"format": FORMAT, "version": __version__, "nodeid": nodeid, "rtol": report.rtol_used}
    about |= {name: getattr(report, name) for name in ("name", "seed", "scheme")}
    about["difference"] = str(report.difference)
    arrays: dict[str, Array] = {
        # Text as UTF-8 in bytes: neither an array of str nor JSON loses a lone surrogate so.
        "about": _bytes(about),
        "names": _bytes([block.name for block in evidence.blocks]),
    }
    for position in range(len(evidence.blocks)):
        parts = _entries(evidence, position)
        arrays |= {f"{name}_{position}": parts[name] for name in VECTORS}
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not into the file: on a full disk numpy 1.26 leaves its archive open, to fail once more.
    archive = io.BytesIO()
    np.savez_compressed(archive, **arrays)  # type: ignore[arg-type,unused-ignore]
    with replacing(path) as stream:
        stream.write(archive.getbuffer())


def _bytes(value: Any) -> Array:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)


def _entries(evidence: Evidence, position: int) -> dict[str, Array]:
    """Return a block's vectors by entries: complex numbers are put together again."""
    block = evidence.blocks[position]
    parts = evidence.arrays(block)
    if block.is_complex:
        for name in ("params", "analytic", "numeric", "error_bar"):
            parts[name] = complex_of(np.ascontiguousarray(parts[name]))[..., 0]
        parts["verdict"] = parts["verdict"].max(axis=-1, initial=0)
    return parts


def load_saved(path: str | os.PathLike[str]) -> SavedCheck:
    """Read a file that ``--gradcheck-save`` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    SavedCheck

    Raises
    ------
    OSError
        When it can't be read.
    ValueError
        When it is not such a file.

    Examples
    --------
    >>> import subprocess
    >>> import sys
    >>> import tempfile
    >>> from pathlib import Path
    >>> from pytest_gradcheck import compare_gradients, load_saved
    >>> test = '''
    ... from pytest_gradcheck import assert_gradients_close
    ...
    ... def test_cube():
    ...     assert_gradients_close(lambda x: x**3, lambda x: 2 * x**2, 2.0)
    ... '''
    >>> pytest = [sys.executable, "-m", "pytest", "--gradcheck-save=saved"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = Path(folder, "test_cube.py").write_text(test)
    ...     run = subprocess.run(pytest, cwd=folder, capture_output=True)
    ...     saved = load_saved(next(Path(folder, "saved").iterdir()))
    >>> print(saved.analytic["params"], round(float(saved.numeric["params"]), 6))
    8.0 12.0
    >>> compare_gradients(saved.analytic, saved.numeric, rtol=0.5).ok
    True
    """
    wanted = f"{os.fspath(path)} is not a file of --gradcheck-save"
    try:
        # Opened here, because numpy leaves a file open that turns out to be no archive.
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(bytes(file["about"]))
            kind = about.get("format") if isinstance(about, dict) else None
            names = json.loads(bytes(file["names"])) if kind == FORMAT else []
            found = {
                vector: {name: file[f"{vector}_{i}"] for i, name in enumerate(names)}
                for vector in VECTORS
            }
    except OSError:
        raise
    except Exception as error:  # numpy, zipfile and json each have their own
        raise ValueError(f"{wanted}, or not a whole one: {error}") from error
    if kind == FORMAT:
        return SavedCheck(about=about, **found)
    if str(kind).rpartition("/")[0] != FORMAT.rpartition("/")[0]:
        raise ValueError(f"{wanted}: its format is {quoted(kind)}, not {FORMAT!r}")
    raise ValueError(
        f"{os.fspath(path)} has the format {quoted(kind)}, of pytest-gradcheck "
        f"{shown(str(about.get('version')))}; this version, {__version__}, reads {FORMAT!r}: "
        "read it with that one (pip install -U pytest-gradcheck)"
    )
