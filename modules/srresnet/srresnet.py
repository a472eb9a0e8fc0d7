"""SRResNet trained with L1."""

from __future__ import annotations

from typing import Any

from srbench.modules.pixel import PixelSR
from srbench.modules.srresnet.net import SRResNetNet


class SRResNet(PixelSR):
    """SRResNet without batch normalisation: 16 residual blocks, 1.52 M parameters.

    Loads BasicSR's ``MSRResNet`` files and KAIR's ``msrresnet_x4_psnr.pth``.

    Args:
        features: channels.
        blocks: residual blocks.
        kwargs: see :class:`~srbench.modules.pixel.PixelSR`; ``scale`` 2, 3 or 4.
    """

    def __init__(self, *, features: int = 64, blocks: int = 16, scale: int = 4, **kwargs: Any) -> None:
        super().__init__(SRResNetNet(scale, features, blocks), scale=scale, **kwargs)
