"""The Degradation-Aware Adapter: from the latent of the lq and its degradation to what steers the frozen UNet.

Source: DeeDSR, section 3.3 and Table 5; commit 108132a of bichunyang419/DeeDSR (``openaimodel.py``,
``Encoder_degrad``). They disagree: Table 5 gives the fourth level an attention that the code does not build, and
without it the size is the paper's 75.90 M exactly. The code is followed. The last convolutions of the released blocks
start at zero; here they start as diffusers' do, after the paper's words ("randomly initialized").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from srbench.modules.deedsr.da_block import DABlock

EPS = 1e-5  # of GroupNorm, in LDM's blocks


@dataclass(frozen=True)
class AdapterSize:
    """How large the adapter is; the defaults are the released model's.

    Attributes:
        channels: of the first level.
        multiples: of ``channels``, per level; every level but the last halves the raster behind itself.
        out_channels: of the local features of every level.
        latent_channels: of the latent.
        heads: of the self-attentions.
        groups: of the group normalisations.
        degradation: length of the learner's vector.
        reduction: in the DA blocks.
    """

    channels: int = 256
    multiples: tuple[int, ...] = (1, 1, 2, 2)
    out_channels: int = 256
    latent_channels: int = 4
    heads: int = 4
    groups: int = 32
    degradation: int = 1024
    reduction: int = 32

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels per level."""
        return tuple(self.channels * multiple for multiple in self.multiples)

    @property
    def context(self) -> int:
        """Channels of the global context."""
        return self.widths[-1]


class Guidance(NamedTuple):
    """What the adapter makes of an image at one time.

    Attributes:
        local: per level, finest first, (B,out_channels,h/2^i,w/2^i): F_L of Eq. 7; empty without the local branch.
        context: F_G, one token per cell of the coarsest level, (B,h*w/64,context); None without the global branch.
    """

    local: tuple[Tensor, ...]
    context: Tensor | None


class Level(nn.Module):
    """One raster: residual block, DA block, self-attention; and, but for the last level, the step to the next.

    Args:
        inputs: channels that come in.
        width: channels of this level.
        size: of the adapter.
        last: without attention and without a step down.
        aware: with a DA block.
    """

    def __init__(self, inputs: int, width: int, size: AdapterSize, *, last: bool, aware: bool) -> None:
        super().__init__()
        self.resnet = _resnet(inputs, width, size)
        self.da = DABlock(width, size.degradation, size.reduction) if aware else None
        self.attention = None if last else _attention(width, size)
        self.down = None if last else _resnet(width, width, size, down=True)

    def forward(self, hidden: Tensor, time: Tensor, degradation: Tensor | None) -> Tensor:
        """The level's features (B,width,h,w), before the step down."""
        hidden = self.resnet(hidden, time)
        if self.da is not None:
            assert degradation is not None
            hidden = self.da(hidden, degradation)
        return hidden if self.attention is None else self.attention(hidden)


class DegradationAwareAdapter(nn.Module):
    """A half UNet, conditioned on time, over the latent of the enlarged lq.

    75,903,744 parameters at full size.

    Args:
        size: None takes the released model's.
        aware: with DA blocks; False is Table 3's variants (1) and (4), which see no degradation.
        local: with the features that modulate the UNet; False is variant (3).
        context: with the tokens for its cross-attentions; False is variants (2) and (4).
    """

    def __init__(
        self, size: AdapterSize | None = None, *, aware: bool = True, local: bool = True, context: bool = True
    ) -> None:
        super().__init__()
        from diffusers.models.embeddings import TimestepEmbedding, Timesteps

        self.size = size = size or AdapterSize()
        self.aware = aware
        self.time = Timesteps(size.channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(size.channels, 4 * size.channels)
        self.conv_in = nn.Conv2d(size.latent_channels, size.channels, 3, padding=1)
        inputs = (size.channels, *size.widths[:-1])
        depth = len(size.widths)
        self.levels = nn.ModuleList(
            Level(a, b, size, last=i == depth - 1, aware=aware)
            for i, (a, b) in enumerate(zip(inputs, size.widths, strict=True))
        )
        self.middle = None
        if context:
            width = size.context
            blocks = (_resnet(width, width, size), _attention(width, size), _resnet(width, width, size))
            self.middle = nn.ModuleList(blocks)
        heads = (_resnet(width, size.out_channels, size) for width in size.widths)
        self.heads = nn.ModuleList(heads) if local else None

    def forward(self, latent: Tensor, timestep: Tensor, degradation: Tensor | None) -> Guidance:
        """What steers the UNet at a time.

        Args:
            latent: z_lr (B,4,h,w), scaled as the UNet's input; h and w divide by 2 once per level below the first.
            timestep: of the UNet, (B,).
            degradation: the learner's vector (B,1024); None for an adapter without DA blocks.
        """
        time = self.time_embedding(self.time(timestep).to(latent.dtype))
        hidden = self.conv_in(latent)
        taps = []
        for level in self.levels:
            assert isinstance(level, Level)
            hidden = level(hidden, time, degradation)
            taps.append(hidden)
            if level.down is not None:
                hidden = level.down(hidden, time)
        local = () if self.heads is None else tuple(h(t, time) for h, t in zip(self.heads, taps, strict=True))
        return Guidance(local, self._tokens(hidden, time))

    def _tokens(self, hidden: Tensor, time: Tensor) -> Tensor | None:
        if self.middle is None:
            return None
        before, attention, behind = self.middle
        hidden = behind(attention(before(hidden, time)), time)
        return hidden.flatten(2).transpose(1, 2)


def _resnet(inputs: int, width: int, size: AdapterSize, *, down: bool = False) -> nn.Module:
    from diffusers.models.resnet import ResnetBlock2D

    return ResnetBlock2D(
        in_channels=inputs,
        out_channels=width,
        temb_channels=4 * size.channels,
        groups=size.groups,
        eps=EPS,
        down=down,
    )


def _attention(width: int, size: AdapterSize) -> nn.Module:
    from diffusers.models.attention_processor import Attention

    return Attention(
        width,
        heads=size.heads,
        dim_head=width // size.heads,
        norm_num_groups=size.groups,
        eps=EPS,
        residual_connection=True,
        bias=True,
        _from_deprecated_attn_block=True,
    )
