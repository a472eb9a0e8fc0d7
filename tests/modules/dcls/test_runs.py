"""Whole runs of DCLS by the command line: stopped and resumed, tested."""

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
SMALL = [f"--model.init_args.{size}" for size in ("features=16", "blocks=1", "groups=1", "latent=4")]
SMALL += ["--data.init_args.patch_size", "96"]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with images, and no outside weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    (tmp_path / "gt").mkdir()
    for i in range(3):
        y, x = np.mgrid[:112, :112] / (9 + i)
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
    fit("methods/dcls/1_isotropic.yaml", "straight", 3)
    fit("methods/dcls/1_isotropic.yaml", "broken", 1)
    assert not same(last("straight"), last("broken"))
    fit("methods/dcls/1_isotropic.yaml", "broken", 3, "--ckpt_path", "last")
    assert same(last("straight"), last("broken"))
    test = ["test", "--config", "methods/dcls/test.yaml", *SMALL[:4], "--data", "ImagePairs", "--data.test_gt", "gt"]
    weights = ["--model.init_args.weights", "straight/checkpoints/last.ckpt"]
    assert main([*test, *weights, *QUIET[:4], "--benchmark.out", "records"]) == 0


def test_a_patch_smaller_than_the_kernel_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    fit("methods/dcls/1_isotropic.yaml", "run", 1, "--data.init_args.patch_size", "64", status=2)
    assert "a patch of 16 lq pixels cannot show a kernel of 21; use 84 or more" in capsys.readouterr().err
