"""Fourier transforms of small kernels, deblurring by constrained least squares, and the kernel between two images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def spectrum(kernel: Tensor, sides: tuple[int, int]) -> Tensor:
    """The half spectrum of kernels as filters of an image.

    Args:
        kernel: (...,k,k), k odd and at most either side; its centre lands on the image's first pixel.
        sides: height and width of the image.

    Returns:
        (...,h,w//2+1) complex.
    """
    half = kernel.shape[-1] // 2
    height, width = sides
    placed = F.pad(kernel, (0, width - kernel.shape[-1], 0, height - kernel.shape[-1]))
    return torch.fft.rfft2(placed.roll((-half, -half), (-2, -1)))


def deblur(image: Tensor, kernel: Tensor, smoother: Tensor) -> Tensor:
    """Constrained least squares (Eq. 9): the image's spectrum times conj(K) / (|K|^2 + |P|^2).

    Args:
        image: (B,C,h,w).
        kernel: (B,1,k,k), what it is blurred by.
        smoother: (B,C,p,p), the filter P by which the noise is held down.

    Returns:
        (B,C,h,w).
    """
    sides = (image.shape[-2], image.shape[-1])
    blur, noise = spectrum(kernel, sides), spectrum(smoother, sides)
    power = blur.abs().square() + noise.abs().square()
    return torch.fft.irfft2(torch.fft.rfft2(image) * blur.conj() / power, s=sides)


def kernel_between(blurred: Tensor, sharp: Tensor, side: int, eps: float = 1e-20) -> Tensor:
    """The kernel that turns ``sharp`` into ``blurred``, channel by channel (Eq. 6).

    Args:
        blurred: (B,C,h,w).
        sharp: (B,C,h,w).
        side: of the kernel, odd and at most h and w.
        eps: added to the power of ``sharp`` before it divides.

    Returns:
        (B,C,side,side), centred.
    """
    spectrum_of_sharp = torch.fft.rfft2(sharp)
    quotient = torch.fft.rfft2(blurred) * spectrum_of_sharp.conj() / (spectrum_of_sharp.abs().square() + eps)
    kernel = torch.fft.irfft2(quotient, s=(sharp.shape[-2], sharp.shape[-1]))
    return kernel.roll((side // 2, side // 2), (-2, -1))[..., :side, :side]


def reformulated(blurred: Tensor, sharp: Tensor, side: int, keep: int = 40) -> Tensor:
    """The kernel at lq's size that the estimator learns (section 3.2): the channels' mean, without what is negligible.

    Taps of which an odd number of channels is negative count as 0. Of the others 0.75 times the ``keep``-th largest is
    taken off, what is left below 0 is 0, and the sum becomes 1.

    Args:
        blurred: bicubically shrunk blurred gt, (B,3,h,w).
        sharp: bicubically shrunk gt, (B,3,h,w).
        side: of the kernel.
        keep: rank of the tap that sets the threshold.

    Returns:
        (B,1,side,side).
    """
    kernels = kernel_between(blurred, sharp, side)
    mean = kernels.mean(1, keepdim=True) * (kernels.prod(1, keepdim=True) > 0)
    # The (keep + 1)-th largest tap, as the released code indexes it.
    threshold = 0.75 * mean.flatten(1).sort(1).values[:, -keep - 1].view(-1, 1, 1, 1)
    kept = (mean - threshold).clamp(0.0, 1.0)
    kept[..., side // 2 + 1, side // 2 + 1] += 1e-20  # so that nothing is divided by 0; off the centre as released
    return kept / kept.sum((2, 3), keepdim=True)


class LeastSquares(nn.Module):
    """Deblurs features, reduced to a ``reduction``-th of their channels, with a smoother it reads from them.

    Args:
        features: channels.
        reduction: of channels inside.
    """

    def __init__(self, features: int, reduction: int = 4) -> None:
        super().__init__()
        inner = features // reduction
        self.reduce_feature = nn.Conv2d(features, inner, 1)
        self.grad_filter = nn.Sequential(
            *(nn.Conv2d(inner, inner, 3), nn.LeakyReLU(0.1), nn.Conv2d(inner, inner, 3), nn.LeakyReLU(0.1)),
            *(nn.Conv2d(inner, inner, 3), nn.AdaptiveAvgPool2d((3, 3)), nn.Conv2d(inner, inner, 1)),
        )
        self.expand_feature = nn.Conv2d(inner, features, 1)

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """``x`` (B,C,h,w), deblurred by ``kernel`` (B,1,k,k), to (B,C,h,w)."""
        x = self.reduce_feature(x)
        smoother = self.grad_filter(x).exp()
        smoother = smoother - smoother.mean((2, 3), keepdim=True)
        side = kernel.shape[-1]
        clear = deblur(F.pad(x, (side,) * 4, "replicate"), kernel, smoother)
        return self.expand_feature(clear[..., side:-side, side:-side])
