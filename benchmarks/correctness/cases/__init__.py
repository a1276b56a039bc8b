"""The cases of the accuracy suite, one module per family."""

from __future__ import annotations

import importlib
from functools import cache

from cases._case import EXPECTATIONS, Case

MODULES = (
    "classical",
    "classical_n",
    "landscapes",
    "networks",
    "layers",
    "likelihoods",
    "likelihoods_deep",
    "scaling",
    "oscillating",
    "edges",
    "sums",
    "dtypes",
    "noisy",
    "kinks",
    "degenerate",
    "imported",
    "frameworks",
)


@cache
def load() -> dict[str, Case]:
    """Return every case by name, in the order of the modules."""
    found: dict[str, Case] = {}
    for module in MODULES:
        for case in importlib.import_module(f"cases.{module}").cases():
            if case.name in found:
                raise ValueError(f"two cases are named {case.name!r}")
            found[case.name] = case
    return found


__all__ = ["EXPECTATIONS", "Case", "load"]
