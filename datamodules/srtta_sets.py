"""SRTTASets: DIV2K-C and DIV2K-MC, one corruption or several, x2 and x4."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import div2k
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["SRTTASets"]


class SRTTASets(PublishedSets):
    """SRTTA's DIV2K-C (eight corruptions) and DIV2K-MC (four mixtures): 100 images each, x2 and x4.

    Layout: ``root/DIV2KC/gt/NAME.png`` and ``corruptions/GaussianBlur/X4/NAME.png``, likewise ``root/DIV2KMC``.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(div2k.LAYOUTS, "DIV2K-C-", "DIV2K-MC-")
