"""NTIRE2018: DIV2K-val degraded realistically: mild, difficult and wild."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import challenges
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["NTIRE2018"]


class NTIRE2018(PublishedSets):
    """NTIRE 2018, tracks 2 to 4: DIV2K's 100 validation images under unknown mild, difficult and wild degradations, x4.

    Layout: ``root/DIV2K/DIV2K_valid_LR_{mild,difficult,wild}/0801x4{m,d,w}.png`` beside ``DIV2K_valid_HR``.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(challenges.LAYOUTS, "NTIRE2018")
