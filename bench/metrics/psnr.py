"""Peak signal-to-noise ratio, in dB, of 8-bit images in float64; equal images give inf.

The peak is 255 for every colour, for Y219 too although its luma spans 16..235: that is what BasicSR, MATLAB scripts
and so the field's tables do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srbench.images import Pixels, Plane, luma_y219, luma_yiq
from srbench.metrics import ImageMetric, each


def psnr(sr: NDArray[Any], gt: NDArray[Any]) -> float:
    """10 log10(255^2 / mean squared difference) over all samples.

    Args:
        sr: any shape, 0..255.
        gt: as ``sr``.
    """
    error = float(np.mean(np.square(np.asarray(sr, dtype=np.float64) - np.asarray(gt, dtype=np.float64))))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _metric(name: str, plane: Callable[[Pixels], Plane | Pixels], source: str) -> ImageMetric:
    scores = each(lambda sr, gt: psnr(plane(sr), plane(gt)))
    return ImageMetric(name, "full_reference", True, "srbench", source, make=lambda device: scores)


METRICS = (
    _metric("psnr_y219", luma_y219, "BasicSR calculate_psnr(test_y_channel=True), in float64 throughout"),
    _metric("psnr_yiq", luma_yiq, "IQA-PyTorch psnry with its default colour space, without its epsilon of 1e-8"),
    _metric("psnr_rgb", lambda rgb: rgb, "BasicSR calculate_psnr"),
)
