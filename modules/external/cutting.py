"""How published test scripts cut an image too large for their network: hard tiles that read some pixels more around."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Part(NamedTuple):
    """One tile along one axis: what is kept (``start:stop``) and what is read for it (``first:last``)."""

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Cutting:
    """A rule of cutting, as ``tile_process`` of Real-ESRGAN has it and FeMaSR and HAT took over.

    Every pixel of sr comes from one tile alone, nothing is blended: seams can show. Images below ``least`` stay whole.

    Attributes:
        tile: side of what a tile gives, in lq pixels.
        around: lq pixels that it reads beyond, where the image has them.
        least: fewest lq pixels (h * w) of an image that is cut.
    """

    tile: int
    around: int = 0
    least: int = 0

    def parts(self, length: int) -> list[Part]:
        """The tiles along a side of ``length`` pixels; the last one is what is left.

        >>> [tuple(part) for part in Cutting(4, around=1).parts(10)]
        [(0, 4, 0, 5), (4, 8, 3, 9), (8, 10, 7, 10)]
        """
        starts = range(0, length, self.tile)
        ends = [(start, min(start + self.tile, length)) for start in starts]
        return [Part(start, stop, max(start - self.around, 0), min(stop + self.around, length)) for start, stop in ends]

    def around_each(self, restore: Callable[[Tensor], Tensor], lq: Tensor, scale: int) -> Tensor:
        """Runs ``restore`` on every tile of ``lq`` (B,3,h,w) and puts (B,3,scale*h,scale*w) together."""
        height, width = lq.shape[-2:]
        if height * width < self.least or (height <= self.tile and width <= self.tile):
            return restore(lq)
        whole = lq.new_zeros((*lq.shape[:-2], height * scale, width * scale))
        for row, column in self._grid(height, width):
            part = restore(lq[..., row.first : row.last, column.first : column.last])
            inner = (..., _kept(row, scale), _kept(column, scale))
            whole[..., _own(row, scale), _own(column, scale)] = part[inner]
        return whole

    def _grid(self, height: int, width: int) -> Iterator[tuple[Part, Part]]:
        for row in self.parts(height):
            for column in self.parts(width):
                yield row, column


def _own(part: Part, scale: int) -> slice:
    return slice(part.start * scale, part.stop * scale)


def _kept(part: Part, scale: int) -> slice:
    return slice((part.start - part.first) * scale, (part.stop - part.first) * scale)
