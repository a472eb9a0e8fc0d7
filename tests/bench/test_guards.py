"""Losses that are finite, checkpoints that are whole, and Ctrl-C."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from srbench.errors import InputError
from srbench.guards import Checkpoint, FiniteLoss, Interrupt, WholeFiles


def _trainer(step: int = 3, **more: Any) -> Any:
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    held = {"global_step": step, "strategy": strategy, "default_root_dir": "run", "log_every_n_steps": 10}
    return SimpleNamespace(**{**held, **more})


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"loss": x}])
def test_a_loss_that_is_not_finite_stops_the_run(loss: float, wrap: Any) -> None:
    with pytest.raises(InputError, match=r"run: the loss is (nan|inf) at step 3.*gradient_clip_val"):
        FiniteLoss().on_train_batch_end(_trainer(), None, wrap(torch.tensor(loss)), None, 0)  # type: ignore[arg-type]


def test_an_accelerator_is_asked_at_logged_steps_only() -> None:
    trainer = _trainer(strategy=SimpleNamespace(root_device=torch.device("cuda")))
    bad = torch.tensor(float("nan"))
    FiniteLoss().on_train_batch_end(trainer, None, bad, None, 0)  # type: ignore[arg-type]
    trainer.global_step = 10
    with pytest.raises(InputError):
        FiniteLoss().on_train_batch_end(trainer, None, bad, None, 0)  # type: ignore[arg-type]


def test_a_failed_write_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeFiles().save_checkpoint({"step": 1}, path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"last\.ckpt: cannot be written \(No space left"):
        WholeFiles().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_the_interval_of_checkpoints_may_change_between_runs() -> None:
    assert Checkpoint(every_n_train_steps=1).state_key == Checkpoint(every_n_train_steps=9).state_key
    assert Checkpoint(monitor="a").state_key != Checkpoint(monitor="b").state_key


def test_the_end_of_a_cluster_job_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Any] = []
    monkeypatch.setattr(Checkpoint, "keep_last", lambda self, trainer: saved.append(trainer))
    checkpoint = Checkpoint()
    checkpoint.on_exception(_trainer(), None, ValueError())  # type: ignore[arg-type]
    assert saved == []
    checkpoint.on_exception(_trainer(), None, SIGTERMException())  # type: ignore[arg-type]
    assert len(saved) == 1


def test_ctrl_c_waits_for_the_step_and_saves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(Checkpoint, "keep_last", lambda self, trainer: saved.append(trainer.global_step))
    trainer: Any = _trainer(world_size=1, checkpoint_callbacks=[Checkpoint()])
    before = signal.getsignal(signal.SIGINT)
    interrupt = Interrupt()
    interrupt.on_train_start(trainer, None)  # type: ignore[arg-type]
    interrupt.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
    os.kill(os.getpid(), signal.SIGINT)
    assert interrupt.asked
    with pytest.raises(KeyboardInterrupt):
        interrupt.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
    assert saved == [3]
    assert "--ckpt_path last" in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt):  # the second one does not wait
        interrupt._ask(signal.SIGINT, None)
    interrupt.on_train_end(trainer, None)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGINT) is before


def test_several_processes_are_left_to_lightning() -> None:
    before = signal.getsignal(signal.SIGINT)
    Interrupt().on_train_start(_trainer(world_size=2), None)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGINT) is before


def test_each_of_several_losses_is_looked_at_and_named() -> None:
    losses = {"loss": torch.tensor(1.0), "l_d_fake": torch.tensor(float("nan")), "note": "no tensor"}
    module: Any = SimpleNamespace(automatic_optimization=False)
    with pytest.raises(InputError, match=r"the loss l_d_fake is nan.*set --model\.init_args\.gradient_clip_val"):
        FiniteLoss().on_train_batch_end(_trainer(), module, losses, None, 0)
    FiniteLoss().on_train_batch_end(_trainer(), module, {**losses, "l_d_fake": torch.tensor(0.0)}, None, 0)
