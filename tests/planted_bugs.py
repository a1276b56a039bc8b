"""The table of planted bugs: models, the wrong gradients people write, and the right hints.

    python tests/planted_bugs.py    # prints it

`planted` holds the models, a family to a file; this is the way in.
"""

from __future__ import annotations

from planted import Bug, Model, Plan, load

PLANS: list[Plan] = load()
"""Every model, each with its table of bugs."""


def models(seed: int = 0) -> list[Model]:
    """Return the models with their right gradients."""
    return [plan.model(seed) for plan in PLANS]


def bugs(seed: int = 0) -> list[Bug]:
    """Return every wrong gradient, each in a model of its own."""
    return [plan.bug(name, seed) for plan in PLANS for name in plan.table]


if __name__ == "__main__":
    for bug in bugs():
        print(f"{bug.model.name:22} {bug.name:34} {' '.join(bug.codes):28} {bug.why}")
