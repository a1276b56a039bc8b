"""What takes containers apart and knows arrays: one module per family or library.

To add one, write a small module with a ``gradcheck_flatten`` or a ``gradcheck_array`` and name it
in `built_in`.  A library is imported nowhere but inside its adapter, and there not before a value
of its own was seen: whoever made that value has imported it.
"""

from __future__ import annotations

from types import ModuleType


def built_in() -> tuple[ModuleType, ...]:
    """Return the adapters that come with the package."""
    from . import containers_and_arrays, jax_and_autograd, torch

    # Asked from the end, but for those that are trylast: these come after, in this order.
    return (containers_and_arrays, jax_and_autograd, torch)
