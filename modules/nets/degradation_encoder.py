"""E_deg: an image to a vector of how it is degraded, without regard to its content.

HR-aware (arXiv 2411.16175, section 5.1) says "residual", 16 blocks and a vector of 512; LWay's authors name DegAE's
degradation encoder (Liu et al., CVPR 2023) as theirs, whose layers these are. DegAE keeps a pre-trained trunk frozen;
HR-aware's Fig. 3 trains all of it.
"""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.residual_block import ResidualBlock

MIN_SIDE = 22
"""Pixels of the shorter side below which the three unpadded strided convolutions are left without a pixel."""

_SLOPE = 0.1


class DegradationEncoder(nn.Module):
    """Convolution, residual blocks, three 4x4 convolutions of stride 2, the mean over pixels, three 1x1 convolutions.

    4,724,864 parameters with the values of the papers: 1,183,488 at full resolution and 3,541,376 behind.

    Args:
        features: channels at full resolution; twice and four times as many follow.
        blocks: residual blocks.
        embedding: length of the vector.
    """

    def __init__(self, features: int = 64, blocks: int = 16, embedding: int = 512) -> None:
        super().__init__()
        self.embedding = embedding
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        widths = (features, 2 * features, 4 * features, embedding)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2) for a, b in itertools.pairwise(widths))
        self.head = nn.ModuleList(nn.Conv2d(embedding, embedding, 1) for _ in range(3))

    def forward(self, image: Tensor) -> Tensor:
        """The embedding e_d (B,embedding) of images (B,3,h,w) in [0,1].

        Raises:
            InputError: a side is below 22 pixels.
        """
        check_side(image)
        x = self.body(F.leaky_relu(self.conv_first(image), _SLOPE))
        for layer in self.down:
            x = F.leaky_relu(layer(x), _SLOPE)
        x = x.mean((2, 3), keepdim=True)
        for place, layer in enumerate(self.head):
            x = layer(F.leaky_relu(x, _SLOPE) if place else x)
        return x.flatten(1)


def check_side(image: Tensor) -> None:
    """Refuses images that are too small for the encoder.

    Raises:
        InputError: a side is below :data:`MIN_SIDE` pixels.
    """
    height, width = image.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"an image of {height}x{width} is too small for the degradation encoder",
            where="lq",
            remedy=f"both sides must have {MIN_SIDE} pixels or more: leave the image out, or take larger patches",
        )
