"""Whole runs of DASR's stages by the command line: in a row, stopped and resumed, tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main
from srbench.weights import read_checkpoint

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1"]
DATA = [
    "--data",
    "ImagePairs",
    "--data.train_gt",
    "gt",
    "--data.samples_per_epoch",
    "8",
    "--data.init_args.batch_size",
    "2",
]
SMALL = [f"--model.init_args.{size}" for size in ("features=4", "blocks=1", "experts=2")]
SMALL += ["--data.init_args.patch_size", "32", "--data.init_args.degradation.init_args.crop", "80"]
ALONE = ["--model.init_args.allow_random_backbones", "true", "--model.init_args.previous", "null"]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with images, and no outside weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    (tmp_path / "gt").mkdir()
    for i in range(3):
        y, x = np.mgrid[:72, :72] / (9 + i)
        image = np.stack([np.sin(x + 2 * y), np.cos(y - x), np.sin(3 * x)], -1) * 90 + 128
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "gt" / f"{i}.png")


def fit(config: str, folder: str, steps: int, *more: str, status: int = 0) -> None:
    where = ["--trainer.default_root_dir", folder, "--trainer.max_steps", str(steps)]
    assert main(["fit", "--config", config, *DATA, *SMALL, *QUIET, *where, *more]) == status


def last(folder: str) -> dict[str, Any]:
    held: dict[str, Any] = read_checkpoint(f"{folder}/checkpoints/last.ckpt")
    return held


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["state_dict"], other["state_dict"]
    return bool(one["global_step"] == other["global_step"] and a.keys() == b.keys()) and all(
        torch.equal(a[name], b[name]) for name in a
    )


def test_a_resumed_run_equals_one_that_never_stopped() -> None:
    fit("methods/dasr/1_pixel.yaml", "straight", 4)
    fit("methods/dasr/1_pixel.yaml", "broken", 2)
    assert not same(last("straight"), last("broken"))
    fit("methods/dasr/1_pixel.yaml", "broken", 4, "--ckpt_path", "last")
    assert same(last("straight"), last("broken"))
    assert last("straight")["marks"] == []


def test_the_adversarial_stage_starts_from_the_first_and_is_tested(capsys: pytest.CaptureFixture[str]) -> None:
    fit("methods/dasr/2_gan.yaml", "two", 1, "--model.init_args.allow_random_backbones", "true", status=2)
    assert "run srbench fit --config methods/dasr/1_pixel.yaml" in capsys.readouterr().err
    fit("methods/dasr/1_pixel.yaml", "one", 1)
    given = ["--model.init_args.weights", "one/checkpoints/last.ckpt"]
    fit("methods/dasr/2_gan.yaml", "two", 1, *ALONE, *given)
    made = last("two")
    assert made["marks"] == ["random_backbones"]  # of VGG19
    assert {name.split(".")[0] for name in made["state_dict"]} == {"net", "discriminator"}
    test = ["test", "--config", "methods/dasr/test.yaml", *SMALL[:3], "--data", "ImagePairs", "--data.test_gt", "gt"]
    weights = ["--model.init_args.weights", "two/checkpoints/last.ckpt"]
    assert main([*test, *weights, *QUIET[:4], "--benchmark.out", "records"]) == 0


def test_data_without_recipes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    fit("methods/dasr/1_pixel.yaml", "run", 1, "--data.init_args.carry_degradation", "false", status=2)
    assert "DASR learns how lq was made, and this data does not say" in capsys.readouterr().err
