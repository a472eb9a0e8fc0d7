"""DIV2K-C's corruptions and DIV2K-MC's mixtures, as SRTTA's classifier is trained on (``data/div2kmd.py``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from srbench.datamodules.degradations import drawing
from srbench.datamodules.degradations.bsrgan import correlated_mixing
from srbench.datamodules.degradations.corruption_steps import DefocusBlur, GlassBlur, ImpulseNoise, SpeckleNoise, Turn
from srbench.datamodules.degradations.kernels import KernelSpec
from srbench.datamodules.degradations.recipe import Recipe
from srbench.datamodules.degradations.steps import (
    Blur,
    Clamp,
    CorrelatedNoise,
    GaussianNoise,
    Jpeg,
    MatlabResize,
    PoissonNoise,
    Round,
    Step,
)
from srbench.degradation import Degradation
from srbench.errors import InputError

Corruption = Literal[
    "Original",
    "GaussianBlur", "DefocusBlur", "GlassBlur",
    "GaussianNoise", "PoissonNoise", "ImpulseNoise", "SpeckleNoise",
    "JPEG",
    "BlurJPEG", "BlurNoise", "NoiseJPEG", "BlurNoiseJPEG",
]  # fmt: skip
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)
BLURS: tuple[Corruption, ...] = ("GaussianBlur", "DefocusBlur", "GlassBlur")
NOISES: tuple[Corruption, ...] = ("GaussianNoise", "PoissonNoise", "ImpulseNoise", "SpeckleNoise")

LEAST = 13
"""The smallest side that a kernel of 25 can be mirrored in."""

_LEVELS = (2, 25)  # of 255, Gaussian and speckle noise
_QUALITIES = (30, 95)


class Corruptions(Degradation):
    """One of thirteen, each as likely: none, eight corruptions, four mixtures; its name is the recipe's kind.

    Blur comes before MATLAB's bicubic shrinking, noise and JPEG after it; mixtures draw one blur and one noise each and
    are rounded to 8 bits after every operation.

    Args:
        kinds: those to draw from, of :data:`CORRUPTIONS`; None takes all.
        turned: probability of turning the crop by up to 90 degrees first, with black corners, as upstream; no target
            turns with it, so 0 is for whatever makes sr.
        scale: magnification from lq to gt; upstream's classifier is trained at 2.
        real_jpeg: libjpeg, as upstream, which works on the CPU; False takes DiffJPEG on the image's device.
        crop: see :class:`~srbench.degradation.Degradation`.

    Raises:
        InputError: a kind does not exist, or the probability is none.
    """

    def __init__(
        self,
        *,
        kinds: Sequence[Corruption] | None = None,
        turned: float = 0.0,
        scale: int = 2,
        real_jpeg: bool = True,
        crop: int | None = None,
    ) -> None:
        super().__init__(scale=scale, crop=crop)
        self.kinds = CORRUPTIONS if kinds is None else tuple(kinds)
        if not self.kinds or (unknown := [kind for kind in self.kinds if kind not in CORRUPTIONS]):
            what = f"there is no corruption {unknown[0]!r}" if self.kinds else "there is no corruption to draw"
            raise InputError(what, where="Corruptions.init_args.kinds", remedy=f"use {', '.join(CORRUPTIONS)}")
        if not 0 <= turned <= 1:
            where = "Corruptions.init_args.turned"
            raise InputError(f"{turned:g} is no probability", where=where, remedy="use a number from 0 to 1")
        self.turned = turned
        self.real_jpeg = real_jpeg

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """Upstream draws everything per image, so ``batch_rng`` is not looked at.

        Raises:
            InputError: the image is too small for the widest kernel.
        """
        if min(height, width) < LEAST:
            what = f"an image of {min(height, width)} pixels is too small for this degradation"
            raise InputError(what, remedy=f"degrade {LEAST} pixels or more: set the degradation's crop or patch_size")
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        turned = drawing.happens(rng, self.turned)
        degrees = drawing.uniform(rng, -90, 90)
        first: list[Step] = [Turn(degrees)] if turned else []
        steps = self._single(kind, rng) if kind in CORRUPTIONS[:9] else self._mixed(kind, rng)
        return Recipe((*first, *steps, Round()), kind=kind)

    def _single(self, kind: str, rng: np.random.Generator) -> list[Step]:
        if kind in BLURS:
            return [_blur(kind, rng, self.scale), *self._shrink()]
        if kind in NOISES:
            return [*self._shrink(), _noise(kind, rng)]
        return [*self._shrink(), self._jpeg(rng)] if kind == "JPEG" else self._shrink()

    def _mixed(self, kind: str, rng: np.random.Generator) -> list[Step]:
        steps: list[Step] = []
        if "Blur" in kind:
            steps += [_blur(_one(BLURS, rng), rng, 1), Round()]
        steps += [*self._shrink(), Round()]
        if "Noise" in kind:
            steps += [_noise(_one(NOISES, rng), rng), Round()]
        return [*steps, self._jpeg(rng)] if "JPEG" in kind else steps

    def _shrink(self) -> list[Step]:
        return [] if self.scale == 1 else [MatlabResize(1 / self.scale, eight_bit=False), Clamp()]

    def _jpeg(self, rng: np.random.Generator) -> Jpeg:
        low, high = _QUALITIES
        return Jpeg(float(rng.integers(low, high + 1)), differentiable=not self.real_jpeg)


def _one(kinds: Sequence[Corruption], rng: np.random.Generator) -> Corruption:
    return kinds[int(rng.integers(len(kinds)))]


def _blur(kind: str, rng: np.random.Generator, scale: int) -> Step:
    if kind == "DefocusBlur":
        return DefocusBlur(int(rng.integers(3, 11)), drawing.uniform(rng, 0.1, 0.5))
    if kind == "GlassBlur":
        return GlassBlur(drawing.uniform(rng, 1, 2), int(rng.integers(2, 7)), drawing.seed(rng))
    anisotropic = drawing.happens(rng, 0.5)
    size = 2 * int(rng.integers(2, 12)) + 3
    if not anisotropic:
        return Blur(KernelSpec("iso", size, sigma_x=drawing.uniform(rng, 1e-3, 2 + 0.2 * scale)))
    sigma_x, sigma_y = (float(s) for s in np.sqrt(rng.uniform(1e-6, 4 + scale, size=2)))
    return Blur(KernelSpec("aniso", size, sigma_x=sigma_x, sigma_y=sigma_y, theta=drawing.uniform(rng, 0, math.pi)))


def _noise(kind: str, rng: np.random.Generator) -> Step:
    if kind == "PoissonNoise":
        return PoissonNoise(drawing.uniform(rng, 0.5, 3), drawing.happens(rng, 0.5), drawing.seed(rng))
    if kind == "ImpulseNoise":
        probability, salt = drawing.uniform(rng, 0.03, 0.25), drawing.uniform(rng, 0, 1)
        return ImpulseNoise(probability, salt, drawing.happens(rng, 0.5), drawing.seed(rng))
    low, high = _LEVELS
    level, turn = int(rng.integers(low, high + 1)), rng.random()
    if kind == "GaussianNoise" and not 0.4 <= turn <= 0.6:
        return GaussianNoise(float(level), turn < 0.4, drawing.seed(rng))
    mixing = correlated_mixing(rng, high / 255) if 0.4 <= turn <= 0.6 else _alike(level / 255, grey=turn < 0.4)
    step = CorrelatedNoise if kind == "GaussianNoise" else SpeckleNoise
    return step(mixing, drawing.seed(rng))


def _alike(level: float, *, grey: bool) -> tuple[tuple[float, ...], ...]:
    """Rows that make fields of one level, one for all channels or one for each."""
    return tuple(tuple(level * float((j == 0) if grey else (j == i)) for j in range(3)) for i in range(3))
