"""NTIRE2020: real-world challenge of 2020, track 1: validation pairs and two unpaired domains."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import challenges
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["NTIRE2020"]


class NTIRE2020(PublishedSets):
    """NTIRE 2020 track 1: 100 validation pairs, and two domains to train on that are not paired.

    Layout: ``root/NTIRE2020/{track1-valid-input,track1-valid-gt}`` or, of the older archives, ``Corrupted-va-x`` with
    DIV2K's validation HR; to train on ``train-target`` and ``track1-train-source`` (``Corrupted-tr-y``, ``-x``), as in
    :class:`srbench.datamodules.AIM2019`.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(challenges.LAYOUTS, "NTIRE2020")
