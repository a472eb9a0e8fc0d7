"""Whole models in the layout of the released code: renamed and loaded strictly, with neither base nor learner at hand.

The layout is written down here a second time, from the released code's side; equal outputs of that code itself and ours
on equal weights were measured outside the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.deedsr import DeeDSR
from srbench.modules.deedsr.modulators import Modulators

from ..nets.ldm_layout import ldm_unet, ldm_vae  # noqa: TID252

TINY: dict[str, Any] = {"size": "tiny", "allow_random_backbones": True, "steps": 2, "short_side": 64}
State = dict[str, Tensor]

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_DA = {
    "project.0": "chain.0",
    "conv1": "body.0.conv1",
    "conv2": "body.0.conv2",
    "conv_out": "body.1",
    "da_conv1.kernel": "body.0.da_conv1.kernel",
    "da_conv1.conv": "body.0.da_conv1.conv",
    "da_conv1.gate": "body.0.da_conv1.ca.conv_du",
    "da_conv2.kernel": "body.0.da_conv2.kernel",
    "da_conv2.conv": "body.0.da_conv2.conv",
    "da_conv2.gate": "body.0.da_conv2.ca.conv_du",
}


def _randomised(stage: DeeDSR, seed: int) -> DeeDSR:
    generator = torch.Generator().manual_seed(seed)
    nets = [stage.unet, stage.vae.net, stage.adapter, stage.modulators, stage.learner and stage.learner.net]
    with torch.no_grad():
        for net in nets:
            assert isinstance(net, nn.Module)
            for p in net.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) * 0.05 + (p.dim() == 1))
    return stage


def _renamed(place: str, inside: str, table: dict[str, str]) -> str:
    ours = next(name for name in sorted(table, key=len, reverse=True) if inside.startswith(f"{name}."))
    return f"{place}.{table[ours]}{inside.removeprefix(ours)}"


def _attention(place: str, state: State, heads: int) -> State:
    made = {f"{place}.norm.{kind}": state[f"group_norm.{kind}"] for kind in ("weight", "bias")}
    made[f"{place}.proj_out.weight"] = state["to_out.0.weight"][..., None]
    made[f"{place}.proj_out.bias"] = state["to_out.0.bias"]
    for kind in ("weight", "bias"):  # per head its queries, keys and values, one head behind the other
        parts = [state[f"to_{part}.{kind}"].chunk(heads) for part in "qkv"]
        rows = torch.cat([part[head] for head in range(heads) for part in parts])
        made[f"{place}.qkv.{kind}"] = rows[..., None] if kind == "weight" else rows
    return made


def _below(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _resnet(place: str, state: State) -> State:
    return {_renamed(place, name, _RESNET): tensor for name, tensor in state.items()}


def _adapter(stage: DeeDSR) -> State:
    state, heads = stage.adapter.state_dict(), stage.adapter.size.heads
    made = {f"time_embed.{2 * i}.{k}": state[f"time_embedding.linear_{i + 1}.{k}"] for i in (0, 1) for k in _KINDS}
    made |= {f"input_blocks.0.0.{kind}": state[f"conv_in.{kind}"] for kind in _KINDS}
    for i in range(4):
        level, place = _below(state, f"levels.{i}."), f"input_blocks.{2 * i + 1}"
        made |= _resnet(f"{place}.0", _below(level, "resnet."))
        made |= {_renamed(f"{place}.1", name, _DA): tensor for name, tensor in _below(level, "da.").items()}
        if i < 3:
            made |= _attention(f"{place}.2", _below(level, "attention."), heads)
            made |= _resnet(f"input_blocks.{2 * i + 2}.0", _below(level, "down."))
        made |= _resnet(f"fea_tran.{i}", _below(state, f"heads.{i}."))
    made |= _resnet("middle_block.0", _below(state, "middle.0."))
    made |= _attention("middle_block.1", _below(state, "middle.1."), heads)
    return made | _resnet("middle_block.2", _below(state, "middle.2."))


_KINDS = ("weight", "bias")


def _modulators(modulators: Modulators) -> State:
    """As ``spade`` of the UNet's residual blocks, whose place diffusers' converter knows."""
    made = {}
    for name, tensor in modulators.state_dict().items():
        block, layer, kind = name.split(".")
        theirs = {"shared": "mlp_shared.0", "gamma": "mlp_gamma", "beta": "mlp_beta"}[layer]
        made[f"{_ldm_block(block)}.spade.{theirs}.{kind}"] = tensor
    return made


def _ldm_block(name: str) -> str:
    side, *place, _, index = name.split("-")
    level = int(place[0]) if place else 0
    number = 3 * level + int(index)
    theirs = {"down_blocks": f"input_blocks.{number + 1}", "up_blocks": f"output_blocks.{number}"}
    return f"model.diffusion_model.{theirs.get(side, f'middle_block.{2 * int(index)}')}{'' if not place else '.0'}"


def _official(stage: DeeDSR) -> State:
    assert stage.modulators is not None
    assert stage.learner is not None
    made = ldm_unet({name: p.detach() for name, p in stage.unet.named_parameters()})
    made |= _modulators(stage.modulators)
    made |= ldm_vae(stage.vae.net.state_dict())
    made |= {f"Encoder_degrad.{name}": tensor for name, tensor in _adapter(stage).items()}
    learner = stage.learner.net.state_dict()
    made |= {f"Encoder_degrad.degrad_encoder.{name}": tensor for name, tensor in learner.items()}
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return made | {"betas": betas, "sqrt_recipm1_alphas_cumprod": betas, "posterior_mean_coef2": betas, "logvar": betas}


def _written(folder: Path, state: State) -> str:
    file = folder / "official.ckpt"
    torch.save({"state_dict": state, "pytorch-lightning_version": "1.5.0", "epoch": 3, "global_step": 9}, file)
    return str(file)


@pytest.fixture
def theirs() -> DeeDSR:
    return _randomised(DeeDSR(**TINY), 3)


def test_it_is_loaded_whole_without_base_and_learner(theirs: DeeDSR, tmp_path: Path) -> None:
    file = _written(tmp_path, _official(theirs))
    ours = DeeDSR(**{**TINY, "allow_random_backbones": False, "weights": file})
    ours.prepare()
    assert ours.marks == ()
    assert ours.weights_sha256 is not None
    for name, net in theirs.parts().items():
        given = dict(net.named_parameters()) | dict(net.named_buffers())
        assert given
        held = dict(ours.parts()[name].named_parameters()) | dict(ours.parts()[name].named_buffers())
        assert all(torch.equal(held[key], tensor) for key, tensor in given.items()), name
    lq = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours.eval().upscale(lq), theirs.eval().upscale(lq))


def test_such_names_are_those_of_the_released_code(theirs: DeeDSR) -> None:
    """Some of each kind, copied from a state dict of the released classes."""
    names = _official(theirs)
    for name in (
        "model.diffusion_model.input_blocks.11.0.spade.mlp_shared.0.weight",
        "model.diffusion_model.middle_block.2.spade.mlp_gamma.bias",
        "model.diffusion_model.output_blocks.8.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.11.0.spade.mlp_beta.weight",
        "Encoder_degrad.time_embed.2.bias",
        "Encoder_degrad.input_blocks.1.1.body.0.da_conv1.kernel.2.weight",
        "Encoder_degrad.input_blocks.3.1.body.0.da_conv2.ca.conv_du.0.weight",
        "Encoder_degrad.input_blocks.5.2.qkv.weight",
        "Encoder_degrad.input_blocks.6.0.emb_layers.1.weight",
        "Encoder_degrad.input_blocks.7.1.chain.0.weight",
        "Encoder_degrad.middle_block.1.proj_out.weight",
        "Encoder_degrad.fea_tran.3.out_layers.3.weight",
        "Encoder_degrad.degrad_encoder.layer4.0.downsample.0.weight",
        "first_stage_model.post_quant_conv.weight",
    ):
        assert name in names
    assert sum(".spade." in name for name in names) == 132


LOST = {
    "model.diffusion_model.out.2.bias": "tensors missing",
    "model.diffusion_model.input_blocks.1.0.spade.mlp_gamma.bias": "keys missing",
    "first_stage_model.quant_conv.bias": "tensors missing",
    "Encoder_degrad.fea_tran.0.in_layers.2.bias": "keys missing",
    "Encoder_degrad.degrad_encoder.bn1.running_var": "keys missing",
}


@pytest.mark.parametrize("name", LOST)
def test_a_tensor_that_is_missing_is_an_error(theirs: DeeDSR, tmp_path: Path, name: str) -> None:
    state = _official(theirs)
    del state[name]
    with pytest.raises(InputError, match=LOST[name]):
        DeeDSR(**TINY).load_upstream(_written(tmp_path, state))


@pytest.mark.parametrize(
    "name",
    [
        "model_ema.decay",
        "cond_stage_model.model.positional_embedding",
        "model.diffusion_model.label_emb.weight",
        "first_stage_model.loss.weight",
        "Encoder_degrad.input_blocks.7.2.qkv.weight",  # the attention of Table 5 that the code does not build
        "Encoder_degrad.degrad_encoder.fc.weight",
    ],
)
def test_a_tensor_that_fits_nothing_is_an_error(theirs: DeeDSR, tmp_path: Path, name: str) -> None:
    state = {**_official(theirs), name: torch.zeros(48, 16, 1)}
    with pytest.raises(InputError, match=r"belongs to no part|are known|unknown|is not the network"):
        DeeDSR(**TINY).load_upstream(_written(tmp_path, state))


def test_a_variant_refuses_a_whole_model(theirs: DeeDSR, tmp_path: Path) -> None:
    file = _written(tmp_path, _official(theirs))
    for more in ({"local": False}, {"aware": False}, {"prompt": "empty", "context": 1024}, {"context": 1024}):
        with pytest.raises(InputError, match="this is a variant of it"):
            DeeDSR(**{**TINY, **more}).load_upstream(file)
