"""RealWorld: photographs without reference: RealSRSet, RealWorld38, RealLR200, DPED."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import real
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["RealWorld"]


class RealWorld(PublishedSets):
    """Photographs without reference, for metrics that need none and for looking at.

    Layout: the images directly in ``root/RealSRSet`` (20; of SwinIR's copy with 25, ``sets: [RealSRSet25]``),
    ``root/RealWorld38``, ``root/RealLR200``, ``root/DPEDiphone-va`` (set ``DPED-iPhone``).

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(real.LAYOUTS)
