"""Checkpoints in the layout of the released code: one file with UNet, autoencoder, adapter, modulators and learner.

Commit 108132a of bichunyang419/DeeDSR: Lightning's file of ``cldm.cldm.ControlLDM`` with LDM's names. The UNet and the
autoencoder are renamed by diffusers' own converters. No weights were published.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from srbench.errors import InputError

UNET = "model.diffusion_model."
VAE = "first_stage_model."
ADAPTER = "Encoder_degrad."
LEARNER = "Encoder_degrad.degrad_encoder."

_SCHEDULE = re.compile(
    r"betas|logvar|scale_factor|lvlb_weights|posterior_(variance|log_variance_clipped|mean_coef[12])"
    r"|(alphas_cumprod(_prev)?|(sqrt|log)_(recip_|recipm1_|one_minus_)?alphas_cumprod)"
)
"""LDM keeps its noise schedule among the weights; ours is made of its two ends."""

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_DA = {
    "chain.0": "project.0",
    "body.0.conv1": "conv1",
    "body.0.conv2": "conv2",
    "body.1": "conv_out",
    **{
        f"body.0.da_conv{i}.{theirs}": f"da_conv{i}.{ours}"
        for i in (1, 2)
        for theirs, ours in (("kernel", "kernel"), ("conv", "conv"), ("ca.conv_du", "gate"))
    },
}
_ATTENTION = {"norm": "group_norm", "proj_out": "to_out.0"}
_PLACES: tuple[tuple[str, Callable[[re.Match[str]], str], Mapping[str, str]], ...] = (
    # where it stands there, where it stands here, how what is inside is renamed
    (r"time_embed\.0\.", lambda _: "time_embedding.linear_1.", {}),
    (r"time_embed\.2\.", lambda _: "time_embedding.linear_2.", {}),
    (r"input_blocks\.0\.0\.", lambda _: "conv_in.", {}),
    (r"input_blocks\.(\d*[13579])\.0\.", lambda m: f"levels.{int(m[1]) // 2}.resnet.", _RESNET),
    (r"input_blocks\.(\d*[13579])\.1\.", lambda m: f"levels.{int(m[1]) // 2}.da.", _DA),
    (r"input_blocks\.(\d*[13579])\.2\.", lambda m: f"levels.{int(m[1]) // 2}.attention.", _ATTENTION),
    (r"input_blocks\.(\d*[02468])\.0\.", lambda m: f"levels.{int(m[1]) // 2 - 1}.down.", _RESNET),
    (r"middle_block\.([02])\.", lambda m: f"middle.{m[1]}.", _RESNET),
    (r"middle_block\.1\.", lambda _: "middle.1.", _ATTENTION),
    (r"fea_tran\.(\d+)\.", lambda m: f"heads.{m[1]}.", _RESNET),
)
_MODULATOR = {"mlp_shared.0": "shared", "mlp_gamma": "gamma", "mlp_beta": "beta"}


class Official(NamedTuple):
    """The networks of such a file, each named as ours is.

    Attributes:
        unet: for diffusers' ``UNet2DConditionModel``.
        vae: for diffusers' ``AutoencoderKL``.
        adapter: for :class:`~srbench.modules.deedsr.adapter.DegradationAwareAdapter`.
        modulators: for :class:`~srbench.modules.deedsr.modulators.Modulators`.
        learner: for :class:`~srbench.modules.deedsr.learner.DegradationLearner`.
    """

    unet: dict[str, Tensor]
    vae: dict[str, Tensor]
    adapter: dict[str, Tensor]
    modulators: dict[str, Tensor]
    learner: dict[str, Tensor]


def is_official(state: Mapping[str, Tensor]) -> bool:
    """Whether a state is in the layout of the released code."""
    return any(name.startswith(ADAPTER) for name in state)


def split(state: Mapping[str, Tensor], unet: Mapping[str, Any], vae: Mapping[str, Any], heads: int) -> Official:
    """Takes a whole model's state apart. What it does not know keeps its name, for a strict load to refuse.

    Args:
        state: a state for which :func:`is_official` is true.
        unet: configuration of the UNet, as diffusers names it.
        vae: configuration of the autoencoder.
        heads: of the adapter's self-attentions.

    Raises:
        InputError: the file holds something else beside, or the UNet or autoencoder is of another build.
    """
    from diffusers.loaders import single_file_utils as single_file

    for name in state:
        if not (name.startswith((UNET, VAE, ADAPTER)) or _SCHEDULE.fullmatch(name)):
            raise _misfit(f"'{name}' belongs to no part of DeeDSR")
    net = _converted(single_file.convert_ldm_unet_checkpoint, state, UNET, unet)
    modulators = {name: net.pop(name) for name in [name for name in net if ".spade." in name]}
    return Official(
        net,
        _converted(single_file.convert_ldm_vae_checkpoint, state, VAE, vae),
        adapter_state(
            {name: tensor for name, tensor in _below(ADAPTER, state).items() if not _of_learner(name)}, heads
        ),
        {_modulator(name): tensor for name, tensor in modulators.items()},
        _below(LEARNER, state),
    )


def adapter_state(state: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """The released ``Encoder_degrad``, its learner left out, named as our adapter names it.

    Args:
        state: below ``Encoder_degrad.``.
        heads: of the self-attentions, whose queries, keys and values lie in one matrix there.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        place, inside = _placed(name)
        if inside.startswith("qkv."):
            renamed |= _queries_keys_values(place, inside.removeprefix("qkv."), tensor, heads)
        elif inside == "to_out.0.weight":
            renamed[place + inside] = tensor.flatten(1)  # a convolution over a sequence there, a matrix here
        else:
            renamed[place + inside] = tensor
    return renamed


def _placed(name: str) -> tuple[str, str]:
    for pattern, place, inside in _PLACES:
        if found := re.match(pattern, name):
            return place(found), _replaced(name[found.end() :], inside)
    return "", name


def _replaced(name: str, names: Mapping[str, str]) -> str:
    for theirs, ours in names.items():
        if name.startswith(f"{theirs}."):
            return ours + name.removeprefix(theirs)
    return name


def _queries_keys_values(place: str, kind: str, tensor: Tensor, heads: int) -> dict[str, Tensor]:
    parts = tensor.reshape(heads, 3, -1, *tensor.shape[1:2]).unbind(1)
    return {f"{place}to_{part}.{kind}": held.flatten(0, 1) for part, held in zip("qkv", parts, strict=True)}


def _converted(
    convert: Callable[[Any, Any], dict[str, Tensor]],
    state: Mapping[str, Tensor],
    prefix: str,
    config: Mapping[str, Any],
) -> dict[str, Tensor]:
    given = {name: tensor for name, tensor in state.items() if name.startswith(prefix)}
    try:
        made = convert(given, config)
    except (KeyError, IndexError, RuntimeError) as error:
        raise _misfit(f"what lies below {prefix} is not the network of this family") from error
    if len(made) != len(given):  # diffusers' converters leave out what they do not know
        raise _misfit(f"of {len(given)} tensors below {prefix} only {len(made)} are known")
    return made


def _modulator(name: str) -> str:
    block, _, inside = name.partition(".spade.")
    return f"{block.replace('.', '-')}.{_replaced(inside, _MODULATOR)}"


def _of_learner(name: str) -> bool:
    return name.startswith(LEARNER.removeprefix(ADAPTER))


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _misfit(what: str) -> InputError:
    return InputError(
        what, where="model.init_args.weights", remedy="give a checkpoint of the released DeeDSR code, or one of ours"
    )
