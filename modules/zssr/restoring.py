"""What ZSSR does with its network once it has learned: ensemble, median and back-projection."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from srbench.modules.zssr.fathers import turned, turned_back
from srbench.modules.zssr.geometry import Shrink, enlarge


def back_projected(sr: Tensor, lq: Tensor, scale: float, shrink: Shrink, times: int) -> Tensor:
    """Brings ``sr`` nearer to what shrinks to ``lq``: adds the enlarged difference of lq and the shrunk sr.

    Irani and Peleg, "Improving resolution by image registration", 1991; the enlargement is bicubic.

    Args:
        sr: (1,3,H,W).
        lq: (1,3,h,w).
        scale: from lq to sr.
        shrink: how lq was made of the truth.
        times: how often.

    Returns:
        (1,3,H,W), not clamped.
    """
    height, width = lq.shape[-2:]
    for _ in range(times):
        missing = lq - shrink(sr)[..., :height, :width]
        sr = sr + enlarge(missing, scale, (sr.shape[-2], sr.shape[-1]))
    return sr


def restored(
    lq: Tensor,
    correct: Callable[[Tensor], Tensor],
    scale: float,
    shrink: Shrink,
    *,
    ensemble: bool = True,
    back_projections: int = 10,
) -> Tensor:
    """Enlarges an image with a network that has learned it.

    Every one of the eight turned and mirrored enlargements is corrected, turned back and back-projected; of the eight
    the median is taken at each pixel, and back-projected again.

    Args:
        lq: (1,3,h,w) in [0,1].
        correct: the network, on enlarged images.
        scale: of the enlargement.
        shrink: how lq was made; for the back-projections.
        ensemble: False takes the image upright alone.
        back_projections: before the median, and once more behind it.

    Returns:
        (1,3,ceil(scale*h),ceil(scale*w)) in [0,1].
    """
    size = tuple(-(-round(side * scale * 1e6) // 10**6) for side in lq.shape[-2:])
    enlarged = enlarge(lq, scale, (size[0], size[1]))
    outputs = [
        back_projected(turned_back(correct(turned(enlarged, way)), way), lq, scale, shrink, back_projections)
        for way in range(8 if ensemble else 1)
    ]
    if len(outputs) > 1:
        middle = back_projected(median(torch.cat(outputs)), lq, scale, shrink, back_projections)
    else:
        middle = outputs[0]
    return middle.clamp(0, 1)


def median(images: Tensor) -> Tensor:
    """Pixel by pixel over the first dimension of (N,...), (1,...); of an even number the mean of the middle two."""
    ordered = images.sort(dim=0).values
    count = len(images)
    return (ordered[(count - 1) // 2 : (count - 1) // 2 + 1] + ordered[count // 2 : count // 2 + 1]) / 2
