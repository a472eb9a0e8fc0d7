"""EDSR in BasicSR's key layout, pixels in [0,1]."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K's training images, in [0,1] (the authors' ``MeanShift``)."""

_STEPS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}


class ResidualBlock(nn.Module):
    """x + ``residual_scale`` * conv(relu(conv(x)))."""

    def __init__(self, features: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,features,h,w) to the same."""
        return torch.add(x, self.conv2(F.relu(self.conv1(x))), alpha=self.residual_scale)


def upsampler(features: int, scale: int) -> nn.Sequential:
    """Convolutions and pixel shuffles, x2 by x2 (or x3 at once), without activations.

    Raises:
        InputError: a scale other than 2, 3, 4 or 8.
    """
    if scale not in _STEPS:
        raise InputError(f"EDSR has no x{scale}", remedy="use scale 2, 3, 4 or 8")
    layers: list[nn.Module] = []
    for step in _STEPS[scale]:
        layers += [nn.Conv2d(features, features * step**2, 3, padding=1), nn.PixelShuffle(step)]
    return nn.Sequential(*layers)


class EDSRNet(nn.Module):
    """EDSR (Lim et al. 2017, figure 3): 16 blocks of 64 features (baseline) or 32 of 256 with residuals times 0.1.

    Inside, pixels are ``(x - mean) * 255`` as the authors trained it; outside they are in [0,1].

    Args:
        scale: 2, 3, 4 or 8.
        features: channels.
        blocks: residual blocks.
        residual_scale: factor on each block's branch.
    """

    rgb_mean: Tensor

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16, residual_scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("rgb_mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features, residual_scale) for _ in range(blocks)))
        self.conv_after_body = nn.Conv2d(features, features, 3, padding=1)
        self.upsample = upsampler(features, scale)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, lq: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] to (B,3,scale*h,scale*w), not clamped."""
        x = self.conv_first((lq - self.rgb_mean) * 255.0)
        x = x + self.conv_after_body(self.body(x))
        return self.conv_last(self.upsample(x)) / 255.0 + self.rgb_mean

    @staticmethod
    def rename_upstream(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Maps the authors' own names onto BasicSR's; see :func:`from_authors`."""
        return from_authors(state)


def from_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' own names (``head.0``, ``body.i.body.0``, ``tail.0.0``) in BasicSR's; other states pass unchanged.

    The fixed 1x1 convolutions ``sub_mean`` and ``add_mean`` (range 0..255) are dropped after checking that they say
    what this network does itself; a ``sub_mean`` with other values stays in and so fails the strict load.
    """
    if "head.0.weight" not in state:
        return dict(state)
    tail_last = max(int(k.split(".")[1]) for k in state if k.startswith("body."))
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        part, *rest = name.split(".")
        leaf = rest[-1]
        if part in ("sub_mean", "add_mean") and _is_known_shift(part, leaf, tensor):
            continue
        if part == "head":
            name = f"conv_first.{leaf}"
        elif part == "body" and int(rest[0]) == tail_last and len(rest) == 2:
            name = f"conv_after_body.{leaf}"
        elif part == "body":
            name = f"body.{rest[0]}.conv{1 + int(rest[2]) // 2}.{leaf}"
        elif part == "tail":
            name = f"conv_last.{leaf}" if rest[0] == "1" else f"upsample.{rest[1]}.{leaf}"
        out[name] = tensor
    return out


def _is_known_shift(part: str, leaf: str, tensor: Tensor) -> bool:
    if leaf == "weight":
        return tensor.shape == (3, 3, 1, 1) and torch.allclose(tensor.float().view(3, 3), torch.eye(3))
    sign = -255.0 if part == "sub_mean" else 255.0
    return tensor.shape == (3,) and torch.allclose(tensor.float(), sign * torch.tensor(RGB_MEAN), atol=1e-3)
