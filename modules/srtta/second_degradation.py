"""Second-order degradation: patches of a test image, and the same patches degraded once more (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from srbench.datamodules.degradations import drawing
from srbench.datamodules.degradations.filtering import filter2d
from srbench.datamodules.degradations.jpeg import diff_jpeg
from srbench.datamodules.degradations.noise import add_gaussian
from srbench.datamodules.degradations.ranges import BlurRanges, KernelMix, Range

LEAST = 11
"""The smallest side of an image that a kernel of 21 can be mirrored in."""


def _blur() -> BlurRanges:
    return BlurRanges(sinc=0.0, mix=KernelMix(0.5, 0.5, 0.0, 0.0, 0.0, 0.0))


@dataclass(frozen=True)
class SecondDegradation:
    """What is drawn for every patch, of the types that were found in the image; ``main_tta.py``'s numbers.

    Attributes:
        blur: isotropic or anisotropic Gaussians alike often, sides 7 to 21, sigma 0.2 to 3.
        noise: sigma of Gaussian noise, of 255.
        grey: probability that its three channels share one field.
        jpeg: quality, fractions included; DiffJPEG.
    """

    blur: BlurRanges = field(default_factory=_blur)
    noise: Range = (1.0, 30.0)
    grey: float = 0.4
    jpeg: Range = (30.0, 95.0)

    def degraded(self, patch: Tensor, types: Collection[str], rng: np.random.Generator) -> Tensor:
        """(3,p,p) in [0,1] blurred, noisy and compressed, in this order, then in 8 bits; on the patch's device.

        Between the steps nothing is clamped or rounded, as released.
        """
        if "blur" in types:
            patch = filter2d(patch, drawing.kernel(rng, self.blur).build())
        if "noise" in types:
            patch = self._noisy(patch, rng)
        if "jpeg" in types:
            patch = diff_jpeg(patch, drawing.uniform(rng, *self.jpeg))
        return patch.clamp(0, 1).mul(255).round().div(255)

    def _noisy(self, patch: Tensor, rng: np.random.Generator) -> Tensor:
        sigma, grey = drawing.uniform(rng, *self.noise), drawing.happens(rng, self.grey)
        # Drawn on the CPU, so that every device sees the same field.
        own = torch.Generator().manual_seed(drawing.seed(rng))
        noise = torch.randn((1 if grey else 3, *patch.shape[-2:]), generator=own).to(patch.device)
        return add_gaussian(patch, sigma, grey=grey, field=noise, clip=False)


def drawn_patches(lq: Tensor, side: int, count: int, rng: np.random.Generator) -> Tensor:
    """Random square patches of ``lq`` (1,3,h,w), each flipped either way and transposed with probability 1/2.

    Args:
        lq: the image.
        side: of the patches; an image that is smaller gives patches of its shorter side.
        count: how many.
        rng: draws.

    Returns:
        (count,3,side,side).
    """
    side = min(side, *lq.shape[-2:])
    made = []
    for _ in range(count):
        top, left = (int(rng.integers(length - side + 1)) for length in lq.shape[-2:])
        patch = lq[0, :, top : top + side, left : left + side]
        turns = rng.random(3) < 0.5
        if flipped := [axis for axis, turn in zip((2, 1), turns[:2], strict=True) if turn]:
            patch = patch.flip(flipped)
        made.append(patch.transpose(1, 2) if turns[2] else patch)
    return torch.stack(made).contiguous()
