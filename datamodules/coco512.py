"""COCO512: COCO val2017 at 512 with lq of 128, for the semantic test of DeeDSR."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import crops
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["COCO512"]


class COCO512(PublishedSets):
    """COCO val2017: 5000 images resized to 512 x 512, with lq of 128 x 128 by Real-ESRGAN's degradation.

    Layout: ``root/COCO-val512/{gt,lq}/000000000139.png``.

    Never released: neither DeeDSR's resizing nor its seed is known.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(crops.LAYOUTS, "COCO-")
