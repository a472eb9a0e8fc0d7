"""How ZSSR makes sons of fathers: shrinking by bicubic interpolation or by a known kernel, on one pixel grid.

Grid: that of MATLAB's imresize, where pixel i of the small image lies at s*i + (s-1)/2 of the large one. Kernels are
brought onto it, so that what is learned never has to shift the image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from srbench.datamodules.degradations import imresize
from srbench.errors import InputError

Shrink = Callable[[Tensor], Tensor]
"""Maps (1,3,H,W) to (1,3,ceil(H/s),ceil(W/s))."""

_STILL = 1e-3


def shrinker(scale: float, kernel: Tensor | None = None, *, align: bool = True) -> Shrink:
    """What makes an image smaller by ``scale``: MATLAB's antialiased bicubic, or correlation with ``kernel``.

    Args:
        scale: above 1; whole where there is a kernel.
        kernel: (k,k), any side; it is divided by its sum.
        align: bring the kernel's centre of mass to the middle of the pixels that become one; see :func:`shrink_by`.

    Raises:
        InputError: the kernel is no kernel, or the scale is not whole.
    """
    if kernel is None:
        return partial(imresize, scale=1 / scale)
    if scale != int(scale):
        raise InputError(f"a kernel for x{scale:g} has no pixel grid", remedy="give kernels for whole scales")
    checked = checked_kernel(kernel.detach().cpu().numpy())
    taps = centred(checked, int(scale)) if align else checked
    return partial(shrink_by, taps=torch.from_numpy(taps), scale=int(scale), aligned=align)


def checked_kernel(kernel: NDArray[np.generic], *, where: str | None = None) -> NDArray[np.float64]:
    """(k,l) as float64 of sum 1.

    Raises:
        InputError: it is not a finite matrix of positive sum.
    """
    if kernel.ndim != 2 or 0 in kernel.shape or not np.issubdtype(kernel.dtype, np.number):
        raise InputError(f"a kernel is a matrix of numbers, not {kernel.dtype} {kernel.shape}", where=where)
    values = np.asarray(kernel, dtype=np.float64)
    if not (np.isfinite(values).all() and values.sum() > 1e-12):
        raise InputError("the kernel's sum is not a positive number", where=where, remedy="give one that sums to 1")
    return np.asarray(values / values.sum(), dtype=np.float64)


def centre_of_mass(kernel: NDArray[np.float64]) -> tuple[float, float]:
    """Row and column, counted from 0, of a kernel of sum 1; negative taps count as such."""
    rows, columns = np.indices(kernel.shape)
    return float((rows * kernel).sum()), float((columns * kernel).sum())


def centred(kernel: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """The kernel on an odd square, moved until its centre of mass is where :func:`shrink_by` wants it.

    That is the middle of the square (index ``side // 2``, a whole number: half a pixel here would move every result),
    for even scales half a pixel further. A kernel that lies there already keeps its values; others are interpolated by
    cubic splines, which keep the width of what they move, as linear interpolation would not.
    """
    place = centre_of_mass(kernel)
    reach = max(max(at, side - 1 - at) for at, side in zip(place, kernel.shape, strict=True))
    half = int(np.ceil(reach)) + 1
    target = half + (0.5 if scale % 2 == 0 else 0.0)
    whole = [round(target - at) for at in place]
    rest = [target - at - step for at, step in zip(place, whole, strict=True)]
    still = max(abs(step) for step in rest) < _STILL
    margin = 0 if still else 8  # a spline's tails: 0.27 to the power of 8 is nothing
    wide = np.zeros((2 * (half + 1 + margin) + 1,) * 2)
    top, left = (step + 1 + margin for step in whole)
    wide[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
    if not still:
        wide = ndimage.shift(wide, rest, order=3, mode="constant")
    return np.asarray(wide / wide.sum(), dtype=np.float64)


def shrink_by(image: Tensor, *, taps: Tensor, scale: int, aligned: bool = True) -> Tensor:
    """Correlates (B,3,H,W) with ``taps`` and keeps every ``scale``-th pixel, the border mirrored.

    Args:
        image: to shrink.
        taps: (k,l); their middle is index ``k // 2``.
        scale: whole.
        aligned: the middle reads pixel ``s*i + (s-1)//2``, so that taps whose centre of mass is there (for even scales
            half a pixel further) lie on MATLAB's grid; else pixel ``s*i``, as kernels are applied whose files already
            hold the shift, such as those of DIV2KRK.

    Returns:
        (B,3,ceil(H/s),ceil(W/s)).
    """
    height, width = (-(-side // scale) for side in image.shape[-2:])
    first = (scale - 1) // 2 if aligned else 0
    rows = _reads(image.shape[-2], height, taps.shape[0], scale, first).to(image.device)
    columns = _reads(image.shape[-1], width, taps.shape[1], scale, first).to(image.device)
    padded = image[..., rows, :][..., columns]
    weight = taps.to(image)[None, None].expand(image.shape[1], 1, -1, -1)
    return F.conv2d(padded, weight, stride=scale, groups=image.shape[1])


def _reads(length: int, outputs: int, taps: int, scale: int, first: int) -> Tensor:
    """Indices of the input samples that ``outputs`` samples read, mirrored at the border (edge sample doubled)."""
    start = first - taps // 2
    at = torch.arange(start, start + (outputs - 1) * scale + taps) % (2 * length)
    return torch.where(at < length, at, 2 * length - 1 - at)


def enlarge(image: Tensor, scale: float, size: tuple[int, int]) -> Tensor:
    """MATLAB's bicubic enlargement of (B,3,h,w) by ``scale``, its first ``size`` = (H,W) pixels."""
    return imresize(image, scale)[..., : size[0], : size[1]]
