"""MANIQA: IQA-PyTorch's own entries on the same random weights, with both settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor
from srbench.metrics import ImageScores, find, maniqa
from srbench.metrics.backends import batch

pytest.importorskip("pyiqa")

Build = Callable[[str], ImageScores]
Texture = Callable[..., Pixels]
Plant = Callable[[str, Any], Path]


def _theirs(name: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """IQA-PyTorch's metric without its downloads."""
    import pyiqa
    import timm
    from pyiqa.archs import maniqa_arch

    def create_model(model: str, pretrained: bool) -> torch.nn.Module:
        return timm.create_model(model, pretrained=False)

    monkeypatch.setattr(maniqa_arch, "timm", SimpleNamespace(create_model=create_model))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return pyiqa.create_metric(name, device=torch.device("cpu"), pretrained=False, **options)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        network = _theirs("maniqa", monkeypatch).net
    path = tmp_path_factory.mktemp("maniqa") / "ckpt_koniq10k.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("name", "theirs"), [("maniqa_koniq", "maniqa"), ("maniqa_pipal", "maniqa-pipal")])
def test_equals_iqa_pytorch(
    name: str, theirs: str, weights: Path, plant: Plant, texture: Texture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(name, weights)
    ours: Any = maniqa.network(name).eval()
    reference = _theirs(theirs, monkeypatch)
    reference.net.load_state_dict(torch.load(weights, weights_only=True))
    assert ours.test_sample == reference.net.test_sample == 20
    ours.test_sample = reference.net.test_sample = 2  # ten times faster; where the crops lie is the same code
    image = texture(1, 240, 250)
    with torch.inference_mode():
        value = float(ours(batch([image], "cpu")))
    assert value == pytest.approx(float(reference(to_tensor(image)[None])), abs=1e-5)


@pytest.mark.slow
def test_the_two_weights_have_different_scales(weights: Path, plant: Plant, texture: Texture) -> None:
    values = []
    for name in ("maniqa_koniq", "maniqa_pipal"):
        plant(name, weights)
        network: Any = maniqa.network(name).eval()
        network.test_sample = 1
        with torch.inference_mode():
            values.append(float(network(batch([texture(1, 230, 230)], "cpu"))))
    assert abs(values[0] - values[1]) > 1e-6


@pytest.mark.slow
def test_batch_small_and_flat_images(
    weights: Path, plant: Plant, build: Build, texture: Texture, flat: Callable[..., Pixels], monkeypatch: Any
) -> None:
    plant("maniqa_koniq", weights)
    whole = maniqa.network

    def quick(name: str) -> torch.nn.Module:
        network: Any = whole(name)
        network.test_sample = 1
        return network

    monkeypatch.setattr(maniqa, "network", quick)
    scores = build("maniqa_koniq")
    images = [texture(1, 64, 64), flat(0, 64), flat(127, 64)]  # 64 pixels are enlarged to 225
    values = scores(images, None)
    assert all(math.isfinite(value) for value in values)
    assert scores(images[:1], None) == values[:1]
    with pytest.raises(
        InputError, match=r"90x31 pixels are too few for maniqa_koniq, which needs sides of at least 32"
    ):
        scores([texture(1, 31, 90)], None)


def test_enlarging_starts_at_224(texture: Texture) -> None:
    from pyiqa.archs.arch_util import uniform_crop

    small, large = (torch.from_numpy(np.zeros((1, 3, side, side), dtype=np.float32)) for side in (224, 300))
    assert uniform_crop([small], 224, 20).shape == uniform_crop([large], 224, 20).shape == (20, 3, 224, 224)


@pytest.mark.parametrize("name", ["maniqa_koniq", "maniqa_pipal"])
def test_without_the_file(name: str, plant: Plant, build: Build) -> None:
    with pytest.raises(MetricUnavailable, match=r"unavailable: (ckpt_koniq10k\.pt|MANIQA_PIPAL-ae6d356b\.pth)"):
        build(name)


@pytest.mark.slow
def test_a_checkpoint_without_its_vit_is_refused(weights: Path, plant: Plant, build: Build) -> None:
    state = torch.load(weights, weights_only=True)
    plant("maniqa_koniq", {name: tensor for name, tensor in state.items() if not name.startswith("vit.")})
    with pytest.raises(
        InputError, match=r"checkpoint of another network than MANIQA: 1\d\d keys missing \(first vit\."
    ):
        build("maniqa_koniq")


def test_what_the_records_say() -> None:
    for name in ("maniqa_koniq", "maniqa_pipal"):
        metric = find(name)
        assert (metric.kind, metric.higher_is_better, metric.weights) == ("no_reference", True, (name,))
