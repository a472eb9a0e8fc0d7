"""Both stages of CasSR at tiny size: what trains, what is kept, guidance, windows, references, switches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules import Bicubic, CasSR, CasSRActivation
from srbench.modules.cassr.given import Given
from srbench.modules.nets.stable_diffusion import Window

TINY: dict[str, Any] = {"size": "tiny", "allow_random_backbones": True, "short_side": 64, "steps": 2}


def picture(side: int = 16, seed: int = 0, count: int = 1) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def batch(side: int = 16, seed: int = 0, **more: Any) -> Batch:
    return Batch(lq=picture(side, seed), name=["a"], **more)  # type: ignore[typeddict-item]


def cassr(**more: Any) -> CasSR:
    """A stage 2 whose ControlNet and attention say something."""
    torch.manual_seed(0)
    made = CasSR(**{**TINY, "reference": "lq", "zero_init": False, **more})
    made.setup("test")
    for name, parameter in made.controlnet.named_parameters():
        if "controlnet_" in name and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def activation(**more: Any) -> CasSRActivation:
    torch.manual_seed(0)
    made = CasSRActivation(**{**TINY, **more})
    made.setup("test")
    for parameter in made.tuners.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.1)
    return made.eval()


# ----------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(("tuner", "trained"), [("csc", "tuners"), ("sc", "tuners"), ("controlnet", "controlnet")])
def test_stage_1_trains_its_tuners_alone(tuner: Any, trained: str) -> None:
    torch.manual_seed(0)
    module = CasSRActivation(**TINY, tuner=tuner)
    held = module.training_conditions(Batch(lq=picture(count=2), name=["a", "b"]), None)
    loss = module.predict_noise(torch.randn(2, 4, 8, 8), torch.tensor([1, 9]), held).square().mean()
    loss.backward()
    assert all(p.grad is None for p in module.unet.parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in module.tuners.parameters())
    assert {name.split(".")[0] for name, p in module.named_parameters() if p.requires_grad} == {"tuners"}
    assert {name.split(".")[0] for name in module.state_dict()} == {"tuners"}
    assert list(module.parts())[:3] == ["net", "unet", trained]


def test_stage_2_trains_controlnet_and_attentions_alone() -> None:
    torch.manual_seed(0)
    module = CasSR(**TINY, reference="scedit")
    given = Batch(lq=picture(count=2), name=["a", "b"], ref=picture(64, 1, 2))
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=1.0)
    inputs = (torch.randn(2, 4, 8, 8), torch.tensor([1, 9]))
    plain = module.unet(*inputs, module.wording.describing(given["name"], given["lq"]))
    for step in range(3):
        held = module.training_conditions(given, None)
        predicted = module.predict_noise(*inputs, held)
        if step == 0:
            assert float((predicted - plain.sample).detach().abs().max()) <= 1e-6
        optimizer.zero_grad()
        predicted.square().mean().backward()
        optimizer.step()
    assert all(p.grad is None for p in module.unet.parameters())
    assert {name.split(".")[0] for name in module.state_dict()} == {"controlnet", "attentions"}
    assert module.attentions is not None
    silent = [name for name, p in module.attentions.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert not [name for name in silent if "to_v" in name or "to_out" in name]
    assert bool(module.controlnet.controlnet_cond_embedding.conv_out.weight.grad.any())


@pytest.mark.parametrize("more", [{}, {"features": "after", "zero_init": False}, {"plain_block": True}], ids=str)
def test_without_skips_all_that_trains_has_a_gradient(more: dict[str, Any]) -> None:
    """Or DDP would stop; what only the skips would show is frozen."""
    module = cassr(add_to_skips="none", reference="external", reference_model=Bicubic(), **more)
    held = module.training_conditions(Batch(lq=picture(count=2), name=["a", "b"]), None)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    module.predict_noise(x, torch.tensor([5, 900]), held).square().mean().backward()
    silent = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert not silent
    frozen = [name for name, p in module.controlnet.named_parameters() if not p.requires_grad]
    assert frozen
    assert any(name.startswith("down_blocks.3.") for name in frozen) != bool(more.get("plain_block"))


def test_recomputing_blocks_changes_no_gradient() -> None:
    grads = []
    for checkpointing in (False, True):
        module = cassr(checkpointing=checkpointing).train()
        held = module.training_conditions(Batch(lq=picture(count=2), name=["a", "b"]), None)
        x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        module.predict_noise(x, torch.tensor([5, 900]), held).square().mean().backward()
        grads.append([p.grad for p in module.parameters() if p.grad is not None])
    assert len(grads[0]) == len(grads[1]) > 0
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


def test_half_precision_runs_with_every_part() -> None:
    first = activation(half="bfloat16", tuner="controlnet")
    module = cassr(half="bfloat16", slicing=True, plain_block=True, reference="controlnet", reference_model=first)
    sr = module.restore(batch())
    assert sr.shape == (1, 3, 64, 64)
    assert bool(torch.isfinite(sr).all())
    assert next(module.unet.parameters()).dtype == torch.bfloat16
    assert next(module.controlnet.parameters()).dtype == torch.float32


def test_attention_off_is_not_in_it() -> None:
    module = CasSR(**TINY, reference="lq", multi_attention=False)
    assert set(module.parts()) == {"net", "unet", "controlnet", "vae"}


# ----------------------------------------------------------------------------------------------------------- guidance


@pytest.mark.parametrize("make", [cassr, activation])
def test_without_guidance_only_the_condition_is_asked(make: Any) -> None:
    plain = make(guidance=1.0, negative_prompt="blurry").restore(batch())
    assert torch.equal(plain, make(guidance=1.0, negative_prompt="lowres, noise").restore(batch()))
    assert not torch.equal(plain, make(guidance=1.0, prompt="dark").restore(batch()))
    one, other = (make(guidance=5.0, negative_prompt=said).restore(batch()) for said in ("blurry", "lowres, noise"))
    assert not torch.equal(one, other)
    same = make(guidance=5.0, prompt="clean", negative_prompt="clean")
    assert torch.allclose(same.restore(batch()), make(guidance=1.0, prompt="clean").restore(batch()), atol=1e-4)


def test_the_other_side_may_lack_the_images_too() -> None:
    said = {"prompt": "clean", "negative_prompt": "clean", "guidance": 5.0}
    text = cassr(**said).restore(batch())
    assert not torch.allclose(text, cassr(**said, unconditional="text_and_images").restore(batch()), atol=1e-4)


def test_switches_change_what_is_predicted() -> None:
    x, t = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([400])
    made: list[Tensor] = []
    changed: list[dict[str, Any]] = [
        *({"add_to_skips": kind} for kind in ("sum", "mean", "lq", "ref", "none")),
        *({"features": "after"}, {"multi_attention": False}, {"norm": False}, {"heads": 1}, {"plain_block": True}),
    ]
    for settings in changed:
        module = cassr(**settings, reference="external", reference_model=Bicubic())
        held = module.training_conditions(Batch(lq=picture(), name=["a"], ref=picture(64, 5)), None)
        with torch.no_grad():
            made.append(module.predict_noise(x, t, held))
    distances = [float((a - b).abs().max()) for i, a in enumerate(made) for b in made[:i]]
    assert min(distances) > 1e-6


# ------------------------------------------------------------------------------------------------------------ windows


def test_windows_cut_pixels_and_hints() -> None:
    module = activation()
    image = picture(128)
    held = module._seeing(image, torch.zeros(1, 77, 16))
    assert held.hints is not None
    cut = module.cropped(held._replace(images=(image,)), Window(8, 16, 0, 8))
    assert torch.equal(cut.images[0], image[..., 64:128, 0:64])
    assert cut.hints is not None
    assert torch.equal(cut.hints[0], held.hints[0][..., 8:16, 0:8])
    assert torch.equal(cut.hints[-1], held.hints[-1][..., 1:2, 0:1])
    assert [h.shape[-1] for h in cut.hints] == [8] * 3 + [4] * 3 + [2] * 3 + [1] * 3


@pytest.mark.parametrize("make", [cassr, activation])
def test_one_window_is_the_whole_and_several_are_sampled(make: Any) -> None:
    wide = Batch(lq=picture(32), name=["a"])
    whole = make(latent_tile=None).restore(wide)
    assert torch.equal(whole, make(latent_tile=16, latent_overlap=8).restore(wide))
    tiled = make(latent_tile=8, latent_overlap=0).restore(wide)
    assert tiled.shape == (1, 3, 128, 128)
    assert not torch.equal(tiled, whole)


# --------------------------------------------------------------------------------------------------------- references


def test_a_models_reference_is_what_it_makes_by_itself() -> None:
    first = activation()
    alone = first.restore(batch())
    given = cassr(reference="scedit").restore(batch(ref=alone))
    made = cassr(reference="scedit", reference_model=first)
    assert torch.equal(made.restore(batch()), given)
    assert not torch.equal(given, cassr(reference="lq").restore(batch()))
    assert "random_backbones" in made.marks
    assert not any(name.startswith("reference") for name, _ in made.named_parameters())


@pytest.mark.parametrize("tuner", ["csc", "controlnet"])
def test_stage_1_works_with_the_base_of_stage_2(tuner: Any) -> None:
    """The same images, from one UNet, autoencoder and text encoder; none where formats or places differ."""
    made = []
    for share_base in (True, False):
        torch.manual_seed(1)
        first = CasSRActivation(**TINY, tuner=tuner)
        for name, parameter in first.tuners.named_parameters():
            if not bool(parameter.any()) and (tuner == "csc" or name.startswith("controlnet_")):
                torch.nn.init.normal_(parameter, std=0.1)
        kind: Any = "scedit" if tuner == "csc" else "controlnet"
        module = cassr(reference=kind, reference_model=first, share_base=share_base)
        assert (first.unet is module.unet) == share_base
        assert (first.vae.net is module.vae.net) == share_base
        assert (first.wording.prompts is module.wording.prompts) == share_base
        assert module.marks == ("random_backbones",)
        assert not any(name.startswith("reference") for name in module.state_dict())
        made.append(module.restore(batch()))
    assert torch.equal(*made)


@pytest.mark.parametrize("other", [{"half": "bfloat16"}, {"family": "sd21"}, {"slicing": True}, {"offload": True}])
def test_a_base_that_differs_is_not_shared(other: dict[str, Any]) -> None:
    first = CasSRActivation(**{**TINY, **other})
    module = CasSR(**TINY, reference="scedit", reference_model=first)
    module.setup("test")
    assert first.unet is not module.unet


def test_any_method_makes_references_and_odd_sizes_lie_on_one_canvas() -> None:
    module = cassr(reference="external", reference_model=Bicubic(), short_side=80)
    lq = torch.rand(1, 3, 17, 23)
    sr = module.restore(Batch(lq=lq, name=["a"]))
    assert sr.shape == (1, 3, 68, 92)
    ref = Bicubic().restore(Batch(lq=lq, name=["a"]))
    assert torch.equal(sr, module.restore(Batch(lq=lq, name=["a"], ref=ref)))


def test_images_do_not_depend_on_their_company() -> None:
    module = cassr(reference="external", reference_model=Bicubic())
    both = module.restore(Batch(lq=torch.cat([picture(), picture(seed=1)]), name=["a", "b"]))
    assert torch.equal(both[1:], module.restore(Batch(lq=picture(seed=1), name=["b"])))
    assert not torch.equal(both[:1], module.restore(Batch(lq=picture(), name=["c"])))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"reference": "external"}, "needs a method"),
        ({"reference": "controlnet", "reference_model": "csc"}, "is not what CasSRActivation with tuner csc makes"),
        ({"reference": "scedt"}, "did you mean 'scedit'"),
        ({"add_to_skips": "both"}, "unknown add_to_skips 'both'"),
        ({"plain_block": True, "checkpointing": True}, "would miss the attention"),
        ({"prompt_dropout": 2.0}, "a share of 2.0"),
        ({"captions": "a.csv", "captioner": "b"}, "not from both"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], says: str) -> None:
    if given.get("reference_model") == "csc":
        given = {**given, "reference_model": CasSRActivation(**TINY)}
    with pytest.raises(InputError, match=says):
        CasSR(**{**TINY, **given})


def test_a_missing_reference_and_another_scale_are_named() -> None:
    module = CasSR(**TINY, reference="scedit")
    module.setup("test")
    with pytest.raises(InputError, match="there is no reference image of it") as caught:
        module.restore(batch())
    assert str(caught.value).startswith("a: ")
    with pytest.raises(InputError, match="magnifies by 2, this one by 4"):
        CasSR(**TINY, reference="external", reference_model=Bicubic(scale=2)).setup("test")


@pytest.mark.parametrize("make", [cassr, activation])
def test_too_long_a_prompt_is_refused(make: Any) -> None:
    with pytest.raises(InputError, match=r"^clean, clean.* has \d+ tokens, the text encoder reads 75; shorten it$"):
        make(prompt="clean, " * 40).restore(batch())


def test_stage_1_refuses_what_never_sees_lq() -> None:
    with pytest.raises(InputError, match="never see lq"):
        CasSRActivation(**TINY, tuner="sc", start="noise")
    with pytest.raises(InputError, match="there is no tuner 'lora'"):
        CasSRActivation(**TINY, tuner="lora")


def test_the_opposite_of_a_batch_has_its_size() -> None:
    given = Given(torch.zeros(3, 77, 16), torch.ones(1, 77, 16), (picture(),))
    assert given.unprompted().text.shape == (3, 77, 16)
    assert given.unprompted(images=False).images == ()
