"""What takes containers apart: one module per family, registered with the engine's hooks.

To add one, write a module with a ``gradcheck_flatten`` of at most some lines and name it in
`built_in`.  A framework is imported nowhere but inside its adapter.
"""

from __future__ import annotations

from types import ModuleType


def built_in() -> tuple[ModuleType, ...]:
    """Return the adapters that come with the package."""
    from . import containers

    return (containers,)
