"""The checkers before networks of any size, one gradient at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cases import Case

from pytest_gradcheck import check_gradients
from suite import checkers
from suite.flat import flatten
from suite.planted import Network

DIRECTIONS = 300
"""``max_evals`` at N = 1,000, where the default would difference every parameter."""


def ours(network: Network, gradient: dict[str, Any], seed: int, size: int) -> tuple[str, int, Any]:
    """Check one gradient with our checker along directions."""
    most = DIRECTIONS if size <= 1_000 else None
    report = check_gradients(network.cost, gradient, network.params, seed=seed, max_evals=most)
    return report.verdict, report.evaluations, report


class Peer:
    """A peer of the accuracy suite over one network at a time."""

    def __init__(self, name: str) -> None:
        self.prepare = checkers.PEERS[name][1]()
        self.network: Network | None = None

    def __call__(
        self, network: Network, gradient: dict[str, Any], seed: int, size: int
    ) -> tuple[str, int, Any]:
        """Answer one gradient."""
        answer = self.judge(network)(flatten(gradient, np.float64))
        return answer.verdict, answer.evaluations, None

    def judge(self, network: Network) -> Callable[[Any], Any]:
        """Return the judge of a network, prepared outside what is timed."""
        if network is not self.network:
            case = Case(
                name="network",
                category="scale",
                func=network.cost,
                grad=network.gradient,
                params=network.params,
            )
            self.network, self.held = network, self.prepare(case)
        return self.held
