"""DASRLevels: DIV2K-val at the three levels of degradation that DASR released."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import div2k
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["DASRLevels"]


class DASRLevels(PublishedSets):
    """Levels I, II and III of DASR as released: 100 lq each for DIV2K's validation HR, x4.

    Layout: ``root/DIV2K_type{1,2,3}/0801.png`` beside ``root/DIV2K_valid_HR`` (or ``root/DIV2K/DIV2K_valid_HR``). The
    scripts that made them are unseeded: only the released PNG are these sets. What ``srbench data make div2k_levels``
    makes is read by :class:`srbench.datamodules.MadeSet` and has another name.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(div2k.LAYOUTS, "DASR")
