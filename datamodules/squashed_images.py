"""SquashedImages: photographs brought to one square size, whatever their aspect, as SeeSR and DACESR use COCO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from srbench.datamodule import Pair, Synthesis, TrainingSet
from srbench.datamodules.hr_images import HRImages
from srbench.errors import InputError
from srbench.images import Decoded, read_image

__all__ = ["SquashedImages"]


class SquashedImages(HRImages):
    """Training images squashed to ``side`` x ``side`` by Pillow's Lanczos filter; the aspect is not kept.

    Validation images stay as they are.

    Args:
        side: of the square in pixels (SeeSR's DAPE and DACESR's REE: 512).
        kwargs: see :class:`HRImages`; without ``sub_size``.
    """

    def __init__(self, *, side: int = 512, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if side < max(self.patch_size, 1):
            raise InputError(
                f"a patch of {self.patch_size} does not fit into {side} x {side}",
                where="data.init_args.side",
                remedy="set a smaller patch_size or a larger side",
            )
        if self.sub_size is not None:
            raise InputError(
                "squashed images are not cut into squares", where="data.init_args.sub_size", remedy="leave it out"
            )
        self.side = side

    def patches(
        self,
        pairs: Sequence[Pair],
        synthesis: Synthesis | None = None,
        *,
        read: Callable[..., Decoded] = read_image,
        **more: Any,
    ) -> TrainingSet:
        """As :meth:`SRDataModule.patches`, of squashed images."""
        return super().patches(pairs, synthesis, read=partial(_squashed, read, self.side), **more)


def _squashed(read: Callable[..., Decoded], side: int, path: Path, **options: Any) -> Decoded:
    pixels, notes = read(path, **options)
    if pixels.shape[:2] == (side, side):
        return Decoded(pixels, notes)
    image = Image.fromarray(np.asarray(pixels)).resize((side, side), Image.Resampling.LANCZOS)
    return Decoded(np.array(image), notes)
