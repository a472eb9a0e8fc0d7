"""StableSRSets: the crops of DIV2K-val, RealSR, DRealSR and DPED that StableSR published."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import crops
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["StableSRSets"]


class StableSRSets(PublishedSets):
    """StableSR's test sets: 3000 crops of DIV2K-val, centre crops of RealSR, DRealSR and DPED; 128 to 512.

    Layout: ``root/DIV2K_V2_val/{lq,gt}``, ``root/RealSRVal_crop128/{test_LR,test_HR}``, ``root/DrealSRVal_crop128``
    (under ``StableSR_testsets`` too); either naming of the folders is taken for each.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(crops.LAYOUTS, "DIV2K-", "RealSR-", "DRealSR-", "DPED-")
