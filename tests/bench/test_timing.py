"""Waiting, degrading and network time are told apart, logged per interval and summed up at the end."""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader

from srbench.datamodule import Pair, SRDataModule, TestSet, TrainingSet
from srbench.datamodules.degradations import DeeDSR
from srbench.progress import PlainSteps
from srbench.stopwatch import Stopwatch
from srbench.timing import Timing

NAP = 0.02


class SlowDegradation(DeeDSR):
    """Sleeps before each image."""

    def forward(self, gt: torch.Tensor, recipe: Any) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(NAP)
        return super().forward(gt, recipe)


class Data(SRDataModule):
    def __init__(self, folder: Path, **kwargs: Any) -> None:
        super().__init__(**{"batch_size": 2, "patch_size": 96, "samples_per_epoch": 20, "seed": 1, **kwargs})
        self.folder = folder

    def training_set(self) -> TrainingSet:
        import numpy as np
        from PIL import Image

        pixels = np.random.default_rng(0).integers(256, size=(100, 100, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(self.folder / "a.png")
        from srbench.datamodules.synthesis import matlab_bicubic

        return self.patches([Pair("a", gt=self.folder / "a.png")], matlab_bicubic(4))

    def testing_sets(self) -> list[TestSet]:
        return []


class Net(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(3, 3, 3, padding=1)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        time.sleep(NAP)
        return (self.net(batch["lq"]) - batch["lq"]).abs().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(
    folder: Path, data: SRDataModule, steps: int = 8, more: Sequence[Callback] = (), **kwargs: Any
) -> tuple[Timing, list[dict[str, float]]]:
    timing = Timing()
    trainer = Trainer(
        default_root_dir=folder,
        logger=CSVLogger(folder, name="log"),
        callbacks=[timing, *more],
        max_steps=steps,
        max_epochs=-1,
        log_every_n_steps=4,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        **kwargs,
    )
    trainer.fit(Net(), data)
    rows = [row for log in folder.glob("log/*/metrics.csv") for row in csv.DictReader(log.open())]
    return timing, [{k: float(v) for k, v in row.items() if v} for row in rows]


def test_the_three_are_logged_every_interval_and_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timing, rows = fit(tmp_path, Data(tmp_path, degradation=SlowDegradation()))
    assert len(rows) == 2
    for row in rows:
        assert row["time/degrading"] > 2 * NAP * 0.9  # two images, one thread
        assert row["time/network"] > NAP * 0.9
        assert row["time/waiting"] >= 0
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert line == timing.summary()
    assert line.startswith("8 steps: waiting ")
    assert "degrading" in line
    assert "%)" in line
    assert "workers" not in line


class Interrupted(Callback):
    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 3:
            raise KeyboardInterrupt


def test_an_interrupted_run_is_summed_up_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit, KeyboardInterrupt):  # Lightning's way out has changed with its versions
        fit(tmp_path, Data(tmp_path, degradation=SlowDegradation()), more=[Interrupted()])
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("3 steps: waiting ")


def test_workers_count_their_own_time(tmp_path: Path) -> None:
    timing, rows = fit(tmp_path, Data(tmp_path, degradation=SlowDegradation(), num_workers=1))
    assert all(row["time/degrading"] > 2 * NAP * 0.9 for row in rows)
    assert timing._total["degrading"] == 0
    assert "degrading took the workers" in timing.summary()
    # One worker sleeps two naps a batch, the network one: training waits.
    assert timing._total["waiting"] > 0


def test_without_a_degradation_nothing_is_said_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timing, rows = fit(tmp_path, Data(tmp_path))
    assert all("time/degrading" not in row and row["time/network"] > NAP * 0.9 for row in rows)
    assert "waiting" not in capsys.readouterr().out
    assert timing.shown == {}


def test_the_bar_shows_shares(tmp_path: Path) -> None:
    timing, _ = fit(tmp_path, Data(tmp_path, degradation=SlowDegradation()))
    [(name, shares)] = timing.shown.items()
    assert name == "wait/degrade/net %"
    assert abs(sum(int(share) for share in shares.split("/")) - 100) <= 2
    trainer = Trainer(logger=False, enable_checkpointing=False, callbacks=[timing], accelerator="cpu", barebones=False)
    assert PlainSteps().get_metrics(trainer, Net())["wait/degrade/net %"] == shares


def test_other_data_modules_are_left_alone(tmp_path: Path) -> None:
    from lightning.pytorch import LightningDataModule

    class Other(LightningDataModule):
        def train_dataloader(self) -> Any:
            return DataLoader([{"lq": torch.zeros(1, 3, 8, 8)}] * 4, batch_size=None)  # type: ignore[arg-type]

    _, rows = fit(tmp_path, Other(), steps=4)  # type: ignore[arg-type]
    assert not any("time/" in key for row in rows for key in row)


def test_a_stopwatch_adds_spans_and_starts_over() -> None:
    watch = Stopwatch()
    watch.stop()
    assert watch.take() == 0
    for _ in range(2):
        watch.start()
        time.sleep(NAP)
        watch.stop()
    time.sleep(NAP)
    first = watch.take()
    assert first >= 2 * NAP
    assert watch.take() == 0
    watch.start()
    watch.restart(torch.device("cpu"))
    watch.stop()
    assert watch.take() == 0
