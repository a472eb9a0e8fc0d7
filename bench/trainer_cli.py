"""``srbench fit | validate | test | predict``: Lightning's command line with srbench's defaults and manners."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import jsonargparse
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint as AnyCheckpoint
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from srbench.arguments import Invocation
from srbench.atomic import write_failed, write_whole
from srbench.benchmark import Benchmark
from srbench.datamodule import SRDataModule
from srbench.errors import InputError
from srbench.guards import Checkpoint, FiniteLoss, Interrupt
from srbench.keys import check_keys, require
from srbench.leaderboard import spreads
from srbench.module import SRModule
from srbench.processes import PeerLost, is_peer_lost
from srbench.progress import Summary, progress_bar
from srbench.rejection import refused
from srbench.resume import Resume
from srbench.timing import Timing
from srbench.wandb_run import WandbRun, finish, prepare

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
                with contextlib.suppress(FileNotFoundError):  # another run in this folder was quicker
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
        """Adds ``--benchmark.*`` and, where something is trained, ``--checkpoint.*``."""
        parser.add_lightning_class_args(Benchmark, "benchmark")
        if self.invocation.subcommand == "fit":
            parser.add_lightning_class_args(Checkpoint, "checkpoint")

    def _set_seed(self) -> None:
        try:
            super()._set_seed()
        except ValueError as error:
            raise InputError(str(error), where="seed_everything", remedy="use a number from 0 to 4294967295") from error

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

    def instantiate_classes(self) -> None:
        """Builds everything; what a class refuses is bad input.

        Raises:
            InputError: see :func:`~srbench.rejection.refused`.
        """
        try:
            super().instantiate_classes()
        except OSError:
            raise
        except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
            raise refused(error, see=f"srbench {self.invocation.subcommand} --help") from error

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs it; a test of several draws of a stochastic method is as many tests.

        Raises:
            InputError: several draws are asked for of a method that draws nothing.
        """
        benchmark = next(c for c in self.trainer.callbacks if isinstance(c, Benchmark))  # type: ignore[attr-defined]
        repeats = benchmark.repeats if subcommand == "test" else 1
        if repeats > 1 and not self.model.stochastic:
            raise InputError(
                f"{self.model.method} draws nothing: every repeat is the same",
                where="benchmark.repeats",
                remedy="leave it out",
            )
        for repeat in range(repeats):
            self.model.repeat = repeat
            self.datamodule.forget_done()
            super()._run_subcommand(subcommand)
        for line in spreads(benchmark.records):
            print(line)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Adds the callbacks that every run has."""
        self._dump_config()
        trainer = self._get(self.config_init, "trainer")
        callbacks: list[Callback] = [
            Timing(),
            Resume(),
            FiniteLoss(),
            Interrupt(),
            Summary(),
            WandbRun(self.config_dump),
        ]
        own = trainer.get("callbacks") or []
        own = own if isinstance(own, list) else [own]
        shown = trainer.get("enable_progress_bar") is not False and not trainer.get("barebones")
        if shown and not any(isinstance(callback, ProgressBar) for callback in own):
            callbacks.append(progress_bar())
        if self.invocation.subcommand != "fit":  # nothing is trained: there is nothing to save
            kwargs["callbacks"] = [callback for callback in own if not isinstance(callback, AnyCheckpoint)]
            kwargs["enable_checkpointing"] = False
        if trainer.get("enable_model_summary") is None:
            kwargs["enable_model_summary"] = False  # Lightning's table counts no operations here and prints 0
        self.trainer_defaults["callbacks"] = callbacks
        return super().instantiate_trainer(**kwargs)


def launch(invocation: Invocation) -> int:
    """Runs what :func:`srbench.arguments.read` has read.

    Returns:
        The exit status, 0.

    Raises:
        InputError: anything the user can mend.
        KeyboardInterrupt: Ctrl-C, after Lightning has shut down.
    """
    _seen.clear()
    _quiet(invocation.subcommand)
    check_keys(invocation)
    if not {"--help", "--model.help", "--data.help"} & {token.split("=")[0] for token in invocation.rest}:
        require(invocation)
    if invocation.subcommand != "fit":
        invocation.stack.pop("checkpoint", None)
        if given := [token for token in invocation.rest if token.startswith("--checkpoint")]:
            raise InputError("only srbench fit writes checkpoints", where=given[0], remedy="leave it out")
    see = f"srbench {invocation.subcommand} --help"
    status = 1
    try:
        SRBenchCLI(invocation)
        status = 0
    except (jsonargparse.ArgumentError, MisconfigurationException) as error:
        raise refused(error, see=see) from error
    except OSError as error:
        raise _unwritable(error) from error
    except RuntimeError as error:
        if is_peer_lost(error):
            raise PeerLost from error
        raise (_dead_worker(error) or _out_of_memory(error)) from error
    except Exception as error:
        if type(error).__module__.startswith("wandb."):
            raise refused(error, see="the W&B documentation, or set WANDB_MODE=offline") from error
        raise
    except SystemExit:
        if _INTERRUPTED in _seen:  # Lightning turns Ctrl-C into an exit
            raise KeyboardInterrupt from None
        raise
    finally:
        finish(status)
    return status


def _unwritable(error: OSError) -> BaseException:
    """A full disk or a folder that cannot be written, met by a logger or a callback of somebody else's."""
    known = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
    if error.errno not in known:
        return error
    return write_failed(Path(str(error.filename or "the run folder")), error)


def _dead_worker(error: RuntimeError) -> InputError | None:
    """A loader's worker that was ended; torch raises it wherever the main process happens to be."""
    if not str(error).startswith("DataLoader worker (pid"):
        return None
    return InputError(
        "a worker of the data loader died",
        where="data.init_args.num_workers",
        remedy="usually memory ran out: run it again with fewer workers or a smaller data.init_args.cache_mb; what was "
        "written is kept (--ckpt_path last goes on with a training run)",
    )


def _out_of_memory(error: RuntimeError) -> BaseException:
    short = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    remedy = "set --model.tile 256 to restore in tiles, or train with a smaller batch_size or patch_size"
    return InputError("there is not enough memory", remedy=remedy) if short else error


_INTERRUPTED = "Detected KeyboardInterrupt"
_seen: set[str] = set()


def _quiet(subcommand: str) -> None:
    """Turns off advice that is wrong here, and lines that say nothing of the run."""
    hidden = [
        "Tip:",
        "GPU available: False",
        "TPU available: False",
        "Restoring states from",
        "Found current_model_state in the checkpoint",
        "Loaded model weights from",
    ]
    if subcommand != "fit":
        hidden.append("Seed set to")
        for message in ("Be aware that when using `ckpt_path`", "You're using the WeightAveraging callback"):
            warnings.filterwarnings("ignore", message=message)  # both speak of training that would go on

    def keep(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if _INTERRUPTED in message:
            _seen.add(_INTERRUPTED)
            return False
        return not any(text in message for text in hidden)

    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logger = logging.getLogger(name)
        for old in [f for f in logger.filters if getattr(f, "__name__", "") == "keep"]:
            logger.removeFilter(old)
        logger.addFilter(keep)
    for message in (
        ".*does not have many workers.*",
        ".*Using `DistributedSampler` with the dataloaders.*",
        ".*It is recommended to use `.*sync_dist=True.*",
        ".*exists and is not empty.*",
        ".*The number of training batches .* is smaller than the logging interval.*",
        ".*Total length of `.*` across ranks is zero.*",
        ".*Trying to infer the `batch_size`.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",
        ".*LeafSpec.*",
        ".*`torch.jit.script.*` is deprecated.*",
        ".*Using ModelCheckpoint with manual optimization.*",  # a checkpoint after the step is what is wanted
    ):
        warnings.filterwarnings("ignore", message=message)
