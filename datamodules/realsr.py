"""RealSR: pairs photographed at several focal lengths by Canon and Nikon, x2, x3 and x4."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import realsr
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["RealSR"]


class RealSR(PublishedSets):
    """RealSR version 3: 50 test pairs of each camera and scale, and pairs to train on.

    Layout: ``root/RealSR(V3)/{Canon,Nikon}/{Test,Train}/{2,3,4}/Canon_001_HR.png`` beside ``Canon_001_LR4.png``. A gt
    larger than ``scale`` times lq by less than ``scale`` is cropped at the top left. Versions 1 and 2, whose lq has
    the size of gt, are recognised and refused. Papers test on whole images or on the middle 128 x 128 of lq: set
    ``center_crop: 128``, or take the crops that StableSR published with :class:`srbench.datamodules.StableSRSets`. The
    three have different names in records, since their numbers cannot be compared.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(realsr.LAYOUTS)
