"""What comes back from a checkpoint, and what the present configuration overrules; whole runs are in tests/e2e."""

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from srbench.resume import KEY, Resume


def _trainer(lr: float = 1e-3, gamma: float = 0.1, **more: Any) -> Any:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=lr)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 9], gamma)
    held = {"world_size": 1, "global_rank": 0, "global_step": 5}
    lists = {"optimizers": [optimizer], "lr_scheduler_configs": [SimpleNamespace(scheduler=scheduler)]}
    return SimpleNamespace(**held, **lists, **more)


def _draws() -> list[float]:
    return [float(torch.rand(())), float(np.random.rand()), random.random()]  # noqa: NPY002


def _saved(trainer: Any) -> dict[str, Any]:
    resume, checkpoint = Resume(), dict[str, Any]()
    resume.on_fit_start(trainer, None)  # type: ignore[arg-type]
    resume.on_save_checkpoint(trainer, None, checkpoint)  # type: ignore[arg-type]
    return checkpoint


def _loaded(trainer: Any, checkpoint: dict[str, Any]) -> Resume:
    resume = Resume()
    resume.on_fit_start(trainer, None)  # type: ignore[arg-type]
    resume.on_load_checkpoint(trainer, None, checkpoint)  # type: ignore[arg-type]
    return resume


def test_generators_go_on_from_the_first_batch() -> None:
    checkpoint = _saved(_trainer())
    wanted = _draws()
    resume = _loaded(_trainer(), checkpoint)
    _draws()
    resume.on_train_batch_start(_trainer(), None, None, 0)  # type: ignore[arg-type]
    assert _draws() == wanted
    resume.on_train_batch_start(_trainer(), None, None, 1)  # type: ignore[arg-type]
    assert _draws() != wanted  # once only


def test_another_number_of_processes_draws_anew_but_always_the_same() -> None:
    checkpoint = _saved(_trainer())
    checkpoint[KEY]["generators"] *= 2
    drawn = []
    for _ in range(2):
        resume = _loaded(_trainer(), checkpoint)
        resume.on_train_batch_start(_trainer(), None, None, 0)  # type: ignore[arg-type]
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[1]


def test_the_checkpoint_can_be_read_without_trusting_it(tmp_path: Any) -> None:
    torch.save(_saved(_trainer()), tmp_path / "c.ckpt")
    assert KEY in torch.load(tmp_path / "c.ckpt", weights_only=True)


def test_a_changed_rate_keeps_its_place_in_the_schedule() -> None:
    checkpoint = _saved(_trainer(lr=1e-3))
    trainer = _trainer(lr=2e-3, gamma=0.5)
    resume = _loaded(trainer, checkpoint)
    [group] = trainer.optimizers[0].param_groups
    group.update(lr=1e-4, initial_lr=1e-3)  # what the checkpoint brought: a tenth of its start
    resume.on_train_start(trainer, None)  # type: ignore[arg-type]
    assert group["lr"] == pytest.approx(2e-4)
    assert group["initial_lr"] == 2e-3
    assert trainer.lr_scheduler_configs[0].scheduler.gamma == 0.5


def test_what_nobody_changed_is_left() -> None:
    checkpoint = _saved(_trainer())
    trainer = _trainer()
    resume = _loaded(trainer, checkpoint)
    [group] = trainer.optimizers[0].param_groups
    group["weight_decay"] = 0.25  # from the checkpoint
    resume.on_train_start(trainer, None)  # type: ignore[arg-type]
    assert (group["weight_decay"], group["lr"]) == (0.25, 1e-3)


def test_a_checkpoint_of_somebody_else_is_fine() -> None:
    resume = _loaded(_trainer(), {})
    resume.on_train_start(_trainer(), None)  # type: ignore[arg-type]
    resume.on_train_batch_start(_trainer(), None, None, 0)  # type: ignore[arg-type]
