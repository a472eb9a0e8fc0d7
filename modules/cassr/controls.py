"""One ControlNet for both images: its features with and without the zero-initialised convolutions behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Control(NamedTuple):
    """What the ControlNet makes of one image.

    Attributes:
        features: its skips' features, the first one first, (B,C,H,W) each, before the zero-initialised convolutions.
        skips: the same behind them: what a ControlNet adds to the UNet's skips.
        mid: likewise for the middle block.
    """

    features: list[Tensor]
    skips: list[Tensor]
    mid: Tensor


def controls(net: nn.Module, x_t: Tensor, t: Tensor, text: Tensor, images: Sequence[Tensor]) -> list[Control]:
    """Runs one ControlNet over several images that control the same latents, in one pass.

    Args:
        net: ``ControlNetModel``.
        x_t: noised latents (B,4,h,w).
        t: timesteps (B,).
        text: embeddings (B,L,C).
        images: RGB (B,3,8h,8w) in [0,1] each, the range that ControlNets are trained with.

    Returns:
        A control for every image, in that order.
    """
    count, seen = len(images), []
    zeros: Any = net.controlnet_down_blocks
    handles = [zero.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for zero in zeros]
    try:
        skips, mid = net(
            torch.cat([x_t] * count), torch.cat([t] * count), torch.cat([text] * count), torch.cat(list(images)),
            return_dict=False,
        )  # fmt: skip
    finally:
        for handle in handles:
            handle.remove()
    parts = [[tensor.chunk(count) for tensor in tensors] for tensors in (seen, skips, [mid])]
    return [Control([f[i] for f in parts[0]], [s[i] for s in parts[1]], parts[2][0][i]) for i in range(count)]


def make_controlnet(unet: nn.Module, *, tiny: bool = False) -> nn.Module:
    """A ControlNet of the UNet's downward half with its weights; 361,279,120 parameters for SD 1.5.

    Args:
        unet: ``UNet2DConditionModel``.
        tiny: make the embedding of the image 4 channels wide.
    """
    from diffusers import ControlNetModel

    widths = (4, 4, 4, 4) if tiny else (16, 32, 96, 256)
    made: Any = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths)
    return made.requires_grad_(True)


def copy_downward(unet: nn.Module, controlnet: nn.Module) -> None:
    """Gives ``controlnet`` the weights of the UNet's downward half anew, when the UNet's own have been loaded."""
    for part in ("conv_in", "time_embedding", "down_blocks", "mid_block"):
        getattr(controlnet, part).load_state_dict(getattr(unet, part).state_dict())


def freeze_unseen(net: nn.Module, seen: Sequence[int], *, behind: bool) -> None:
    """Freezes what no output of a ControlNet depends on when only some features are looked at.

    It would get no gradient, at which DDP stops.

    Args:
        net: ``ControlNetModel``.
        seen: numbers of the skips whose features are used; the middle block's are not.
        behind: whether they are used behind the zero-initialised convolutions.
    """
    parts: Any = net
    for i, zero in enumerate(parts.controlnet_down_blocks):
        zero.requires_grad_(behind and i in seen)
    for i, layer in enumerate(_layers(net)):
        if i > max(seen):
            layer.requires_grad_(False)
    parts.mid_block.requires_grad_(False)
    parts.controlnet_mid_block.requires_grad_(False)


def _layers(net: nn.Module) -> Iterator[nn.Module]:
    """What makes each skip of the one before it."""
    parts: Any = net
    yield parts.conv_in
    for block in parts.down_blocks:
        attentions = getattr(block, "attentions", [None] * len(block.resnets))
        yield from (nn.ModuleList([r] if a is None else [r, a]) for r, a in zip(block.resnets, attentions, strict=True))
        yield from block.downsamplers or ()
