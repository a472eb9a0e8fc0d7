"""Ranges that cannot be drawn from are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest

from srbench.datamodules.degradations.published import (
    DASR_SEVERE,
    DASR_STANDARD,
    DASR_WEAK,
    REALESRGAN,
    STABLESR_LIGHT,
    deedsr_level,
)
from srbench.datamodules.degradations.ranges import (
    BlurRanges,
    FinalSinc,
    KernelMix,
    LevelMix,
    NoiseRanges,
    ResizeRanges,
    Stage,
)
from srbench.errors import InputError


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        (KernelMix, {"iso": 0.5}, "sum to 1.05"),
        (LevelMix, {"weak": 0.4}, "sum to 1.1"),
        (BlurRanges, {"sinc": 1.5}, "sinc 1.5 is no probability"),
        (BlurRanges, {"sigma": (3.0, 0.2)}, r"sigma \[3, 0.2\] is no range"),
        (BlurRanges, {"sizes": (7, 8)}, "give odd sides"),
        (BlurRanges, {"sizes": ()}, "give odd sides"),
        (ResizeRanges, {"up": 0.3}, "sum to 1.1"),
        (ResizeRanges, {"factor": (1.1, 1.5)}, "let it hold 1"),
        (ResizeRanges, {"factor": (0.1, 0.9)}, "let it hold 1"),
        (ResizeRanges, {"modes": ("cubic",)}, "use area, bilinear, bicubic"),
        (NoiseRanges, {"grey": -0.1}, "grey -0.1 is no probability"),
        (NoiseRanges, {"sigma": (-1.0, 3.0)}, "is no range"),
        (Stage, {"jpeg": (0.0, 95.0)}, "is no range"),
        (Stage, {"jpeg": (30.0, 101.0)}, "qualities from 1 to 100"),
        (FinalSinc, {"before_jpeg": 2.0}, "is no probability"),
    ],
)
def test_refused(kind: Any, given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        kind(**given)


def test_severe_is_realesrgan_with_dasrs_kernels() -> None:
    for ours, theirs in ((DASR_SEVERE.first, REALESRGAN.first), (DASR_SEVERE.second, REALESRGAN.second)):
        assert (ours.resize, ours.noise, ours.jpeg) == (theirs.resize, theirs.noise, theirs.jpeg)
        assert ours.blur.sigma == theirs.blur.sigma
        assert ours.blur.probability == theirs.blur.probability
        assert ours.blur != theirs.blur
    assert DASR_WEAK.blur.sizes == DASR_STANDARD.blur.sizes == (9, 11, 13, 15, 17, 19, 21)


def test_levels_of_table_6_lie_within_the_training_ranges() -> None:
    for level in ("light", "medium", "heavy"):
        ranges = deedsr_level(level)
        assert ranges.first.resize.keep == ranges.second.resize.keep == 1
        assert ranges.second.blur.probability == 0
        assert ranges.first.noise.gaussian == ranges.second.noise.gaussian == 1
        assert ranges.first.blur.mix == STABLESR_LIGHT.first.blur.mix
        assert ranges.sinc == STABLESR_LIGHT.sinc
        for stage, whole in ((ranges.first, STABLESR_LIGHT.first), (ranges.second, STABLESR_LIGHT.second)):
            assert whole.jpeg[0] <= stage.jpeg[0] <= stage.jpeg[1] <= whole.jpeg[1]
            assert whole.noise.sigma[0] <= stage.noise.sigma[0] <= stage.noise.sigma[1] <= whole.noise.sigma[1]
