"""The ``srbench`` command. ``--help``, ``--version`` and ``list`` answer without importing torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from srbench import __version__
from srbench.errors import InputError
from srbench.naming import unknown_name
from srbench.processes import PeerLost, one_voice, said, say
from srbench.warning_lines import one_line_warnings

COMMANDS: dict[str, tuple[str, str]] = {
    "fit": ("srbench.trainer_command", "train a stage of a method"),
    "validate": ("srbench.trainer_command", "score the validation sets, nothing is written"),
    "test": ("srbench.trainer_command", "restore and score test sets; writes records"),
    "predict": ("srbench.trainer_command", "restore images and write them as PNG"),
    "score": ("srbench.score_command", "score a folder of finished images under a protocol"),
    "leaderboard": ("srbench.leaderboard_command", "records to tables (CSV, Markdown, page, W&B)"),
    "compare": ("srbench.compare_command", "two runs, per metric: which is better, and can the images tell"),
    "table": ("srbench.table_command", "a paper's table: measured beside printed, only the missing is run"),
    "list": (
        "srbench.list_command",
        "methods, modules, datasets, degradations, metrics, protocols, tables, analyses, ...",
    ),
    "data": ("srbench.data_command", "published sets on disk: list, check; make synthetic ones from a seed"),
    "weights": ("srbench.weights_command", "outside weights: list, fetch, check"),
    "describe": ("srbench.describe_command", "parts, parameters and multiply-adds of a stage"),
    "analyze": ("srbench.analyze_command", "the papers' figures for any method: data and picture"),
    "doctor": ("srbench.doctor_command", "what works on this machine, what is missing, how to get it"),
}
_TRAINER = ("fit", "validate", "test", "predict")

_USAGE = """usage: srbench COMMAND [arguments]

Train, measure and compare image super-resolution, so that two numbers in one column were measured the same way.

{commands}

srbench COMMAND --help explains a command; SRBENCH_TRACEBACK=1 shows where an error was raised. Start here:
  srbench test --model Bicubic --config data/photos.yaml --benchmark.out runs/bicubic
  srbench leaderboard --records runs/bicubic
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit status: 0, 2 for bad input, 130 when interrupted, or what the command says.
    """
    with one_voice(), one_line_warnings():
        return _guarded(list(sys.argv[1:] if argv is None else argv))


def _guarded(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except InputError as error:
        if os.environ.get("SRBENCH_TRACEBACK"):
            raise
        say(f"srbench: error: {_readable(error)}")
        return 2
    except PeerLost:
        if not said():
            say("srbench: error: another process of this run was killed; run the same command again to go on")
        return 1
    except KeyboardInterrupt:
        say("srbench: interrupted; what was written is kept")
        return 130
    except BrokenPipeError:  # the reader of our output went away (srbench list | head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"srbench {__version__}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    run: Callable[[Sequence[str]], int] = import_module(COMMANDS[name][0]).run
    return run(arguments if name in _TRAINER else arguments[1:])


def usage() -> str:
    """The text of ``srbench --help``."""
    width = max(map(len, COMMANDS))
    return _USAGE.format(commands="\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()))


def _readable(error: InputError) -> str:
    """The error's line; one that was raised in a data worker arrives wrapped in a traceback, whose end it is."""
    text = str(error)
    marker = f"{InputError.__module__}.{InputError.__qualname__}: "
    return text.rpartition(marker)[2] if marker in text else text


if __name__ == "__main__":
    sys.exit(main())
