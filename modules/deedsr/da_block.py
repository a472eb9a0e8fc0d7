"""The degradation-aware (DA) block: features are filtered by kernels that the image's degradation chooses.

After DASR (Wang et al., CVPR 2021), with SiLU in place of LeakyReLU and a projection of DeeDSR's 1024-d vector.
Source: DeeDSR, section 3.3 and Fig. 7, which shows no sizes; these are the released code's (commit 108132a of
bichunyang419/DeeDSR, ``ldm/modules/blindsr.py``, ``DAG_chain``).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

KERNEL = 3


class DegradationConv(nn.Module):
    """A depthwise convolution and a gate on the channels, both made of the degradation.

    Args:
        channels: of the features, and of the degradation.
        reduction: how much narrower the gate's middle is.
    """

    def __init__(self, channels: int, reduction: int = 32) -> None:
        super().__init__()
        self.kernel = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.SiLU(),
            nn.Linear(channels, channels * KERNEL**2, bias=False),
        )
        self.conv = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1, bias=False),
            nn.SiLU(),
            nn.Conv2d(channels // reduction, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, degradation: Tensor) -> Tensor:
        """Features (B,C,h,w) filtered as degradation (B,C) asks for, (B,C,h,w)."""
        batch, channels, height, width = features.shape
        kernel = self.kernel(degradation).view(batch * channels, 1, KERNEL, KERNEL)
        flat = features.reshape(1, batch * channels, height, width)
        filtered = F.conv2d(flat, kernel, padding=KERNEL // 2, groups=batch * channels)
        mixed: Tensor = self.conv(F.silu(filtered.view(batch, channels, height, width)))
        return mixed + features * self.gate(degradation[:, :, None, None]) * 2


class DABlock(nn.Module):
    """Two degradation-aware convolutions with two plain ones behind, on a residual branch.

    49.125 C^2 + (D + 5) C parameters with D-dimensional degradations and a reduction of 32.

    Args:
        channels: C, of the features.
        degradation: D, of the degradation learner's vector.
        reduction: see :class:`DegradationConv`.
    """

    def __init__(self, channels: int, degradation: int = 1024, reduction: int = 32) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(degradation, channels, bias=False), nn.SiLU())
        self.da_conv1 = DegradationConv(channels, reduction)
        self.conv1 = nn.Conv2d(channels, channels, KERNEL, padding=KERNEL // 2)
        self.da_conv2 = DegradationConv(channels, reduction)
        self.conv2 = nn.Conv2d(channels, channels, KERNEL, padding=KERNEL // 2)
        self.conv_out = nn.Conv2d(channels, channels, KERNEL, padding=KERNEL // 2)

    def forward(self, features: Tensor, degradation: Tensor) -> Tensor:
        """Features (B,C,h,w) under degradation (B,D), (B,C,h,w)."""
        own = self.project(degradation)
        hidden = F.silu(self.da_conv1(features, own))
        hidden = F.silu(self.conv1(hidden))
        hidden = F.silu(self.da_conv2(hidden, own))
        branch: Tensor = self.conv_out(self.conv2(hidden))
        return features + branch
