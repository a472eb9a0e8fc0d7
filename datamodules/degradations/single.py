"""One degradation of one strength: what DACESR's Fig. 1 and 2 measure text similarity under."""

from __future__ import annotations

from typing import Literal

import numpy as np

from srbench.datamodules.degradations import drawing
from srbench.datamodules.degradations.kernels import KernelSpec
from srbench.datamodules.degradations.recipe import Recipe
from srbench.datamodules.degradations.steps import Blur, Clamp, GaussianNoise, Jpeg, MatlabResize, Round, Step
from srbench.degradation import Degradation
from srbench.errors import InputError

SingleKind = Literal["blur", "noise", "jpeg"]

STRENGTHS: dict[str, tuple[float, ...]] = {
    "blur": (0.5, 1.5, 2.5, 3.0),
    "noise": (5.0, 10.0, 20.0, 30.0),
    "jpeg": (90.0, 70.0, 50.0, 30.0),
}
"""The strengths of DACESR's Fig. 2: sigma in pixels, sigma of 255, quality."""


class Single(Degradation):
    """Gaussian blur, Gaussian colour noise or JPEG, nothing random but the noise field.

    The paper does not say at which size it degrades. Here blur comes before MATLAB's bicubic shrinking, noise and JPEG
    after it, as in a camera; ``scale`` 1 shrinks nothing.

    Args:
        kind: ``blur``, ``noise`` or ``jpeg``.
        strength: sigma in pixels, sigma of 255, or quality; DACESR's are :data:`STRENGTHS`.
        scale: magnification from lq to gt.
        real_jpeg: compress by libjpeg, which works on the CPU, instead of DiffJPEG on the image's device.
        crop: side of gt that is degraded; None degrades the patch.
    """

    def __init__(
        self, *, kind: SingleKind, strength: float, scale: int = 4, real_jpeg: bool = True, crop: int | None = None
    ) -> None:
        super().__init__(scale=scale, crop=crop)
        if kind not in STRENGTHS:
            raise InputError(f"there is no single degradation '{kind}'", remedy=f"use {', '.join(STRENGTHS)}")
        if strength <= 0 or (kind == "jpeg" and not 1 <= strength <= 100):
            raise InputError(
                f"strength {strength:g} is impossible for {kind}",
                where="Single.init_args.strength",
                remedy="use more than 0, and for jpeg a quality from 1 to 100",
            )
        self.kind: SingleKind = kind
        self.strength = strength
        self.real_jpeg = real_jpeg

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """The same for every image, but for the seed of the noise."""
        shrink: list[Step] = [] if self.scale == 1 else [MatlabResize(1 / self.scale, eight_bit=False), Clamp()]
        steps = [self._step(rng), *shrink] if self.kind == "blur" else [*shrink, self._step(rng)]
        return Recipe((*steps, Round()), kind=f"{self.kind}_{self.strength:g}")

    def _step(self, rng: np.random.Generator) -> Step:
        if self.kind == "blur":
            return Blur(KernelSpec("iso", 21, sigma_x=self.strength))
        if self.kind == "noise":
            return GaussianNoise(self.strength, False, drawing.seed(rng))
        return Jpeg(self.strength, differentiable=not self.real_jpeg)
