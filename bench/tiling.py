"""Images of any size in bounded memory: overlapping tiles, cut so that no seam can show."""

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
    """Runs ``upscale`` on overlapping tiles of ``lq`` and puts the kept centres together.

    Where ``overlap`` is at least the network's receptive radius in lq pixels, the result is that of the whole image
    (to the last digits of its convolutions); networks with global operations (a selective scan, attention over the
    image, a global pool) see only their tile, so there the tile is part of the method and is recorded.

    Args:
        upscale: maps (B,3,h,w) to (B,3,scale*h,scale*w).
        lq: (B,3,h,w) in [0,1].
        scale: magnification.
        tile: side of the kept part in lq pixels; None runs the whole image at once.
        overlap: lq pixels read beyond the kept part on every side.

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
    for row, column in _tiles(height, width, tile, overlap):
        part = upscale(lq[..., row.start : row.stop, column.start : column.stop])
        if sr is None:
            shape = (*part.shape[:-2], height * scale, width * scale)
            sr = torch.empty(shape, dtype=part.dtype, device=part.device)
        sr[..., _scaled(row, scale, 0), _scaled(column, scale, 0)] = part[
            ..., _scaled(row, scale, row.start), _scaled(column, scale, column.start)
        ]
    assert sr is not None
    return sr


def _scaled(span: Span, scale: int, origin: int) -> slice:
    return slice((span.keep_start - origin) * scale, (span.keep_stop - origin) * scale)
