"""Train a little, then look into the checkpoint: every analysis of a network, with the words a user types."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from srbench.images import read_image

from .conftest import Run


def test_a_trained_checkpoint_is_analyzed(run: Run, folder: Path, training: list[str]) -> None:
    run("fit", *training, "--trainer.max_steps", "2", "--trainer.default_root_dir", "runs/tiny")
    lq = folder / "test" / "im0.png"
    told = run("analyze", "lam", "--ckpt_path", "runs/tiny/checkpoints/last.ckpt", "--image", str(lq), "--at", "40,40")
    assert "diffusion index" in told.out
    assert "random_weights" not in told.out
    height, width = read_image(lq).pixels.shape[:2]
    with Path("runs/analyze/lam/map.csv").open(newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == height * width
    where = ["--ckpt_path", "runs/tiny/checkpoints/last.ckpt", "--images", str(lq), "--out", "maps"]
    run("analyze", "activation", *where, "--layer", "net.conv_first")
    with Path("maps/activation.csv").open(newline="") as file:
        [row] = list(csv.DictReader(file))
    held = torch.load("runs/tiny/checkpoints/last.ckpt", weights_only=False)["state_dict"]
    image = torch.from_numpy(read_image(lq).pixels.copy()).permute(2, 0, 1)[None] / 255
    maps = torch.nn.functional.conv2d(image, held["net.conv_first.weight"], held["net.conv_first.bias"], padding=1)
    assert abs(float(row["mean"]) - float(maps.mean())) < 1e-5
    again = run("analyze", "activation", *where, "--layer", "net.conv_frst", status=2)
    assert "did you mean 'net.conv_first'?" in again.err
    assert Path("maps/activation.csv").is_file()
