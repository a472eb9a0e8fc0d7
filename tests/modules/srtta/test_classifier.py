"""Stage 1: the classifier's size and labels, one step, what it starts from, and what it refuses."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from srbench.cli import main
from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules import SRTTAClassifier
from srbench.modules.srtta.net import DegradationClassifier, labels
from srbench.weights import checkpoint_marks, load_state, load_strict

CONFIGS = ["--config", "methods/srtta/1_classifier.yaml", "--config", "trials/srtta/1_classifier.yaml"]
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.default_root_dir", "run"]


def batch(kinds: list[str] | None, count: int = 2) -> Batch:
    made = Batch(lq=torch.rand(count, 3, 32, 32), name=[f"i{i}" for i in range(count)])
    if kinds is not None:
        made["degradation"] = [{"kind": kind, "steps": []} for kind in kinds]
    return made


def test_its_size_and_keys_are_the_released_ones() -> None:
    with torch.device("meta"):
        net = DegradationClassifier()
    # torchvision's ResNet-50 has 25,557,032; then 1000 to 128 and 128 to 3.
    assert sum(p.numel() for p in net.parameters()) == 25_557_032 + 1000 * 128 + 128 + 128 * 3 + 3
    assert {name.split(".")[0] for name in net.state_dict()} == {"backbone", "head", "classifier"}
    assert "backbone.layer4.2.conv3.weight" in net.state_dict()


def test_features_have_length_1_before_the_last_layer() -> None:
    torch.manual_seed(0)
    net = DegradationClassifier("small").eval()
    images = torch.rand(2, 3, 40, 33)
    seen = F.normalize(net.head(net.backbone(images)), dim=1)
    assert torch.allclose(seen.norm(dim=1), torch.ones(2))
    assert torch.allclose(net(images), seen @ net.classifier.weight.T + net.classifier.bias, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("Original", (0, 0, 0)),
        ("GlassBlur", (1, 0, 0)),
        ("SpeckleNoise", (0, 1, 0)),
        ("JPEG", (0, 0, 1)),
        ("BlurNoiseJPEG", (1, 1, 1)),
        ("DIV2K-MC-NoiseJPEG", (0, 1, 1)),
    ],
)
def test_names_are_labels(kind: str, wanted: tuple[int, ...]) -> None:
    assert labels(kind) == wanted


def test_a_step_is_the_mean_cross_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    module = SRTTAClassifier(preset="small").eval()
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    given = batch(["GaussianBlur", "NoiseJPEG"])
    loss = module.training_step(given, 0)
    p = torch.sigmoid(module.net(given["lq"]))
    right = torch.tensor([[True, False, False], [False, True, True]])
    assert loss.item() == pytest.approx(-torch.where(right, p, 1 - p).log().mean().item(), rel=1e-5)
    loss.backward()
    assert all(q.grad is not None for q in module.parameters())


def test_without_a_truth_it_refuses() -> None:
    module = SRTTAClassifier(preset="small")
    with pytest.raises(InputError, match="not known what was done"):
        module.training_step(batch(None), 0)
    with pytest.raises(InputError, match="i1: its recipe does not name"):
        module.training_step(batch(["JPEG", ""]), 0)
    with pytest.raises(InputError, match="Set5: it is not known"):
        module.truth(batch(None), "Set5")
    assert module.truth(batch(None), "DIV2K-C-GlassBlur").tolist() == [[1, 0, 0]] * 2
    assert module.truth(batch(None), "DIV2K-C-Original").tolist() == [[0, 0, 0]] * 2


def test_it_makes_no_sr() -> None:
    with pytest.raises(InputError, match="makes no sr"):
        SRTTAClassifier(preset="small").upscale(torch.rand(1, 3, 8, 8))


def test_where_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"resnet50-0676ba61\.pth.*allow_random_backbones"):
        SRTTAClassifier().prepare()
    with pytest.raises(InputError, match="nobody has published"):
        SRTTAClassifier(preset="small").prepare()
    module = SRTTAClassifier(preset="small", allow_random_backbones=True)
    with pytest.warns(UserWarning, match="random weights"):
        module.prepare()
    assert module.marks == ("random_backbones",)


def test_imagenets_weights_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    given = DegradationClassifier().backbone
    torch.save(given.state_dict(), tmp_path / "resnet50.pth")
    module = SRTTAClassifier()
    monkeypatch.setattr(module, "backbone", lambda name: tmp_path / f"{name}.pth")
    module.prepare()
    assert all(torch.equal(v, given.state_dict()[k]) for k, v in module.net.backbone.state_dict().items())
    assert module.marks == ()


@pytest.fixture
def photos(tmp_path: Path) -> str:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(256, size=(12, 14, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((112, 104), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return str(folder)


def test_the_trial_trains(tmp_path: Path, photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = ["--data.init_args.patch_size", "64", "--data.init_args.batch_size", "4"]
    sizes += ["--data.init_args.samples_per_epoch", "8", "--trainer.log_every_n_steps", "1", *QUIET]
    assert main(["fit", *CONFIGS, "--data.init_args.gt", photos, "--trainer.max_steps", "3", *sizes]) == 0
    [log] = (tmp_path / "run").glob("logs/*/metrics.csv")
    losses = [float(row["losses/l_types"]) for row in csv.DictReader(log.open()) if row.get("losses/l_types")]
    assert len(losses) == 3
    assert all(math.isfinite(loss) and 0 < loss < 3 for loss in losses)
    saved = "run/checkpoints/last.ckpt"
    assert checkpoint_marks(saved) == ("random_backbones",)
    load_strict(DegradationClassifier("small"), load_state(saved), where=saved)


def test_validation_counts_images_of_which_all_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SRTTAClassifier(preset="small").eval()
    torch.nn.init.zeros_(module.net.classifier.weight)
    module.net.classifier.bias.data = torch.tensor([-1.0, -1.0, 2.0])  # always JPEG
    sets = [SimpleNamespace(name="DIV2K-C-JPEG"), SimpleNamespace(name="DIV2K-C-GlassBlur"), SimpleNamespace(name="x")]
    monkeypatch.setattr(module, "_trainer", SimpleNamespace(datamodule=SimpleNamespace(val_sets=sets)))
    seen: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: seen.update({name: float(value)}))
    for i in range(2):
        module.validation_step(batch(None), 0, i)
    module.validation_step(batch(["JPEG", "BlurJPEG"]), 0, 2)
    assert seen == {
        "metrics/DIV2K-C-JPEG/accuracy": 1.0,
        "metrics/DIV2K-C-GlassBlur/accuracy": 0.0,
        "metrics/x/accuracy": 0.5,
    }
