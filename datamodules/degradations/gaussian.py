"""Gaussian blur of random width and bicubic shrinking: what methods that read a kernel from the image train with."""

from __future__ import annotations

import math

import numpy as np

from srbench.datamodules.degradations import drawing
from srbench.datamodules.degradations.kernels import KernelSpec
from srbench.datamodules.degradations.perturbed_blur import PerturbedBlur
from srbench.datamodules.degradations.recipe import Recipe
from srbench.datamodules.degradations.steps import Blur, MatlabResize, Round, Step
from srbench.degradation import Degradation
from srbench.errors import InputError


class GaussianBlur(Degradation):
    """A Gaussian kernel, MATLAB's bicubic shrinking, 8 bits; the classical degradation of blind super-resolution.

    The defaults are setting 1 of IKC, DAN and DCLS at x4: isotropic, sigma from 0.2 to 4.0 pixels. Setting 2 at x4 is
    DIV2KRK's: ``anisotropic``, size 31, sigma from 0.6 to 5 (each axis of its own), turned by any angle, every tap
    enlarged by up to a quarter (DCLS: ``options/setting2``).

    Args:
        scale: magnification from lq to gt.
        size: side of the kernel, odd.
        sigma: least and greatest standard deviation in pixels.
        anisotropic: draw a second standard deviation and a rotation.
        perturbation: every tap is multiplied by 1 plus a uniform number up to this, before the sum is made 1.
        crop: side of gt that is degraded; None degrades the patch, as these papers do.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        size: int = 21,
        sigma: tuple[float, float] = (0.2, 4.0),
        anisotropic: bool = False,
        perturbation: float = 0.0,
        crop: int | None = None,
    ) -> None:
        super().__init__(scale=scale, crop=crop)
        if not 0 < sigma[0] <= sigma[1] or perturbation < 0:
            raise InputError(
                f"sigma [{sigma[0]:g}, {sigma[1]:g}] with perturbation {perturbation:g} is impossible",
                where="GaussianBlur.init_args",
                remedy="give [least, greatest] above 0, and a perturbation of 0 or more",
            )
        KernelSpec("iso", size, sigma_x=sigma[0])  # refuses an even size before the first draw
        self.size = size
        self.sigma = sigma
        self.anisotropic = anisotropic
        self.perturbation = perturbation

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """The kernel's width, and the rest of it where it is no circle."""
        shrink = MatlabResize(1 / self.scale, eight_bit=False)
        return Recipe((self._blur(rng), shrink, Round()), kind="anisotropic" if self.anisotropic else "isotropic")

    def _blur(self, rng: np.random.Generator) -> Step:
        sigma_x = drawing.uniform(rng, *self.sigma)
        spec = KernelSpec("iso", self.size, sigma_x=sigma_x, sigma_y=sigma_x)
        if self.anisotropic:
            sigma_y, theta = drawing.uniform(rng, *self.sigma), drawing.uniform(rng, -math.pi, math.pi)
            spec = KernelSpec("aniso", self.size, sigma_x=sigma_x, sigma_y=sigma_y, theta=theta)
        if not self.perturbation:
            return Blur(spec)
        return PerturbedBlur(spec, self.perturbation, drawing.seed(rng))
