"""BSRGAN's shuffled degradation (arXiv 2103.14006; ``degradation_bsrgan`` of the released ``utils_blindsr.py``)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from srbench.datamodules.degradations import drawing
from srbench.datamodules.degradations.kernels import KernelSpec
from srbench.datamodules.degradations.ranges import Range
from srbench.datamodules.degradations.recipe import Recipe
from srbench.datamodules.degradations.resizing import OPENCV_MODES
from srbench.datamodules.degradations.steps import (
    Blur,
    Clamp,
    CorrelatedNoise,
    Decimate,
    GaussianNoise,
    Jpeg,
    MatlabResize,
    Resize,
    Round,
    Step,
)
from srbench.degradation import Degradation
from srbench.errors import InputError

# Positions in the shuffle. The seventh operation of the paper, a camera's processing of raw noise, needs a model that
# was not released and is skipped by the released code too.
_BLURS, _SHRINK, _FINAL, _NOISE, _JPEG, _CAMERA = (0, 1), 2, 3, 4, 5, 6


@dataclass(frozen=True)
class BSRGANRanges:
    """What BSRGAN draws.

    Attributes:
        half: probability of halving first, at scale 4 only; half of those by MATLAB's antialiased bicubic.
        aniso: probability that a blur is anisotropic.
        sizes: sides of blur kernels.
        variance: greatest variance along an axis of an anisotropic Gaussian, plus the scale: 4 + s.
        sigma: greatest sigma of an isotropic Gaussian is ``sigma[0] + sigma[1] * s``: 2 + 0.2 s.
        interpolated: probability that the first shrinking interpolates, by 1 to ``shrink`` times the scale; otherwise a
            shifted Gaussian of sigma from 0.1 to ``nearest`` times the scale and every s-th pixel.
        shrink: see there.
        nearest: see there.
        noise: Gaussian level of 255, whole numbers.
        colour: probability of one field per channel.
        grey: probability of one field for all; the rest is correlated between channels, at the greatest level.
        jpeg_probability: of a JPEG in the shuffle; one more ends every degradation.
        jpeg: quality, whole numbers.
    """

    half: float = 0.25
    aniso: float = 0.5
    sizes: tuple[int, ...] = (7, 9, 11, 13, 15, 17, 19, 21, 23, 25)
    variance: float = 4.0
    sigma: Range = (2.0, 0.2)
    interpolated: float = 0.75
    shrink: float = 2.0
    nearest: float = 0.6
    noise: tuple[int, int] = (2, 25)
    colour: float = 0.4
    grey: float = 0.4
    jpeg_probability: float = 0.9
    jpeg: tuple[int, int] = field(default=(30, 95))


class BSRGAN(Degradation):
    """Blur twice, shrink twice, noise and JPEG in random order, then JPEG again.

    Interpolations are OpenCV's; linear and cubic are the same functions as torch's.

    Args:
        scale: magnification from lq to gt.
        ranges: everything that is drawn.
        real_jpeg: libjpeg, as upstream, which works on the CPU; False takes DiffJPEG on the image's device.
        crop: side of gt that is degraded; None degrades the patch (upstream: 288 for lq of 72).
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        ranges: BSRGANRanges = BSRGANRanges(),
        real_jpeg: bool = True,
        crop: int | None = None,
    ) -> None:
        super().__init__(scale=scale, crop=crop)
        self.ranges = ranges
        self.real_jpeg = real_jpeg

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """Upstream draws everything per image, so ``batch_rng`` is not looked at."""
        reach = max(self.ranges.sizes) // 2
        least = math.ceil((reach + 1) * self.ranges.shrink * self.scale)
        if min(height, width) < least:
            raise InputError(
                f"an image of {min(height, width)} pixels is too small for this degradation",
                remedy=f"degrade {least} pixels or more: set the degradation's crop or patch_size",
            )
        return Recipe(tuple(_Draw(rng, self.ranges, self.scale, self.real_jpeg).steps(height, width)))


class _Draw:
    """One recipe in the making: what is drawn next depends on the size that is left."""

    def __init__(self, rng: np.random.Generator, ranges: BSRGANRanges, scale: int, real_jpeg: bool) -> None:
        self.rng = rng
        self.ranges = ranges
        self.scale = scale
        self.real_jpeg = real_jpeg

    def steps(self, height: int, width: int) -> list[Step]:
        size = (height, width)
        out: list[Step] = []
        if self.scale == 4 and drawing.happens(self.rng, self.ranges.half):
            size, out = self._halved(size)
            self.scale = 2
        final = size
        for operation in self._order():
            if operation in _BLURS:
                out.append(Blur(self._kernel()))
            elif operation == _SHRINK:
                final = size[0] // self.scale, size[1] // self.scale
                size, shrunk = self._shrunk(size)
                out += shrunk
            elif operation == _FINAL:
                size = final
                out += [Resize(*final, self._mode()), Clamp()]
            elif operation == _NOISE:
                out.append(self._noise())
            elif operation == _JPEG and drawing.happens(self.rng, self.ranges.jpeg_probability):
                out.append(self._jpeg())
        return [*out, self._jpeg(), Round()]

    def _order(self) -> list[int]:
        order = [int(operation) for operation in self.rng.permutation(7)]
        shrink, final = order.index(_SHRINK), order.index(_FINAL)
        if shrink > final:
            order[shrink], order[final] = order[final], order[shrink]
        return order

    def _mode(self) -> str:
        return OPENCV_MODES[int(self.rng.integers(len(OPENCV_MODES)))]

    def _halved(self, size: tuple[int, int]) -> tuple[tuple[int, int], list[Step]]:
        half = size[0] // 2, size[1] // 2
        if drawing.happens(self.rng, 0.5):
            return half, [Resize(*half, self._mode()), Clamp()]
        return half, [MatlabResize(0.5, eight_bit=False), Clamp()]

    def _kernel(self) -> KernelSpec:
        size = int(self.rng.choice(self.ranges.sizes))
        if drawing.happens(self.rng, self.ranges.aniso):
            variances = self.rng.uniform(1e-6, self.ranges.variance + self.scale, size=2)
            sigma_x, sigma_y = (float(s) for s in np.sqrt(variances))
            theta = drawing.uniform(self.rng, 0, math.pi)
            return KernelSpec("aniso", size, sigma_x=sigma_x, sigma_y=sigma_y, theta=theta)
        base, slope = self.ranges.sigma
        return KernelSpec("iso", size, sigma_x=drawing.uniform(self.rng, 1e-3, base + slope * self.scale))

    def _shrunk(self, size: tuple[int, int]) -> tuple[tuple[int, int], list[Step]]:
        if drawing.happens(self.rng, self.ranges.interpolated):
            factor = drawing.uniform(self.rng, 1, self.ranges.shrink * self.scale)
            small = int(size[0] / factor), int(size[1] / factor)
            return small, [Resize(*small, self._mode()), Clamp()]
        sigma = drawing.uniform(self.rng, 0.1, self.ranges.nearest * self.scale)
        small = -(-size[0] // self.scale), -(-size[1] // self.scale)
        return small, [Decimate(self.scale, sigma), Clamp()]

    def _noise(self) -> Step:
        low, high = self.ranges.noise
        level = int(self.rng.integers(low, high + 1))
        turn = self.rng.random()
        if turn < self.ranges.colour + self.ranges.grey:
            return GaussianNoise(float(level), turn >= self.ranges.colour, drawing.seed(self.rng))
        return CorrelatedNoise(correlated_mixing(self.rng, high / 255), drawing.seed(self.rng))

    def _jpeg(self) -> Jpeg:
        low, high = self.ranges.jpeg
        return Jpeg(float(self.rng.integers(low, high + 1)), differentiable=not self.real_jpeg)


def correlated_mixing(rng: np.random.Generator, level: float) -> tuple[tuple[float, ...], ...]:
    """Turns three unit normals into noise of BSRGAN's random covariance ``|level^2 U^T D U|``.

    U is an orthonormal basis of a random matrix's columns, D a random diagonal. The square root is the one that
    ``numpy.random.multivariate_normal`` takes, by singular values, so an absolute value that made the matrix
    indefinite does what it does there.
    """
    diagonal = np.diag(rng.random(3))
    basis = np.linalg.svd(rng.random((3, 3)))[0]
    covariance = np.abs(level**2 * (basis.T @ diagonal @ basis))
    _, values, rows = np.linalg.svd(covariance)
    return tuple(tuple(float(v) for v in row) for row in rows.T * np.sqrt(values))
