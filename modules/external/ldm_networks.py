"""The networks of LDM-BSR as diffusers builds them, and where each tensor stands in CompVis' own file.

Sizes are those of ``models/ldm/bsr_sr/config.yaml`` of CompVis/latent-diffusion at commit a506df5: 113,622,563
parameters of the UNet and 55,322,782 of the autoencoder (VQ-f4). In that repository "resolutions" of attention are
factors of downsampling, so that of 16 and 8 only 8 exists, the last level.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

Size = Literal["full", "tiny"]

_LEVELS = {"full": (160, 320, 320, 640), "tiny": (32, 32, 32, 64)}
_VQ_LEVELS = {"full": (128, 256, 512), "tiny": (32, 32, 32)}
_CODES = {"full": 8192, "tiny": 16}

UNET_PREFIX = "model.diffusion_model."
"""Of the UNet's names in CompVis' file."""

_EMA_PREFIX = "model_ema."
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
_ATTENTION = {"group_norm": "norm", "to_out.0": "proj_out"}
_SHARES = ("to_q", "to_k", "to_v")


def make_unet(size: Size) -> nn.Module:
    """Diffusers' ``UNet2DModel``: the noise in latents (B,3,h,w) beside lq (B,3,h,w) in [-1,1]."""
    from diffusers import UNet2DModel

    config = {
        "in_channels": 6,
        "out_channels": 3,
        "sample_size": 64,
        "block_out_channels": _LEVELS[size],
        "layers_per_block": 2,
        "attention_head_dim": 32,
        "norm_num_groups": {"full": 32, "tiny": 8}[size],  # a group of one value cannot be normalised
        "down_block_types": ("DownBlock2D",) * 3 + ("AttnDownBlock2D",),
        "up_block_types": ("AttnUpBlock2D",) + ("UpBlock2D",) * 3,
    }
    return _same(UNet2DModel, config)


def vqvae_config(size: Size) -> dict[str, Any]:
    """Arguments of diffusers' ``VQModel``."""
    return {
        "block_out_channels": _VQ_LEVELS[size],
        "layers_per_block": 2,
        "latent_channels": 3,
        "num_vq_embeddings": _CODES[size],
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
    }


def make_vqvae(size: Size) -> nn.Module:
    """Diffusers' ``VQModel``, of which only the decoder is used: latents (B,3,h,w) to (B,3,4h,4w), about [-1,1]."""
    from diffusers import VQModel

    return _same(VQModel, vqvae_config(size))


def make_scheduler(config: Mapping[str, Any] | None = None) -> Any:
    """Diffusers' ``DDIMScheduler``.

    Args:
        config: a published ``scheduler_config.json``; None takes the betas and steps of CompVis' code.
    """
    from diffusers import DDIMScheduler

    own = {
        "beta_start": 0.0015,
        "beta_end": 0.0155,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    return DDIMScheduler.from_config(dict(own if config is None else config))


def _same(kind: Any, config: Mapping[str, Any]) -> nn.Module:
    """A network with the same random weights at every call, so that trials can be repeated."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = kind(**config)
    assert isinstance(made, nn.Module)
    return made


def unet_tensors(file: Mapping[str, Tensor], unet: nn.Module) -> dict[str, Tensor]:
    """The UNet's tensors of CompVis' file under diffusers' names.

    Where the file holds the running average of the weights it is taken, as CompVis' own sampling does. What has no
    place in ``unet`` keeps its name, for a strict loader to refuse.

    Args:
        file: the tensors of the file.
        unet: of :func:`make_unet`.
    """
    held = {name.removeprefix(UNET_PREFIX): _averaged(file, name) for name in file if name.startswith(UNET_PREFIX)}
    attended = {int(name.split(".")[1]) for name in unet.state_dict() if re.match(r"up_blocks\.\d\.attentions", name)}
    heads = cast(Any, unet).config.attention_head_dim
    made, used = {}, set()
    for name in unet.state_dict():
        theirs, share = _theirs(name, attended)
        if theirs in held:
            made[name] = _share(held[theirs], share, heads) if share is not None else _flat(held[theirs], name)
            used.add(theirs)
    return {**made, **{name: tensor for name, tensor in held.items() if name not in used}}


def vqvae_tensors(file: Mapping[str, Tensor], size: Size) -> dict[str, Tensor]:
    """The autoencoder's tensors of CompVis' file under diffusers' names."""
    from diffusers.loaders import single_file_utils as convert

    made: dict[str, Tensor] = convert.convert_ldm_vae_checkpoint(dict(file), vqvae_config(size))
    codes = "quantize.embedding.weight"
    if f"first_stage_model.{codes}" in file:
        made[codes] = file[f"first_stage_model.{codes}"]
    return made


def _averaged(file: Mapping[str, Tensor], name: str) -> Tensor:
    average = _EMA_PREFIX + name.removeprefix("model.").replace(".", "")
    return file.get(average, file[name])


def _theirs(name: str, attended: set[int]) -> tuple[str, int | None]:
    """CompVis' name of a tensor, and which third of it (q, k, v), if it is only that."""
    for own, theirs in _ENDS.items():
        if name.startswith(f"{own}."):
            return name.replace(own, theirs, 1), None
    middle = re.fullmatch(r"mid_block\.(\w+)\.(\d)\.(.+)", name)
    if middle is not None:
        part, index, rest = middle.groups()
        return _inside(f"middle_block.{2 * int(index) if part == 'resnets' else 1}", part, rest)
    block = re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.+)", name)
    assert block is not None, name
    way, part, rest = block[1], block[3], block[5]
    level, index = int(block[2]), int(block[4])
    if part == "downsamplers":
        return f"input_blocks.{3 * (level + 1)}.0.{rest.replace('conv', 'op', 1)}", None
    if part == "upsamplers":
        return f"output_blocks.{3 * level + 2}.{2 if level in attended else 1}.{rest}", None
    place = f"input_blocks.{3 * level + index + 1}" if way == "down" else f"output_blocks.{3 * level + index}"
    return _inside(f"{place}.{0 if part == 'resnets' else 1}", part, rest)


def _inside(place: str, part: str, rest: str) -> tuple[str, int | None]:
    layer, _, kind = rest.rpartition(".")
    if part == "resnets":
        return f"{place}.{_RESNET[layer]}.{kind}", None
    if layer in _SHARES:
        return f"{place}.qkv.{kind}", _SHARES.index(layer)
    return f"{place}.{_ATTENTION[layer]}.{kind}", None


def _share(qkv: Tensor, share: int, width: int) -> Tensor:
    """Q, k or v of one convolution's rows, which are ordered by head first (``QKVAttentionLegacy``)."""
    rows = qkv.flatten(1) if qkv.dim() > 1 else qkv
    by_head = rows.unflatten(0, (-1, 3, width))
    return by_head[:, share].flatten(0, 1)


def _flat(tensor: Tensor, name: str) -> Tensor:
    """A convolution of one sample wide, as the linear layer it is in diffusers."""
    return torch.squeeze(tensor, -1) if ".to_out." in name and tensor.dim() == 3 else tensor
