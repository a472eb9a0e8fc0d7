"""``srbench fit | validate | test | predict``: Lightning's command line with srbench's defaults and manners."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonargparse
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from srbench.arguments import Invocation, read
from srbench.atomic import write_whole
from srbench.benchmark import Benchmark
from srbench.datamodule import SRDataModule
from srbench.errors import InputError
from srbench.guards import Checkpoint, FiniteLoss
from srbench.keys import check_keys
from srbench.module import SRModule
from srbench.resume import Resume
from srbench.wandb_run import WandbRun, prepare

TRAINER_DEFAULTS: dict[str, Any] = {
    "use_distributed_sampler": False,  # Lightning's repeats images to even out the ranks; srbench shards itself
    "log_every_n_steps": 10,
}


class SaveConfig(Callback):
    """Writes the resolved configuration into the run folder, from the first process, keeping earlier ones.

    The newest is ``config.yaml``; one that differs and was there before becomes ``config.1.yaml``, ``config.2.yaml``...
    """

    def __init__(self, parser: LightningArgumentParser, config: Any) -> None:
        self.parser = parser
        self.config = config

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes the file before anything runs."""
        if not trainer.is_global_zero:
            return
        out = self.config.get("benchmark", {}).get("out") if stage != "fit" else None
        path = Path(out or trainer.default_root_dir) / "config.yaml"
        text = self.parser.dump(self.config, skip_none=False)
        try:
            if path.is_file() and path.read_text(encoding="utf-8") != text:
                count = len(list(path.parent.glob("config.*.yaml")))
                path.rename(path.with_name(f"config.{count + 1}.yaml"))
        except OSError as error:
            raise InputError(
                f"cannot be written ({error.strerror})", where=path, remedy="choose another --trainer.default_root_dir"
            ) from error
        write_whole(path, text.encode())


class SRBenchCLI(LightningCLI):
    """Builds module, data, trainer and callbacks from an :class:`Invocation` and runs its subcommand."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        super().__init__(
            model_class=SRModule,
            datamodule_class=SRDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SaveConfig,  # type: ignore[arg-type]
            trainer_defaults=dict(TRAINER_DEFAULTS),
            seed_everything_default=0,
            parser_kwargs={invocation.subcommand: {"exit_on_error": False}, "exit_on_error": False},
            auto_configure_optimizers=False,
            args=[
                invocation.subcommand,
                *(["--config", json.dumps(invocation.stack)] if invocation.stack else []),
                *invocation.rest,
            ],
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The one subcommand that was asked for: building the other three parsers costs seconds."""
        return {self.invocation.subcommand: LightningCLI.subcommands()[self.invocation.subcommand]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds ``--benchmark.*`` and ``--checkpoint.*``."""
        parser.add_lightning_class_args(Benchmark, "benchmark")
        parser.add_lightning_class_args(Checkpoint, "checkpoint")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses without Lightning's warning about ``sys.argv``; configs were stacked before."""
        self.config = parser.parse_args(args)  # type: ignore[arg-type]

    def _parse_ckpt_path(self) -> None:
        """Nothing: what a checkpoint remembers lies below the configs already, not above them."""

    def before_instantiate_classes(self) -> None:
        """Settles loggers before any is built."""
        trainer = self.config[self.subcommand]["trainer"]
        model = self.config[self.subcommand]["model"]["class_path"].rpartition(".")[2]
        prepare(trainer.get("logger"), folder=str(trainer["default_root_dir"]), group=model)

    def after_instantiate_classes(self) -> None:
        """Tells the Benchmark callback which checkpoint is tested."""
        path = self.config[self.subcommand].get("ckpt_path")
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Benchmark) and path:
                callback.checkpoint = Path(path)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Adds the callbacks that every run has."""
        self._dump_config()
        self.trainer_defaults["callbacks"] = [Resume(), FiniteLoss(), WandbRun(self.config_dump)]
        return super().instantiate_trainer(**kwargs)


def run(argv: Sequence[str]) -> int:
    """Runs one training command.

    Args:
        argv: the subcommand and its arguments.

    Returns:
        The exit status, 0.

    Raises:
        InputError: anything the user can mend.
    """
    _quiet()
    invocation = read(argv)
    check_keys(invocation)
    try:
        SRBenchCLI(invocation)
    except (jsonargparse.ArgumentError, MisconfigurationException) as error:
        raise InputError(_one_line(str(error)), remedy=f"see srbench {invocation.subcommand} --help") from error
    return 0


def build_parser() -> ArgumentParser:
    """An empty parser of the kind the command line uses; classes can ask it for their argument names."""
    return ArgumentParser(exit_on_error=False)


def _one_line(text: str) -> str:
    """A jsonargparse message without its listings of types and tracebacks, at most 500 characters."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return text if len(text) <= 500 else text[:497] + "..."


def _quiet() -> None:
    """Turns off advice that is wrong here: few workers on purpose, shards made by ourselves."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )
    for message in (
        ".*does not have many workers.*",
        ".*Using `DistributedSampler` with the dataloaders.*",
        ".*It is recommended to use `.*sync_dist=True.*",
        ".*exists and is not empty.*",
        ".*The number of training batches .* is smaller than the logging interval.*",
        ".*Total length of `.*` across ranks is zero.*",
        ".*Trying to infer the `batch_size`.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",
    ):
        warnings.filterwarnings("ignore", message=message)
