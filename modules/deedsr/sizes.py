"""Sizes of stage 2: the released model's, and one for tests and trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from srbench.modules.deedsr.adapter import AdapterSize
from srbench.modules.deedsr.learner import DegradationLearner


class StageSize(NamedTuple):
    """What a size of the base model goes with.

    Attributes:
        adapter: the adapter's.
        hidden: channels within the modulators.
        learner: preset of the degradation learner.
    """

    adapter: AdapterSize
    hidden: int
    learner: str


SIZES: Mapping[str, StageSize] = {
    # models/DeeDSR.yaml of the released code, and 128 "hardcoded" in its modulation layers.
    "full": StageSize(AdapterSize(), 128, "basic34"),
    "tiny": StageSize(AdapterSize(8, out_channels=8, heads=2, groups=4, reduction=4), 8, "small"),
}


def fitted(size: AdapterSize, learner: DegradationLearner) -> AdapterSize:
    """The adapter's size for vectors as long as ``learner``'s."""
    return replace(size, degradation=learner.channels)
