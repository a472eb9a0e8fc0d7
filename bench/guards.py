"""What keeps a training run from dying silently: checkpoints that are always there, and losses that are finite."""

from __future__ import annotations

import io
import itertools
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException

from srbench.atomic import write_failed, write_whole
from srbench.errors import InputError

_CALMER = "lower the learning rate or set {clip}; earlier checkpoints are untouched"


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that replace the one before only when they are whole: a full disk costs no earlier checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes one checkpoint.

        Raises:
            InputError: the disk is full, or the folder cannot be written.
        """
        if "://" in str(path):  # remote storage has its own ways
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        held = io.BytesIO()
        torch.save(checkpoint, held)
        write_whole(Path(path), held.getbuffer())


class Checkpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint that also keeps the very last step of a run, always as ``last.ckpt``.

    A run that begins anew in the folder of an earlier one moves the earlier checkpoints to ``checkpoints.1`` (``.2``,
    ...) when it saves its first: the stage that comes next, whose config says ``checkpoints/last.ckpt``, never starts
    from the wrong run.

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
            enable_version_counter=False,  # no last-v1.ckpt beside the last.ckpt of another run
        )
        self._alone = False

    @property
    def state_key(self) -> str:
        """What was kept so far stays known when only the interval changes."""
        return self._generate_state_key(monitor=self.monitor, mode=self.mode)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settles the folder: beside the run's config, whatever the logger."""
        if self.dirpath is None:
            self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        strategy = trainer.strategy
        plain = isinstance(strategy, (SingleDeviceStrategy, DDPStrategy))  # sharded ones write folders of their own
        if plain and type(strategy.checkpoint_io) is TorchCheckpointIO:  # nobody asked for another
            strategy.checkpoint_io = WholeFiles()
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves as configured, and once more when this was the last step of the run."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if _ends_here(trainer):
            self.keep_last(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Saves when the system asks the run to end (a cluster's time limit); Lightning raises that between steps."""
        super().on_exception(trainer, pl_module, exception)
        if isinstance(exception, SIGTERMException):
            self.keep_last(trainer)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        """Saves, unless the weights are not finite: a step may spoil them before any loss shows it.

        Raises:
            InputError: they are not.
        """
        for name, held in trainer.lightning_module.named_parameters():
            if held.requires_grad and not bool(torch.isfinite(held).all()):
                raise InputError(
                    f"{name} holds NaN or infinity at step {trainer.global_step}, training stops",
                    where=str(trainer.default_root_dir),
                    remedy=_calmer(trainer.lightning_module),
                )
        if not self._alone:
            self._move_earlier(trainer, Path(str(self.dirpath)))
        super()._save_checkpoint(trainer, filepath)

    def _move_earlier(self, trainer: Trainer, folder: Path) -> None:
        """Makes room for this run's checkpoints, unless it goes on from the ``last.ckpt`` that lies there."""
        self._alone = True
        last = folder / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}"
        if trainer.is_global_zero and (
            trainer.ckpt_path is None or Path(trainer.ckpt_path).resolve() != last.resolve()
        ):
            move_checkpoints(folder)
        trainer.strategy.barrier("earlier checkpoints")

    def keep_last(self, trainer: Trainer) -> None:
        """Saves ``last.ckpt`` at this step, unless it is there."""
        if self.save_last and self._last_global_step_saved != trainer.global_step:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))


def move_checkpoints(folder: Path) -> None:
    """Moves the checkpoints of a folder into one beside it, ``<folder>.1`` or the next that is free, and says so."""
    found = sorted(folder.glob("*.ckpt"))
    if not found:
        return
    places = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(1))
    place = next(place for place in places if not place.exists())
    try:
        place.mkdir(parents=True)
        for path in found:
            path.rename(place / path.name)
    except OSError as error:
        raise write_failed(place, error) from error
    print(f"the checkpoints of an earlier run are in {place} now")


class Interrupt(Callback):
    """Ctrl-C while training in one process: finishes the step, saves ``last.ckpt`` and stops; again, stops at once.

    Between two steps a checkpoint is sound; in the middle of the optimiser's step it would not be.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listens from here on."""
        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves and stops when it was asked to.

        Raises:
            KeyboardInterrupt: it was.
        """
        if not self.asked:
            return
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, Checkpoint):
                callback.keep_last(trainer)
                print(f"saved at step {trainer.global_step}; --ckpt_path last goes on from there")
        raise KeyboardInterrupt

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listens no more."""
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Listens no more."""
        self._release()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("\nfinishing this step, then saving; Ctrl-C again stops at once")

    def _release(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


class FiniteLoss(Callback):
    """Stops a run whose loss is NaN or infinite, before it overwrites a good checkpoint.

    A step that returns several losses by name, as one with two optimisers does, has each of them looked at.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the losses of every step on the CPU, of every logged step on an accelerator.

        Raises:
            InputError: one is not finite.
        """
        every = 1 if trainer.strategy.root_device.type == "cpu" else int(getattr(trainer, "log_every_n_steps", 1))
        if trainer.global_step % max(every, 1):
            return
        held = outputs if isinstance(outputs, Mapping) else {"loss": outputs}
        losses = {name: value.detach() for name, value in held.items() if isinstance(value, torch.Tensor)}
        for name, loss in losses.items():
            if not bool(torch.isfinite(loss).all()):
                raise InputError(
                    f"the {'loss' if name == 'loss' else f'loss {name}'} is {float(loss.float().mean())} "
                    f"at step {trainer.global_step}, training stops",
                    where=str(trainer.default_root_dir),
                    remedy=_calmer(pl_module),
                )


def _calmer(module: LightningModule | None) -> str:
    """What to try; under manual optimisation it is the module that clips."""
    automatic = getattr(module, "automatic_optimization", True)
    return _CALMER.format(clip="--trainer.gradient_clip_val" if automatic else "--model.init_args.gradient_clip_val")


def _ends_here(trainer: Trainer) -> bool:
    if trainer.max_steps is not None and 0 < trainer.max_steps <= trainer.global_step:
        return True
    last_epoch = trainer.max_epochs is not None and trainer.max_epochs - 1 == trainer.current_epoch
    return last_epoch and trainer.is_last_batch
