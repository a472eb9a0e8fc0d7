"""The names that CompVis' code gives to the networks that diffusers names otherwise, written down from both."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

State = dict[str, Tensor]

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def ldm_unet(state: Mapping[str, Tensor]) -> State:
    """A UNet of four levels and two layers each, as ``model.diffusion_model.*``."""
    return {f"model.diffusion_model.{_unet_name(name)}": tensor for name, tensor in state.items()}


def _unet_name(name: str) -> str:
    for own, theirs in _ENDS.items():
        if name.startswith(f"{own}."):
            return name.replace(own, theirs, 1)
    kind, *place = _split(name)
    rest = place.pop()
    if kind == "mid_block":
        part, index = place
        theirs = f"middle_block.{2 * int(index)}" if part == "resnets" else "middle_block.1"
        return f"{theirs}.{_inside(rest) if part == 'resnets' else rest}"
    level, part, index = place
    if kind == "down_blocks":
        if part == "downsamplers":
            return f"input_blocks.{3 * (int(level) + 1)}.0.{rest.replace('conv', 'op', 1)}"
        block = f"input_blocks.{3 * int(level) + int(index) + 1}"
    else:
        if part == "upsamplers":
            return f"output_blocks.{3 * int(level) + 2}.{1 if level == '0' else 2}.{rest}"
        block = f"output_blocks.{3 * int(level) + int(index)}"
    return f"{block}.0.{_inside(rest)}" if part == "resnets" else f"{block}.1.{rest}"


def _split(name: str) -> list[str]:
    blocks = re.fullmatch(r"(down_blocks|up_blocks)\.(\d)\.(\w+)\.(\d)\.(.+)", name)
    middle = re.fullmatch(r"(mid_block)\.(\w+)\.(\d)\.(.+)", name)
    found = blocks or middle
    assert found is not None, name
    return list(found.groups())


def _inside(rest: str) -> str:
    own, _, tail = rest.partition(".")
    return f"{_RESNET[own]}.{tail}"


def ldm_vae(state: Mapping[str, Tensor]) -> State:
    """An autoencoder of four levels, as ``first_stage_model.*``; its attention is made of 1x1 convolutions there."""
    made = {}
    for name, tensor in state.items():
        theirs = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
        theirs = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", theirs)
        theirs = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", theirs)
        theirs = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", theirs)
        theirs = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", theirs)
        if "mid_block.attentions.0" in theirs:
            head, _, tail = theirs.partition("mid_block.attentions.0.")
            layer, _, kind = tail.rpartition(".")
            theirs = f"{head}mid.attn_1.{_ATTENTION[layer]}.{kind}"
            tensor = tensor[:, :, None, None] if tensor.dim() == 2 else tensor
        theirs = theirs.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        made[f"first_stage_model.{theirs}"] = tensor
    return made
