"""LDM on tiny random networks: diffusers' pipeline, both layouts of its weights, padding, drawing, half precision."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import seed_everything
from safetensors.torch import save_file
from torch import Tensor

from srbench.errors import InputError
from srbench.modules import LDMSR
from srbench.modules.external import ldm_networks

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("SRBENCH_WEIGHTS", "HF_HUB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))


def tiny(**kwargs: Any) -> LDMSR:
    seed_everything(0, verbose=False)
    module = LDMSR(**{"size": "tiny", "steps": 3, "allow_random_backbones": True, **kwargs})
    module.prepare()
    return module


def photo(height: int, width: int, seed: int = 1) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def restored(module: LDMSR, lq: Tensor, *names: str) -> Tensor:
    return module.restore({"lq": lq, "name": list(names or ["a"])})


def pipeline(module: LDMSR, lq: Tensor) -> Tensor:
    """Diffusers' own pipeline from the noise that the module draws for image ``a``."""
    from diffusers import LDMSuperResolutionPipeline

    made: Any = LDMSuperResolutionPipeline(module.vqvae.net, module.unet.net, module.diffusion)
    made.set_progress_bar_config(disable=True)
    steps, generator = module.sampling.steps, module.generator("a")
    given = made(lq * 2 - 1, num_inference_steps=steps, generator=generator, output_type="pt")
    images = given.images
    assert isinstance(images, Tensor)
    return images


# ------------------------------------------------------------------------------------------------------------ restoring


def test_it_equals_diffusers_pipeline() -> None:
    module, lq = tiny(), photo(16, 24)
    sr = restored(module, lq)
    assert sr.shape == (1, 3, 64, 96)
    assert sr.std() > 0.05
    torch.testing.assert_close(sr, pipeline(module, lq), rtol=0, atol=1e-6)


def test_other_sizes_are_filled_up_by_reflection_and_cut_out() -> None:
    module, lq = tiny(), photo(13, 10)
    filled = torch.nn.functional.pad(lq, (0, 6, 0, 3), mode="reflect")
    sr = restored(module, lq)
    assert sr.shape == (1, 3, 52, 40)
    torch.testing.assert_close(sr, restored(module, filled)[..., :52, :40], rtol=0, atol=0)
    assert restored(module, photo(2, 3)).shape == (1, 3, 8, 12)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_an_images_draws_come_from_its_name_and_the_seed(eta: float) -> None:
    module, lq = tiny(eta=eta), photo(8, 8)
    first, other = restored(module, torch.cat([lq, lq]), "a", "b").split(1)
    assert not torch.equal(first, other)
    torch.rand(7)  # whatever else the process draws
    torch.testing.assert_close(restored(module, lq, "b"), other, rtol=0, atol=0)
    seed_everything(1, verbose=False)
    assert not torch.equal(restored(module, lq, "a"), first)


def test_eta_and_steps_change_what_is_made() -> None:
    lq = photo(8, 8)
    made = [restored(tiny(**given), lq) for given in ({}, {"eta": 1.0}, {"steps": 5})]
    assert not any(torch.equal(made[0], other) for other in made[1:])


def test_half_precision_is_near_before_the_codes_are_chosen() -> None:
    whole, half = tiny(), tiny(half="bfloat16")
    half.setup("test")
    lq = photo(16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latents = half._sampled(lq, "a")
    reference = whole._sampled(lq, "a")
    assert 0 < (latents - reference).abs().mean() < 0.05 * reference.abs().mean()
    assert restored(half, lq).dtype == torch.float32
    assert not half._remarks


def test_what_is_not_finite_in_half_precision_is_made_again() -> None:
    module = tiny(half="float16")
    with torch.no_grad():  # what 4e4 is multiplied by is no float16 any more; the last layer takes it back
        module.unet.net.conv_norm_out.weight.mul_(4e4)
        module.unet.net.conv_out.weight.mul_(2.5e-5)
    module.setup("test")
    assert bool(torch.isfinite(restored(module, photo(8, 8))).all())
    assert any("float32" in text for text in module._remarks["a"])


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"scale": 2}, "by 4, not 2"),
        ({"steps": 0}, "steps 0"),
        ({"eta": 1.5}, "eta 1.5"),
        ({"tile": 64}, "not tiled"),
        ({"base": "x", "weights": "y"}, "both given"),
    ],
)
def test_impossible_values_are_refused(given: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        LDMSR(size="tiny", **given)


# -------------------------------------------------------------------------------------------------------------- weights


def other() -> LDMSR:
    """A module with other values than a fresh one."""
    module = tiny()
    with torch.no_grad():
        for net in module.parts().values():
            for i, parameter in enumerate(net.parameters()):
                parameter.add_(0.01 * (i % 7 + 1))
    return module


def written(module: LDMSR, folder: Path) -> str:
    for name, net in (("unet", module.unet.net), ("vqvae", module.vqvae.net)):
        net.save_pretrained(folder / name)
    module.diffusion.save_pretrained(folder / "scheduler")
    return str(folder)


def test_a_folder_of_diffusers_is_loaded(tmp_path: Path) -> None:
    theirs = other()
    theirs.diffusion = ldm_networks.make_scheduler({**theirs.diffusion.config, "beta_end": 0.02})
    module = tiny(base=written(theirs, tmp_path / "ldm"), allow_random_backbones=False)
    lq = photo(8, 8)
    torch.testing.assert_close(restored(module, lq), restored(theirs, lq), rtol=0, atol=0)
    assert module.diffusion.config.beta_end == 0.02
    assert not module.marks


def test_attention_under_the_names_of_the_published_folder(tmp_path: Path) -> None:
    theirs = other()
    folder = Path(written(theirs, tmp_path / "ldm"))
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for part, net in (("unet", theirs.unet.net), ("vqvae", theirs.vqvae.net)):
        pattern = re.compile(r"(?<=attentions\.\d\.)(to_q|to_k|to_v|to_out\.0)")
        state = {pattern.sub(lambda m: old[m[1]], name): t for name, t in net.state_dict().items()}
        assert any("proj_attn" in name for name in state)
        save_file(state, folder / part / "diffusion_pytorch_model.safetensors")
    module = tiny(base=str(folder))
    assert all(map(torch.equal, module.unet.net.parameters(), theirs.unet.net.parameters()))


def compvis(module: LDMSR) -> State:
    """The module's tensors as CompVis' code names and shapes them, written down from that code."""
    made: State = {}
    for name, tensor in module.unet.net.state_dict().items():
        if ".to_q." in name:
            thirds = [module.unet.net.state_dict()[name.replace("to_q", f"to_{x}")] for x in "qkv"]
            by_head = torch.stack([third.unflatten(0, (-1, 32)) for third in thirds], 1).flatten(0, 2)
            place = _block(name.partition(".to_q.")[0])
            made[f"{place}.qkv.{name.rpartition('.')[2]}"] = by_head[..., None] if tensor.dim() == 2 else by_head
        elif ".to_k." not in name and ".to_v." not in name:
            made[_block(name)] = tensor[..., None] if ".to_out." in name and tensor.dim() == 2 else tensor
    made = {f"model.diffusion_model.{name}": tensor for name, tensor in made.items()}
    for name, tensor in module.vqvae.net.state_dict().items():
        theirs = re.sub(r"_blocks\.(\d)\.resnets", r".\1.block", name)
        theirs = re.sub(r"_blocks\.(\d)\.(up|down)samplers\.0", r".\1.\2sample", theirs)
        theirs = re.sub(r"(?<=decoder\.up\.)\d", lambda m: str(2 - int(m[0])), theirs)
        theirs = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", theirs)
        theirs = theirs.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_norm_out", "norm_out")
        theirs = (
            theirs.replace("group_norm", "norm")
            .replace("to_out.0", "proj_out")
            .replace("conv_shortcut", "nin_shortcut")
        )
        theirs = re.sub(r"attn_1\.to_", "attn_1.", theirs)
        square = "attn_1" in theirs and tensor.dim() == 2
        made[f"first_stage_model.{theirs}"] = tensor[..., None, None] if square else tensor
    return made


_BLOCKS: dict[str, Callable[[int, int], str]] = {
    r"down_blocks\.(\d)\.resnets\.(\d)": lambda level, i: f"input_blocks.{3 * level + i + 1}.0",
    r"down_blocks\.(\d)\.attentions\.(\d)": lambda level, i: f"input_blocks.{3 * level + i + 1}.1",
    r"down_blocks\.(\d)\.downsamplers\.(\d)\.conv": lambda level, i: f"input_blocks.{3 * level + 3}.0.op",
    r"up_blocks\.(\d)\.resnets\.(\d)": lambda level, i: f"output_blocks.{3 * level + i}.0",
    r"up_blocks\.(\d)\.attentions\.(\d)": lambda level, i: f"output_blocks.{3 * level + i}.1",
    # Behind the ResNet block, and in the first level behind its attention too.
    r"up_blocks\.(\d)\.upsamplers\.(\d)": lambda level, i: f"output_blocks.{3 * level + 2}.{1 if level else 2}",
    r"mid_(b)lock\.resnets\.(\d)": lambda _, i: f"middle_block.{2 * i}",
    r"mid_(b)lock\.attentions\.(\d)": lambda _, i: "middle_block.1",
}


def _block(name: str) -> str:
    for pattern, theirs in _BLOCKS.items():
        if (found := re.search(pattern, name)) is not None:
            level = int(found[1]) if found[1].isdigit() else 0
            name = name.replace(found[0], theirs(level, int(found[2])), 1)
            break
    name = name.replace("norm1", "in_layers.0").replace("conv1", "in_layers.2").replace("norm2", "out_layers.0")
    name = name.replace("conv2", "out_layers.3").replace("time_emb_proj", "emb_layers.1")
    name = name.replace("conv_shortcut", "skip_connection").replace("conv_in", "input_blocks.0.0")
    name = name.replace("group_norm", "norm").replace("to_out.0", "proj_out").replace("conv_norm_out", "out.0")
    name = name.replace("conv_out", "out.2").replace("time_embedding.linear_1", "time_embed.0")
    return name.replace("time_embedding.linear_2", "time_embed.2")


@pytest.fixture(scope="module")
def theirs() -> LDMSR:
    return other()


def saved(state: State, path: Path) -> str:
    torch.save({"state_dict": state}, path)
    return str(path)


def test_compvis_own_file_is_loaded(theirs: LDMSR, tmp_path: Path) -> None:
    module = tiny(weights=saved(compvis(theirs), tmp_path / "ldm.ckpt"), allow_random_backbones=False)
    lq = photo(8, 8)
    torch.testing.assert_close(restored(module, lq), restored(theirs, lq), rtol=0, atol=0)
    assert module.weights_sha256 is not None
    assert not module.marks


def test_the_running_average_is_taken_where_there_is_one(theirs: LDMSR, tmp_path: Path) -> None:
    state = compvis(theirs)
    unet = {name: t for name, t in state.items() if name.startswith("model.")}
    averages = {f"model_ema.{name.removeprefix('model.').replace('.', '')}": t for name, t in unet.items()}
    stale = {name: torch.zeros_like(t) for name, t in unet.items()}
    module = tiny(weights=saved({**state, **stale, **averages}, tmp_path / "ldm.ckpt"))
    assert all(map(torch.equal, module.unet.net.parameters(), theirs.unet.net.parameters()))


@pytest.mark.parametrize("wrong", ["missing", "unknown", "shape", "scaled", "nan", "nothing", "no codes"])
def test_another_file_is_refused_in_one_line(theirs: LDMSR, tmp_path: Path, wrong: str) -> None:
    state, name = compvis(theirs), "model.diffusion_model.out.2.weight"
    if wrong == "missing":
        del state[name]
    elif wrong == "no codes":
        del state["first_stage_model.quantize.embedding.weight"]
    elif wrong == "nothing":
        state = {"conv.weight": torch.zeros(1)}
    else:
        extra = {
            "unknown": ("model.diffusion_model.label_emb.weight", torch.zeros(1)),
            "shape": (name, torch.zeros(2, 2)),
            "scaled": ("scale_factor", torch.tensor(0.18)),
            "nan": (name, torch.full_like(state[name], torch.nan)),
        }[wrong]
        state[extra[0]] = extra[1]
    with pytest.raises(InputError) as refused:
        tiny(weights=saved(state, tmp_path / "ldm.ckpt"))
    assert "ldm.ckpt" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_weights_it_says_which_and_how_to_get_them() -> None:
    with torch.device("meta"):
        full = LDMSR()
    with pytest.raises(InputError, match=r"srbench weights fetch ldm_bsr, .* huggingface-cli download CompVis/ldm"):
        full.prepare()
    with pytest.raises(InputError, match="tiny LDM has no published weights"):
        tiny(allow_random_backbones=False)
    with pytest.raises(InputError, match="no such folder"):
        tiny(base="not/here/at/all")


def test_a_single_file_as_base_is_sent_to_weights(theirs: LDMSR, tmp_path: Path) -> None:
    path = saved(compvis(theirs), tmp_path / "ldm.ckpt")
    with pytest.raises(InputError, match=r"give it as model\.init_args\.weights"):
        tiny(base=path)


def test_random_networks_are_stamped_and_equal_at_every_call() -> None:
    first, second = tiny(), tiny()
    assert first.marks == ("random_backbones",)
    assert all(map(torch.equal, first.unet.net.parameters(), second.unet.net.parameters()))


def test_the_full_networks_have_the_published_sizes() -> None:
    with torch.device("meta"):
        parts = LDMSR().parts()
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in parts.items()}
    assert counts == {"net": 113_622_563, "vae": 55_322_782}


def test_the_schedule_is_that_of_compvis_code() -> None:
    scheduler = ldm_networks.make_scheduler()
    scheduler.set_timesteps(100)
    assert scheduler.timesteps[[0, 1, -1]].tolist() == [991, 981, 1]
    betas = torch.linspace(0.0015**0.5, 0.0155**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), torch.cumprod(1 - betas, 0), rtol=1e-4, atol=1e-6)
    assert json.loads(scheduler.to_json_string())["clip_sample"] is False
