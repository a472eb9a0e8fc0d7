"""MATLAB's bicubic ``imresize`` in torch, the operation behind every "bicubic" number of the field.

8-bit images come out as MATLAB writes them, pixel for pixel: the vertical pass first, and after each of the two passes
the result is rounded half up and clipped to 0..255. Floating-point images are not rounded. Kernel: Keys, "Cubic
convolution interpolation for digital image processing", 1981, a = -0.5, stretched by 1/scale when shrinking.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Border = Literal["symmetric", "replicate"]

# Output samples that share one small dense matrix. Neighbouring outputs read overlapping inputs, so a matrix product
# over a block wastes little arithmetic and runs at the speed of BLAS, while the cost stays linear in the image's side.
_BLOCK = 32


class _Span(NamedTuple):
    """Weights (outputs, stop - start) that turn input samples ``start:stop`` into one block of output samples."""

    start: int
    stop: int
    weights: Tensor


def imresize(image: Tensor, scale: float, *, border: Border = "symmetric", antialias: bool = True) -> Tensor:
    """Resize the last two dimensions by ``scale`` as MATLAB's ``imresize(image, scale, 'bicubic')`` does.

    Args:
        image: (...,H,W). uint8 gives uint8, bit for bit MATLAB's result. Floating point gives the same dtype, without
            rounding or clipping (bicubic overshoots: clamp where a range is promised), and is differentiable.
        scale: output side over input side, above 0; the output's sides are ``ceil(side * scale)``.
        border: what lies outside the image. ``symmetric`` (today's MATLAB) mirrors it with the edge pixel doubled;
            ``replicate`` (MATLAB before about 2012, and the widely used Set14 and BSD100 files) repeats the edge pixel.
        antialias: stretch the kernel when shrinking, MATLAB's default.

    Returns:
        (...,ceil(H*scale),ceil(W*scale)) on the image's device.

    Raises:
        ValueError: scale is not a positive number, the border rule is unknown or the image is empty.
        TypeError: the image is neither uint8 nor floating point.
    """
    _check(image, scale, border)
    if image.dtype == torch.uint8:
        if image.device.type == "mps":  # has no float64, which exact rounding needs
            return imresize(image.cpu(), scale, border=border, antialias=antialias).to(image.device)
        rows = _half_up(_resize_rows(image.to(torch.float64), scale, border, antialias))
        return _half_up(_resize_columns(rows, scale, border, antialias)).to(torch.uint8)
    work = image.float() if image.dtype in (torch.float16, torch.bfloat16) else image
    rows = _resize_rows(work, scale, border, antialias)
    return _resize_columns(rows, scale, border, antialias).to(image.dtype)


def modcrop(image: Tensor, scale: int) -> Tensor:
    """The top-left part of (...,H,W) whose sides are multiples of ``scale``: what is done before shrinking by it.

    Raises:
        ValueError: the image is smaller than ``scale``.
    """
    height, width = (side - side % scale for side in image.shape[-2:])
    if not height or not width:
        raise ValueError(f"an image of {tuple(image.shape[-2:])} cannot be cropped to a multiple of {scale}")
    return image[..., :height, :width]


def _check(image: Tensor, scale: float, border: str) -> None:
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive number, not {scale!r}")
    if border not in ("symmetric", "replicate"):
        raise ValueError(f"border must be 'symmetric' or 'replicate', not {border!r}")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise TypeError(f"imresize takes uint8 or floating point, not {image.dtype}")
    if image.ndim < 2 or 0 in image.shape[-2:]:
        raise ValueError(f"imresize takes (...,H,W) with H and W above 0, not {tuple(image.shape)}")


def _half_up(values: Tensor) -> Tensor:
    """To the nearest whole number, .5 upwards, within 0..255: how MATLAB stores a double in uint8."""
    return values.add_(0.5).floor_().clamp_(0, 255)


def _resize_rows(image: Tensor, scale: float, border: Border, antialias: bool) -> Tensor:
    spans = _spans(image.shape[-2], scale, border, antialias, image.dtype, image.device)
    return torch.cat([span.weights @ image[..., span.start : span.stop, :] for span in spans], dim=-2)


def _resize_columns(image: Tensor, scale: float, border: Border, antialias: bool) -> Tensor:
    spans = _spans(image.shape[-1], scale, border, antialias, image.dtype, image.device)
    return torch.cat([image[..., span.start : span.stop] @ span.weights.T for span in spans], dim=-1)


@lru_cache(maxsize=64)
def _spans(
    length: int, scale: float, border: Border, antialias: bool, dtype: torch.dtype, device: torch.device
) -> tuple[_Span, ...]:
    indices, weights = _contributions(length, scale, border, antialias)
    # Tensors made in inference mode could not be used for training afterwards, and these stay in the cache.
    with torch.inference_mode(False):
        return tuple(
            _span(indices[at : at + _BLOCK], weights[at : at + _BLOCK], dtype, device)
            for at in range(0, len(indices), _BLOCK)
        )


def _span(indices: np.ndarray, weights: np.ndarray, dtype: torch.dtype, device: torch.device) -> _Span:
    start, stop = int(indices.min()), int(indices.max()) + 1
    dense = np.zeros((len(indices), stop - start))
    # Several taps of one output can fall on the same pixel at a border, hence add.at.
    np.add.at(dense, (np.arange(len(indices))[:, None], indices - start), weights)
    return _Span(start, stop, torch.from_numpy(dense).to(device=device, dtype=dtype))


def _contributions(length: int, scale: float, border: Border, antialias: bool) -> tuple[np.ndarray, np.ndarray]:
    """For every output sample, the input samples it reads (n,taps), and their weights (n,taps), each row of sum 1."""
    stretch = min(scale, 1.0) if antialias else 1.0
    support = 4.0 / stretch
    # MATLAB counts samples from 1: output x sits at input x/scale + (1 - 1/scale)/2.
    centre = np.arange(1, math.ceil(length * scale) + 1) / scale + 0.5 * (1 - 1 / scale)
    taps = np.floor(centre - support / 2)[:, None] + np.arange(math.ceil(support) + 2)
    weights = stretch * _cubic(stretch * (centre[:, None] - taps))
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights.any(axis=0)
    indices, weights = taps[:, used].astype(np.int64) - 1, weights[:, used]
    if border == "replicate":
        return indices.clip(0, length - 1), weights
    folded = indices % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded), weights


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -0.5 (eq. 15)."""
    d = np.abs(distance)
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d <= 1, near, np.where(d <= 2, far, 0.0))
