"""DIV2KRK: DIV2K-val shrunk by a random kernel for each image, x2 and x4."""

from __future__ import annotations

from typing import ClassVar

from srbench.datamodules.layout import Layout, named
from srbench.datamodules.published import div2k
from srbench.datamodules.published_sets import PublishedSets

__all__ = ["DIV2KRK"]


class DIV2KRK(PublishedSets):
    """KernelGAN's DIV2KRK: 100 images, each shrunk by a random anisotropic kernel of its own, x2 and x4.

    Layout: ``root/DIV2KRK/gt/img_1_gt.png``, ``lr_x4/im_1.png``.

    Args:
        kwargs: see :class:`srbench.datamodules.published_sets.PublishedSets`.
    """

    layouts: ClassVar[dict[str, Layout]] = named(div2k.LAYOUTS, "DIV2KRK")
