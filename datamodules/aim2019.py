"""AIM2019: real-world challenge of 2019, track 2: validation pairs and two unpaired domains."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import challenges
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["AIM2019"]


class AIM2019(PublishedSets):
    """AIM 2019 track 2: 100 validation pairs, and two domains to train on that are not paired.

    Layout: ``root/AIM2019/{valid-input-noisy,valid-gt-clean,train-noisy-images,train-clean-images}``. To train on are
    the clean images (``AIM2019-target``, the default) or the degraded ones (``AIM2019-source``), each as gt with lq
    made by MATLAB's bicubic or by ``degradation``; source and target images have no partners in each other. ``sets:
    [AIM2019-source]`` gives the degraded images as lq without gt, for methods that learn from lq alone.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(challenges.LAYOUTS, "AIM2019")
