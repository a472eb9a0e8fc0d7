"""The step that blurs with a kernel whose taps were disturbed, as DIV2KRK and what trains for it have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from srbench.datamodules.degradations.filtering import filter2d
from srbench.datamodules.degradations.kernels import Kernel, KernelSpec
from srbench.datamodules.degradations.steps import STEPS, Step


@dataclass(frozen=True)
class PerturbedBlur(Step):
    """As :class:`~srbench.datamodules.degradations.steps.Blur`, with disturbed taps.

    Attributes:
        strength: every tap is multiplied by 1 plus a uniform number from 0 to this, then the sum made 1.
        seed: of these numbers.
    """

    name: ClassVar[str] = "perturbed_blur"
    kernel: KernelSpec
    strength: float
    seed: int

    def taps(self) -> Kernel:
        """The kernel, (size,size) float64 of sum 1."""
        taps = self.kernel.build()
        taps = taps * (1 + np.random.default_rng(self.seed).uniform(0, self.strength, taps.shape))
        return taps / taps.sum()

    def apply(self, image: Tensor) -> Tensor:
        """The filtered image."""
        return filter2d(image, self.taps())


STEPS[PerturbedBlur.name] = PerturbedBlur
