"""A bar that counts to where the run ends."""

from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from torch import nn

import srbench.progress as progress


def _trainer(**more: Any) -> Any:
    batches = SimpleNamespace(current=SimpleNamespace(ready=0))
    held: dict[str, Any] = {
        "training": True,
        "max_steps": 2400,
        "max_epochs": -1,
        "global_step": 40,
        "num_training_batches": 100,
        "accumulate_grad_batches": 1,
        "fit_loop": SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=batches, restarting=False)),
        "loggers": [],
        "callbacks": [],
        "progress_bar_metrics": {"loss": 0.5},
    }
    return SimpleNamespace(**{**held, **more})


@pytest.mark.parametrize("bar", [progress.RichSteps, progress.PlainSteps])
def test_the_step_stands_behind_the_bar(bar: Any) -> None:
    assert bar().get_metrics(_trainer(), None) == {"step": "40/2400", "loss": 0.5}
    assert bar().get_metrics(_trainer(max_steps=-1), None) == {"loss": 0.5}
    assert bar().get_metrics(_trainer(training=False), None) == {"loss": 0.5}


def test_no_epoch_of_minus_two() -> None:
    bar = progress.RichSteps()
    bar._trainer = _trainer()
    assert bar._get_train_description(2).strip() == "Epoch 2"
    bar._trainer = _trainer(max_epochs=5)
    assert bar._get_train_description(2).strip() == "Epoch 2/4"


@pytest.mark.parametrize(
    ("step", "done", "accumulate", "total"),
    [(40, 0, 1, 100), (2390, 0, 1, 10), (2390, 50, 1, 60), (2390, 50, 4, 90), (2399, 99, 1, 100)],
)
def test_the_bar_ends_where_the_run_does(step: int, done: int, accumulate: int, total: int) -> None:
    trainer = _trainer(global_step=step, accumulate_grad_batches=accumulate)
    trainer.fit_loop.epoch_loop.batch_progress.current.ready = done
    trainer.fit_loop.epoch_loop.restarting = True
    bar = progress.PlainSteps()
    bar._trainer = trainer
    assert bar.total_train_batches == total
    trainer.max_steps = -1
    assert bar.total_train_batches == 100


def test_the_batches_of_the_epoch_before_do_not_count() -> None:
    trainer = _trainer(global_step=2390)
    trainer.fit_loop.epoch_loop.batch_progress.current.ready = 100
    bar = progress.PlainSteps()
    bar._trainer = trainer
    assert bar.total_train_batches == 10


def test_without_rich_the_bar_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_RICH_AVAILABLE", False)
    assert isinstance(progress.progress_bar(), TQDMProgressBar)
    monkeypatch.setattr(progress, "_RICH_AVAILABLE", True)
    assert isinstance(progress.progress_bar(), RichProgressBar)


def test_the_network_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    module = LightningModule()
    module.net = nn.Linear(1000, 2)
    module.net.bias.requires_grad_(False)
    trainer: Any = SimpleNamespace(is_global_zero=True)
    progress.Summary().on_fit_start(trainer, module)
    assert capsys.readouterr().out == "LightningModule: 2,002 parameters, 2 of them frozen\n"
