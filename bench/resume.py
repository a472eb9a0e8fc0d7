"""What a checkpoint must hold beyond Lightning's own so that a run goes on as if it had never stopped."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from srbench import __version__

KEY = "srbench"
"""Entry of a checkpoint that belongs to this callback."""

_MOVING = {
    "last_epoch",
    "_step_count",
    "_last_lr",
    "T_cur",
    "T_i",
    "_get_lr_called_within_step",
    "num_bad_epochs",
    "best",
}


class Resume(Callback):
    """Random generators of every process, and settings that the present configuration changed.

    A checkpoint keeps the generators of all processes (the loader's position is kept by the data module); they are
    put back right before the first batch, after everything that could draw from them. Optimiser and scheduler
    settings come back from a checkpoint too, and there Lightning lets the checkpoint win: here a setting that the
    present configuration gives another value than the one remembered takes the present value.
    """

    def __init__(self) -> None:
        self._held: dict[str, Any] | None = None
        self._restore_random = False
        self._configured: dict[str, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes optimiser and scheduler settings as configured, before a checkpoint overwrites them."""
        self._configured = {
            "optimizers": [_plain(o.defaults) for o in trainer.optimizers],
            "schedulers": [_plain(c.scheduler.state_dict()) for c in trainer.lr_scheduler_configs],
        }

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the generators of all processes and the settings as configured."""
        states: list[Any] = [None] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(states, _generators())
        else:
            states = [_generators()]
        checkpoint[KEY] = {"version": __version__, "generators": states, **copy.deepcopy(self._configured)}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keeps what :meth:`on_save_checkpoint` added until it can be put back."""
        self._held = checkpoint.get(KEY)
        self._restore_random = self._held is not None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The present configuration wins over what the checkpoint remembers."""
        if self._held is None:
            return
        for optimizer, now, then in zip(
            trainer.optimizers, self._configured["optimizers"], self._held["optimizers"], strict=False
        ):
            _override_optimizer(optimizer, now, then)
        schedulers = [c.scheduler for c in trainer.lr_scheduler_configs]
        for scheduler, now, then in zip(
            schedulers, self._configured["schedulers"], self._held["schedulers"], strict=False
        ):
            changed = {k: v for k, v in now.items() if k not in _MOVING and then.get(k) != v}
            scheduler.load_state_dict({**scheduler.state_dict(), **changed})

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Puts the generators back before the first batch after a resume."""
        if not self._restore_random or self._held is None:
            return
        self._restore_random = False
        states = self._held["generators"]
        if len(states) == trainer.world_size:
            _set_generators(states[trainer.global_rank])
        else:  # another number of processes: no state fits, so draw anew, the same way every time
            torch.manual_seed(hash((trainer.global_step, trainer.global_rank)) & 0x7FFFFFFF)


def _generators() -> dict[str, Any]:
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  the legacy generator is the one being kept
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, cached],
        "python": _listed(random.getstate()),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_generators(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])


def _listed(state: tuple[Any, ...]) -> list[Any]:
    version, internal, gauss = state
    return [version, list(internal), gauss]


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that can be compared and kept: numbers, strings and lists of them."""
    out = {}
    for key, value in settings.items():
        held = list(value) if isinstance(value, tuple) else value
        flat = held if isinstance(held, list) else [held]
        if all(v is None or isinstance(v, (bool, int, float, str)) for v in flat):
            out[key] = copy.copy(held)
        elif isinstance(value, dict):  # MultiStepLR keeps its milestones in a Counter
            out[key] = copy.copy(value)
    return out


def _override_optimizer(optimizer: torch.optim.Optimizer, now: dict[str, Any], then: dict[str, Any]) -> None:
    for key, value in now.items():
        if key not in then or then[key] == value:
            continue
        for group in optimizer.param_groups:
            if key == "lr":
                # Keep where the schedule stands: scale the present rate as the initial one was scaled.
                start = group.get("initial_lr", then["lr"])
                group["lr"] = group["lr"] * value / start if start else value
                if "initial_lr" in group:
                    group["initial_lr"] = value
            elif key in group:
                group[key] = tuple(value) if isinstance(value, list) else value
