"""RRDB trained with L1."""

from __future__ import annotations

from typing import Any

from srbench.modules.pixel import PixelSR
from srbench.modules.rrdb.net import RRDBNet


class RRDB(PixelSR):
    """RRDB, ESRGAN's generator: 23 residual-in-residual dense blocks, 16.70 M parameters.

    Loads files of BasicSR, Real-ESRGAN, BSRGAN and both generations of the ESRGAN repository.

    Args:
        features: channels.
        blocks: RRDB blocks.
        growth: channels each dense convolution adds.
        kwargs: see :class:`~srbench.modules.pixel.PixelSR`; ``scale`` 1, 2 or 4.
    """

    def __init__(
        self, *, features: int = 64, blocks: int = 23, growth: int = 32, scale: int = 4, **kwargs: Any
    ) -> None:
        super().__init__(RRDBNet(scale, features, blocks, growth), scale=scale, **kwargs)
