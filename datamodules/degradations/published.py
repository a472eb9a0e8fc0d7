"""The numbers of the papers, as ranges. Where a paper and its released code disagree, the code is followed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from srbench.datamodules.degradations.ranges import (
    ODD_7_TO_21,
    ODD_9_TO_21,
    BlurRanges,
    FinalSinc,
    KernelMix,
    NoiseRanges,
    Range,
    ResizeRanges,
    SecondOrder,
    Stage,
)

DASRLevel = Literal["weak", "standard", "severe", "mixed"]
DeeDSRLevel = Literal["light", "medium", "heavy"]

REALESRGAN = SecondOrder(
    first=Stage(),
    second=Stage(
        blur=BlurRanges(probability=0.8, sigma=(0.2, 1.5)),
        resize=ResizeRanges(up=0.3, down=0.4, keep=0.3, factor=(0.3, 1.2)),
        noise=NoiseRanges(sigma=(1.0, 25.0), poisson=(0.05, 2.5)),
    ),
)
"""Real-ESRGAN x4plus: ``options/train_realesrgan_x4plus.yml`` and the data set's kernel sizes."""


def _dasr_blur(sigma: Range, probability: float = 1.0) -> BlurRanges:
    """Only Gaussians, 65 % isotropic, never a sinc filter, sides 9..21."""
    mix = KernelMix(
        iso=0.65, aniso=0.35, generalised_iso=0.0, generalised_aniso=0.0, plateau_iso=0.0, plateau_aniso=0.0
    )
    return BlurRanges(probability=probability, sinc=0.0, mix=mix, sizes=ODD_9_TO_21, sigma=sigma)


DASR_WEAK = Stage(
    blur=_dasr_blur((0.2, 0.8)),
    resize=ResizeRanges(up=0.1, down=0.2, keep=0.7, factor=(0.85, 1.2)),
    noise=NoiseRanges(sigma=(1.0, 10.0), poisson=(0.05, 0.5)),
    jpeg=(90.0, 95.0),
)
"""DASR's level I: ``weak_degrade_one_stage`` of ``options/train/DASR/train_DASR.yml``; DACESR's yml has the same."""

DASR_STANDARD = Stage(
    blur=_dasr_blur((0.2, 1.5)),
    resize=ResizeRanges(up=0.3, down=0.4, keep=0.3, factor=(0.5, 1.2)),
    noise=NoiseRanges(sigma=(1.0, 20.0), poisson=(0.05, 1.5)),
    jpeg=(50.0, 95.0),
)
"""DASR's level II: ``standard_degrade_one_stage``."""

DASR_SEVERE = SecondOrder(
    first=Stage(blur=_dasr_blur((0.2, 3.0))),
    second=Stage(
        blur=_dasr_blur((0.2, 1.5), probability=0.8),
        resize=ResizeRanges(up=0.3, down=0.4, keep=0.3, factor=(0.3, 1.2)),
        noise=NoiseRanges(sigma=(1.0, 25.0), poisson=(0.05, 2.5)),
    ),
    sinc=FinalSinc(sizes=ODD_9_TO_21),
)
"""DASR's level III: ``severe_degrade_two_stage``; Real-ESRGAN's ranges with DASR's kernels."""

STABLESR_LIGHT = SecondOrder(
    first=Stage(
        blur=BlurRanges(sigma=(0.2, 1.5), beta_generalised=(0.5, 2.0), beta_plateau=(1.0, 1.5)),
        resize=ResizeRanges(factor=(0.3, 1.5)),
        noise=NoiseRanges(sigma=(1.0, 15.0), poisson=(0.05, 2.0)),
        jpeg=(60.0, 95.0),
    ),
    second=Stage(
        blur=BlurRanges(
            probability=0.5, sizes=ODD_7_TO_21, sigma=(0.2, 1.0), beta_generalised=(0.5, 2.0), beta_plateau=(1.0, 1.5)
        ),
        resize=ResizeRanges(up=0.3, down=0.4, keep=0.3, factor=(0.6, 1.2)),
        noise=NoiseRanges(sigma=(1.0, 12.0), poisson=(0.05, 1.0)),
        jpeg=(60.0, 100.0),
    ),
)
"""StableSR's training configuration, which DeeDSR's ``MySDSR/config.yaml`` repeats.

It names a second kernel side of at most 11 (``blur_kernel_size2``), but its data set draws both kernels from 7..21.
"""

_TABLE_6: dict[str, dict[str, Range]] = {
    "light": {
        "sigma": (0.2, 0.6), "beta_generalised": (0.5, 1.0), "beta_plateau": (1.0, 1.2),
        "noise": (1.0, 5.0), "jpeg": (81.0, 95.0), "noise2": (1.0, 4.0), "jpeg2": (86.0, 100.0),
    },
    "medium": {
        "sigma": (0.6, 1.1), "beta_generalised": (1.0, 1.5), "beta_plateau": (1.2, 1.4),
        "noise": (5.0, 10.0), "jpeg": (70.0, 81.0), "noise2": (4.0, 8.0), "jpeg2": (73.0, 86.0),
    },
    "heavy": {
        "sigma": (1.1, 1.5), "beta_generalised": (1.5, 2.0), "beta_plateau": (1.4, 1.5),
        "noise": (10.0, 15.0), "jpeg": (60.0, 70.0), "noise2": (8.0, 12.0), "jpeg2": (60.0, 73.0),
    },
}  # fmt: skip
"""DeeDSR, Table 6."""


def deedsr_level(level: DeeDSRLevel) -> SecondOrder:
    """The ranges of one row of DeeDSR's Table 6.

    Appendix B: no random resizes, no second blur, always Gaussian noise; kernel mix and sinc filters as in training
    (:data:`STABLESR_LIGHT`).
    """
    row = _TABLE_6[level]
    keep = ResizeRanges(up=0.0, down=0.0, keep=1.0, factor=(1.0, 1.0))
    base = STABLESR_LIGHT
    blur = replace(
        base.first.blur,
        sigma=row["sigma"],
        beta_generalised=row["beta_generalised"],
        beta_plateau=row["beta_plateau"],
    )
    first, second = (
        replace(stage, resize=keep, noise=replace(stage.noise, gaussian=1.0, sigma=row[noise]), jpeg=row[jpeg])
        for stage, noise, jpeg in ((base.first, "noise", "jpeg"), (base.second, "noise2", "jpeg2"))
    )
    return replace(
        base,
        first=replace(first, blur=blur),
        second=replace(second, blur=replace(second.blur, probability=0.0)),
    )
