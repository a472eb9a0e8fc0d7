"""DVMSR trained with L1."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from srbench.modules.nets.rssb import RSSBNet
from srbench.modules.pixel import PixelSR

Preset = Literal["student", "teacher", "d180"]


class DVMSR(PixelSR):
    """DVMSR: residual state space (Mamba) blocks, ``student`` 0.42 M, ``teacher`` 7.43 M, ``d180`` 3.65 M parameters.

    Args:
        preset: the network's size.
        drop_path: rate of stochastic depth at the last block; 0.1 is the released code's default.
        kwargs: see :class:`~srbench.modules.pixel.PixelSR`; ``scale`` 2, 3, 4 or 8.
    """

    def __init__(self, *, preset: Preset = "student", drop_path: float = 0.1, scale: int = 4, **kwargs: Any) -> None:
        super().__init__(network(preset, scale, drop_path), scale=scale, **kwargs)
        self.preset = preset

    @property
    def method(self) -> str:
        """``DVMSR`` for the published student, else with the preset's name."""
        return "DVMSR" if self.preset == "student" else f"DVMSR-{self.preset}"


def network(preset: Preset, scale: int, drop_path: float) -> nn.Module:
    """The network of a preset."""
    if preset == "student":
        return RSSBNet(scale, 60, (2,) * 4, "pixelshuffledirect", drop_path)
    dim, groups = (192, 8) if preset == "teacher" else (180, 4)
    return RSSBNet(scale, dim, (2,) * groups, "pixelshuffle", drop_path)
