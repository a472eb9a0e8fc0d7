"""The residual block without normalisation that the degradation encoder, the image encoder and R are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3x3 with ``features`` channels; 73,856 parameters at 64.

    It begins as nearly the identity: He initialisation times 0.1 (ESRGAN, section 3.1), biases zero.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        with torch.no_grad():
            for convolution in (self.conv1, self.conv2):
                nn.init.kaiming_normal_(convolution.weight).mul_(0.1)
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B,features,h,w) to the same."""
        return x + self.conv2(F.relu(self.conv1(x)))
