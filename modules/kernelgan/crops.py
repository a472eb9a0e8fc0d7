"""Which crops are learnt from: those with edges, at the size at which the discriminator sees them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.datamodules.degradations.imresize import imresize


class Crops:
    """Places of the image drawn in proportion to the gradients that a crop holds.

    arXiv 1909.06581 does not say how crops are drawn; the released data sampling does. Two places per iteration: one
    for the generator, by the gradients of the image shrunk by 2, and one for the discriminator, by those of the image.

    Args:
        image: (1,3,h,w), sides of ``large`` or more.
        large: side of the generator's crops.
        small: side of the discriminator's.
        steepest: quantile of the gradients above which they count, all alike.
    """

    def __init__(self, image: Tensor, large: int, small: int, steepest: float = 0.97) -> None:
        self._image = image
        self._sides = (large, small)
        own = gradients(image, steepest)
        halved = gradients(imresize(image, 0.5), steepest)
        seen = F.interpolate(halved, scale_factor=2.0)[..., : image.shape[-2], : image.shape[-1]]
        self._maps = (held(seen, large), held(own, small))

    def drawn(self, count: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """``count`` pairs of crops, (1,3,large,large) and (1,3,small,small)."""
        places = [places_drawn(one, count, generator) for one in self._maps]
        for rows in zip(*places, strict=True):
            large, small = (
                self._image[..., top : top + side, left : left + side]
                for (top, left), side in zip(rows, self._sides, strict=True)
            )
            yield large, small


def gradients(image: Tensor, steepest: float, window: int = 5) -> Tensor:
    """Where (1,3,h,w) is steep: (1,1,h,w), 0 where it is not.

    Down, to the right and along the steepest direction, pixels above the ``steepest`` quantile count 1, weighted so
    that each of the three holds as much in all, and the sum is blurred over ``window`` pixels.
    """
    grey = (image * image.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    down, right = torch.gradient(grey, dim=(-2, -1))
    maps = [_steepest(one, steepest, window) for one in (down.abs(), right.abs(), torch.hypot(down, right))]
    total = torch.stack([one / one.sum().clamp_min(1.0) for one in maps]).sum(0)
    return F.avg_pool2d(total, window, 1, window // 2)


def _steepest(length: Tensor, quantile: float, edge: int) -> Tensor:
    """1 above the quantile of (1,1,h,w), 0 below and near the edge."""
    inner = F.pad(length[..., edge:-edge, edge:-edge], (edge,) * 4)
    # Not torch.quantile, which refuses more than 16 million numbers.
    bound = inner.flatten().kthvalue(max(round(quantile * inner.numel()), 1)).values
    return (inner > bound).to(inner)


_LUMA = (0.299, 0.587, 0.114)


def held(map_: Tensor, side: int) -> Tensor:
    """The mean of (1,1,h,w) over every square of that side: (h-side+1,w-side+1), by its upper left pixel."""
    return F.avg_pool2d(F.avg_pool2d(map_, (side, 1), 1), (1, side), 1)[0, 0]


def places_drawn(map_: Tensor, count: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """Rows and columns of (h,w) drawn in proportion to its values; evenly where all of them are 0.

    By the running sum: ``torch.multinomial`` ends at 16 million places.
    """
    weights = map_.flatten().double().cpu()
    sums = (weights if weights.sum() > 0 else torch.ones_like(weights)).cumsum(0)
    at = torch.rand(count, generator=generator, dtype=torch.float64) * sums[-1]
    found = torch.searchsorted(sums, at, right=True).clamp_max(len(sums) - 1)
    return [divmod(int(place), map_.shape[1]) for place in found]
