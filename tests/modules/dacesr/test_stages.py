"""Stages 2 and 3 of DACESR: their sizes, their frozen encoder, and where its condition comes from."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.describe_command import describe
from srbench.errors import InputError
from srbench.modules.dacesr import DACESRGAN, DACESRPixel
from srbench.modules.dacesr.encoder import ConditionEncoder
from srbench.modules.nets.ram import RAMTagger
from srbench.modules.nets.unet_discriminator import UNetDiscriminator

SMALL: dict[str, Any] = {"preset": "small", "encoder_size": "small", "allow_random_backbones": True}


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "no_weights"))


def _ready(**more: Any) -> DACESRPixel:
    torch.manual_seed(0)
    module = DACESRPixel(**{**SMALL, **more}).eval()
    module.setup("test")
    return module


def _batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(2, 3, 64, 64, generator=generator)
    whole = torch.rand(2, 3, 24, 24, generator=generator)
    corner = torch.tensor([[2, 3], [8, 0]])
    lq = torch.stack([w[:, t : t + 16, x : x + 16] for w, (t, x) in zip(whole, corner.tolist(), strict=True)])
    return {"lq": lq, "gt": gt, "name": ["a", "b"], "lq_whole": whole, "lq_corner": corner}


# ---------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("preset", "params", "macs"),
    [("released", 7_432_131, 509.5), ("table2", 3_651_159, 266.04), ("small", 424_428, None)],
)
def test_described_sizes(preset: str, params: int, macs: float | None) -> None:
    told = describe(["methods/dacesr/2_pixel.yaml"], ["--model.init_args.preset", preset], (256, 256))
    assert told["params"] == params
    assert macs is None or told["macs_g"] == pytest.approx(macs, abs=0.05)
    assert told["parts"]["ree"] == {"params": 195_985_460, "trainable": 0}
    assert set(told["parts"]) == {"net", "ree"}


def test_described_parts_of_the_gan_stage() -> None:
    parts = describe(["methods/dacesr/3_gan.yaml"], ["--model.init_args.preset", "table2"], (256, 256))["parts"]
    assert {name: part["params"] for name, part in parts.items()} == {
        "net": 3_651_159,
        "discriminator": 4_376_897,
        "vgg": 20_024_384,
        "ree": 195_985_460,
    }
    assert (parts["ree"]["trainable"], parts["vgg"]["trainable"]) == (0, 0)


def test_rows_are_named() -> None:
    with torch.device("meta"):
        assert DACESRPixel(preset="released", encoder="none").method == "DACESR-pixel"
        gan = DACESRGAN(discriminator=UNetDiscriminator(8), preset="small", encoder="none", perceptual_weight=0)
        assert (gan.method, gan.stage) == ("DACESR-small", "gan")
        assert DACESRPixel(preset="small", encoder="none", name="DACESR-le").method == "DACESR-le"


def test_the_released_layout_is_loaded(tmp_path: Path) -> None:
    module = DACESRPixel(preset="small", encoder="none")
    state = {name: torch.randn_like(tensor) for name, tensor in module.net.state_dict().items()}
    torch.save({"params": state}, tmp_path / "DACESR.pth")
    module.load_upstream(tmp_path / "DACESR.pth")
    assert all(torch.equal(state[name], tensor) for name, tensor in module.net.state_dict().items())
    with pytest.raises(InputError, match="another network"), torch.device("cpu"):
        DACESRPixel(preset="table2", encoder="none").load_upstream(tmp_path / "DACESR.pth")


# ---------------------------------------------------------------------------------------------------------- the encoder


def test_the_encoder_is_frozen_and_in_no_checkpoint() -> None:
    module = _ready()
    encoder = module.parts()["ree"]
    assert isinstance(encoder, RAMTagger)
    assert not hasattr(encoder, "tagging_head")  # only the representation is asked for
    assert not any(name.startswith("encoder") for name in module.state_dict())
    assert {id(p) for p in module.parameters()}.isdisjoint(id(p) for p in encoder.parameters())
    module.train()
    assert module.net.training
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    assert module.marks == ("random_backbones",)


def test_no_gradient_is_kept_for_the_encoder() -> None:
    module = _ready()
    embedding = module.encoder(torch.rand(1, 3, 20, 20, requires_grad=True))
    assert embedding is not None
    assert embedding.shape == (1, 10, 32)
    assert not embedding.requires_grad


def test_logits_come_of_the_tagging_head() -> None:
    module = _ready(embedding="logits")
    embedding = module.encoder(torch.rand(2, 3, 20, 20))
    assert embedding is not None
    assert embedding.shape == (2, 64)


def test_none_conditions_nothing() -> None:
    module = _ready(encoder="none")
    lq = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        assert torch.equal(module.upscale(lq), module.net(lq).clamp(0, 1))
    assert (module.marks, set(module.parts())) == ((), {"net"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"additions": "no/ree.ckpt"}, "srbench fit --config methods/dacesr/1_ree.yaml"),
        ({"allow_random_backbones": False}, "srbench fit --config methods/dacesr/1_ree.yaml"),
        (
            {"allow_random_backbones": False, "encoder": "ram", "encoder_size": "swin_large"},
            "srbench weights fetch ram",
        ),
        ({"allow_random_backbones": False, "encoder": "ram"}, "nobody has published weights"),
    ],
)
def test_what_is_absent_is_asked_for_by_its_command(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        _ready(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"encoder": "rem"}, "unknown encoder 'rem'"),
        ({"embedding": "tags"}, "unknown embedding 'tags'"),
        ({"encoder": "ram", "additions": "x.pth"}, "takes no low-rank additions"),
        ({"preset": "smal"}, "unknown preset 'smal'; did you mean 'small'"),
        ({"official_queue": 8}, "set model.init_args.condition to official"),
        ({"condition": "spatial", "embedding": "logits"}, "logits say nothing of places"),
    ],
)
def test_contradictions_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        DACESRPixel(**{**SMALL, **given})


# --------------------------------------------------------------------------------------------------------- conditioning


class _Asked(nn.Module):
    """Stands before an encoder and notes what it is asked."""

    def __init__(self, encoder: ConditionEncoder) -> None:
        super().__init__()
        self.__dict__["encoder"] = encoder
        self.images: list[Tensor] = []

    def forward(self, lq: Tensor) -> Tensor | None:
        self.images.append(lq)
        held = self.__dict__["encoder"]
        assert isinstance(held, ConditionEncoder)
        return held(lq)


def _listening(module: DACESRPixel) -> _Asked:
    asked = _Asked(module.encoder)
    module.__dict__["_modules"]["encoder"] = asked
    return asked


def test_the_condition_is_of_the_whole_lq_and_computed_once() -> None:
    module, batch = _ready(), _batch()
    asked = _listening(module)
    module.generate(batch)
    [image] = asked.images
    assert torch.equal(image, batch["lq_whole"])
    del batch["lq_whole"], batch["lq_corner"]
    module.generate(batch)
    assert torch.equal(asked.images[1], batch["lq"])


def test_the_condition_matters_in_training() -> None:
    module, batch = _ready(), _batch()
    with torch.no_grad():
        before = module.generate(batch)
        batch["lq_whole"] = 1 - batch["lq_whole"]
        assert (module.generate(batch) - before).abs().max() > 1e-5


@pytest.mark.parametrize("condition", ["per_sample", "spatial", "official"])
def test_tiles_share_the_images_one_condition(condition: str) -> None:
    module = _ready(condition=condition, tile=12, tile_overlap=4)
    asked = _listening(module)
    lq = torch.rand(1, 3, 30, 26)
    with torch.no_grad():
        sr = module.restore({"lq": lq, "name": ["a"]})
    [image] = asked.images
    assert torch.equal(image, lq)
    assert sr.shape == (1, 3, 120, 104)
    module.tile = None
    with torch.no_grad():
        assert torch.equal(module.restore({"lq": lq, "name": ["a"]}), module.upscale(lq))


def test_a_tile_gets_its_part_of_a_spatial_condition() -> None:
    """With a network that shows its condition, tiles are the whole image; a stretched one begins anew in each."""

    class Shows(nn.Module):
        def forward(self, lq: Tensor, condition: Tensor) -> Tensor:
            return condition[..., :1].transpose(1, 2).unflatten(2, lq.shape[-2:]).expand(-1, 3, -1, -1)

    lq = torch.rand(1, 3, 30, 26)
    for condition, same in (("spatial", True), ("per_sample", False)):
        module = _ready(condition=condition)
        module.net, module.scale = Shows(), 1
        whole = module.restore({"lq": lq, "name": ["a"]})
        module.tile, module.tile_overlap = 12, 4
        cut = module.restore({"lq": lq, "name": ["a"]})
        assert torch.allclose(cut, whole, atol=1e-5) == same
        assert whole.std() > 0


def test_the_official_queue_parts_pairs_from_conditions() -> None:
    module = _ready(condition="official", official_queue=4)
    asked = _listening(module)
    seen: list[Tensor] = []
    module.generate = _noting(module, seen)  # type: ignore[method-assign]
    given = []
    for turn in range(6):
        batch = _batch()
        batch["lq"], batch["lq_whole"] = (
            torch.full_like(batch["lq"], turn / 9),
            torch.full_like(batch["lq_whole"], turn / 9),
        )
        given.append(batch["lq_whole"])
        module.log = lambda *a, **k: None  # type: ignore[method-assign]
        module.training_step(batch, turn)
    assert all(torch.equal(a, b) for a, b in zip(asked.images, given, strict=True))  # conditions: of what came in
    values = [set((lq.amax((1, 2, 3)) * 9).round().int().tolist()) for lq in seen]
    assert values[:2] == [{0}, {1}]  # the queue fills, pairs pass
    assert all(max(trained) < turn for turn, trained in enumerate(values) if turn >= 2)  # then older pairs come


def _noting(module: DACESRPixel, seen: list[Tensor]) -> Any:
    inner = module.generate

    def generate(batch: Batch) -> Tensor:
        seen.append(batch["lq"])
        return inner(batch)

    return generate


def test_a_queue_that_does_not_fit_is_refused() -> None:
    module = _ready(condition="official", official_queue=5)
    with pytest.raises(InputError, match="5 pairs holds no whole number of batches of 2"):
        module.training_step(_batch(), 0)


# ------------------------------------------------------------------------------------------------------------- training


def test_the_pixel_stage_lowers_l1_and_reaches_every_weight() -> None:
    module = _ready(drop_path=0.0, optimizer=lambda p: torch.optim.Adam(p, lr=1e-3)).train()
    module.log = lambda *a, **k: None  # type: ignore[method-assign]
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Optimizer)
    losses = []
    for step in range(5):
        optimizer.zero_grad()
        loss = module.training_step(_batch(), step)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None and bool(p.grad.any()) for p in module.net.parameters())


def test_bf16_and_recomputed_groups_train() -> None:
    module = _ready(checkpointing=True).train()
    with torch.autocast("cpu", torch.bfloat16):
        sr = module.generate(_batch())
        loss = (sr - _batch()["gt"]).abs().mean()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in module.net.parameters())
