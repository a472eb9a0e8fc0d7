"""MUSIQ: IQA-PyTorch's own entry on the same random weights, and the official values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor
from srbench.metrics import ImageScores, find, musiq

pytest.importorskip("pyiqa")

Build = Callable[[str], ImageScores]
Texture = Callable[..., Pixels]
Plant = Callable[[str, Any], Path]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pyiqa.archs.musiq_arch import MUSIQ

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MUSIQ(pretrained=False)
    torch.nn.init.normal_(network.transformer_encoder.cls, generator=torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("musiq") / "musiq_koniq.pth"
    torch.save(network.state_dict(), path)
    return path


def test_equals_iqa_pytorch(weights: Path, plant: Plant, build: Build, texture: Texture) -> None:
    import pyiqa

    plant("musiq_koniq", weights)
    theirs = pyiqa.create_metric("musiq", device=torch.device("cpu"), pretrained_model_path=str(weights))
    images = [texture(1, 100, 150), texture(2, 100, 150)]
    expected = [float(theirs(to_tensor(image)[None])) for image in images]
    assert build("musiq")(images, None) == pytest.approx(expected, rel=1e-5)
    assert expected[0] != expected[1]


def test_batch(weights: Path, plant: Plant, build: Build, texture: Texture, check_batch: Callable[..., None]) -> None:
    plant("musiq_koniq", weights)
    check_batch(build("musiq"), [texture(seed, 64, 80) for seed in (1, 2, 3)])


def test_flat_and_tiny_images_have_values(
    weights: Path, plant: Plant, build: Build, texture: Texture, flat: Callable[..., Pixels]
) -> None:
    plant("musiq_koniq", weights)
    scores = build("musiq")
    assert all(math.isfinite(value) for value in scores([flat(0), flat(127), flat(255)], None))
    assert math.isfinite(scores([texture(1, 3, 5)], None)[0])


def test_weights_may_stand_under_module(weights: Path, plant: Plant, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    plant("musiq_koniq", {f"module.{name}": tensor for name, tensor in state.items()})
    loaded = musiq.network().state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_another_network_is_refused(plant: Plant, build: Build) -> None:
    plant("musiq_koniq", {"head.weight": torch.zeros(10, 384)})
    with pytest.raises(InputError, match="checkpoint of another network than MUSIQ"):
        build("musiq")


def test_without_the_file(plant: Plant, build: Build) -> None:
    with pytest.raises(MetricUnavailable, match=r"unavailable: musiq_koniq_ckpt-e95806b9\.pth"):
        build("musiq")


def test_what_the_records_say() -> None:
    metric = find("musiq")
    assert (metric.kind, metric.higher_is_better, metric.weights) == ("no_reference", True, ("musiq_koniq",))


def test_official_values(
    official: Build, pairs: list[tuple[Pixels, Pixels]], official_values: Callable[[str], list[float]]
) -> None:
    scores = official("musiq")
    values = [scores([sr], None)[0] for sr, _ in pairs]
    # What IQA-PyTorch prints for itself in its calibration_summary.csv; two runs of it there differ by 0.0013
    assert values == pytest.approx([12.4785, 75.7772, 73.7454, 75.4609, 38.0257], abs=5e-3)
    assert values == pytest.approx(official_values("musiq"), rel=0.03)  # the authors' TensorFlow release
