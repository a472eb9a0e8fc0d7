"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 2004) of 8-bit images in float64.

Window 11x11, Gaussian of sigma 1.5, only where it lies wholly inside the image, population covariance, K1 = 0.01,
K2 = 0.03, L = 255, no downsampling: the values of the authors' MATLAB ``ssim_index`` and of BasicSR.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from srbench.errors import InputError
from srbench.images import Pixels, Plane, luma_y219, luma_yiq
from srbench.metrics import ImageMetric, each

_WINDOW = 11
_GAUSSIAN = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * 1.5**2))
_GAUSSIAN /= _GAUSSIAN.sum()
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(sr: Plane, gt: Plane, *, clip_structure: bool = False) -> float:
    """Mean SSIM of one channel.

    Args:
        sr: (H,W) float64, 0..255.
        gt: as ``sr``.
        clip_structure: count negative contrast-structure terms (inverted texture) as 0, as IQA-PyTorch does.

    Raises:
        InputError: the image is smaller than the window.
    """
    if min(sr.shape) < _WINDOW:
        raise InputError(
            f"{sr.shape[1]}x{sr.shape[0]} pixels are smaller than SSIM's window of {_WINDOW}x{_WINDOW}",
            remedy="use larger images or a protocol that crops less",
        )
    mean_sr, mean_gt = _blur(sr), _blur(gt)
    product, squares = mean_sr * mean_gt, mean_sr * mean_sr + mean_gt * mean_gt
    # The two variances enter only as their sum, which saves one of five filterings.
    variances = _blur(sr * sr + gt * gt) - squares
    structure = (2 * (_blur(sr * gt) - product) + _C2) / (variances + _C2)
    if clip_structure:
        structure = structure.clip(min=0)
    return float(np.mean((2 * product + _C1) / (squares + _C1) * structure))


def _blur(plane: Plane) -> Plane:
    """The Gaussian mean at every place where the window fits: (H-10,W-10)."""
    from scipy.ndimage import correlate1d  # scipy would double the time `srbench list` takes

    edge = _WINDOW // 2
    rows = correlate1d(plane, _GAUSSIAN, axis=0)[edge:-edge]
    blurred: Plane = correlate1d(rows, _GAUSSIAN, axis=1)[:, edge:-edge]
    return blurred


def _luma_ssim(plane: Callable[[Pixels], Plane], clip_structure: bool = False) -> Callable[[Pixels, Pixels], float]:
    return lambda sr, gt: ssim(plane(sr), plane(gt), clip_structure=clip_structure)


def _rgb_ssim(sr: Pixels, gt: Pixels) -> float:
    planes: NDArray[np.float64] = np.stack([sr, gt]).astype(np.float64)
    return sum(ssim(planes[0, ..., c], planes[1, ..., c]) for c in range(3)) / 3


def _whole_yiq(rgb: Pixels) -> Plane:
    return np.rint(luma_yiq(rgb))


def _metric(name: str, score: Callable[[Pixels, Pixels], float], source: str) -> ImageMetric:
    return ImageMetric(name, "full_reference", True, "srbench", source, make=lambda device: each(score))


METRICS = (
    _metric("ssim_y219", _luma_ssim(luma_y219), "BasicSR calculate_ssim(test_y_channel=True), in float64 throughout"),
    # IQA-PyTorch rounds the luma to whole numbers first, "to make the input image same as MATLAB".
    _metric("ssim_yiq", _luma_ssim(_whole_yiq, clip_structure=True), "IQA-PyTorch ssim with its default colour space"),
    _metric("ssim_rgb", _rgb_ssim, "BasicSR calculate_ssim: the mean of the three channels"),
)
