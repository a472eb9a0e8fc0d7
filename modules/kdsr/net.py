"""KDSR's networks: an encoder of the degradation, and a generator whose depthwise filters it makes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""DIV2K's mean colour, taken off in front of the generator and added behind it."""


def leaky() -> nn.LeakyReLU:
    """Every activation of both networks."""
    return nn.LeakyReLU(0.1)


def conv(inner: int, outer: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(inner, outer, 3, padding=1)


class Filter(nn.Module):
    """One 3x3 filter per channel and image, made of the image's degradation (section 3.2, the IDR-DDC)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.kernel = nn.Sequential(
            nn.Linear(features, features, bias=False), leaky(), nn.Linear(features, 9 * features, bias=False)
        )

    def forward(self, x: Tensor, degradation: Tensor) -> Tensor:
        """Filters ``x`` (B,C,h,w) by the degradation (B,C)."""
        batch, channels, height, width = x.shape
        kernels = self.kernel(degradation).view(batch * channels, 1, 3, 3)
        out = F.conv2d(x.reshape(1, batch * channels, height, width), kernels, padding=1, groups=batch * channels)
        return out.view(x.shape)


class FilterBlock(nn.Module):
    """x + conv(leaky(filter(x))), the IDR-DCRB."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.filter = Filter(features)
        self.conv = conv(features, features)
        self.act = leaky()

    def forward(self, x: Tensor, degradation: Tensor) -> Tensor:
        """(B,C,h,w) and (B,C) to (B,C,h,w)."""
        return x + self.conv(self.act(self.filter(x, degradation)))


class Generator(nn.Module):
    """Filtered blocks under one skip, and pixel shuffles; 14,415,107 parameters at x4.

    Args:
        scale: 2, 3, 4 or 8.
        features: channels.
        blocks: filtered blocks.

    Raises:
        InputError: another scale.
    """

    mean: Tensor

    def __init__(self, scale: int = 4, features: int = 128, blocks: int = 42) -> None:
        super().__init__()
        steps = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}.get(scale)
        if steps is None:
            raise InputError(f"KDSR has no x{scale}", where="model.init_args.scale", remedy="use scale 2, 3, 4 or 8")
        self.head = conv(3, features)
        self.blocks = nn.ModuleList(FilterBlock(features) for _ in range(blocks))
        self.after_blocks = conv(features, features)
        enlarging = ((conv(features, features * step**2), nn.PixelShuffle(step)) for step in steps)
        self.tail = nn.Sequential(*(layer for pair in enlarging for layer in pair), conv(features, 3))
        self.register_buffer("mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)

    def forward(self, lq: Tensor, degradation: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] by the degradation (B,C) to (B,3,s*h,s*w), not clamped."""
        first = x = self.head(lq - self.mean)
        for block in self.blocks:
            x = block(x, degradation)
        return self.tail(self.after_blocks(x) + first) + self.mean


class ResBlock(nn.Module):
    """x + conv(leaky(conv(x)))."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(features, features), leaky(), conv(features, features))

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,h,w) to the same."""
        return x + self.body(x)


class DegradationEncoder(nn.Module):
    """Reads the degradation of an image (the KD-IDE); 4,430,976 parameters for lq alone.

    Args:
        inner: channels of its input: 3 for lq, 3 + 3 * scale**2 with gt folded beside it.
        features: channels.
        blocks: residual blocks.
    """

    def __init__(self, inner: int = 3, features: int = 128, blocks: int = 6) -> None:
        super().__init__()
        wide, full = 2 * features, 4 * features
        self.features = nn.Sequential(
            *(conv(inner, features), leaky(), *(ResBlock(features) for _ in range(blocks))),
            *(conv(features, wide), leaky(), conv(wide, wide), leaky(), conv(wide, full), leaky()),
        )
        self.mlp = nn.Sequential(nn.Linear(full, full), leaky(), nn.Linear(full, full), leaky())
        self.compress = nn.Sequential(nn.Linear(full, features), leaky())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From (B,inner,h,w) what the filters are made of, (B,C), and what is distilled, (B,4C)."""
        distilled = self.mlp(self.features(x).mean((2, 3)))
        return self.compress(distilled), distilled


class KDSRNet(nn.Module):
    """The student: encoder of lq, and generator; 18,846,083 parameters at x4.

    Args:
        scale: 2, 3, 4 or 8.
        features: channels of both.
        blocks: of the generator.
        encoder_blocks: of the encoder.
    """

    def __init__(self, scale: int = 4, features: int = 128, blocks: int = 42, encoder_blocks: int = 6) -> None:
        super().__init__()
        self.generator = Generator(scale, features, blocks)
        self.encoder = DegradationEncoder(3, features, encoder_blocks)

    def both(self, lq: Tensor) -> tuple[Tensor, Tensor]:
        """Sr of ``lq`` (B,3,h,w), not clamped, and what is distilled of its degradation, (B,4C)."""
        degradation, distilled = self.encoder(lq)
        return self.generator(lq, degradation), distilled

    def forward(self, lq: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] to (B,3,scale*h,scale*w), not clamped."""
        return self.both(lq)[0]


class KDSRTeacherNet(nn.Module):
    """The teacher: an encoder that sees lq and gt, and the same generator.

    Args:
        scale: 2, 3, 4 or 8.
        features: channels of both.
        blocks: of the generator.
        encoder_blocks: of the encoder.
    """

    def __init__(self, scale: int = 4, features: int = 128, blocks: int = 42, encoder_blocks: int = 6) -> None:
        super().__init__()
        self.scale = scale
        self.generator = Generator(scale, features, blocks)
        self.encoder = DegradationEncoder(3 + 3 * scale**2, features, encoder_blocks)

    def taught(self, lq: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
        """The two vectors that :class:`DegradationEncoder` makes, of ``lq`` (B,3,h,w) and ``gt`` (B,3,s*h,s*w)."""
        read: tuple[Tensor, Tensor] = self.encoder(torch.cat([lq, F.pixel_unshuffle(gt, self.scale)], 1))
        return read

    def forward(self, lq: Tensor, gt: Tensor) -> Tensor:
        """Upscales ``lq`` in [0,1] with ``gt`` in sight, not clamped."""
        return self.generator(lq, self.taught(lq, gt)[0])
