"""DRealSR: pairs of five cameras at x2, x3 and x4, large images."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import drealsr
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["DRealSR"]


class DRealSR(PublishedSets):
    """DRealSR: 93 test pairs at x4 (83 at x2, 84 at x3), and pairs to train on.

    Layout: ``root/DRealSR/Test_x4/test_HR/NAME_x4.png`` and ``test_LR/NAME_x1.png``, likewise ``Train_x4``. lq has
    about 2800 x 1800 pixels: tile, or set ``center_crop: 128``. Numbers on whole images are not those on crops.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(drealsr.LAYOUTS)
