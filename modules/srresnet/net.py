"""SRResNet without batch normalisation, in BasicSR's ``MSRResNet`` key layout."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError


def kaiming_times(modules: list[nn.Conv2d], gain: float) -> None:
    """He initialisation (fan in) times ``gain``, biases zero: small first residuals (ESRGAN, section 3.1)."""
    with torch.no_grad():
        for module in modules:
            nn.init.kaiming_normal_(module.weight)
            module.weight.mul_(gain)
            if module.bias is not None:
                module.bias.zero_()


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3x3 with ``features`` channels."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        kaiming_times([self.conv1, self.conv2], 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,features,h,w) to the same."""
        return x + self.conv2(F.relu(self.conv1(x)))


class SRResNetNet(nn.Module):
    """MSRResNet of BasicSR: ``features`` 64, ``blocks`` 16, 1,517,571 parameters at x4.

    Args:
        scale: 2, 3 or 4.
        features: channels.
        blocks: residual blocks.

    Raises:
        InputError: another scale.
    """

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise InputError(f"SRResNet has no x{scale}", remedy="use scale 2, 3 or 4")
        self.scale = scale
        self.step = 2 if scale == 4 else scale
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.upconv1 = nn.Conv2d(features, features * self.step**2, 3, padding=1)
        self.upconv2 = nn.Conv2d(features, features * 4, 3, padding=1) if scale == 4 else None
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)
        ends = [self.conv_first, self.upconv1, self.conv_hr, self.conv_last]
        kaiming_times(ends if self.upconv2 is None else [*ends, self.upconv2], 0.1)

    def forward(self, lq: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] to (B,3,scale*h,scale*w), not clamped."""
        x = self.body(F.leaky_relu(self.conv_first(lq), 0.1))
        x = F.leaky_relu(F.pixel_shuffle(self.upconv1(x), self.step), 0.1)
        if self.upconv2 is not None:
            x = F.leaky_relu(F.pixel_shuffle(self.upconv2(x), 2), 0.1)
        x = self.conv_last(F.leaky_relu(self.conv_hr(x), 0.1))
        return x + F.interpolate(lq, scale_factor=self.scale, mode="bilinear", align_corners=False)

    @staticmethod
    def rename_upstream(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Maps KAIR's names onto BasicSR's; see :func:`from_older`."""
        return from_older(state)


def from_older(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """KAIR's (and the ESRGAN repository's) names in BasicSR's; other names pass unchanged.

    >>> list(from_older({"recon_trunk.3.conv1.weight": None, "HRconv.bias": None, "conv_last.bias": None}))
    ['body.3.conv1.weight', 'conv_hr.bias', 'conv_last.bias']
    """
    renamed = {"recon_trunk": "body", "HRconv": "conv_hr"}
    return {".".join((renamed.get(p := k.split(".")[0], p), *k.split(".")[1:])): v for k, v in state.items()}
