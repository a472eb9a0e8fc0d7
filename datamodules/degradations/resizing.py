"""Resizing as the degradations do it: torch's own, without antialiasing, for Real-ESRGAN's; OpenCV's for BSRGAN's.

Not MATLAB's bicubic, which is :mod:`srbench.datamodules.degradations.imresize`: here ``bicubic`` has a = -0.75 and
shrinking reads four by four pixels however far apart they lie, so it aliases; ``area`` is what averages.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from srbench.errors import InputError

MODES = ("area", "bilinear", "bicubic")
"""Real-ESRGAN's, ``F.interpolate``'s."""

OPENCV_MODES = ("coverage", "bilinear", "bicubic")
"""BSRGAN's, OpenCV's ``INTER_AREA``, ``INTER_LINEAR`` and ``INTER_CUBIC``; the last two are torch's."""


def resize(image: Tensor, height: int, width: int, mode: str, *, scale: float | None = None) -> Tensor:
    """Resize as ``F.interpolate`` does, pixel centres aligned (``align_corners=False``), differentiable.

    Args:
        image: (3,H,W) floating point.
        height: of the result, pixels.
        width: of the result, pixels.
        mode: ``area`` (adaptive average pooling, of whole pixels), ``coverage`` (the mean of what a pixel covers,
            fractions of pixels weighted), ``bilinear`` or ``bicubic`` (overshoots: clamp where a range is promised).
        scale: upstream's first resize gives F.interpolate a factor, not a size. Then the sides are
            ``scaled_side(side, scale)`` and source pixels are found by the factor itself instead of by the quotient of
            the sides, which shifts ``bilinear`` and ``bicubic`` by up to a pixel at the far border. Give the factor to
            have the same.

    Returns:
        (3,height,width), same dtype and device.

    Raises:
        InputError: an unknown mode, a side below 1, a scale that does not give these sides, or one for ``coverage``.
    """
    _check(image, height, width, mode, scale)
    if mode == "area":
        return F.interpolate(image[None], size=(height, width), mode="area")[0]
    if mode == "coverage":
        return _covered(image, height, width)
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


def _covered(image: Tensor, height: int, width: int) -> Tensor:
    """By products and sums in a fixed order: those of a matrix product depend on the number of threads."""
    for dim, out in ((-2, height), (-1, width)):
        pixels, shares = _coverage(image.shape[dim], out, image.dtype, image.device)
        parts = [
            image.index_select(dim, pixel) * (share if dim == -1 else share[:, None])
            for pixel, share in zip(pixels, shares, strict=True)
        ]
        image = sum(parts[1:], start=parts[0])
    return image


@lru_cache(maxsize=64)
def _coverage(side: int, out: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """The input pixels that output pixels cover and the share of each, (taps,out) both; shares sum to 1."""
    edges = np.arange(out + 1) * side / out
    taps = int(np.ceil(side / out)) + 1
    pixels = np.floor(edges[:-1]).astype(np.int64) + np.arange(taps)[:, None]
    covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    shares = np.clip(covered, 0, None) * out / side
    # Tensors made in inference mode could not be used for training afterwards, and these stay in the cache.
    with torch.inference_mode(False):
        inside = torch.from_numpy(pixels.clip(max=side - 1)).to(device, non_blocking=True)
        return inside, torch.from_numpy(shares).to(device, dtype, non_blocking=True)


def _check(image: Tensor, height: int, width: int, mode: str, scale: float | None) -> None:
    if mode not in (known := dict.fromkeys((*MODES, *OPENCV_MODES))):
        raise InputError(f"no resize mode is called {mode!r}", remedy=f"choose one of {', '.join(known)}")
    if image.ndim != 3 or not image.is_floating_point() or not image.numel():
        raise InputError(f"resize takes a floating-point (3,H,W), not {image.dtype} {tuple(image.shape)}")
    if height < 1 or width < 1:
        raise InputError(f"an image cannot be resized to {height}x{width} pixels")
    if scale is not None and mode == "coverage":
        raise InputError("coverage is of two sizes and takes no factor")
    if scale is not None:
        sides = tuple(scaled_side(side, scale) for side in image.shape[-2:])
        if sides != (height, width):
            raise InputError(f"the factor {scale!r} gives {sides[0]}x{sides[1]} pixels, not {height}x{width}")
