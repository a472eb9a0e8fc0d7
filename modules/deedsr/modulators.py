"""Modulation layers: the adapter's local features scale and shift the residual branches of a frozen UNet.

Source: DeeDSR, Eqs. 7 and 8; commit 108132a of bichunyang419/DeeDSR, where ``ResBlockDual`` holds one each. They stand
behind the second convolution of all 22 residual blocks and before the skip is added, without a normalisation.

The released code zeroes all three convolutions. Nothing then reaches the first of them, whose weights stay 0, and the
modulation is one constant per channel for ever. Here the last two alone are zero: the UNet starts unchanged and all
three learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 128


class Site(NamedTuple):
    """Where the UNet is modulated.

    Attributes:
        name: the residual block's place in the UNet, ``down_blocks.0.resnets.1``.
        block: the residual block, diffusers' ``ResnetBlock2D``.
        level: how often its raster was halved.
    """

    name: str
    block: nn.Module
    level: int


def sites(unet: nn.Module) -> Iterator[Site]:
    """Every residual block of a diffusers UNet, in the order of its forward pass."""
    depth = len(unet.down_blocks)  # type: ignore[arg-type]
    for side in ("down", "mid", "up"):
        blocks = [unet.mid_block] if side == "mid" else getattr(unet, f"{side}_blocks")
        for i, block in enumerate(blocks):
            level = {"down": i, "mid": depth - 1, "up": depth - 1 - i}[side]
            place = "mid_block" if side == "mid" else f"{side}_blocks.{i}"
            for j, resnet in enumerate(block.resnets):
                yield Site(f"{place}.resnets.{j}", resnet, level)


class Modulator(nn.Module):
    """One layer: h (1 + gamma) + beta, with gamma and beta made of a local feature by two convolutions.

    Args:
        features: channels of the local feature.
        channels: of what is modulated.
        hidden: between the two convolutions.
    """

    def __init__(self, features: int, channels: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.shared = nn.Conv2d(features, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)
        for zero in (self.gamma, self.beta):
            nn.init.zeros_(zero.weight)
            assert zero.bias is not None
            nn.init.zeros_(zero.bias)

    def forward(self, hidden: Tensor, feature: Tensor) -> Tensor:
        """Modulates hidden (B,channels,h,w) by feature (B,features,h,w)."""
        shared = F.relu(self.shared(feature))
        return hidden * (1 + self.gamma(shared)) + self.beta(shared)


class Modulators(nn.ModuleDict):
    """A modulator for every residual block of a UNet, under the block's name with ``-`` for ``.``.

    52,979,840 parameters for the UNet of Stable Diffusion 2.1 and 256 features.

    Args:
        unet: a diffusers ``UNet2DConditionModel``, on the meta device too; it is measured and not kept.
        features: channels of the local features.
        hidden: see :class:`Modulator`.
    """

    def __init__(self, unet: nn.Module, features: int, hidden: int = HIDDEN) -> None:
        super().__init__(
            {key(site): Modulator(features, site.block.conv2.out_channels, hidden) for site in sites(unet)}  # type: ignore[union-attr, arg-type]
        )
        # Left where it is after a forward pass: a UNet that recomputes its activations asks for it again.
        self.local: Sequence[Tensor] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Without the local features of the last forward pass, which no copy may have."""
        return {**self.__dict__, "local": ()}

    def attach(self, unet: nn.Module) -> None:
        """From now on the UNet is modulated by :attr:`local`, which is set before every forward pass."""
        for site in sites(unet):
            conv = site.block.conv2
            assert isinstance(conv, nn.Module)
            conv.register_forward_hook(partial(self._modulate, key(site), site.level))

    def _modulate(self, name: str, level: int, conv: nn.Module, given: Any, hidden: Tensor) -> Tensor:
        modulated: Tensor = self[name](hidden, self.local[level])
        return modulated


def key(site: Site) -> str:
    """The modulator's name; a module's name holds no dot."""
    return site.name.replace(".", "-")
