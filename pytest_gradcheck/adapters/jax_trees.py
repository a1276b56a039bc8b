"""Classes that are registered with JAX as pytrees, flax's and the user's own."""

from __future__ import annotations

import sys
from typing import Any

from .._names import key_step
from .._nodes import Node
from ..hookspecs import hookimpl


@hookimpl
def gradcheck_flatten(value: Any) -> Node | None:
    """Take a registered class apart; Python's own containers are left to their adapter."""
    tree = getattr(sys.modules.get("jax"), "tree_util", None)
    if tree is None or isinstance(value, (dict, list, tuple)) or tree.all_leaves([value]):
        return None
    children, definition = tree.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    return Node(
        [("".join(map(_step, path)), child) for path, child in children],
        lambda items: tree.tree_unflatten(definition, items),
    )


def _step(key: Any) -> str:
    if hasattr(key, "name"):  # of an attribute
        return f".{key.name}"
    return key_step(key.key if hasattr(key, "key") else getattr(key, "idx", str(key)))
