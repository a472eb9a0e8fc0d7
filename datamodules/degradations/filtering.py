"""Filtering with a small kernel, and the unsharp mask that Real-ESRGAN sharpens its gt with."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

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
    _check_kernel(kernel)
    if isinstance(kernel, Tensor):
        taps, symmetric = kernel, False
    else:
        trimmed = _trimmed(kernel)
        taps, symmetric = torch.from_numpy(trimmed), bool(np.abs(trimmed - trimmed[::-1, ::-1]).max() < _NOTHING)
    _check(image, len(taps))
    # A copy that blocks would make the process wait for all that the GPU still has to do.
    taps = taps.to(device=image.device, dtype=image.dtype, non_blocking=True)
    return _correlate(image, _spectrum(taps, _fft_sides(image, len(taps)), symmetric))


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
    detail = image - _correlate(image, spectrum)
    mask = (detail.abs() * 255 > threshold).to(image.dtype)
    soft = _correlate(mask, spectrum).clamp(0, 1)
    return image + soft * ((image + weight * detail).clamp(0, 1) - image)


def automatic_sigma(taps: int) -> float:
    """The standard deviation that OpenCV's ``getGaussianKernel`` takes for 0: 8 for 51 taps."""
    return 0.3 * ((taps - 1) * 0.5 - 1) + 0.8


def _correlate(image: Tensor, spectrum: _Spectrum) -> Tensor:
    """(C,H,W) correlated with the kernel of this spectrum, the border mirrored."""
    height, width = image.shape[-2:]
    reach, sides = spectrum.reach, spectrum.sides
    padded = F.pad(image[None], (reach,) * 4, mode="reflect")[0]
    product = spectrum.times(torch.fft.rfft2(padded, s=sides))
    rows = torch.fft.ifft(product, dim=-2)[..., reach : reach + height, :]
    return torch.fft.irfft(rows, n=sides[1], dim=-1)[..., reach : reach + width].contiguous()


class _Spectrum(NamedTuple):
    """A kernel after the real Fourier transform, centred on the origin.

    Attributes:
        even: (h,w//2+1,1), real: of the kernel's part that is symmetric about its centre.
        odd: likewise, the imaginary spectrum of the antisymmetric part; None where there is none.
        reach: of the kernel to each side.
        sides: of the transform.
    """

    even: Tensor
    odd: Tensor | None
    reach: int
    sides: tuple[int, int]

    def times(self, signal: Tensor) -> Tensor:
        """The correlation, in frequencies.

        Of real products and sums only: torch's complex product rounds differently at the end of a thread's share, and
        the pixels would depend on the number of threads.
        """
        parts = torch.view_as_real(signal)
        total = parts * self.even
        if self.odd is not None:
            real, imaginary = parts.unbind(-1)
            total = total + torch.stack((imaginary, -real), dim=-1) * self.odd
        return torch.view_as_complex(total)


def _spectrum(kernel: Tensor, sides: tuple[int, int], symmetric: bool) -> _Spectrum:
    reach = kernel.shape[-1] // 2
    padded = F.pad(kernel, (0, sides[1] - kernel.shape[-1], 0, sides[0] - kernel.shape[-2]))
    values = torch.view_as_real(torch.fft.rfft2(padded.roll((-reach, -reach), (0, 1))))
    return _Spectrum(values[..., :1].contiguous(), None if symmetric else values[..., 1:].contiguous(), reach, sides)


@lru_cache(maxsize=32)
def _gaussian_spectrum(taps: int, sides: tuple[int, int], dtype: torch.dtype, device: torch.device) -> _Spectrum:
    kernel = gaussian_kernel(taps, automatic_sigma(taps), isotropic=True)
    # Tensors made in inference mode could not be used for training afterwards, and these stay in the cache.
    with torch.inference_mode(False):
        return _spectrum(torch.from_numpy(kernel).to(device, dtype, non_blocking=True), sides, symmetric=True)


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
    """The smallest even product of 2, 3 and 5 that is not below ``least``, but no power of two below 128.

    Inverse real transforms of 32 and 64 samples round differently on one thread and on several (MKL).

    >>> _smooth(276), _smooth(60)
    (288, 60)
    """
    side = least + least % 2
    while not _is_smooth(side) or side in (8, 16, 32, 64):
        side += 2
    return side


def _is_smooth(side: int) -> bool:
    for factor in (2, 3, 5):
        while side % factor == 0:
            side //= factor
    return side == 1


def _check_kernel(kernel: NDArray[np.floating] | Tensor) -> None:
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        raise InputError(f"filter2d takes a square kernel of odd side, not {tuple(kernel.shape)}")


def _check(image: Tensor, taps: int) -> None:
    if image.ndim != 3 or image.dtype not in (torch.float32, torch.float64):
        raise InputError(f"filtering takes a float32 (3,H,W), not {image.dtype} {tuple(image.shape)}")
    if taps // 2 >= min(image.shape[-2:]):
        raise InputError(
            f"an image of {tuple(image.shape[-2:])} is too small for a kernel of {taps} taps",
            remedy=f"use images of {taps // 2 + 1} pixels or more",
        )
