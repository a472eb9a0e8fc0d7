"""Whole runs of KDSR's stages by the command line: in a row, stopped and resumed, tested."""

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
SMALL = [f"--model.init_args.{size}" for size in ("features=4", "blocks=1", "encoder_blocks=1")]
SMALL += ["--data.init_args.patch_size", "32", "--data.init_args.degradation.init_args.crop", "80"]


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


def test_the_stages_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    fit("methods/kdsr/2_student.yaml", "two", 1, status=2)
    assert "run srbench fit --config methods/kdsr/1_teacher.yaml" in capsys.readouterr().err
    fit("methods/kdsr/1_teacher.yaml", "one", 1)
    assert last("one")["marks"] == []
    taught = ["--model.init_args.pretrained", "one/checkpoints/last.ckpt"]
    fit("methods/kdsr/2_student.yaml", "two", 1, *taught)
    assert last("two")["marks"] == []
    assert not any("teacher" in name for name in last("two")["state_dict"])
    given = ["--model.init_args.weights", "two/checkpoints/last.ckpt"]
    fit("methods/kdsr/3_gan.yaml", "three", 1, *taught, *given, "--model.init_args.allow_random_backbones", "true")
    test = ["test", "--config", "methods/kdsr/test.yaml", *SMALL[:3], "--data", "ImagePairs", "--data.test_gt", "gt"]
    weights = ["--model.init_args.weights", "three/checkpoints/last.ckpt"]
    assert main([*test, *weights, *QUIET[:4], "--benchmark.out", "records"]) == 0


def test_a_resumed_student_equals_one_that_never_stopped() -> None:
    untaught = ["--model.init_args.pretrained", "null", "--model.init_args.allow_random_backbones", "true"]
    fit("methods/kdsr/2_student.yaml", "straight", 4, *untaught)
    fit("methods/kdsr/2_student.yaml", "broken", 2, *untaught)
    assert not same(last("straight"), last("broken"))
    fit("methods/kdsr/2_student.yaml", "broken", 4, *untaught, "--ckpt_path", "last")
    assert same(last("straight"), last("broken"))
    assert last("straight")["marks"] == ["random_backbones"]
