"""Aggregation sampling: a network run on overlapping windows of a map of any size, mixed by Gaussian weights.

StableSR (Wang et al., arXiv 2305.07015), the canvas functions of ``ldm/models/diffusion/ddpm.py`` at commit 398ee93:
windows of fixed side, the last one flush with the edge, and weights that fall from the middle, so that no border of a
window shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from srbench.errors import InputError


class Window(NamedTuple):
    """A rectangle of a map: rows ``top:bottom``, columns ``left:right``."""

    top: int
    bottom: int
    left: int
    right: int

    def scaled(self, factor: int) -> Window:
        """The same rectangle of a map ``factor`` times as large."""
        return Window(*(factor * edge for edge in self))

    def of(self, pixels: Tensor) -> Tensor:
        """That part of ``pixels`` (...,H,W)."""
        return pixels[..., self.top : self.bottom, self.left : self.right]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where windows begin along one axis: every ``tile - overlap``, the last flush with the end.

    >>> starts(100, 64, 32), starts(64, 64, 32), starts(40, 64, 32)
    ([0, 32, 36], [0], [0])
    """
    if length <= tile:
        return [0]
    return [*range(0, length - tile, tile - overlap), length - tile]


def windows(height: int, width: int, tile: int | None, overlap: int) -> Iterator[Window]:
    """The windows that cover a map, row by row; a side shorter than ``tile`` is taken whole, None takes all whole."""
    tall, wide = (height, width) if tile is None else (min(tile, height), min(tile, width))
    for top in starts(height, tall, overlap):
        for left in starts(width, wide, overlap):
            yield Window(top, top + tall, left, left + wide)


def gaussian(height: int, width: int) -> Tensor:
    """Weights of a window, (height,width) float32: the product of two Gaussians of variance 0.01 of the side.

    Along x, exp(-(i - m)^2 / (2 * 0.01 * width^2)) about m = (width - 1) / 2; along y about m = height / 2, half a cell
    off the middle, as in the released code. The constant before it cancels.
    """
    x = torch.arange(width, dtype=torch.float64)
    y = torch.arange(height, dtype=torch.float64)
    across = torch.exp(-((x - (width - 1) / 2) ** 2) / (width**2 * 2 * 0.01))
    down = torch.exp(-((y - height / 2) ** 2) / (height**2 * 2 * 0.01))
    return torch.outer(down, across).float()


def check_tile(tile: int | None, overlap: int, *, name: str, multiple: int) -> None:
    """Refuses tiles that cannot cover a map.

    Raises:
        InputError: ``tile`` or ``overlap`` is negative, not divisible by ``multiple``, or the overlap is no smaller.
    """
    if tile is None:
        return
    if tile < 1 or not 0 <= overlap < tile or tile % multiple or overlap % multiple:
        raise InputError(
            f"tiles of {tile} that overlap by {overlap} are impossible",
            where=f"model.init_args.{name}",
            remedy=f"use multiples of {multiple}, and an overlap below the tile",
        )


def blended(
    part: Callable[[Window], Tensor], height: int, width: int, *, tile: int | None, overlap: int, factor: float = 1.0
) -> Tensor:
    """Puts a map together from its windows, each weighted by :func:`gaussian`, the sum divided by that of the weights.

    Where one window suffices, its part is returned as it is. Nothing larger than a window is ever computed on; the sum
    itself, of few channels, is as large as the map.

    Args:
        part: makes the (B,C,factor*h,factor*w) of a window (h,w) of the map that windows are counted in.
        height: of that map.
        width: of that map.
        tile: side of a window; None takes one.
        overlap: of neighbouring windows.
        factor: how much larger the parts are than their windows (8 in decoding, 1/8 in encoding).

    Returns:
        (B,C,factor*height,factor*width) float32, on the device of the parts.
    """
    cuts = list(windows(height, width, tile, overlap))
    if len(cuts) == 1:
        return part(cuts[0]).float()
    total: Tensor | None = None
    for cut in cuts:
        made = part(cut).float()
        weight = gaussian(made.shape[-2], made.shape[-1]).to(made.device)
        if total is None:
            total = made.new_zeros((*made.shape[:-2], round(height * factor), round(width * factor)))
            weights = total.new_zeros(total.shape[-2:])
        place = Window(*(round(edge * factor) for edge in cut))
        place.of(total).add_(made * weight)
        place.of(weights).add_(weight)
    assert total is not None  # there is a window
    return total / weights
