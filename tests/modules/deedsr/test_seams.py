"""A photograph three times as large as a window, restored by a model that has learned a little, shows no window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from srbench.contracts import Batch
from srbench.modules.deedsr import DeeDSR

TILE, SIDE, CELL = 16, 48, 8
"""Cells of a window and of the image, pixels of a cell."""


def _photograph() -> Tensor:
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as file:
        return torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)[None] / 255


def _stage(**tiles: Any) -> DeeDSR:
    torch.manual_seed(0)
    stage = DeeDSR(size="tiny", allow_random_backbones=True, short_side=64, steps=4, start="lr", **tiles)
    stage.log = lambda *_, **__: None  # type: ignore[method-assign]
    stage.setup("test")
    return stage


def _learned(photograph: Tensor) -> dict[str, Tensor]:
    """What some steps on crops have made of the networks: no output is constant, or noise, any more."""
    stage = _stage().train()
    optimizer = torch.optim.Adam([p for p in stage.parameters() if p.requires_grad], lr=3e-3)
    for step in range(8):
        gt = photograph[..., 48 * step : 48 * step + 128, 32 * step : 32 * step + 128]
        optimizer.zero_grad()
        stage.training_step(Batch(lq=F.avg_pool2d(gt, 4), gt=gt, name=["a"]), step).backward()
        optimizer.step()
    return stage.state_dict()


def _steepness(sr: Tensor, axis: int) -> Tensor:
    """The mean absolute difference across each border of two cells; where a decoder of tiles has its borders, too."""
    differences = sr.diff(dim=axis).abs().transpose(axis, -1).mean(dim=(0, 1, 2))
    return differences[CELL - 1 :: CELL]


@pytest.mark.parametrize("overlap", [TILE // 2, 0])
def test_windows_show_only_where_they_do_not_overlap(monkeypatch: pytest.MonkeyPatch, overlap: int) -> None:
    """Against the image made at once, cell by cell, so that what the photograph shows there is no matter."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    photograph = _photograph()
    learned = _learned(photograph)
    lq = F.avg_pool2d(photograph[..., 64 : 64 + SIDE * CELL, 64 : 64 + SIDE * CELL], 4)
    made = []
    for tile, over in ((None, 0), (TILE, overlap)):
        pixels: dict[str, Any] = {"vae_tile": None if tile is None else tile * CELL, "vae_overlap": over * CELL}
        stage = _stage(latent_tile=tile, latent_overlap=over, **pixels).eval()
        stage.load_state_dict(learned)
        made.append(stage.restore(Batch(lq=lq, name=["astronaut"])))
    ratio = torch.stack([_steepness(made[1], axis) / _steepness(made[0], axis) for axis in (-1, -2)])
    borders = torch.zeros(SIDE - 1, dtype=torch.bool)
    borders[TILE - overlap - 1 :: TILE - overlap] = True
    at, elsewhere = ratio[:, borders], ratio[:, ~borders]
    excess = float((at.mean() - elsewhere.mean()) / elsewhere.std())
    if overlap:
        assert excess < 1.0
        assert at.max() <= elsewhere.max() + elsewhere.std()
    else:
        assert excess > 2.0
