"""SRTTA as a method: fact 12 of its acceptance, what it falls back to, determinism and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules import SRTTA, ZSSR, Bicubic
from srbench.modules.srtta.net import DegradationClassifier
from srbench.modules.srtta.settings import Learning

from .small_edsr import Make, SmallEDSR


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def answering(types: list[float]) -> DegradationClassifier:
    """A classifier that finds the same in every image: logits of ``types``."""
    net = DegradationClassifier("small")
    nn.init.zeros_(net.classifier.weight)
    net.classifier.bias.data = torch.tensor(types)
    return net


# -------------------------------------------------------------------------------------------------------- acceptance


def test_the_body_alone_learns(make: Make, photo: Tensor) -> None:
    module = make()
    before = state(module.base)
    module.restore(Batch(lq=photo, name=["a"]))
    assert module._adaptation is not None
    trainable = {name for name, p in module._adaptation.net.named_parameters() if p.requires_grad}
    assert trainable == {
        name for name, _ in module._adaptation.net.named_parameters() if name.startswith(("body.", "conv_after_body."))
    }
    after = state(module._adaptation.net)
    source = state(module.base.parts()["net"])
    moved = {name for name in after if not torch.equal(after[name], source[name])}
    assert moved == trainable
    assert same(state(module.base), before)  # the given network stays as it was given
    assert list(module.parameters()) == []


def test_half_of_each_tensor_is_the_sources_after_every_step(make: Make, photo: Tensor) -> None:
    module = make()
    adaptation = module._ready()
    steps = adaptation.step

    def checked(patches: Tensor, degraded: Tensor) -> bool:
        fine = steps(patches, degraded)
        for name, parameter in adaptation.body.items():
            assert int((parameter == adaptation.start[name]).sum()) == parameter.numel() // 2, name
        return fine

    adaptation.step = checked
    module.learn(photo, "a", module.generator("a"))
    kept = adaptation.kept
    assert set(kept) == set(adaptation.body)
    for name, parameter in adaptation.body.items():
        assert torch.equal(parameter[kept[name]], adaptation.start[name][kept[name]])


@pytest.mark.parametrize("how", ["known", "classifier"])
def test_an_image_found_clean_is_the_bases_own(make: Make, photo: Tensor, tmp_path: Path, how: str) -> None:
    torch.save(answering([-1.0, -2.0, -0.5]).state_dict(), tmp_path / "c.pt")
    asks: dict[str, Any] = {"known": None, "classifier": str(tmp_path / "c.pt"), "classifier_preset": "small"}
    module = make(**(asks if how == "classifier" else {"known": []}))
    with torch.inference_mode():
        sr = module.test_step(Batch(lq=photo, name=["a"]), 0)["sr"]
        own = SmallEDSR().test_step(Batch(lq=photo, name=["a"]), 0)["sr"]
    assert torch.equal(sr, own)
    assert not torch.equal(sr, make().restore(Batch(lq=photo, name=["a"])))  # which adapts


# ------------------------------------------------------------------------------------------------------ determinism


def test_neither_order_nor_neighbours_matter(make: Make, photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    both = torch.cat([photo, photo.flip(-1)])
    one = make().restore(Batch(lq=both, name=["a", "b"]))
    turned = make().restore(Batch(lq=both.flip(0), name=["b", "a"]))
    assert torch.equal(one, turned.flip(0))
    assert torch.equal(one[1:], make().restore(Batch(lq=both[1:], name=["b"])))
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    assert not torch.equal(one, make().restore(Batch(lq=both, name=["a", "b"])))


def test_without_reset_an_image_changes_the_next(make: Make, photo: Tensor) -> None:
    both = Batch(lq=torch.cat([photo, photo.flip(-1)]), name=["a", "b"])
    carried, fresh = make(reset="lifelong").restore(both), make().restore(both)
    assert torch.equal(carried[0], fresh[0])
    assert not torch.equal(carried[1], fresh[1])
    assert torch.equal(carried, make(reset="lifelong").restore(both))


def test_no_steps_are_the_base(make: Make, photo: Tensor) -> None:
    module = make(learning=Learning(iterations=0))
    assert torch.equal(module.upscale(photo), SmallEDSR().upscale(photo))


# --------------------------------------------------------------------------------------------------------- fallbacks


def infinite(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=float("inf"))


@pytest.mark.parametrize("reset", ["image", "lifelong"])
def test_a_divergence_restores_the_given_weights_and_is_remarked(make: Make, photo: Tensor, reset: str) -> None:
    module = make(optimizer=infinite, reset=reset)
    restored = module.test_step(Batch(lq=photo, name=["a"]), 0)
    assert torch.equal(restored["sr"], SmallEDSR().upscale(photo))
    [[note]] = restored["notes"]
    assert "diverged at step 1" in note
    assert module._adaptation is not None
    assert same(state(module._adaptation.net), state(module.base.parts()["net"]))


def test_a_small_image_is_restored_as_given_and_remarked(make: Make, photo: Tensor) -> None:
    restored = make().test_step(Batch(lq=photo[..., :10, :], name=["a"]), 0)
    assert torch.equal(restored["sr"], SmallEDSR().upscale(photo[..., :10, :]))
    assert "30x10 pixels are too few" in restored["notes"][0][0]


def test_images_below_a_patch_and_constant_ones_adapt(make: Make, photo: Tensor) -> None:
    module = make(learning=Learning(iterations=2, batch=2, patch=64))
    for lq in (photo[..., :11, :13], torch.full((1, 3, 12, 12), 0.5)):
        restored = module.test_step(Batch(lq=lq, name=["a"]), 0)
        assert "notes" not in restored
        assert torch.isfinite(restored["sr"]).all()
        assert not torch.equal(restored["sr"], SmallEDSR().upscale(lq))


# ---------------------------------------------------------------------------------------------------------- starting


def test_what_the_classifier_finds_is_what_is_done(make: Make, photo: Tensor, tmp_path: Path) -> None:
    torch.save(answering([-1.0, 2.0, 0.5]).state_dict(), tmp_path / "c.pt")
    asks: dict[str, Any] = {"known": None, "classifier": str(tmp_path / "c.pt"), "classifier_preset": "small"}
    assert torch.equal(make(**asks).upscale(photo), make(known=["noise", "jpeg"]).upscale(photo))
    assert torch.equal(make(**asks, threshold=0.7).upscale(photo), make(known=["noise"]).upscale(photo))


def test_channels_are_reversed_when_asked(make: Make, photo: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(DegradationClassifier("small").state_dict(), tmp_path / "c.pt")
    asks: dict[str, Any] = {"known": None, "classifier": str(tmp_path / "c.pt"), "classifier_preset": "small"}
    plain, turned = make(**asks).detector, make(**asks, reverse_channels=True).detector
    assert plain is not None
    assert turned is not None
    seen: list[Tensor] = []
    turned.net.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    turned.types(photo)
    assert torch.equal(seen[0], photo[:, [2, 1, 0]])
    assert turned.types(photo.flip(1)) == plain.types(photo)


def test_marks_of_the_base_the_classifier_and_its_absence(make: Make, tmp_path: Path) -> None:
    assert make().marks == ()
    base = SmallEDSR()
    base.stamp("oracle")
    assert make(model=base).marks == ("oracle", "random_backbones")  # nobody gave it weights
    absent: dict[str, Any] = {"known": None, "classifier_preset": "small", "allow_random_backbones": True}
    assert make(**absent).marks == ("random_backbones",)
    held = {"state_dict": answering([0.0] * 3).state_dict(), "pytorch-lightning_version": "2", "marks": ["oracle"]}
    torch.save(held, tmp_path / "ours.ckpt")
    assert make(known=None, classifier_preset="small", classifier=str(tmp_path / "ours.ckpt")).marks == ("oracle",)
    assert SRTTA.needs_weights


def test_weights_are_the_bases(make: Make, tmp_path: Path, photo: Tensor) -> None:
    other = SmallEDSR()
    with torch.no_grad():
        other.net.conv_last.bias.add_(3.0)  # type: ignore[union-attr, operator]
    torch.save(other.net.state_dict(), tmp_path / "w.pth")
    module = make(weights=str(tmp_path / "w.pth"), known=[])
    assert torch.equal(module.upscale(photo), other.upscale(photo))
    assert module.weights_sha256 is not None
    assert module.method == "SmallEDSR-SRTTA"
    assert make(reset="lifelong").method == "SmallEDSR-SRTTA-lifelong"
    assert make(name="Mine").method == "Mine"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"known": None}, "there is none.*1_classifier.yaml"),
        ({"known": None, "classifier": "not/here.pt"}, "not/here.pt: SRTTA asks a classifier"),
        ({"known": ["rain"]}, "'rain' is no type"),
        ({"clean_lq": None}, "clean lq images, and there are none"),
        ({"clean_lq": "not/here"}, "not/here"),
        ({"reset": "never"}, "there is no reset 'never'"),
        ({"model": Bicubic(scale=2)}, "not known what the body"),
        ({"model": ZSSR(scale=2)}, "ZSSR learns by itself"),
        ({"model": SmallEDSR(4)}, "x4, this adaptation x2"),
        ({"body": ["nothing"], "tail": "conv_last"}, "no part 'nothing'"),
        ({"body": ["body"]}, "a body needs a tail"),
        ({"known": None, "threshold": 2.0}, "threshold of 2"),
    ],
)
def test_what_does_not_fit_is_refused(make: Make, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make(**changed)


def test_without_preservation_nothing_clean_is_needed(make: Make, photo: Tensor) -> None:
    module = make(clean_lq=None, learning=Learning(iterations=2, batch=2, patch=16, preserved=0.0))
    module.upscale(photo)
    assert module._adaptation is not None
    assert not module._adaptation.kept
    changed = [(p != module._adaptation.start[n]).float().mean() for n, p in module._adaptation.body.items()]
    assert min(changed) > 0.5


@pytest.mark.parametrize(
    ("field", "value"),
    [("iterations", -1), ("batch", 0), ("patch", 8), ("eps", 0.0), ("preserved", 1.5), ("teacher_weight", -1.0)],
)
def test_impossible_numbers_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{field} {value:g} is impossible"):
        Learning(**{field: value})
