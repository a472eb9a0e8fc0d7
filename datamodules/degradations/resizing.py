"""Resizing as the degradations of Real-ESRGAN do it: torch's own, without antialiasing.

Not MATLAB's bicubic, which is :mod:`srbench.datamodules.degradations.imresize`: here ``bicubic`` has a = -0.75 and
shrinking reads four by four pixels however far apart they lie, so it aliases; ``area`` is what averages.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from srbench.errors import InputError

MODES = ("area", "bilinear", "bicubic")


def resize(image: Tensor, height: int, width: int, mode: str, *, scale: float | None = None) -> Tensor:
    """Resize as ``F.interpolate`` does, pixel centres aligned (``align_corners=False``), differentiable.

    Args:
        image: (3,H,W) floating point.
        height: of the result, pixels.
        width: of the result, pixels.
        mode: ``area`` (adaptive average pooling), ``bilinear`` or ``bicubic`` (overshoots: clamp where a range is
            promised).
        scale: upstream's first resize gives F.interpolate a factor, not a size. Then the sides are
            ``scaled_side(side, scale)`` and source pixels are found by the factor itself instead of by the quotient of
            the sides, which shifts ``bilinear`` and ``bicubic`` by up to a pixel at the far border. Give the factor to
            have the same.

    Returns:
        (3,height,width), same dtype and device.

    Raises:
        InputError: an unknown mode, a side below 1, or a scale that does not give these sides.
    """
    _check(image, height, width, mode, scale)
    if mode == "area":
        return F.interpolate(image[None], size=(height, width), mode="area")[0]
    if mode == "bilinear":
        # On a CPU torch's bilinear has one code for one thread and another for several, which differ by 1e-5. A volume
        # of one layer has one code, equal to the latter in every bit.
        sides = (1, height, width) if scale is None else None
        factors = None if scale is None else (1.0, scale, scale)
        volume = F.interpolate(image[None, :, None], sides, factors, mode="trilinear", align_corners=False)
        return volume[0, :, 0]
    size = (height, width) if scale is None else None
    return F.interpolate(image[None], size, scale, mode=mode, align_corners=False)[0]


def scaled_side(side: int, scale: float) -> int:
    """The side that ``F.interpolate`` gives for a scale factor: rounded down.

    >>> scaled_side(256, 0.3)
    76
    """
    return math.floor(side * scale)


def _check(image: Tensor, height: int, width: int, mode: str, scale: float | None) -> None:
    if mode not in MODES:
        raise InputError(f"no resize mode is called {mode!r}", remedy=f"choose one of {', '.join(MODES)}")
    if image.ndim != 3 or not image.is_floating_point() or not image.numel():
        raise InputError(f"resize takes a floating-point (3,H,W), not {image.dtype} {tuple(image.shape)}")
    if height < 1 or width < 1:
        raise InputError(f"an image cannot be resized to {height}x{width} pixels")
    if scale is not None:
        sides = tuple(scaled_side(side, scale) for side in image.shape[-2:])
        if sides != (height, width):
            raise InputError(f"the factor {scale!r} gives {sides[0]}x{sides[1]} pixels, not {height}x{width}")
