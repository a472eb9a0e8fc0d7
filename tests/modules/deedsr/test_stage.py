"""Stage 2 as a whole: what it is made of, what learns, what it is steered by, and what it refuses."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from srbench.contracts import Batch
from srbench.describe_command import describe
from srbench.errors import InputError
from srbench.modules.deedsr import DeeDSR
from srbench.modules.deedsr.deedsr import Steering
from srbench.modules.nets import stable_diffusion as sd

TINY: dict[str, Any] = {"size": "tiny", "allow_random_backbones": True, "steps": 2, "short_side": 64}
RECIPE = {"steps": [{"step": "gaussian_noise", "sigma": 7.0}, {"step": "jpeg", "quality": 40.0}]}


def _stage(**more: Any) -> DeeDSR:
    torch.manual_seed(0)
    stage = DeeDSR(**{**TINY, **more})
    stage.prepare()
    stage.log = lambda *_, **__: None  # type: ignore[method-assign]
    return stage


def _batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    gt = torch.rand(2, 3, 128, 128, generator=generator)
    return Batch(lq=gt[..., ::4, ::4].contiguous(), gt=gt, name=["a", "b"], degradation=[RECIPE, RECIPE])


def _trained(stage: DeeDSR, steps: int) -> DeeDSR:
    stage.train()
    optimizer = torch.optim.Adam([p for p in stage.parameters() if p.requires_grad], lr=1e-3)
    for step in range(steps):
        loss = stage.training_step(_batch(step), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return stage.eval()


def _params(stage: DeeDSR) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in stage.named_parameters()}


# ------------------------------------------------------------------------------------------------------------- its size


def test_describe_lists_the_printed_sizes_without_weights() -> None:
    """Facts 1 to 4; Table 4's 1017.6 are 2^20, without the autoencoder."""
    found = describe(["methods/deedsr/2_adapter.yaml"], [], (128, 128))
    parts = found["parts"]
    assert parts["adapter"] == {"params": 75_903_744, "trainable": 75_903_744}
    assert parts["modulators"] == {"params": 52_979_840, "trainable": 52_979_840, "count": 22}
    assert parts["learner"] == {"params": 85_011_008, "trainable": 0}
    assert parts["unet"]["params"] + parts["modulators"]["params"] == 906_111_044
    assert found["params"] == 1_067_025_796
    assert round(found["params"] / 2**20, 1) == 1017.6
    assert parts["net"]["trainable"] == parts["unet"]["trainable"] + 75_903_744 + 52_979_840
    assert round(parts["net"]["trainable"] / 1e6, 2) == 166.46
    assert "count" not in parts["net"]


@pytest.mark.parametrize(("context", "trained", "inputs"), [(512, 37.57, 25.17), (1024, 50.35, 37.95)])
def test_the_cross_attentions_learn(context: int, trained: float, inputs: float) -> None:
    """Fact 6: 48 matrices of queries, keys and values, 80 tensors with the outputs; sizes in millions."""
    with torch.device("meta"):
        stage = DeeDSR(context=context)  # type: ignore[arg-type]
    learning = {name: p for name, p in stage.unet.named_parameters() if p.requires_grad}
    attention = {name: p for name, p in learning.items() if "attn2" in name}
    assert len(attention) == 80
    matrices = [p for name, p in attention.items() if ".to_out." not in name]
    assert len(matrices) == 48
    assert round(sum(p.numel() for p in matrices) / 1e6, 2) == inputs
    assert round(sum(p.numel() for p in attention.values()) / 1e6, 2) == trained
    projection = sorted(learning.keys() - attention.keys())
    assert projection == ([] if context == 512 else ["encoder_hid_proj.bias", "encoder_hid_proj.weight"])


# ---------------------------------------------------------------------------------------------------------- what learns


@pytest.mark.parametrize("more", [{}, {"context": 1024}, {"local": False}], ids=str)
def test_exactly_what_learns_is_in_checkpoints(more: dict[str, Any]) -> None:
    stage = _stage(**more)
    learning = {name for name, p in stage.named_parameters() if p.requires_grad}
    assert set(stage.state_dict()) == learning
    kinds = {name.split(".")[0] for name in learning}
    assert kinds == {"adapter", "unet"} | ({"modulators"} if more.get("local", True) else set())
    assert all("attn2" in name or "encoder_hid_proj" in name for name in learning if name.startswith("unet."))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"context": 1024},
        {"aware": False},
        {"local": False},
        {"prompt": "empty", "context": 1024},
        {"prompt": "degradation", "context": 1024, "aware": False},
    ],
    ids=str,
)
def test_every_weight_that_may_learn_does_and_no_other(more: dict[str, Any]) -> None:
    """Also fact 5's second half: the modulators' first convolutions have moved after a few steps."""
    stage = _stage(**more)
    before, learner = _params(stage), None if stage.learner is None else copy.deepcopy(stage.learner.net.state_dict())
    after = _params(_trained(stage, 3))
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {name for name, p in stage.named_parameters() if p.requires_grad}
    if stage.modulators is not None:
        assert sum(".shared.weight" in name for name in moved) == 22
    if stage.learner is not None:
        held = stage.learner.net.state_dict()
        assert learner is not None
        assert all(torch.equal(value, learner[name]) for name, value in held.items())


def test_recomputed_blocks_are_modulated_too() -> None:
    """Gradient checkpointing runs the UNet's blocks a second time, in the backward pass."""
    grads = []
    for checkpointing in (False, True):
        stage = _stage(checkpointing=checkpointing).train()
        assert stage.modulators is not None
        for name, p in stage.modulators.named_parameters():
            if ".shared." not in name:
                torch.nn.init.normal_(p, std=0.02)
        stage.training_step(_batch(9), 0).backward()
        grads.append({name: p.grad for name, p in stage.named_parameters() if p.requires_grad})
    for name, plain in grads[0].items():
        again = grads[1][name]
        assert plain is not None
        assert again is not None
        torch.testing.assert_close(again, plain, rtol=1e-3, atol=1e-6)


def test_the_learner_stays_in_evaluation_mode() -> None:
    stage = _stage().train()
    assert stage.learner is not None
    assert not any(net.training for net in stage.learner.net.modules())


def test_at_the_start_the_modulators_change_nothing() -> None:
    """Fact 5, first half."""
    stage, plain = _stage().eval(), sd.make_unet("sd21", "tiny", cross_attention_dim=16)
    generator = torch.Generator().manual_seed(0)
    x, z = torch.randn(1, 4, 16, 16, generator=generator), torch.randn(1, 4, 16, 16, generator=generator)
    t = torch.tensor([700])
    with torch.no_grad():
        steering = stage.conditions(torch.rand(1, 3, 32, 32, generator=generator), torch.zeros(1, 3, 128, 128), z)
        tokens = stage.adapter(z, t, steering.degradation).context
        assert torch.equal(stage.predict_noise(x, t, steering), plain(x, t, encoder_hidden_states=tokens).sample)


# ------------------------------------------------------------------------------------------------------------- sampling


def test_one_guided_step_leads_to_lq() -> None:
    """Facts 7 and 8: at 981 the network is not asked; x_961 = 0.00939 z_lr + 0.99924 x_T at eta 0."""
    stage = _stage(steps=50, start="guided", eta=0.0).eval()
    seen: list[tuple[int, Tensor]] = []
    held: dict[str, Tensor] = {}

    def noise(x_t: Tensor, t: Tensor, conditions: Steering) -> Tensor:
        seen.append((int(t), x_t.clone()))
        held["z"] = conditions.z_lr
        return torch.zeros_like(x_t)

    stage.predict_noise = noise  # type: ignore[method-assign]
    stage.upscale(torch.rand(1, 3, 16, 16))
    assert [t for t, _ in seen] == list(range(961, 0, -20))
    generator = stage.generator("image")
    torch.randn(4, 8, 8, generator=generator)  # of the autoencoder's latents of lq
    start = torch.randn(4, 8, 8, generator=generator)
    torch.testing.assert_close(seen[0][1][0], 0.00939 * held["z"][0] + 0.99924 * start, atol=2e-5, rtol=1e-4)


def test_the_adapter_runs_per_window_and_the_learner_once() -> None:
    stage = _stage(latent_tile=16, latent_overlap=8, steps=2, start="noise").eval()
    assert stage.learner is not None
    adapted, learned = [], []
    stage.adapter.register_forward_hook(lambda _, given, out: adapted.append(given[0].shape[-2:]))
    stage.learner.net.register_forward_hook(lambda _, given, out: learned.append(given[0].shape[-2:]))
    sr = stage.upscale(torch.rand(1, 3, 64, 48))
    assert sr.shape == (1, 3, 256, 192)
    assert learned == [(64, 48)]
    assert adapted == [(16, 16)] * 2 * 6  # 2 steps of 3x2 windows in 32x24 cells


def test_a_window_that_covers_the_image_changes_nothing() -> None:
    lq = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    whole, tiled = _trained(_stage(latent_tile=None), 2), _trained(_stage(latent_tile=16, latent_overlap=8), 2)
    assert torch.equal(whole.upscale(lq), tiled.upscale(lq))


def test_half_precision_gives_about_the_same() -> None:
    lq = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    full, half = _stage(start="lr"), _stage(start="lr", half="bfloat16")
    for stage in (full, half):
        stage.setup("test")
        stage.eval()
    assert next(half.unet.parameters()).dtype == torch.bfloat16
    difference = (full.upscale(lq) - half.upscale(lq)).abs()
    assert 0 < difference.mean() < 0.02


# -------------------------------------------------------------------------------------------------------------- prompts


def _contexts(stage: DeeDSR, batch: Batch) -> list[Tensor]:
    seen: list[Tensor] = []

    def hook(_: Any, given: Any, named: dict[str, Any]) -> None:
        seen.append(named["encoder_hidden_states"].clone())

    stage.unet.register_forward_pre_hook(hook, with_kwargs=True)
    stage.eval().restore(batch)
    return seen


def test_each_image_has_the_words_of_its_own_degradation() -> None:
    other = {"steps": [{"step": "jpeg", "quality": 95.0}]}
    stage = _stage(prompt="degradation", context=1024, aware=False)
    batch = Batch(lq=torch.rand(2, 3, 16, 16), name=["a", "b"], degradation=[RECIPE, other])
    first, again, second, _ = _contexts(stage, batch)
    assert stage.texts is not None
    assert torch.equal(first, again)
    assert torch.equal(first, stage.texts.embed(["medium noise, heavy compression"]))
    assert torch.equal(second, stage.texts.embed(["light compression"]))
    assert first.shape == (1, 77, 16)


def test_the_empty_prompt_is_every_image_s() -> None:
    stage = _stage(prompt="empty", context=1024)
    seen = _contexts(stage, Batch(lq=torch.rand(2, 3, 16, 16), name=["a", "b"]))
    assert stage.texts is not None
    assert all(torch.equal(context, stage.texts.embed([""])) for context in seen)


def test_words_need_to_know_the_degradation() -> None:
    stage = _stage(prompt="degradation", context=1024, aware=False)
    with pytest.raises(InputError, match="carry_degradation"):
        stage.upscale(torch.rand(1, 3, 16, 16))


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"context": 768}, "context 768 is impossible.*use 512 or 1024"),
        ({"prompt": "empti", "context": 1024}, "did you mean 'empty'"),
        ({"prompt": "empty"}, "set it to 1024"),
        ({"aware": False, "learner": "x.ckpt"}, "takes no learner"),
        ({"learner_preset": "smal"}, "did you mean 'small'"),
        ({"size": "large"}, "no size 'large'"),
    ],
)
def test_impossible_settings_are_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        DeeDSR(**{**TINY, **more})


@pytest.mark.parametrize("learner", [None, "not/here.ckpt"])
def test_a_missing_learner_names_the_stage_that_makes_it(learner: str | None) -> None:
    stage = DeeDSR(**{**TINY, "learner": learner, "allow_random_backbones": learner is not None})
    with pytest.raises(InputError, match=r"srbench fit --config methods/deedsr/1_learner.yaml") as refused:
        stage.prepare()
    assert refused.value.where == (learner or "model.init_args.learner")


def test_a_random_learner_is_the_same_in_every_run_and_stamped() -> None:
    torch.manual_seed(1)
    first = DeeDSR(**TINY)
    torch.manual_seed(2)
    second = DeeDSR(**TINY)
    assert first.learner is not None
    assert second.learner is not None
    ours, theirs = first.learner.net.state_dict(), second.learner.net.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    first.prepare()
    assert first.marks == ("random_backbones",)


def test_the_checkpoint_of_another_variant_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.ckpt"
    state = _stage(local=False).state_dict()
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.5.0"}, file)
    with pytest.raises(InputError, match="176 keys missing"):
        _stage(weights=str(file))
