"""The command, run in this process (importing Lightning costs seconds a time), on images the tests make."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from srbench.cli import main

TINY = ["--model", "SRResNet", "--model.init_args.features", "8", "--model.init_args.blocks", "1"]
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]


class Ran(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``srbench ARGUMENTS`` in a fresh working folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, status: int | None = 0) -> Ran:
        capsys.readouterr()
        returned = main(list(arguments))
        gc.collect()
        captured = capsys.readouterr()
        ran = Ran(returned, captured.out, captured.err)
        assert status is None or returned == status, ran.err + ran.out
        return ran

    return command


def photograph(seed: int, height: int = 48, width: int = 56) -> np.ndarray:
    """Smooth colours with edges, (H,W,3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-3, 3, (3, 3))]
    image = np.stack(waves, -1) * 60 + 128 + 40 * ((x + y) % 2 > 1)[..., None]
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six gt images to test on and four to train on, as ``images/{test,train}``."""
    for kind, count in (("test", 6), ("train", 4)):
        place = tmp_path / "images" / kind
        place.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(photograph(i + 100 * (kind == "train"), 48 + 8 * (i % 3))).save(place / f"im{i}.png")
    return tmp_path / "images"


@pytest.fixture
def tests(folder: Path) -> list[str]:
    """Arguments that choose the six test images."""
    return ["--data", "ImagePairs", "--data.test_gt", str(folder / "test"), "--data.test_name", "six", *QUIET]


@pytest.fixture
def training(folder: Path) -> list[str]:
    """Arguments of a tiny training run: 6 batches an epoch."""
    data = ["--data", "ImagePairs", "--data.train_gt", str(folder / "train"), "--data.batch_size", "2"]
    return [*TINY, *data, "--data.patch_size", "32", "--data.samples_per_epoch", "12", *QUIET]
