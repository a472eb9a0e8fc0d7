"""EDSR trained with L1."""

from __future__ import annotations

from typing import Any, Literal

from srbench.modules.edsr.net import EDSRNet
from srbench.modules.pixel import PixelSR

Preset = Literal["baseline", "full"]


class EDSR(PixelSR):
    """EDSR: deep residual blocks without batch normalisation, ``baseline`` 1.52 M or ``full`` 43.09 M parameters.

    Args:
        preset: ``baseline`` (16 blocks of 64 features) or ``full`` (32 of 256, residuals times 0.1).
        kwargs: see :class:`~srbench.modules.pixel.PixelSR`; ``scale`` 2, 3, 4 or 8.
    """

    def __init__(self, *, preset: Preset = "baseline", scale: int = 4, **kwargs: Any) -> None:
        net = EDSRNet(scale) if preset == "baseline" else EDSRNet(scale, features=256, blocks=32, residual_scale=0.1)
        super().__init__(net, scale=scale, **kwargs)
        self.preset = preset

    @property
    def method(self) -> str:
        """``EDSR`` or, for the full network, ``EDSR-full``."""
        return "EDSR" if self.preset == "baseline" else "EDSR-full"
