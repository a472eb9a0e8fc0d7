"""The papers' degradations, each a class for ``class_path`` with its numbers as default arguments.

All of them draw per image; ``per_batch=true`` draws once per batch what the authors' code does, and turns on the
training-pair pool of that code's size where ``pool`` is not given.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from srbench.datamodules.degradations import drawing
from srbench.datamodules.degradations.imresize import Border
from srbench.datamodules.degradations.published import (
    DASR_SEVERE,
    DASR_STANDARD,
    DASR_WEAK,
    REALESRGAN,
    STABLESR_LIGHT,
    DASRLevel,
    DeeDSRLevel,
    deedsr_level,
)
from srbench.datamodules.degradations.ranges import LevelMix, SecondOrder, Stage
from srbench.datamodules.degradations.recipe import Recipe
from srbench.datamodules.degradations.steps import MatlabResize, Step, Usm
from srbench.degradation import Degradation
from srbench.errors import InputError

Sharpen = Literal["none", "lq", "both"]
"""Unsharp masking of gt before it is degraded: not at all, for lq alone, or for lq and the training target."""


class Bicubic(Degradation):
    """MATLAB's bicubic ``imresize`` of the 8-bit image, bit for bit.

    Args:
        scale: magnification from lq to gt.
        border: see :func:`~srbench.datamodules.degradations.imresize.imresize`.
    """

    def __init__(self, *, scale: int = 4, border: Border = "symmetric") -> None:
        super().__init__(scale=scale)
        self.border = border

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """Nothing is random."""
        return Recipe((MatlabResize(1 / self.scale, eight_bit=True, border=self.border),))


class RealESRGAN(Degradation):
    """Real-ESRGAN's second-order degradation (arXiv 2107.10833; released x4plus options).

    Upstream cuts 400 x 400 out of gt, makes lq from its sharpened version, cuts 256 out of that, and trains L1 and
    perceptual losses on the sharpened gt, the discriminator on the plain one: ``sharpen`` chooses one target for all.

    Args:
        scale: magnification from lq to gt.
        ranges: everything that is drawn.
        sharpen: see :data:`Sharpen`.
        real_jpeg: compress by libjpeg, which works on the CPU, instead of DiffJPEG on the image's device.
        crop: side of gt that is degraded; see :class:`~srbench.degradation.Degradation`.
        per_batch: share resize, noise type, second blur and order of the last steps within a batch.
        pool: pairs in the pool; None is 180 under ``per_batch`` and none otherwise.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        ranges: SecondOrder = REALESRGAN,
        sharpen: Sharpen = "lq",
        real_jpeg: bool = False,
        crop: int | None = 400,
        per_batch: bool = False,
        pool: int | None = None,
    ) -> None:
        super().__init__(scale=scale, crop=crop, per_batch=per_batch, pool=_pool(pool, 180, per_batch))
        self.ranges = ranges
        self.sharpen: Sharpen = sharpen
        self.real_jpeg = real_jpeg

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """Two stages and the final sinc filter."""
        dice = _dice(self, rng, batch_rng)
        return Recipe((*_sharpened(self.sharpen), *_two_stages(dice, self.ranges, height, width, self.scale)))


class DASR(Degradation):
    """DASR's three levels (arXiv 2203.14216; released options): weak and standard have one stage, severe has two.

    As released, training sharpens gt, makes lq from it and trains on it; the flags ``*_gt_usm`` are never read. The
    published test sets Level-I, II and III are whole images that were not sharpened: ``sharpen=none``, ``crop=null``.

    Args:
        level: ``weak``, ``standard``, ``severe``, or ``mixed``, which draws one of them.
        scale: magnification from lq to gt.
        mix: how often ``mixed`` draws each level.
        weak: ranges of level I.
        standard: ranges of level II.
        severe: ranges of level III.
        sharpen: see :data:`Sharpen`.
        real_jpeg: compress by libjpeg, which works on the CPU, instead of DiffJPEG on the image's device.
        crop: side of gt that is degraded; see :class:`~srbench.degradation.Degradation`.
        per_batch: share level, resize, noise type, second blur and order of the last steps within a batch.
        pool: pairs in the pool; None is 192 under ``per_batch`` and none otherwise.
    """

    def __init__(
        self,
        *,
        level: DASRLevel = "mixed",
        scale: int = 4,
        mix: LevelMix = LevelMix(),  # noqa: B008  frozen
        weak: Stage = DASR_WEAK,
        standard: Stage = DASR_STANDARD,
        severe: SecondOrder = DASR_SEVERE,
        sharpen: Sharpen = "both",
        real_jpeg: bool = False,
        crop: int | None = 400,
        per_batch: bool = False,
        pool: int | None = None,
    ) -> None:
        super().__init__(scale=scale, crop=crop, per_batch=per_batch, pool=_pool(pool, 192, per_batch))
        self.level: DASRLevel = level
        self.mix = mix
        self.weak = weak
        self.standard = standard
        self.severe = severe
        self.sharpen: Sharpen = sharpen
        self.real_jpeg = real_jpeg

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """One level's steps; the recipe's ``kind`` is the level."""
        dice = _dice(self, rng, batch_rng)
        level = self._level(dice)
        if level == "severe":
            steps = _two_stages(dice, self.severe, height, width, self.scale)
        else:
            ranges = self.weak if level == "weak" else self.standard
            _check_side(min(height, width), ranges.resize.factor[0], ranges.blur.sizes)
            steps = drawing.one_stage(dice, ranges, height, width, self.scale)
        return Recipe((*_sharpened(self.sharpen), *steps), kind=level)

    def _level(self, dice: drawing.Dice) -> str:
        if self.level != "mixed":
            return self.level
        turn = dice.shared.random()
        if turn < self.mix.weak:
            return "weak"
        return "standard" if turn < self.mix.weak + self.mix.standard else "severe"


class DACESR(DASR):
    """DACESR's training degradation as released: DASR's mixed levels, where both lq and target are of sharpened gt.

    Args:
        kwargs: see :class:`DASR`; ``level`` is ``mixed``, ``crop`` 400, ``sharpen`` ``both``, the pool 192.
    """


class StableSRLight(Degradation):
    """The milder second-order degradation that StableSR trains with (released ``v2-finetune_text_T_512.yaml``).

    lq is rounded to 8 bits, as a file of it would be; StableSR's code and DeeDSR's clamp it only. In one batch of a
    hundred StableSR takes gt itself, undegraded and at gt's size, for its enlarged lq. No lq of 1/scale is that: here
    such an image is shrunk by torch's bicubic, as DeeDSR's code has it.

    Args:
        scale: magnification from lq to gt.
        ranges: everything that is drawn.
        plain: probability of torch's bicubic alone.
        sharpen: see :data:`Sharpen`; StableSR's ``use_usm`` sharpens gt itself.
        real_jpeg: compress by libjpeg, which works on the CPU, instead of DiffJPEG on the image's device.
        crop: side of gt that is degraded; None degrades the patch (both papers: 512).
        per_batch: share plain, resize, noise type, second blur and order of the last steps within a batch.
        pool: pairs in the pool; None is 180 under ``per_batch`` and none otherwise.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        ranges: SecondOrder = STABLESR_LIGHT,
        plain: float = 0.01,
        sharpen: Sharpen = "both",
        real_jpeg: bool = False,
        crop: int | None = None,
        per_batch: bool = False,
        pool: int | None = None,
    ) -> None:
        super().__init__(scale=scale, crop=crop, per_batch=per_batch, pool=_pool(pool, 180, per_batch))
        if not 0 <= plain <= 1:
            raise InputError(f"plain {plain} is no probability", where=type(self).__name__, remedy="use 0 to 1")
        self.ranges = ranges
        self.plain = plain
        self.sharpen: Sharpen = sharpen
        self.real_jpeg = real_jpeg

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """Two stages and the final sinc filter, or the recipe of kind ``bicubic``."""
        dice = _dice(self, rng, batch_rng)
        if drawing.happens(dice.shared, self.plain):
            steps, kind = drawing.plain_bicubic(height, width, self.scale), "bicubic"
        else:
            steps, kind = _two_stages(dice, self.ranges, height, width, self.scale), "second_order"
        return Recipe((*_sharpened(self.sharpen), *steps), kind=kind)


class DeeDSR(StableSRLight):
    """DeeDSR's training degradation: its ``MySDSR/config.yaml`` repeats StableSR's ranges, and gt is not sharpened.

    Args:
        sharpen: see :data:`Sharpen`.
        kwargs: see :class:`StableSRLight`.
    """

    def __init__(self, *, sharpen: Sharpen = "none", **kwargs: Any) -> None:
        super().__init__(sharpen=sharpen, **kwargs)


class DeeDSRLevels(Degradation):
    """One of the three groups of DeeDSR's Table 6, by which its learner's vectors are told apart.

    Args:
        level: ``light``, ``medium`` or ``heavy``.
        scale: magnification from lq to gt.
        real_jpeg: compress by libjpeg, which works on the CPU, instead of DiffJPEG on the image's device.
        crop: side of gt that is degraded; None degrades the patch.
        per_batch: share the last resize's mode and the order of the last steps within a batch.
        pool: pairs in the pool; None is 180 under ``per_batch`` and none otherwise.
    """

    def __init__(
        self,
        *,
        level: DeeDSRLevel,
        scale: int = 4,
        real_jpeg: bool = False,
        crop: int | None = None,
        per_batch: bool = False,
        pool: int | None = None,
    ) -> None:
        super().__init__(scale=scale, crop=crop, per_batch=per_batch, pool=_pool(pool, 180, per_batch))
        self.level: DeeDSRLevel = level
        self.ranges = deedsr_level(level)
        self.real_jpeg = real_jpeg

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """Two stages without random resizes and without a second blur; the recipe's ``kind`` is the level."""
        dice = _dice(self, rng, batch_rng)
        return Recipe(_two_stages(dice, self.ranges, height, width, self.scale), kind=self.level)


def _dice(degradation: Degradation, rng: np.random.Generator, batch_rng: np.random.Generator | None) -> drawing.Dice:
    shared = batch_rng if degradation.per_batch and batch_rng is not None else rng
    return drawing.Dice(rng, shared, real_jpeg=bool(getattr(degradation, "real_jpeg", False)))


def _pool(given: int | None, upstream: int, per_batch: bool) -> int:
    if given is not None:
        return given
    return upstream if per_batch else 0


def _sharpened(sharpen: Sharpen) -> tuple[Step, ...]:
    if sharpen not in ("none", "lq", "both"):
        raise InputError(f"sharpen {sharpen!r} is unknown", remedy="use none, lq or both")
    return () if sharpen == "none" else (Usm(on_target=sharpen == "both"),)


def _two_stages(dice: drawing.Dice, ranges: SecondOrder, height: int, width: int, scale: int) -> tuple[Step, ...]:
    side = min(height, width)
    _check_side(side, ranges.first.resize.factor[0], (*ranges.first.blur.sizes, *ranges.second.blur.sizes))
    _check_side(side, 1 / scale, ranges.sinc.sizes)
    return drawing.two_stages(dice, ranges, height, width, scale)


def _check_side(side: int, least: float, sizes: tuple[int, ...]) -> None:
    """Refuses, at the first draw and not at an unlucky one, images that some kernel would reach across."""
    reach = max(sizes) // 2
    if int(side * min(least, 1.0)) <= reach:
        needed = math.ceil((reach + 1) / min(least, 1.0))
        raise InputError(
            f"an image of {side} pixels is too small for this degradation",
            remedy=f"degrade {needed} pixels or more: set the degradation's crop or patch_size, or narrower ranges",
        )
