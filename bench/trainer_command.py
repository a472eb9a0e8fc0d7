"""``srbench fit | validate | test | predict`` before torch is needed: help, configs and names cost no second."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from textwrap import fill

from srbench.arguments import read
from srbench.errors import InputError
from srbench.permission import FLAG, commands

_ABOUT = {
    "fit": "Trains a stage of a method. Checkpoints, the resolved config and the log go into the run folder.",
    "validate": "Scores the validation sets under a protocol and prints the means.",
    "test": "Restores and scores every image of the test sets once, and writes one record per set. A run that was\n"
    "killed goes on where it stopped when the same command is started again.",
    "predict": "Restores every image of the test sets and writes it as PNG.",
}

_PERMISSION = f"""  {FLAG}      let ExternalCommand start the program that its config names; no config can say this
"""

_PAGE = """usage: srbench {command} [--config NAME]... [--model CLASS] [--data CLASS] [--SECTION.KEY VALUE]...

{about}

what runs
  --config, -c NAME     a path or a shipped config (srbench list configs); stacks, later wins; arguments win over all
  --model CLASS         a method (srbench list modules) or an import path of your own
  --model.KEY VALUE     its arguments (also --model.init_args.KEY); srbench {command} --model.help CLASS lists them
  --data CLASS          a data set (srbench list datasets)
  --data.KEY VALUE      its arguments; srbench {command} --data.help CLASS lists them
  --ckpt_path FILE      a checkpoint of srbench fit; `last` is the newest of the run folder
  --seed_everything N   of all generators (0)
{permission}  --print_config        print the resolved configuration and stop

--benchmark.KEY VALUE
{benchmark}

{checkpoint}--trainer.KEY VALUE, Lightning's Trainer, among others
  default_root_dir      the run folder (runs/<method>)
  max_steps, max_epochs, max_time     when training ends
  accelerator, devices, num_nodes, strategy, precision     e.g. --trainer.devices 4 --trainer.strategy ddp
  gradient_clip_val, accumulate_grad_batches, log_every_n_steps
  val_check_interval, check_val_every_n_epoch, limit_val_batches, num_sanity_val_steps
  logger, callbacks     e.g. --trainer.logger WandbLogger, --trainer.callbacks+=LearningRateMonitor
  enable_progress_bar, enable_model_summary

srbench {command} --help-all lists every key of the trainer (it imports torch, which takes seconds).
"""


def run(argv: Sequence[str]) -> int:
    """Runs one training command.

    Args:
        argv: the subcommand and its arguments.

    Returns:
        The exit status.

    Raises:
        InputError: anything the user can mend.
    """
    command, *rest = argv
    if "--help" in rest or "-h" in rest:
        print(page(command))
        return 0
    allowed = FLAG in rest
    if allowed and command == "fit":
        raise InputError("training runs no programs of somebody else", where=FLAG, remedy="leave it out")
    invocation = read([command, *("--help" if token == "--help-all" else token for token in rest if token != FLAG)])
    # Only now: a config that does not exist is told without waiting for torch.
    launch = import_module("srbench.trainer_cli").launch
    with commands(allowed=allowed):
        status: int = launch(invocation)
    return status


def page(command: str) -> str:
    """The text of ``srbench <command> --help``, made from the sources without importing them."""
    return _PAGE.format(
        command=command,
        about=_ABOUT[command],
        permission="" if command == "fit" else _PERMISSION,
        benchmark=_arguments("benchmark.py", "Benchmark"),
        checkpoint=f"--checkpoint.KEY VALUE\n{_arguments('guards.py', 'Checkpoint')}\n\n" if command == "fit" else "",
    )


def _arguments(file: str, name: str) -> str:
    """The ``Args`` of a class's docstring as lines of the page."""
    source = Path(__file__).with_name(file).read_text(encoding="utf-8")
    [found] = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == name]
    section = re.search(r"Args:\n(.*?)(?:\n\n|$)", ast.get_docstring(found) or "", re.DOTALL)
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE)
    return "\n".join(
        fill(" ".join(text.replace("`", "").split()), 110, initial_indent=f"  {key:<22}", subsequent_indent=" " * 24)
        for key, text in entries
    )
