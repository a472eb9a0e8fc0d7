"""What a run shows of itself: a bar that counts steps where steps end the run, and its network in one line."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import _RICH_AVAILABLE

from srbench.timing import Timing


def progress_bar() -> ProgressBar:
    """The bar of every run; plain where ``rich`` is not installed."""
    return RichSteps() if _RICH_AVAILABLE else PlainSteps()


class _Steps(ProgressBar):
    """Shows the step in a run that a number of steps ends; Lightning shows `Epoch 2/-2` there."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """What stands behind the bar: ``step 40/2400``, then what is logged for it."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Timing):
                shown.update(callback.shown)
        ends = trainer.training and trainer.max_steps is not None and trainer.max_steps > 0
        return {"step": f"{trainer.global_step}/{trainer.max_steps}", **shown} if ends else shown

    @property
    def total_train_batches(self) -> int | float:
        """Batches of the epoch up to where the run ends; Lightning forgets those before a resume."""
        trainer = self.trainer
        if trainer.max_steps is None or trainer.max_steps <= 0:
            return trainer.num_training_batches
        loop = trainer.fit_loop.epoch_loop
        # At the start of an epoch the counts are still those of the one before; after a resume its first batch is done.
        done = loop.batch_progress.current.ready if loop.restarting else 0
        left = (trainer.max_steps - trainer.global_step) * trainer.accumulate_grad_batches
        return min(trainer.num_training_batches, done + left)


class RichSteps(_Steps, RichProgressBar):
    """Lightning's bar in colours, with the step."""

    def _get_train_description(self, current_epoch: int) -> str:
        if self.trainer.max_epochs is not None and self.trainer.max_epochs > 0:
            return super()._get_train_description(current_epoch)
        return f"{f'Epoch {current_epoch}':{len(self.validation_description)}}"


class PlainSteps(_Steps, TQDMProgressBar):
    """Lightning's plain bar, with the step."""


class Summary(Callback):
    """Prints the trained module in one line."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints it from the first process."""
        if trainer.is_global_zero:
            held = list(pl_module.parameters())
            frozen = sum(p.numel() for p in held if not p.requires_grad)
            name = getattr(pl_module, "method", type(pl_module).__name__)
            tail = f", {frozen:,} of them frozen" if frozen else ""
            print(f"{name}: {sum(p.numel() for p in held):,} parameters{tail}")
