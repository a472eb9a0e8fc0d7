"""What tests of whole training runs share: a folder of images, the quiet command, and how checkpoints compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main
from srbench.weights import read_checkpoint

CPU = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
QUIET = [*CPU, "--trainer.log_every_n_steps", "1"]
PAIRS = [
    *("--data", "ImagePairs", "--data.train_gt", "gt", "--data.samples_per_epoch", "8"),
    *("--data.init_args.batch_size", "2"),
]


def enter_workplace(folder: Path, monkeypatch: pytest.MonkeyPatch, *, side: int) -> None:
    """Goes into ``folder``, which gets three square images in ``gt`` and sees no outside weights."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(folder / "none"))
    monkeypatch.setenv("TORCH_HOME", str(folder / "none"))
    (folder / "gt").mkdir()
    for i in range(3):
        y, x = np.mgrid[:side, :side] / (9 + i)
        image = np.stack([np.sin(x + 2 * y), np.cos(y - x), np.sin(3 * x)], -1) * 90 + 128
        Image.fromarray(image.astype(np.uint8)).save(folder / "gt" / f"{i}.png")


def fit_pairs(config: str, folder: str, steps: int, *more: str, status: int = 0) -> None:
    """``srbench fit`` on the images of the workplace, in this process."""
    where = ["--trainer.default_root_dir", folder, "--trainer.max_steps", str(steps)]
    assert main(["fit", "--config", config, *PAIRS, *QUIET, *where, *more]) == status


def last(folder: str) -> dict[str, Any]:
    """The last checkpoint of a run."""
    held: dict[str, Any] = read_checkpoint(f"{folder}/checkpoints/last.ckpt")
    return held


def same(a: Any, b: Any) -> bool:
    """Whether two parts of checkpoints are equal, tensors to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def differing(one: dict[str, Any], other: dict[str, Any], *more: str) -> list[str]:
    """Which of the step, the tensors and the entries named ``more`` differ between two checkpoints."""
    return [key for key in ("global_step", "state_dict", *more) if not same(one[key], other[key])]
