"""JPEG compression with 4:2:0 chroma: one in torch that a gradient passes, and the real one.

:func:`diff_jpeg` equals BasicSR's ``DiffJPEG`` (after github.com/mlomnitz/DiffJPEG), with its peculiarities: the luma
table is transposed (as is the chroma table, which is symmetric), the quality may be a fraction and scales the tables
without rounding them, chroma is repeated instead of interpolated, and images are padded with black to multiples of 16.
Its pixels therefore differ from libjpeg's by a few levels.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from srbench.errors import InputError
from srbench.images import to_tensor, to_uint8

# Tables K.1 and K.2 of ITU-T T.81, rows are vertical frequencies.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))

# JFIF's full-range YCbCr.
_TO_LUMA = ((0.299, 0.587, 0.114),)
_TO_CHROMA = ((-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_FROM_CHROMA = ((0.0, 1.402), (-0.344136, -0.714136), (1.772, 0.0))


def diff_jpeg(image: Tensor, quality: float, *, smooth: bool = False) -> Tensor:
    """Compress and decompress in torch, on any device.

    Args:
        image: (3,H,W) float32 in [0,1], RGB, any size.
        quality: 1 to 100, fractions allowed. At 100 nothing is quantised, the limit of qualities below (upstream
            divides by zero there).
        smooth: round as ``round(x) + (x - round(x))^3``, which lets gradients through. Real-ESRGAN's training data are
            made without: coefficients become whole numbers and gradients zero.

    Returns:
        (3,H,W) in [0,1], same device.

    Raises:
        InputError: the image is no floating-point (3,H,W), or the quality is out of range.
    """
    _check(image, quality)
    # A GPU's TF32 products, or autocast's, would push coefficients over the edge of a quantisation step.
    work = image.double() if image.is_cuda else image
    with torch.autocast(image.device.type, enabled=False):
        return _compressed(work, quality_factor(quality), smooth).to(image.dtype)


def real_jpeg(image: Tensor, quality: int) -> Tensor:
    """Compress and decompress with libjpeg: 4:2:0, standard Huffman tables, bit for bit what Pillow saves and loads.

    The image is rounded to 8 bits first (half to even) and travels through the CPU. No gradient passes.

    Args:
        image: (3,H,W) float32 in [0,1], RGB, any size.
        quality: a whole number from 1 to 100.

    Returns:
        (3,H,W) float32 in [0,1], on the image's device: whole levels over 255.

    Raises:
        InputError: the image is no floating-point (3,H,W) or holds NaN, or the quality is out of range.
    """
    _check(image, quality)
    if quality != int(quality):
        raise InputError(f"libjpeg takes a whole number as quality, not {quality!r}")
    file = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(file, "JPEG", quality=int(quality), subsampling="4:2:0", optimize=False)
    return to_tensor(np.array(Image.open(file))).to(device=image.device, dtype=image.dtype)


def quality_factor(quality: float) -> float:
    """What the standard tables are multiplied with: 1 at quality 50, 0 at 100.

    >>> quality_factor(25), quality_factor(75)
    (2.0, 0.5)
    """
    return 50.0 / quality if quality < 50 else 2.0 - quality / 50


def _compressed(image: Tensor, factor: float, smooth: bool) -> Tensor:
    height, width = image.shape[-2:]
    planes = F.pad(image, (0, -width % 16, 0, -height % 16)) * 255
    luma = _weighted(_TO_LUMA, planes) - 128
    chroma = _weighted(_TO_CHROMA, F.avg_pool2d(planes, 2))
    luma = _quantised(luma, factor, "luma", smooth) + 128
    shift = _weighted(_FROM_CHROMA, _quantised(chroma, factor, "chroma", smooth))
    return (_doubled_sum(luma, shift) / 255).clamp(0, 1)[:, :height, :width].contiguous()


def _quantised(planes: Tensor, factor: float, table: str, smooth: bool) -> Tensor:
    """(C,H,W) centred on 0 through the 8x8 cosine transform, quantisation and back."""
    if factor == 0:
        return planes
    channels, height, width = planes.shape
    forward, backward = _transforms(table, planes.dtype, planes.device)
    blocks = planes.view(channels, height // 8, 8, width // 8, 8).transpose(2, 3).reshape(-1, 64)
    levels = blocks @ (forward / factor)
    rounded = levels.round()
    if smooth:
        rounded = rounded + (levels - rounded) ** 3
    blocks = rounded @ (backward * factor)
    return blocks.view(channels, height // 8, width // 8, 8, 8).transpose(2, 3).reshape(channels, height, width)


@lru_cache(maxsize=8)
def _transforms(table: str, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """(64,64) each: a block of pixels to coefficients over the table, and back."""
    at = np.arange(8)
    cosines = np.cos((2 * at[None, :] + 1) * at[:, None] * np.pi / 16) / 2
    cosines[0] /= math.sqrt(2)
    steps = _table(table).reshape(-1, 1)
    basis = np.kron(cosines, cosines)
    # Tensors made in inference mode could not be used for training afterwards, and these stay in the cache.
    with torch.inference_mode(False):
        both = (np.ascontiguousarray((basis / steps).T), basis * steps)
        forward, backward = (torch.from_numpy(table).to(device, dtype, non_blocking=True) for table in both)
        return forward, backward


def _table(name: str) -> np.ndarray:
    """(8,8) quantisation steps at quality 50, transposed as DiffJPEG has them."""
    if name == "luma":
        return np.array(_LUMA, dtype=np.float64).T
    table = np.full((8, 8), 99.0)
    table[:4, :4] = _CHROMA_CORNER
    return table


def _weighted(matrix: tuple[tuple[float, ...], ...], planes: Tensor) -> Tensor:
    """(C,H,W) to (len(matrix),H,W)."""
    weights = torch.tensor(matrix, dtype=planes.dtype).to(planes.device, non_blocking=True)
    return (weights @ planes.flatten(1)).view(len(matrix), *planes.shape[1:])


def _doubled_sum(luma: Tensor, shift: Tensor) -> Tensor:
    """(1,H,W) plus each of (3,H/2,W/2) with its pixels repeated two by two: (3,H,W)."""
    channels, height, width = shift.shape
    total = luma.view(1, height, 2, width, 2) + shift.view(channels, height, 1, width, 1)
    return total.view(channels, 2 * height, 2 * width)


def _check(image: Tensor, quality: float) -> None:
    if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point() or not image.numel():
        raise InputError(f"JPEG takes a floating-point (3,H,W), not {image.dtype} {tuple(image.shape)}")
    if not (math.isfinite(quality) and 1 <= quality <= 100):
        raise InputError(f"a JPEG quality lies in 1..100, not {quality!r}")
