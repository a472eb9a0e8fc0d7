"""Filtering with a small kernel, and the unsharp mask that Real-ESRGAN sharpens its gt with."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from srbench.datamodules.degradations.kernels import gaussian_kernel
from srbench.errors import InputError

_NOTHING = 1e-9


def filter2d(image: Tensor, kernel: NDArray[np.floating] | Tensor) -> Tensor:
    """Correlate every channel with one kernel; outside the image its mirror, the edge pixel not doubled.

    The same as OpenCV's ``filter2D`` and BasicSR's, up to float rounding (below 2e-6 on [0,1]). Done by FFT, which for
    kernels of 7 and more pixels is the fastest on CPUs too, costs the same for every kernel, and unlike a convolution
    of cuDNN knows no TF32. Differentiable.

    Args:
        image: (3,H,W) float32, any number of channels.
        kernel: (k,k), k odd. Of an array, rings of zeros around the kernel cost nothing and ask for no wider image; a
            tensor is used whole and is differentiable too.

    Returns:
        (3,H,W), same dtype and device; not clamped (sinc kernels overshoot).

    Raises:
        InputError: the kernel is not square and odd, or reaches further than the image's mirror.
    """
    taps = _taps(kernel, image)
    _check(image, len(taps))
    return _correlate(image, _spectrum(taps, _fft_sides(image, len(taps))), len(taps))


def usm_sharpen(image: Tensor, *, radius: int = 50, weight: float = 0.5, threshold: float = 10.0) -> Tensor:
    """Unsharp masking as Real-ESRGAN sharpens its gt: only where the detail is strong, with a soft border.

    With the blurred image B and a mask of ``|I - B| * 255 > threshold`` that is blurred alike into m, the result is
    ``m * clamp(I + weight * (I - B)) + (1 - m) * I``. The Gaussian has ``radius`` taps (one more if that is even) and
    OpenCV's automatic standard deviation, so radius 50 means 51 taps and sigma 8.

    Args:
        image: (3,H,W) float32 in [0,1], sides above ``radius // 2``.
        radius: number of taps, whatever its name upstream says.
        weight: of the detail that is added.
        threshold: of the mask, in 8-bit levels.

    Returns:
        (3,H,W) in [0,1].

    Raises:
        InputError: the image is smaller than the Gaussian's half, or the radius is below 1.
    """
    if radius < 1:
        raise InputError(f"the radius of unsharp masking is 1 or more, not {radius!r}")
    taps = radius + 1 - radius % 2
    _check(image, taps)
    spectrum = _gaussian_spectrum(taps, _fft_sides(image, taps), image.dtype, image.device)
    detail = image - _correlate(image, spectrum, taps)
    mask = (detail.abs() * 255 > threshold).to(image.dtype)
    soft = _correlate(mask, spectrum, taps).clamp(0, 1)
    return image + soft * ((image + weight * detail).clamp(0, 1) - image)


def automatic_sigma(taps: int) -> float:
    """The standard deviation that OpenCV's ``getGaussianKernel`` takes for 0: 8 for 51 taps."""
    return 0.3 * ((taps - 1) * 0.5 - 1) + 0.8


def _correlate(image: Tensor, spectrum: Tensor, taps: int) -> Tensor:
    """(C,H,W) correlated with the kernel of this spectrum, which reaches ``taps // 2`` to each side."""
    height, width = image.shape[-2:]
    sides = _fft_sides(image, taps)
    padded = F.pad(image[None], (taps // 2,) * 4, mode="reflect")[0]
    # Correlation puts output 0 at the padded image's row 0, so what wraps around lies beyond H and W.
    columns = torch.fft.ifft(torch.fft.rfft2(padded, s=sides) * spectrum, dim=-2)[..., :height, :]
    return torch.fft.irfft(columns, n=sides[1], dim=-1)[..., :width].contiguous()


def _spectrum(kernel: Tensor, sides: tuple[int, int]) -> Tensor:
    return torch.fft.rfft2(kernel, s=sides).conj()


@lru_cache(maxsize=32)
def _gaussian_spectrum(taps: int, sides: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    kernel = gaussian_kernel(taps, automatic_sigma(taps), isotropic=True)
    # Tensors made in inference mode could not be used for training afterwards, and these stay in the cache.
    with torch.inference_mode(False):
        return _spectrum(torch.from_numpy(kernel).to(device=device, dtype=dtype), sides)


def _taps(kernel: NDArray[np.floating] | Tensor, image: Tensor) -> Tensor:
    """The kernel as a tensor of the image's type and device; a NumPy one without its border of nothing."""
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        raise InputError(f"filter2d takes a square kernel of odd side, not {tuple(kernel.shape)}")
    if isinstance(kernel, Tensor):
        return kernel.to(device=image.device, dtype=image.dtype)
    return torch.from_numpy(_trimmed(kernel)).to(device=image.device, dtype=image.dtype)


def _trimmed(kernel: NDArray[np.floating]) -> NDArray[np.floating]:
    """Without the outer rings whose taps sum to under 1e-9, less than float32 can show."""
    centre = kernel.shape[0] // 2
    offsets = np.abs(np.arange(kernel.shape[0]) - centre)
    rings = np.bincount(np.maximum(offsets[:, None], offsets[None, :]).ravel(), np.abs(kernel).ravel())
    outside = rings[::-1].cumsum()[::-1]
    reach = max(int((outside >= _NOTHING).sum()) - 1, 0)
    return np.ascontiguousarray(kernel[centre - reach : centre + reach + 1, centre - reach : centre + reach + 1])


def _fft_sides(image: Tensor, taps: int) -> tuple[int, int]:
    """Sides of the transform: the padded image's, rounded up to products of 2, 3 and 5."""
    height, width = image.shape[-2:]
    return _smooth(height + taps - 1), _smooth(width + taps - 1)


@lru_cache(maxsize=4096)
def _smooth(least: int) -> int:
    """The smallest even product of 2, 3 and 5 that is not below ``least``.

    >>> _smooth(276)
    288
    """
    side = least + least % 2
    while not _is_smooth(side):
        side += 2
    return side


def _is_smooth(side: int) -> bool:
    for factor in (2, 3, 5):
        while side % factor == 0:
            side //= factor
    return side == 1


def _check(image: Tensor, taps: int) -> None:
    if image.ndim != 3 or image.dtype not in (torch.float32, torch.float64):
        raise InputError(f"filtering takes a float32 (3,H,W), not {image.dtype} {tuple(image.shape)}")
    if taps // 2 >= min(image.shape[-2:]):
        raise InputError(
            f"an image of {tuple(image.shape[-2:])} is too small for a kernel of {taps} taps",
            remedy=f"use images of {taps // 2 + 1} pixels or more",
        )
