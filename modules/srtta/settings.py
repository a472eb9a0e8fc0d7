"""The numbers of SRTTA's adaptation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.srtta.preservation import EPS, Importance
from srbench.modules.srtta.second_degradation import LEAST, SecondDegradation, drawn_patches


@dataclass(frozen=True)
class Learning:
    """How an image is learned; the released numbers (``scripts/tta_div2kc_x4.sh``, ``main_tta.py``).

    Attributes:
        iterations: steps per image.
        batch: patches in each.
        patch: their side in lq pixels; a smaller image gives patches of its shorter side.
        second: ranges of the second degradation.
        teacher_weight: of the loss against the given network's features, beside that against the student's own.
        eps: under the root of Charbonnier's loss. Features of EDSR are those of pixels in 0..255, as released; those of
            networks that work in [0,1] are smaller, and against them it weighs more.
        preserved: share of each of the body's tensors that keeps the source's values.
        importance: found on ``all`` clean images (paper) or the ``last`` by name (released).
    """

    iterations: int = 10
    batch: int = 32
    patch: int = 64
    second: SecondDegradation = field(default_factory=SecondDegradation)
    teacher_weight: float = 1.0
    eps: float = EPS
    preserved: float = 0.5
    importance: Importance = "all"

    def __post_init__(self) -> None:
        for name, least in (("iterations", 0), ("batch", 1), ("patch", LEAST), ("teacher_weight", 0), ("preserved", 0)):
            value = getattr(self, name)
            if not value >= least:
                raise _impossible(name, value, f"use {least} or more")
        if not self.eps > 0:
            raise _impossible("eps", self.eps, "use more than 0, for the root's gradient")
        if self.preserved > 1:
            raise _impossible("preserved", self.preserved, "use a share of 0 to 1")

    def pairs(self, lq: Tensor, types: Collection[str], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """What one step learns from: patches (batch,3,p,p) of ``lq`` (1,3,h,w) and the same degraded once more."""
        patches = drawn_patches(lq, self.patch, self.batch, rng)
        return patches, torch.stack([self.second.degraded(one, types, rng) for one in patches])


LEARNING = Learning()
"""As released."""


def _impossible(name: str, value: float, remedy: str) -> InputError:
    return InputError(f"{name} {value:g} is impossible", where=f"model.init_args.learning.{name}", remedy=remedy)
