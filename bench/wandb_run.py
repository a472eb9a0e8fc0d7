"""A training or test run in Weights & Biases: configuration, losses, metrics, pictures and the result table."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from srbench.benchmark import Benchmark
from srbench.errors import InputError
from srbench.images import to_uint8
from srbench.records import RunRecord
from srbench.tracking import load_wandb, run_mode

PROJECT = "srbench"


def prepare(loggers: Any, *, folder: str, group: str) -> None:
    """Settles a configured WandbLogger before it is built.

    Without an account (no ``WANDB_API_KEY``, no login, no ``WANDB_MODE``) the run is kept offline, in one line instead
    of a usage error. Its files go into the run folder, its project is ``srbench``, its group the method.

    Args:
        loggers: the parsed value of ``trainer.logger``; changed in place.
        folder: the run folder.
        group: the method's name.

    Raises:
        InputError: a WandbLogger is asked for and wandb is not installed.
    """
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        if not str(_get(logger, "class_path", "")).endswith("WandbLogger"):
            continue
        if importlib.util.find_spec("wandb") is None:
            raise InputError("wandb is not installed", where="trainer.logger", remedy='pip install "srbench[wandb]"')
        arguments = logger["init_args"]
        if arguments.get("save_dir") in (None, "."):
            arguments["save_dir"] = folder
        if arguments.get("project") in (None, "lightning_logs"):
            arguments["project"] = os.environ.get("WANDB_PROJECT", PROJECT)
        more = {"group": group, **(_get(logger, "dict_kwargs", None) or {})}
        mode = "offline" if arguments.get("offline") else run_mode()
        if mode is not None:
            # Said to wandb.init itself: the environment is too late once wandb was asked for an account.
            more.setdefault("mode", mode)
            more.setdefault("settings", {"silent": True})  # the line below says it all
            _hush()
        if mode is not None and not arguments.get("offline") and os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"W&B: no account found, the run is kept offline under {folder}/wandb (wandb sync uploads it)")
        logger["dict_kwargs"] = more


def _hush() -> None:
    """Keeps wandb's own remarks out of a run that is offline; they advise what nobody here can do."""
    wandb = load_wandb()
    if hasattr(wandb, "termsetup"):  # releases differ; without it two lines more are shown
        wandb.termsetup(wandb.Settings(silent=True), None)


def _get(held: Any, key: str, default: Any) -> Any:
    return held.get(key, default) if hasattr(held, "get") else default


class WandbRun(Callback):
    """Adds to a WandbLogger what Lightning does not log: the resolved config, pictures and the result table.

    Args:
        config: the resolved configuration of the run.
        samples: images of every validation set to show, the first of each.
    """

    def __init__(self, config: Mapping[str, Any], samples: int = 4) -> None:
        self.config = config
        self.samples = samples

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Logs the configuration, once."""
        for logger in _wandb(trainer):
            logger.experiment.config.update(dict(self.config), allow_val_change=True)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Shows the first images of every set as ``samples/<set>/<name>``: sr and, where there is one, gt."""
        if batch_idx >= self.samples or trainer.sanity_checking:
            return
        test_set = trainer.datamodule.val_sets[dataloader_idx].info.name  # type: ignore[attr-defined]
        for logger in _wandb(trainer):
            images = [to_uint8(outputs["sr"][0])] + ([to_uint8(batch["gt"][0])] if "gt" in batch else [])
            captions = ["sr", "gt"][: len(images)]
            logger.log_image(f"samples/{test_set}/{batch['name'][0]}", images, caption=captions)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """After a test: the result table, one row per test set."""
        if stage != "test":
            return
        benchmarks = [c for c in trainer.callbacks if isinstance(c, Benchmark)]  # type: ignore[attr-defined]
        records = [record for benchmark in benchmarks for record in benchmark.records]
        for logger in _wandb(trainer):
            if records:
                columns, rows = result_table(records)
                logger.log_table("results", columns=columns, data=rows)


def finish(status: int) -> None:
    """Ends the run of this process, so that it is whole on disk; nothing where there is none.

    Args:
        status: 0, or how the command failed.
    """
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=status)


def result_table(records: Iterable[RunRecord]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of the result table: method, test set, protocol, n, then every metric's mean."""
    records = list(records)
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    rows = []
    for record in records:
        means = [record.metrics[m].mean if m in record.metrics else None for m in metrics]
        rows.append([record.method, record.test_set, record.protocol, record.n, *means])
    return ["method", "test_set", "protocol", "n", *metrics], rows


def _wandb(trainer: Trainer) -> list[WandbLogger]:
    return [x for x in trainer.loggers if isinstance(x, WandbLogger)] if trainer.is_global_zero else []
