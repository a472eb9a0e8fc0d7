"""EDSR's network with few features, for everything that adapts."""

from __future__ import annotations

from collections.abc import Callable

import torch

from srbench.modules import SRTTA
from srbench.modules.nets.edsr import EDSRNet
from srbench.modules.pixel import PixelSR

Make = Callable[..., SRTTA]


class SmallEDSR(PixelSR):
    """EDSR's network with few features; x2."""

    def __init__(self, scale: int = 2, blocks: int = 2) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(5)
            net = EDSRNet(scale, features=6, blocks=blocks)
        super().__init__(net, scale=scale)
