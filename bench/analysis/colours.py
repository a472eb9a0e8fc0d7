"""Maps of numbers as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srbench.images import Pixels

RED = ((255, 255, 255), (255, 0, 0), (128, 0, 0))
"""White to dark red: the upper half of the ``seismic`` of the LAM paper's figures."""

WARM = ((10, 12, 40), (66, 40, 120), (170, 50, 110), (240, 120, 60), (250, 240, 160))
"""Dark blue to pale yellow, growing in brightness all the way."""

_GAP = 4


def coloured(values: NDArray[Any], stops: Sequence[tuple[int, int, int]] = WARM) -> Pixels:
    """(h,w) in [0,1] to (h,w,3) uint8, linear between the stops."""
    places = np.linspace(0.0, 1.0, len(stops))
    planes = [np.interp(values, places, [stop[channel] for stop in stops]) for channel in range(3)]
    pixels: Pixels = np.stack(planes, -1).round().astype(np.uint8)
    return pixels


def enlarged(pixels: Pixels, height: int, width: int, *, smooth: bool = False) -> Pixels:
    """Resized to (height,width,3): pixel by pixel, or bicubically."""
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))


def blended(one: Pixels, other: Pixels, alpha: float) -> Pixels:
    """``one`` with ``other`` over it by ``alpha``."""
    mixed: Pixels = (one * (1.0 - alpha) + other * alpha).round().astype(np.uint8)
    return mixed


def framed(pixels: Pixels, left: int, top: int, side: int) -> Pixels:
    """With a frame around a square: red, and white outside that where there is room, to be seen without colour too."""
    out = pixels.copy()
    for grow, colour in ((1, (255, 255, 255)), (0, (255, 0, 0))):
        y0, y1 = max(top - grow, 0), min(top + side - 1 + grow, out.shape[0] - 1)
        x0, x1 = max(left - grow, 0), min(left + side - 1 + grow, out.shape[1] - 1)
        out[[y0, y1], x0 : x1 + 1] = out[y0 : y1 + 1, [x0, x1]] = colour
    return out


def beside(panels: Sequence[Pixels]) -> Pixels:
    """Panels of one height in a row on white."""
    gap = np.full((panels[0].shape[0], _GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (panel, gap)][:-1]
    return np.concatenate(parts, axis=1)
