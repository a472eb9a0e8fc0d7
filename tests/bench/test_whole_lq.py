"""Training patches that bring the lq of their whole crop along, and tiles of images with more channels than three."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from srbench.datamodule import SRDataModule, TrainingSet
from srbench.datamodules.degradations import DACESR
from srbench.pairs import Pair
from srbench.tiling import tiled


class Pictures(SRDataModule):
    """Eight noisy pictures in a folder."""

    def __init__(self, folder: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder

    def training_set(self) -> TrainingSet:
        return self.patches([Pair(file.stem, file) for file in sorted(self.folder.glob("*.png"))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(8):
        small = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(small).resize((280, 280), Image.Resampling.BICUBIC).save(tmp_path / f"{i}.png")
    return tmp_path


def _batches(folder: Path, degrade_in: Literal["device", "workers"], workers: int, **more: Any) -> list[Any]:
    data = Pictures(
        folder, batch_size=2, patch_size=128, seed=1, num_workers=workers, degrade_in=degrade_in,
        degradation=DACESR(crop=256, per_batch=True, pool=4), samples_per_epoch=16, **more,
    )  # fmt: skip
    data.setup("fit")
    return [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]


def _window(whole: Tensor, corner: Tensor, side: int) -> Tensor:
    top, left = corner.tolist()
    return whole[:, top : top + side, left : left + side]


def test_every_pair_keeps_its_own_whole_lq_in_a_pool(folder: Path) -> None:
    batches = _batches(folder, "device", 0, carry_whole=True)
    assert len(batches) == 8
    for batch in batches:
        assert batch["lq_whole"].shape == (2, 3, 64, 64)
        assert batch["lq"].shape == (2, 3, 32, 32)
        for lq, whole, corner in zip(batch["lq"], batch["lq_whole"], batch["lq_corner"], strict=True):
            assert torch.equal(lq, _window(whole, corner, 32))
    plain = _batches(folder, "device", 0)
    assert "lq_whole" not in plain[0]
    assert torch.equal(plain[3]["gt"], batches[3]["gt"])


def test_it_is_the_same_from_workers(folder: Path) -> None:
    for here, there in zip(
        _batches(folder, "device", 0, carry_whole=True), _batches(folder, "workers", 1, carry_whole=True), strict=True
    ):
        assert all(torch.equal(here[key], there[key]) for key in ("lq", "lq_whole", "lq_corner"))


def test_tiles_carry_further_channels() -> None:
    lq = torch.rand(1, 5, 19, 23)

    def upscale(part: Tensor) -> Tensor:
        return F.interpolate(part[:, :3] * part[:, 3:4] + part[:, 4:], scale_factor=2, mode="nearest")

    assert torch.allclose(tiled(upscale, lq, scale=2, tile=8, overlap=2), upscale(lq), atol=1e-6)
