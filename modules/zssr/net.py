"""The network of ZSSR: eight convolutions that correct an image which bicubic interpolation has enlarged."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from srbench.datamodules.degradations import imresize

FEATURES, DEPTH = 64, 8


class ZSSRNet(nn.Module):
    """Eight 3x3 convolutions of 64 channels without bias, ReLU between them, and a global residual.

    Shocher et al., "Zero-Shot" Super-Resolution using Deep Internal Learning, CVPR 2018, section 3.1. The paper has 8
    hidden layers of 64 channels; the released code has eight convolutions in all, 224,640 parameters, as here.

    Args:
        scale: by which :meth:`forward` enlarges before the correction.
        features: channels of the hidden layers.
        depth: number of convolutions, 2 or more.
    """

    def __init__(self, scale: int = 2, *, features: int = FEATURES, depth: int = DEPTH) -> None:
        super().__init__()
        self.scale = scale
        widths = [3, *[features] * (depth - 1), 3]
        layers: list[nn.Module] = []
        for ins, outs in itertools.pairwise(widths):
            layers += [nn.Conv2d(ins, outs, 3, padding=1, bias=False), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers[:-1])

    @property
    def reach(self) -> int:
        """Pixels to each side that one output pixel depends on."""
        return sum(isinstance(layer, nn.Conv2d) for layer in self.body)

    def forward(self, lq: Tensor) -> Tensor:
        """Enlarges (B,3,h,w) in [0,1] to (B,3,s*h,s*w) in one pass, without what happens around it at test time."""
        return self.correct(imresize(lq, self.scale))

    def correct(self, enlarged: Tensor) -> Tensor:
        """The image (B,3,H,W) plus what the convolutions make of it; not clamped."""
        residual: Tensor = self.body(enlarged)
        return enlarged + residual

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draws every weight from N(0, 0.1 / fan-in), 0.1 / fan-in the variance, as the released code does."""
        for weight in self.parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn * math.sqrt(0.1 / weight[0].numel()))
