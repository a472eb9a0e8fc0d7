"""Residual state space blocks: a Mamba network over the raster of an image.

Lei et al., "DVMSR: Distillated Vision Mamba for Efficient Super-Resolution", CVPRW 2024, as its released code computes
it. Paper and code disagree in two places, and the published weights need the code's way: a block has **no** skip around
its mixer (the paper's figure draws one), and stochastic depth drops the whole stream before the normalisation, not a
residual branch. The scan runs one way, row by row.

Tokens stay (B,N,d) throughout, which is an image in channels-last memory: no transposition is ever copied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from srbench.errors import InputError
from srbench.modules.nets.causal_conv1d import causal_conv1d
from srbench.modules.nets.selective_scan import selective_scan
from srbench.naming import unknown_name

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K's training images in [0,1]; not part of the published state dicts."""

Upsampler = Literal["pixelshuffle", "pixelshuffledirect"]

Modulation = Literal["both", "shift", "scale"]
"""What a condition c does to tokens t: ``both`` t*c + c + t, ``shift`` t + c, ``scale`` t*c (without identity)."""


class StreamDrop(nn.Module):
    """Stochastic depth on the whole stream: in training a sample becomes zero with probability ``rate``.

    What is kept is divided by ``1 - rate``.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B,N,d) to the same."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        return x * (x.new_empty(x.shape[0], 1, 1).bernoulli_(keep) / keep)


class MambaMixer(nn.Module):
    """The mixer of Mamba (Gu & Dao 2023) in mamba_ssm 1.x's key layout, on (B,N,d) tokens.

    Args:
        dim: channels d.
        states: state size per channel.
        kernel: taps of the causal convolution.
        expand: inner width over d.
    """

    def __init__(self, dim: int, states: int = 16, kernel: int = 4, expand: int = 2) -> None:
        super().__init__()
        inner = expand * dim
        self.states = states
        self.rank = math.ceil(dim / 16)
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, kernel, groups=inner, padding=kernel - 1)
        self.x_proj = nn.Linear(inner, self.rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.A_log = nn.Parameter(torch.arange(1, states + 1, dtype=torch.float32).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))

    def forward(self, x: Tensor) -> Tensor:
        """(B,N,d) to the same."""
        u, z = self.in_proj(x).chunk(2, -1)
        u = self._causal_conv(u)
        rank_dt, b, c = self.x_proj(u).split((self.rank, self.states, self.states), -1)
        delta = F.linear(rank_dt, self.dt_proj.weight)  # its bias goes into the scan, before the softplus
        y = selective_scan(
            u.transpose(1, 2),
            delta.transpose(1, 2),
            -torch.exp(self.A_log),
            b.transpose(1, 2),
            c.transpose(1, 2),
            D=self.D,
            z=z.transpose(1, 2),
            delta_bias=self.dt_proj.bias,
            delta_softplus=True,
        )
        return self.out_proj(y.transpose(1, 2))

    def _causal_conv(self, u: Tensor) -> Tensor:
        """Depthwise, each output sees itself and the taps before it, then SiLU; (B,N,inner) to the same."""
        if u.is_meta:  # as an ordinary convolution, so that those who count multiply-adds see it
            return F.silu(self.conv1d(u.transpose(1, 2))[..., : u.shape[1]]).transpose(1, 2)
        weight, bias = self.conv1d.weight.squeeze(1), self.conv1d.bias
        return causal_conv1d(u.transpose(1, 2), weight, bias, activation="silu").transpose(1, 2)


class MambaBlock(nn.Module):
    """mixer(norm(drop(x))): no skip, see the head of this file."""

    def __init__(self, dim: int, drop: float) -> None:
        super().__init__()
        self.drop = StreamDrop(drop)
        self.norm = nn.LayerNorm(dim, eps=1e-5)
        self.mixer = MambaMixer(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B,N,d) to the same."""
        return self.mixer(self.norm(self.drop(x)))


class BlockGroup(nn.Module):
    """Mamba blocks in a row; exists for the published key layout."""

    def __init__(self, dim: int, drops: Sequence[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(MambaBlock(dim, drop) for drop in drops)

    def forward(self, x: Tensor) -> Tensor:
        """(B,N,d) to the same."""
        for block in self.blocks:
            x = block(x)
        return x


class RSSB(nn.Module):
    """Residual state space block: x + conv3x3(blocks(x))."""

    def __init__(self, dim: int, drops: Sequence[float]) -> None:
        super().__init__()
        self.residual_group = BlockGroup(dim, drops)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """(B,height*width,d) to the same."""
        return x + to_tokens(self.conv(to_image(self.residual_group(x), height, width)))


class TokenNorm(nn.Module):
    """A layer norm under the published name ``patch_embed.norm``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """(B,N,d) to the same."""
        return self.norm(x)


class RSSBNet(nn.Module):
    """Super-resolution by residual state space blocks.

    Sizes in use: d 60, four groups, ``pixelshuffledirect`` (424,428 parameters); d 180, four groups, ``pixelshuffle``
    (3,651,159); d 192, eight groups, ``pixelshuffle`` (7,432,131).

    Args:
        scale: 2, 3, 4 or 8.
        dim: channels d.
        depths: Mamba blocks per group.
        upsampler: ``pixelshuffle`` (two steps at 64 channels) or ``pixelshuffledirect`` (one convolution).
        drop_path: rate of stochastic depth at the last block, rising linearly from 0.
        modulation: what a condition does after each group; it has no parameters, so every network here has the same
            state with and without.
        checkpointing: recompute each group in the backward pass: less memory, more time, the same gradients.

    Raises:
        InputError: another scale or modulation.
    """

    rgb_mean: Tensor

    def __init__(
        self,
        scale: int = 4,
        dim: int = 60,
        depths: Sequence[int] = (2, 2, 2, 2),
        upsampler: Upsampler = "pixelshuffledirect",
        drop_path: float = 0.1,
        modulation: Modulation = "both",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if modulation not in get_args(Modulation):
            raise unknown_name("modulation", modulation, get_args(Modulation), where="RSSBNet.modulation")
        self.modulation: Modulation = modulation
        self.checkpointing = checkpointing
        self.register_buffer("rgb_mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        drops = iter(rising(drop_path, sum(depths)))
        self.conv_first = nn.Conv2d(3, dim, 3, padding=1)
        self.patch_embed = TokenNorm(dim)
        self.layers = nn.ModuleList(RSSB(dim, [next(drops) for _ in range(depth)]) for depth in depths)
        self.norm_f = nn.LayerNorm(dim, eps=1e-5)
        self.conv_after_body = nn.Conv2d(dim, dim, 3, padding=1)
        self.direct = upsampler == "pixelshuffledirect"
        if self.direct:
            self.upsample = nn.Sequential(nn.Conv2d(dim, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        else:
            self.conv_before_upsample = nn.Sequential(nn.Conv2d(dim, 64, 3, padding=1), nn.LeakyReLU(0.01))
            self.upsample = _by_steps(64, scale)
            self.conv_last = nn.Conv2d(64, 3, 3, padding=1)
        self.apply(_initialise)

    def forward(self, lq: Tensor, condition: Tensor | None = None) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] to (B,3,scale*h,scale*w), not clamped.

        Args:
            lq: the images.
            condition: (B,h*w,1) or (B,h*w,d), row by row; modulates the tokens after each group. With None, and with
                zeros unless the modulation is ``scale``, the network is the unconditioned one.
        """
        shallow = self.conv_first((lq - self.rgb_mean).contiguous(memory_format=torch.channels_last))
        x = self.conv_after_body(self.deep(shallow, condition)) + shallow
        if not self.direct:
            x = self.conv_before_upsample(x)
        x = self.upsample(x)
        return (x if self.direct else self.conv_last(x)) + self.rgb_mean

    def deep(self, shallow: Tensor, condition: Tensor | None = None) -> Tensor:
        """The groups over the image as a sequence, row by row; (B,d,h,w) to the same."""
        height, width = shallow.shape[-2:]
        x = self.patch_embed(to_tokens(shallow))
        for layer in self.layers:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, height, width, use_reentrant=False)
            else:
                x = layer(x, height, width)
            if condition is not None:
                x = modulated(x, condition, self.modulation)
        return to_image(self.norm_f(x), height, width)


def modulated(tokens: Tensor, condition: Tensor, how: Modulation = "both") -> Tensor:
    """DACESR's conditional feature modulation: tokens (B,N,d) under a condition (B,N,1) or (B,N,d)."""
    if how == "shift":
        return tokens + condition
    if how == "scale":
        return tokens * condition
    return tokens * condition + condition + tokens


def to_tokens(image: Tensor) -> Tensor:
    """(B,d,h,w) to (B,h*w,d); no copy from channels-last memory."""
    return image.permute(0, 2, 3, 1).flatten(1, 2)


def to_image(tokens: Tensor, height: int, width: int) -> Tensor:
    """(B,h*w,d) to (B,d,h,w) in channels-last memory, without a copy."""
    return tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def rising(last: float, count: int) -> list[float]:
    """``count`` rates from 0 to ``last`` in equal steps.

    >>> rising(0.5, 3)
    [0.0, 0.25, 0.5]
    """
    return [last * i / max(count - 1, 1) for i in range(count)]


def _by_steps(features: int, scale: int) -> nn.Sequential:
    steps = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}.get(scale)
    if steps is None:
        raise InputError(f"this network has no x{scale}", remedy="use scale 2, 3, 4 or 8")
    layers: list[nn.Module] = []
    for step in steps:
        layers += [nn.Conv2d(features, features * step**2, 3, padding=1), nn.PixelShuffle(step)]
    return nn.Sequential(*layers)


def _initialise(module: nn.Module) -> None:
    """The released code's initialisation: every linear layer at std 0.02 and bias 0.

    It so erases Mamba's own initialisation of the step sizes (``dt_proj``); training from scratch starts that way too.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
