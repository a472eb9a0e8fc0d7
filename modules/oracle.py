"""Early stopping by an oracle: what validation saw of gt, and whoever else lets it choose."""

from __future__ import annotations

from lightning.pytorch import Trainer

from srbench.contracts import Batch
from srbench.errors import InputError


def seen(trainer: Trainer, metric: str) -> float:
    """The mean of a metric in the validation that has just ended.

    Raises:
        InputError: it was not computed, or of several sets.
    """
    found = {k: float(v) for k, v in trainer.callback_metrics.items() if k.endswith(f"/{metric}")}
    if len(found) != 1:
        raise InputError(
            f"the oracle looks at {metric}, which was not computed",
            where="model.init_args.monitor",
            remedy="fetch its weights (srbench weights list), choose a --benchmark.protocol that has it, or "
            "another metric with its monitor_mode",
        )
    return found.popitem()[1]


def chooses_by_gt(trainer: Trainer) -> bool:
    """Whether a callback lets a metric of validation choose weights or end the run."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return any(str(getattr(callback, "monitor", None)).startswith("metrics/") for callback in callbacks)


def need_images(trainer: Trainer) -> None:
    """Refuses an oracle without images.

    Raises:
        InputError: the data module has none to validate on.
    """
    if not getattr(trainer.datamodule, "val_sets", None):  # type: ignore[attr-defined]
        raise InputError(
            "an oracle validates, and there is nothing to validate on",
            where="model.init_args.early_stop",
            remedy="set --data.init_args.split 10",
        )


def refuse_gt(batch: Batch, early_stop: str) -> None:
    """Refuses a batch with gt, which only an oracle may see.

    Raises:
        InputError: it has gt.
    """
    if "gt" in batch and early_stop != "oracle":
        raise InputError(
            "this adaptation must not see gt, and the batch holds some",
            where=", ".join(batch["name"][:3]),
            remedy="train on data/unlabelled.yaml, which withholds it",
        )


def log_first_look(trainer: Trainer) -> None:
    """Logs the validation before the first step, if this is it and it is of all images; Lightning logs none of it.

    Steps are numbered from 0, so what is known before the first is logged at -1.
    """
    if trainer.sanity_checking and is_whole(trainer):
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step - 1)


def is_whole(trainer: Trainer) -> bool:
    """Whether this validation is of all images; the one before the first step may be of some."""
    return not trainer.sanity_checking or list(trainer.num_sanity_val_batches) == list(trainer.num_val_batches)
