"""What keeps a training run from dying silently: checkpoints that are always there, and losses that are finite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from srbench.errors import InputError


class Checkpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint that also keeps the very last step of a run.

    Args:
        dirpath: folder; None means ``<run folder>/checkpoints``.
        filename: name without ``.ckpt``.
        every_n_train_steps: steps between checkpoints.
        monitor: logged value to keep the best by, e.g. ``metrics/Set5/psnr_y219``; None keeps the newest.
        mode: ``max`` or ``min`` of the monitored value.
        save_top_k: how many to keep beside ``last.ckpt``.
        save_last: keep ``last.ckpt``, from which ``--ckpt_path last`` goes on.
    """

    def __init__(
        self,
        dirpath: str | None = None,
        filename: str | None = None,
        every_n_train_steps: int | None = 1000,
        monitor: str | None = None,
        mode: str = "max",
        save_top_k: int = 1,
        save_last: bool = True,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            every_n_train_steps=every_n_train_steps if monitor is None else None,
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            save_last=save_last,
            auto_insert_metric_name=False,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settles the folder: beside the run's config, whatever the logger."""
        if self.dirpath is None:
            self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves as configured, and once more when this was the last step of the run."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self.save_last and _ends_here(trainer) and self._last_global_step_saved != trainer.global_step:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))


class FiniteLoss(Callback):
    """Stops a run whose loss is NaN or infinite, before it overwrites a good checkpoint."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the loss of every step on the CPU, of every logged step on an accelerator.

        Raises:
            InputError: the loss is not finite.
        """
        every = 1 if trainer.strategy.root_device.type == "cpu" else int(getattr(trainer, "log_every_n_steps", 1))
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if trainer.global_step % max(every, 1) or not isinstance(loss, torch.Tensor):
            return
        if not bool(torch.isfinite(loss.detach()).all()):
            raise InputError(
                f"the loss is {float(loss.detach().float().mean())} at step {trainer.global_step}, training stops",
                where=str(trainer.default_root_dir),
                remedy="lower the learning rate or set --trainer.gradient_clip_val; earlier checkpoints are untouched",
            )


def _ends_here(trainer: Trainer) -> bool:
    if trainer.max_steps is not None and 0 < trainer.max_steps <= trainer.global_step:
        return True
    last_epoch = trainer.max_epochs is not None and trainer.max_epochs - 1 == trainer.current_epoch
    return last_epoch and trainer.is_last_batch
