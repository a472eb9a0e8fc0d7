"""A run with a degradation that is killed in the middle of an epoch goes on bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import nn

from srbench.datamodule import Pair, SRDataModule, TestSet, TrainingSet
from srbench.datamodules.degradations import DASR, RealESRGAN
from srbench.degradation import Degradation


class Data(SRDataModule):
    def __init__(self, folder: Path, degradation: Degradation, **kwargs: Any) -> None:
        given: dict[str, Any] = {"batch_size": 2, "patch_size": 88, "samples_per_epoch": 10, "seed": 7}
        super().__init__(**{**given, "degradation": degradation, **kwargs})
        self.folder = folder

    def training_set(self) -> TrainingSet:
        pairs = []
        for i in range(3):
            path = self.folder / f"{i}.png"
            if not path.exists():
                pixels = np.random.default_rng(i).integers(256, size=(100, 104, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
            pairs.append(Pair(str(i), gt=path))
        return self.patches(pairs)

    def testing_sets(self) -> list[TestSet]:
        return []


class Net(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(3, 48, 3, padding=1), nn.PixelShuffle(4))
        self.seen: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen.append(float(batch["lq"].double().sum() + batch["gt"].double().sum()))
        return (self.net(batch["lq"]) - batch["gt"]).abs().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Stop(RuntimeError):
    pass


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise Stop


def trainer(folder: Path, *callbacks: Callback) -> Trainer:
    return Trainer(
        default_root_dir=folder,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        accelerator="cpu",
        max_steps=12,
        max_epochs=-1,
        use_distributed_sampler=False,
    )


@pytest.mark.parametrize(
    ("degradation", "workers", "stop"),
    [
        (RealESRGAN(crop=None), 0, 3),
        (DASR(level="weak", crop=96, per_batch=True, pool=4), 2, 8),
        (DASR(level="standard", crop=None, pool=6), 0, 9),
    ],
    ids=["realesrgan", "per_batch_pool_workers", "pool"],
)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, degradation: Degradation, workers: int, stop: int) -> None:
    straight = Net()
    trainer(tmp_path).fit(straight, Data(tmp_path, degradation, num_workers=workers))
    assert len(set(straight.seen)) > 10
    saving = ModelCheckpoint(tmp_path / "kept", filename="{step}", save_top_k=-1, every_n_train_steps=1)
    first, second = Net(), Net()
    with pytest.raises(Stop):
        trainer(tmp_path, saving, StopAt(stop)).fit(first, Data(tmp_path, degradation, num_workers=workers))
    kept = tmp_path / "kept" / f"step={stop}.ckpt"
    trainer(tmp_path).fit(second, Data(tmp_path, degradation, num_workers=0), ckpt_path=kept)
    assert first.seen[:stop] + second.seen == straight.seen
    assert all(torch.equal(a, b) for a, b in zip(second.parameters(), straight.parameters(), strict=True))
