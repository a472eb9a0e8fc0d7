"""Kernels as arrays: bicubic, x4 from x2, and what is done to an estimate before it is used.

A kernel (k,k), k odd, shrinks by s as ``y[i] = sum_a kernel[a] x[s*i + a - k//2]``. For y to lie on x's grid as every
image of the field does, its centre of mass is :func:`middle`, half a pixel (x2) or one and a half (x4) behind k//2.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Kernel: TypeAlias = NDArray[np.float64]


def middle(size: int, scale: int) -> float:
    """Where the centre of mass belongs, in pixels from the first.

    >>> middle(13, 2), middle(25, 4)
    (6.5, 13.5)
    """
    return size // 2 + (scale - 1) / 2


def centre_of_mass(kernel: Kernel) -> tuple[float, float]:
    """Row and column, in pixels from the first; the sum must not be 0."""
    grid = np.arange(len(kernel), dtype=np.float64)
    total = kernel.sum()
    return float(kernel.sum(1) @ grid / total), float(kernel.sum(0) @ grid / total)


def bicubic_kernel(size: int, scale: int) -> Kernel:
    """What MATLAB's antialiased bicubic shrinking by ``scale`` correlates with (Keys 1981, a = -0.5): sum 1.

    Args:
        size: side, odd; ``4*scale`` taps have to fit around :func:`middle`.
        scale: even.
    """
    distance = np.abs(np.arange(size) - middle(size, scale)) / scale
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    taps = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    kernel: Kernel = np.outer(taps, taps)
    return kernel / kernel.sum()


def twice(kernel: Kernel) -> Kernel:
    """The x4 kernel of shrinking by 2 with ``kernel`` twice: 13 -> 37, trimmed by 6 a side -> 25, sum 1.

    The first pass' kernel meets the second's with its pixels 2 apart (arXiv 1909.06581, section 4.2).
    """
    size = len(kernel)
    apart = np.zeros((2 * size - 1, 2 * size - 1))
    apart[::2, ::2] = kernel
    whole = ndimage.convolve(np.pad(apart, size // 2), kernel, mode="constant")
    trim = size // 2
    kept: Kernel = whole[trim:-trim, trim:-trim]
    return kept / kept.sum()


def finished(kernel: Kernel, *, keep: int, keep_ratio: float, scale: int = 2) -> Kernel | None:
    """An estimate without its dust, of sum 1, with its centre of mass in the :func:`middle`.

    Args:
        kernel: as the generator has it.
        keep: the threshold comes from the entry behind so many larger ones.
        keep_ratio: times that entry is taken off every entry, down to 0.
        scale: that the kernel shrinks by.

    Returns:
        The same size, not negative; None for an estimate that is no kernel: not finite, or nothing of it is positive.
    """
    if not np.isfinite(kernel).all():
        return None
    threshold = keep_ratio * float(np.sort(kernel, axis=None)[-min(keep + 1, kernel.size)])
    kept = np.clip(kernel - max(threshold, 0.0), 0.0, None)
    if kept.sum() <= 0:
        return None
    return _centred(kept / kept.sum(), scale)


def _centred(kernel: Kernel, scale: int) -> Kernel:
    """Moved by a fraction of a pixel, without overshoots; what leaves the array is lost and the sum made 1 again.

    Clipping and the array's border move the centre of mass again, by less each time.
    """
    wanted = middle(len(kernel), scale)
    offset = np.zeros(2)
    moved = kernel
    for _ in range(_ROUNDS):
        offset += wanted - np.array(centre_of_mass(moved))
        moved = ndimage.shift(kernel, offset, order=3, mode="constant").clip(0.0)
        moved /= moved.sum()
    return moved


_ROUNDS = 4
