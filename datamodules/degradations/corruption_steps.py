"""Corruptions that only DIV2K-C knows, as steps: disks, glass, impulses, speckles, and a turned image.

Arithmetic of SRTTA's ``utils_blindsr_plus.py`` and ``utils_blindsr.py`` (DengZeshuai/SRTTA).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.datamodules.degradations.filtering import filter2d
from srbench.datamodules.degradations.kernels import Kernel, gaussian_kernel
from srbench.datamodules.degradations.steps import STEPS, Step


@dataclass(frozen=True)
class DefocusBlur(Step):
    """A disk whose edge is smoothed by a small Gaussian (``disk``), then [0,1].

    Attributes:
        radius: of the disk, pixels.
        smoothing: sigma of the Gaussian, which has 3 taps, or 5 for disks above a radius of 8.
    """

    name: ClassVar[str] = "defocus_blur"
    radius: int
    smoothing: float

    def apply(self, image: Tensor) -> Tensor:
        """The filtered image in [0,1]."""
        return filter2d(image, disk(self.radius, self.smoothing)).clamp_(0, 1)


@dataclass(frozen=True)
class GlassBlur(Step):
    """A Gaussian, pixels taken from their neighbourhood, the Gaussian again, then [0,1].

    Upstream's two loops share their counters, so that of the whole image one row alone is shuffled, in the first pass
    alone, and its swap of views of one array copies. That is done here too: DIV2K-C and its training data are made so.

    Attributes:
        sigma: of both Gaussians, cut off at four of them.
        reach: neighbours are ``-reach`` to ``reach - 1`` pixels away; the row is this far from the bottom.
        seed: of the shuffle.
    """

    name: ClassVar[str] = "glass_blur"
    sigma: float
    reach: int
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The filtered image in [0,1]."""
        kernel = gaussian_kernel(2 * int(4 * self.sigma + 0.5) + 1, self.sigma, isotropic=True)
        image = filter2d(image, kernel)
        row = image.shape[-2] - self.reach
        columns = range(image.shape[-1] - self.reach, self.reach, -1)
        moves = np.random.default_rng(self.seed).integers(-self.reach, self.reach, size=(len(columns), 2))
        for column, (right, down) in zip(columns, moves.tolist(), strict=True):
            image[:, row, column] = image[:, row + down, column + right]
        return filter2d(image, kernel).clamp_(0, 1)


@dataclass(frozen=True)
class ImpulseNoise(Step):
    """Salt and pepper.

    Attributes:
        probability: of a pixel (of each of its channels, unless grey) to be hit.
        salt: of what is hit to be white, else black.
        grey: the three channels are hit together.
        seed: of the field.
    """

    name: ClassVar[str] = "impulse_noise"
    probability: float
    salt: float
    grey: bool
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The noisy image."""
        shape = (1 if self.grey else 3, *image.shape[-2:])
        generator = torch.Generator(image.device).manual_seed(self.seed)
        hit, white = (torch.rand(shape, generator=generator, device=image.device) for _ in range(2))
        return torch.where(hit <= self.probability, (white <= self.salt).to(image.dtype), image)


@dataclass(frozen=True)
class SpeckleNoise(Step):
    """Gaussian noise times the image, clipped to [0,1] before and after.

    Attributes:
        mixing: 3x3 rows; three independent unit fields times it are the noise of R, G and B, to be multiplied.
        seed: of the fields.
    """

    name: ClassVar[str] = "speckle_noise"
    mixing: tuple[tuple[float, ...], ...]
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The noisy image in [0,1]."""
        image = image.clamp(0, 1)
        generator = torch.Generator(image.device).manual_seed(self.seed)
        units = torch.randn(image.shape, generator=generator, device=image.device)
        matrix = torch.tensor(self.mixing, dtype=image.dtype).to(image.device, non_blocking=True)
        return (image + image * (matrix @ units.flatten(1)).view_as(image)).clamp_(0, 1)


@dataclass(frozen=True)
class Turn(Step):
    """Turned about its centre by the nearest pixels, black where nothing comes from (torchvision's RandomRotation).

    Attributes:
        degrees: counter-clockwise.
    """

    name: ClassVar[str] = "turn"
    degrees: float

    def apply(self, image: Tensor) -> Tensor:
        """The turned image, of the same size."""
        angle, (height, width) = math.radians(self.degrees), image.shape[-2:]
        cos, sin = math.cos(angle), math.sin(angle)
        matrix = torch.tensor([[[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]]])
        grid = F.affine_grid(
            matrix.to(image.device, image.dtype, non_blocking=True), [1, *image.shape], align_corners=False
        )
        return F.grid_sample(image[None], grid, mode="nearest", padding_mode="zeros", align_corners=False)[0]


def disk(radius: int, smoothing: float) -> Kernel:
    """(17,17), or (2r+1,2r+1) for radii above 8: float64 of sum 1."""
    reach, taps = (8, 3) if radius <= 8 else (radius, 5)
    offsets = np.arange(-reach, reach + 1)
    inside = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2).astype(np.float64)
    line = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * smoothing**2))
    line /= line.sum()
    padded = np.pad(inside / inside.sum(), taps // 2, mode="reflect")
    rows = sum(weight * padded[i : i + len(inside)] for i, weight in enumerate(line))
    smooth: Kernel = sum(weight * rows[:, i : i + len(inside)] for i, weight in enumerate(line))
    return smooth / smooth.sum()


STEPS.update({step.name: step for step in (DefocusBlur, GlassBlur, ImpulseNoise, SpeckleNoise, Turn)})
