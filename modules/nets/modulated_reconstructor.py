"""R: makes the degraded image again from the good one and the embedding of the degradation, which modulates it.

HR-aware (arXiv 2411.16175) calls it "SRResNet + StyleGAN2"; LWay's authors name DegAE's reconstructor as theirs, whose
layers these are. StyleGAN2's demodulation (Karras et al. 2020, Eq. 3) takes any common factor out of a style, so that
R would not see the *size* of an embedding at all but for the bias of the linear layers that make styles of it.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.residual_block import ResidualBlock

_SLOPE = 0.1

EntryKind = Literal["unshuffle", "strided"]


class ModulatedConv(nn.Module):
    """A 3x3 convolution whose weights are multiplied, sample by sample, along their input channels (StyleGAN2).

    Args:
        features: channels of input and output.
        embedding: length of the vector the style is made of.
        demodulate: bring the weights of every output channel back to norm 1 after the multiplication.
    """

    def __init__(self, features: int, embedding: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.weight = nn.Parameter(torch.randn(features, features, 3, 3) / (9 * features) ** 0.5)
        self.style = nn.Linear(embedding, features)
        nn.init.kaiming_normal_(self.style.weight, nonlinearity="linear")
        nn.init.ones_(self.style.bias)

    def modulated(self, embedding: Tensor) -> Tensor:
        """The weights (B,features,features,3,3) that ``embedding`` (B,embedding) makes."""
        weight = self.weight * self.style(embedding)[:, None, :, None, None]
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        return weight

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B,features,h,w) and (B,embedding) to (B,features,h,w)."""
        weight = self.modulated(embedding)
        one = x.reshape(1, -1, *x.shape[-2:])  # each sample is a group of one convolution
        return F.conv2d(one, weight.flatten(0, 1), padding=1, groups=len(x)).view_as(x)


class StyleBlock(nn.Module):
    """A residual block, a modulated convolution, noise of a learnt strength (at first 0), a convolution, LeakyReLU."""

    def __init__(self, features: int, embedding: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.residual = ResidualBlock(features)
        self.modulated = ModulatedConv(features, embedding, demodulate=demodulate)
        self.noise = nn.Parameter(torch.zeros(1))
        self.conv = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As :meth:`Reconstructor.forward`."""
        x = self.modulated(self.residual(x), embedding)
        if generator is not None:
            drawn = torch.randn(len(x), 1, *x.shape[-2:], generator=generator, device=generator.device)
            x = x + self.noise * drawn.to(x)
        return F.leaky_relu(self.conv(x), _SLOPE)


class Reconstructor(nn.Module):
    """R of HR-aware and LWay; it keeps the resolution, and no path leads around it.

    With the values of the papers 797,511 parameters from 64 channels (HR-aware) and 762,375 from RGB (LWay).

    Args:
        channels: of what comes in: 64 features of an image encoder, or 3 of an image.
        features: channels inside.
        blocks: of the body, each modulated.
        embedding: length of the vector that modulates.
        demodulate: see :class:`ModulatedConv`.
    """

    def __init__(
        self,
        channels: int = 64,
        features: int = 64,
        blocks: int = 4,
        embedding: int = 512,
        *,
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(channels, features, 3, padding=1)
        self.body = nn.ModuleList(StyleBlock(features, embedding, demodulate=demodulate) for _ in range(blocks))
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The degraded image (B,3,h,w), not clamped.

        Args:
            x: features or an image, (B,channels,h,w).
            embedding: of the degradation, (B,embedding); times the controller s in HR-aware.
            generator: draws the blocks' noise; None leaves the noise out, as evaluation does.
        """
        x = F.leaky_relu(self.conv_first(x), _SLOPE)
        for block in self.body:
            x = block(x, embedding, generator)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), _SLOPE))


class ReconstructorEntry(nn.Module):
    """What leads from the size of gt to that of lq, where R works in the space of lq.

    The papers do not describe it: R "has no down-sampling" (DegAE), and the image encoder "does not reduce resolution"
    (HR-aware, section 5.1), yet the loss is taken "in LR space". Our choice; a part of its own, so that R stays as
    published.

    Args:
        channels: of input and output.
        scale: from lq to gt.
        kind: ``unshuffle`` moves blocks of scale x scale pixels into channels, which a 1x1 convolution gathers;
            ``strided`` has a 3x3 convolution of stride 2 and LeakyReLU for every factor of 2.

    Raises:
        InputError: ``strided`` at a scale that is no power of 2, or another kind.
    """

    def __init__(self, channels: int = 64, scale: int = 4, kind: EntryKind = "unshuffle") -> None:
        super().__init__()
        layers: list[nn.Module]
        if kind == "unshuffle":
            layers = [nn.PixelUnshuffle(scale), nn.Conv2d(channels * scale**2, channels, 1)]
        elif kind == "strided" and scale & (scale - 1) == 0:
            steps = scale.bit_length() - 1
            layers = [_strided(channels, last=step == steps - 1) for step in range(steps)]
        else:
            raise InputError(
                f"R has no entry {kind!r} at x{scale}",
                where="model.init_args.entry",
                remedy="use unshuffle, or strided at x2, x4 or x8",
            )
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B,channels,scale*h,scale*w) to (B,channels,h,w)."""
        return self.layers(x)


def _strided(channels: int, *, last: bool) -> nn.Module:
    convolution = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
    return convolution if last else nn.Sequential(convolution, nn.LeakyReLU(_SLOPE))
