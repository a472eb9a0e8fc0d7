"""Weights that a test makes from a seed, and images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import srbench.weight_files
from srbench.errors import MetricUnavailable
from srbench.images import Pixels, read_image
from srbench.metrics import ImageMetric, ImageScores, find

CALIBRATION = ("I03", "I04", "I06", "I08", "I19")

Texture = Callable[..., Pixels]
Plant = Callable[[str, Any], Path]
Build = Callable[[str], ImageScores]


def _texture(seed: int, height: int = 96, width: int = 131) -> Pixels:
    """Blocks of colour with noise on them, so that statistics differ from place to place."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 200, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1)))
    return (blocks[:height, :width] + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)


def _flat(level: int, side: int = 128) -> Pixels:
    return np.full((side, side, 3), level, dtype=np.uint8)


@pytest.fixture
def texture() -> Texture:
    """(seed, height, width) to an image."""
    return _texture


@pytest.fixture
def flat() -> Callable[..., Pixels]:
    """(level, side) to an image of one grey."""
    return _flat


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Puts a file where a metric looks for the weights of that catalogue name; a path goes in as it is.

    Weights of a test cannot have the published hash, so ``need`` is replaced and finds nothing but what was planted.
    """
    planted: dict[str, Path] = {}

    def need(name: str) -> Path:
        if name not in planted:
            raise MetricUnavailable(f"unavailable: {srbench.weight_files.find(name).file}")
        return planted[name]

    def put(name: str, held: Any) -> Path:
        import torch

        if not isinstance(held, Path):
            path = tmp_path / srbench.weight_files.find(name).file
            torch.save(held, path)
            held = path
        planted[name] = held
        return held

    monkeypatch.setattr(srbench.weight_files, "need", need)
    return put


@pytest.fixture
def backbone(plant: Plant) -> Callable[[str], dict[str, Any]]:
    """Plants torchvision's alexnet or vgg16 with random weights from a seed, and gives its state."""

    def make(name: str, seed: int = 0) -> dict[str, Any]:
        state = _random_backbone(name, seed)
        plant(name, state)
        return state

    return make


def _random_backbone(name: str, seed: int = 0) -> dict[str, Any]:
    """A state of torchvision's shapes without its three big classifier layers, which no metric reads."""
    import torch
    import torchvision

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None)
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, tensor in model.state_dict().items():
        if not key.startswith("features."):
            state[key] = torch.zeros(1)
            continue
        fan_in = tensor[0].numel() if tensor.dim() > 1 else 100
        state[key] = torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5
    return state


def _metric_of(name: str) -> ImageMetric:
    """An image metric by its id, of the type that has ``make``."""
    metric = find(name)
    assert isinstance(metric, ImageMetric)
    return metric


@pytest.fixture
def build() -> Build:
    """Builds a metric for the CPU."""
    return lambda name: _metric_of(name).make("cpu")


@pytest.fixture
def official() -> Build:
    """Builds a metric on the published weights of ``$SRBENCH_WEIGHTS``, or skips."""

    def make(name: str) -> ImageScores:
        if not os.environ.get("SRBENCH_WEIGHTS"):
            pytest.skip("no published weights: set SRBENCH_WEIGHTS")
        try:
            return _metric_of(name).make("cpu")
        except MetricUnavailable as reason:
            pytest.skip(f"{name}: {reason}")

    return make


@pytest.fixture(scope="session")
def pairs(shared: Path) -> list[tuple[Pixels, Pixels]]:
    """The five calibration pairs, (distorted, reference), 512x384."""
    folder = shared / "data" / "iqa_calibration"
    return [
        (read_image(folder / "dist_dir" / f"{i}.bmp").pixels, read_image(folder / "ref_dir" / f"{i}.bmp").pixels)
        for i in CALIBRATION
    ]


@pytest.fixture(scope="session")
def official_values(shared: Path) -> Callable[[str], list[float]]:
    """A row of IQA-PyTorch's results_official.csv: what the metrics' authors' own programs gave."""
    lines = (shared / "data" / "iqa_calibration" / "results_official.csv").read_text(encoding="utf-8").splitlines()
    rows = {name: [float(v) for v in values] for name, *values in (line.split(",") for line in lines[1:])}
    return lambda name: rows[name]


@pytest.fixture
def check_batch() -> Callable[..., None]:
    """(scores, sr, gt): an image's value is the same alone and in company."""
    return _check_batch


def _check_batch(scores: ImageScores, sr: Sequence[Pixels], gt: Sequence[Pixels] | None = None) -> None:
    together = scores(sr, gt)
    alone = [scores([a], None if gt is None else [gt[i]])[0] for i, a in enumerate(sr)]
    assert together == pytest.approx(alone, rel=1e-6, abs=1e-6)
    assert scores(sr[:1], None if gt is None else gt[:1]) == alone[:1]
    assert len(set(alone)) == len(alone), "the images were to have different values"
