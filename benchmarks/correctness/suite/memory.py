"""Peak memory of one check, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tracemalloc
from pathlib import Path

import numpy as np

from suite.at_scale import Peer, ours
from suite.planted import PLANTED, Network, layers

STATUS = Path("/proc/self/status")
CHECKED = ("right", "one entry doubled", "dense block, no pattern")

Peaks = dict[tuple[str, str], tuple[float, float | None]]


def peaks(names: list[str], size: int) -> Peaks:
    """Return peak memory over what the parameters take, per checker and gradient.

    Parameters
    ----------
    names : list of str
        "ours" and peers.
    size : int

    Returns
    -------
    dict of (checker, gradient) to (resident, traced)
        What was resident at the most beyond what was before, and for ours what Python and numpy
        had allocated by tracemalloc; both over the size of the parameters.
    """
    context = multiprocessing.get_context("spawn")
    found: Peaks = {}
    for name in names:
        for error in CHECKED if name == "ours" else CHECKED[:1]:
            traced = None
            if name == "ours":
                with context.Pool(1) as pool:
                    traced = pool.apply(measure, (name, size, error, True))
            with context.Pool(1) as pool:
                found[name, error] = (pool.apply(measure, (name, size, error, False)), traced)
    return found


def measure(name: str, size: int, error: str, traced: bool) -> float:
    """Return the peak of one check over the parameters' size; func's own arrays are in it."""
    check = ours if name == "ours" else Peer(name)
    rng = np.random.default_rng(1000)
    for n in (1_000, size):  # the small one imports and compiles what there is to
        network = Network(layers(n))
        planted = PLANTED[error](network, rng)
        if name != "ours":
            check.judge(network)  # type: ignore[union-attr]
        network.cost(network.params)
        if traced:
            tracemalloc.start()
        before = _begin()
        check(network, planted.gradient, 0, n)
        after = tracemalloc.get_traced_memory()[1] if traced else _peak()
        tracemalloc.stop()
    own = sum(value.nbytes for value in network.params.values())
    return (after - (0 if traced else before)) / own


def _begin() -> float:
    """Forget the peak so far, where Linux allows it, and return what is resident now."""
    if not STATUS.exists():
        return _peak()
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    if not STATUS.exists():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(most if sys.platform == "darwin" else 1024 * most)
    line = next(text for text in STATUS.read_text().splitlines() if text.startswith("VmHWM"))
    return 1024 * float(line.split()[1])
