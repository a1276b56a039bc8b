"""torch's tensors, on any device: a copy on the CPU shares its memory with numpy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from .._kinds import Array, ArrayKind, Cell, ItemCell, Unreadable, window
from ..hookspecs import hookimpl


class TorchKind(ArrayKind):
    """Tensors; copies are detached leaves with the same ``requires_grad``."""

    mutable = True

    def to_numpy(self, value: Any) -> Array:
        try:
            array: Array = value.detach().cpu().resolve_conj().resolve_neg().numpy()
        except (TypeError, RuntimeError) as error:
            said = value.dtype if str(value.layout) == "torch.strided" else value.layout
            why = str(error).splitlines()[0]
            raise Unreadable(
                f"is a tensor of {said} that numpy can't take ({why}); check the same function "
                "with dense tensors of float32 or float64"
            ) from error
        return array

    def like(self, value: Any, array: Array) -> Any:
        tensor = sys.modules["torch"].from_numpy(np.require(array, requirements=("C", "W")))
        return tensor.to(value.device).requires_grad_(value.requires_grad)

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        torch, new = sys.modules["torch"], value.detach().resolve_conj().resolve_neg()
        new = new.contiguous().clone() if new.is_complex() else new.clone()
        if dtype is not None:
            with suppress(TypeError):  # not every device has float64
                new = new.to(getattr(torch, dtype.name))
        if isinstance(value, torch.nn.Parameter):
            return torch.nn.Parameter(new, requires_grad=value.requires_grad)
        return new.requires_grad_(value.requires_grad)

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        return item_cell(value) if value.device.type != "cpu" else window(self.to_numpy(value))

    def item(self, value: Any) -> Any:
        return value.item() if value.numel() == 1 else None

    def same_bits(self, a: Any, b: Any) -> bool:
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        # As bytes, on their device: bfloat16 too, and NaN is equal to itself.
        torch = sys.modules["torch"]
        return bool(torch.equal(*(x.detach().reshape(-1).view(torch.uint8) for x in (a, b))))

    def refuses_in_place(self, value: Any) -> str:
        lazy = value.is_conj() or value.is_neg()
        return "is a view with a conjugation pending; pass .resolve_conj()" if lazy else ""

    def restore(self, value: Any, saved: Any) -> None:
        value.detach().copy_(saved.detach())

    def set_aside(self, value: Any) -> Callable[[], None] | None:
        if not value.is_leaf:
            return None
        was, value.grad = value.grad, None
        return lambda: setattr(value, "grad", was)


def item_cell(value: Any) -> ItemCell:
    """Return what sets coordinates of a tensor on its device, without a copy on the CPU."""
    torch, real = sys.modules["torch"], value.detach()
    real = torch.view_as_real(real) if real.is_complex() else real
    return ItemCell(real, lambda array: torch.from_numpy(array).to(real))


KIND = TorchKind()


@hookimpl
def gradcheck_array(value: Any) -> ArrayKind | None:
    """Know a tensor, if torch is loaded."""
    return KIND if isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ())) else None
