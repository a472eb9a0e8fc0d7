"""Images of any size in bounded memory: overlapping tiles, blended so that no seam can show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from srbench.errors import InputError


class Span(NamedTuple):
    """One tile along one axis: what is read (``start:stop``) and what of it is kept (``keep_start:keep_stop``)."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Cuts ``length`` pixels into tiles that keep disjoint parts and read ``overlap`` more on every inner side.

    Every tile reads ``min(tile + 2 * overlap, length)`` pixels, at the borders too, so a network sees one size only.

    >>> [tuple(s) for s in spans(10, 4, 1)]
    [(0, 6, 0, 4), (3, 9, 4, 8), (4, 10, 8, 10)]
    """
    window = min(tile + 2 * overlap, length)
    out = []
    for keep in range(0, length, tile):
        start = min(max(keep - overlap, 0), length - window)
        out.append(Span(start, start + window, keep, min(keep + tile, length)))
    return out


def _tiles(height: int, width: int, tile: int, overlap: int) -> Iterator[tuple[Span, Span]]:
    for row in spans(height, tile, overlap):
        for column in spans(width, tile, overlap):
            yield row, column


def tiled(upscale: Callable[[Tensor], Tensor], lq: Tensor, *, scale: int, tile: int | None, overlap: int) -> Tensor:
    """Runs ``upscale`` on overlapping tiles of ``lq`` and blends them into one image.

    Neighbours are mixed by a linear ramp, ``overlap`` lq pixels wide and centred on the cut; the outer half of what a
    tile reads is context only. Where half the overlap is at least the network's receptive radius the result is that
    of the whole image up to rounding; networks with global operations (a selective scan, attention over the image, a
    global pool) see only their tile, so there the tile is part of the method, and the record says which it was.

    Args:
        upscale: maps (B,3,h,w) to (B,3,scale*h,scale*w).
        lq: (B,3,h,w) in [0,1]; it may have more channels, which tell ``upscale`` what lies at each pixel.
        scale: magnification.
        tile: side of a tile's own part in lq pixels; None runs the whole image at once.
        overlap: lq pixels read beyond it on every side.

    Returns:
        (B,3,scale*h,scale*w) on the device of ``lq``.

    Raises:
        InputError: ``tile`` is not positive or ``overlap`` is negative.
    """
    if tile is not None and (tile < 1 or overlap < 0):
        raise InputError(f"tile {tile} with overlap {overlap} is impossible", remedy="use tile >= 1 and overlap >= 0")
    height, width = lq.shape[-2:]
    if tile is None or (height <= tile + 2 * overlap and width <= tile + 2 * overlap):
        return upscale(lq)
    sr: Tensor | None = None
    total = lq.new_zeros((height * scale, width * scale))
    for row, column in _tiles(height, width, tile, overlap):
        part = upscale(lq[..., row.start : row.stop, column.start : column.stop])
        weight = (_ramp(row, height, overlap, scale)[:, None] * _ramp(column, width, overlap, scale)).to(lq.device)
        here = (..., slice(row.start * scale, row.stop * scale), slice(column.start * scale, column.stop * scale))
        if sr is None:
            sr = lq.new_zeros((*part.shape[:-2], height * scale, width * scale))
        sr[here] += part * weight
        total[here] += weight
    assert sr is not None  # there is a tile
    return sr / total


def _ramp(span: Span, length: int, overlap: int, scale: int) -> Tensor:
    """A tile's weights along one axis, at the centres of its sr pixels: 1 inside, falling to 0 around its cuts."""
    x = span.start + (torch.arange((span.stop - span.start) * scale, dtype=torch.float32) + 0.5) / scale
    zone = max(overlap, 1)
    weight = torch.ones_like(x)
    if span.keep_start > 0:
        weight = weight * ((x - span.keep_start) / zone + 0.5).clamp(0, 1)
    if span.keep_stop < length:
        weight = weight * ((span.keep_stop - x) / zone + 0.5).clamp(0, 1)
    return weight
