"""How published test scripts pad an image before their network; the digits depend on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["none", "multiple", "flip_always"]


@dataclass(frozen=True)
class Padding:
    """A padding rule.

    Attributes:
        kind: ``none``; ``multiple``: mirror without repeating the edge, only up to the next multiple; ``flip_always``:
            mirror with the edge doubled, always to the multiple after the side, also where it is divisible already.
        multiple: what the padded sides are divisible by.
        minimum: the least padded side, for ``multiple``.
    """

    kind: Kind = "none"
    multiple: int = 1
    minimum: int = 1

    def side(self, length: int) -> int:
        """The padded length of a side.

        >>> Padding("flip_always", 8).side(64), Padding("multiple", 16).side(64), Padding("multiple", 16).side(65)
        (72, 64, 80)
        """
        if self.kind == "none":
            return length
        if self.kind == "flip_always":
            return (length // self.multiple + 1) * self.multiple
        return -(-max(length, self.minimum) // self.multiple) * self.multiple

    def apply(self, image: Tensor) -> Tensor:
        """(...,h,w) padded at the bottom and the right to (...,side(h),side(w))."""
        for axis in (-2, -1):
            length = image.shape[axis]
            target = self.side(length)
            if target > length:
                image = image.index_select(axis, _mirror(length, target, self.kind == "flip_always", image.device))
        return image

    def around(self, network: Callable[[Tensor], Tensor], lq: Tensor, scale: int) -> Tensor:
        """Pads ``lq`` (B,3,h,w), runs ``network`` and crops its output to (B,3,scale*h,scale*w)."""
        height, width = lq.shape[-2:]
        return network(self.apply(lq))[..., : height * scale, : width * scale]


def _mirror(length: int, target: int, edge_twice: bool, device: torch.device) -> Tensor:
    """Which sample stands at each of ``target`` places when ``length`` samples are mirrored at their ends."""
    place = torch.arange(target, device=device)
    period = 2 * length if edge_twice else max(2 * length - 2, 1)
    folded = place % period
    return torch.where(folded < length, folded, period - int(edge_twice) - folded)
