"""RRDBNet in BasicSR's key layout, and the two older layouts of the ESRGAN repository."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError


class DenseBlock(nn.Module):
    """Five densely connected convolutions, times 0.2 around the input (ESRGAN, figure 4)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)
        with torch.no_grad():
            for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
                nn.init.kaiming_normal_(conv.weight)
                conv.weight.mul_(0.1)
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B,features,h,w) to the same."""
        dense = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            dense = torch.cat((dense, F.leaky_relu(conv(dense), 0.2)), 1)
        return self.conv5(dense) * 0.2 + x


class RRDBBlock(nn.Module):
    """Three dense blocks, times 0.2 around the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        """(B,features,h,w) to the same."""
        return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x


class RRDBNet(nn.Module):
    """Residual-in-residual dense network: 23 blocks, 64 features, growth 32, 16,697,987 parameters at x4.

    The network itself always magnifies by 4; for x2 and x1 it first folds 2x2 or 4x4 pixels into channels
    (Real-ESRGAN, section 3.3), so the sides of ``lq`` must be divisible by 2 or 4.

    Args:
        scale: 1, 2 or 4.
        features: channels.
        blocks: RRDB blocks.
        growth: channels each dense convolution adds.

    Raises:
        InputError: another scale.
    """

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 23, growth: int = 32) -> None:
        super().__init__()
        if scale not in (1, 2, 4):
            raise InputError(f"RRDB has no x{scale}", remedy="use scale 1, 2 or 4")
        self.fold = 4 // scale
        self.conv_first = nn.Conv2d(3 * self.fold**2, features, 3, padding=1)
        self.body = nn.Sequential(*(RRDBBlock(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, lq: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] to (B,3,scale*h,scale*w), not clamped."""
        x = self.conv_first(F.pixel_unshuffle(lq, self.fold) if self.fold > 1 else lq)
        x = x + self.conv_body(self.body(x))
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))

    @staticmethod
    def rename_upstream(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Maps the ESRGAN repository's older names onto BasicSR's; see :func:`from_older`."""
        return from_older(state)


_RENAMED = (
    # The ESRGAN repository since 2019, BSRGAN.
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)", r"body.\1.rdb\2.conv\3"),
    (r"trunk_conv", r"conv_body"),
    (r"upconv(\d)", r"conv_up\1"),
    (r"HRconv", r"conv_hr"),
    # The ESRGAN repository of 2018: one numbered Sequential.
    (r"model\.0", r"conv_first"),
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0", r"body.\1.rdb\2.conv\3"),
    (r"model\.1\.sub\.(\d+)", r"conv_body"),
    (r"model\.3", r"conv_up1"),
    (r"model\.6", r"conv_up2"),
    (r"model\.8", r"conv_hr"),
    (r"model\.10", r"conv_last"),
)


def from_older(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ESRGAN repository's two older key layouts in BasicSR's; other names pass unchanged.

    >>> list(from_older({"RRDB_trunk.3.RDB1.conv2.weight": None, "model.8.bias": None, "conv_last.bias": None}))
    ['body.3.rdb1.conv2.weight', 'conv_hr.bias', 'conv_last.bias']
    """
    return {_renamed(name): tensor for name, tensor in state.items()}


def _renamed(name: str) -> str:
    stem, _, leaf = name.rpartition(".")
    for pattern, new in _RENAMED:
        if (match := re.fullmatch(pattern, stem)) is not None:
            return f"{match.expand(new)}.{leaf}"
    return name
