"""The vectors of a check as a file: numpy's .npz, read without pickle."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._quoting import quoted, shown
from .._verdict.comparison import Evidence
from .._version import __version__
from .._writing import replacing
from .report import GradientReport

Array = np.ndarray[Any, Any]


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
    """Write the vectors of a check, whole or not at all; the folder is made, `nodeid` the test's.

    ValueError when the report has no evidence, OSError when it can't be written.
    """
    evidence = report.evidence
    if evidence is None:
        raise ValueError("parameters were checked along random directions: there are no vectors")
    about = {
        "format": FORMAT,
        "version": __version__,
        "nodeid": nodeid,
        "name": report.name,
        "seed": report.seed,
        "scheme": report.scheme,
        "rtol": report.rtol_used,
        "difference": str(report.difference),
    }
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
            pairs = np.ascontiguousarray(parts[name])
            parts[name] = pairs.view(np.result_type(pairs.dtype, np.complex64))[..., 0]
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
    >>> import tempfile
    >>> from pathlib import Path
    >>> from pytest_gradcheck import check_gradients, compare_gradients, load_saved
    >>> from pytest_gradcheck._report.saved import save
    >>> report = check_gradients(lambda x: x**3, lambda x: 2 * x**2, 2.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "bug.npz")
    ...     save(report, path)
    ...     saved = load_saved(path)
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
            _require_format(about, os.fspath(path), wanted)
            names = json.loads(bytes(file["names"]))
            found = {
                vector: {name: file[f"{vector}_{i}"] for i, name in enumerate(names)}
                for vector in VECTORS
            }
    except (OSError, _FormatError):
        raise
    except Exception as error:  # numpy, zipfile and json each have their own
        raise ValueError(f"{wanted}, or not a whole one: {error}") from error
    return SavedCheck(about=about, **found)


class _FormatError(ValueError):
    """A sound file that this version can't read."""


def _require_format(about: Any, path: str, wanted: str) -> None:
    found = about.get("format") if isinstance(about, dict) else None
    if found == FORMAT:
        return
    kind = FORMAT.rpartition("/")[0]
    if not (isinstance(found, str) and found.rpartition("/")[0] == kind):
        raise _FormatError(f"{wanted}: its format is {quoted(found)}, not {FORMAT!r}")
    raise _FormatError(
        f"{path} has the format {quoted(found)}, of pytest-gradcheck "
        f"{shown(str(about.get('version')))}; this version, {__version__}, reads {FORMAT!r}: "
        "read it with that one (pip install -U pytest-gradcheck)"
    )
