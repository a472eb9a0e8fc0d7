"""From a command line to one configuration: configs stacked, names completed, checkpoints asked last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srbench.catalog import exported, load_stack, overlay
from srbench.errors import InputError
from srbench.naming import unknown_name

ROOMS = {"model": "modules", "data": "datamodules"}


@dataclass
class Invocation:
    """What a training command was asked to do.

    Attributes:
        subcommand: ``fit``, ``validate``, ``test`` or ``predict``.
        stack: all configs laid over each other, with what a checkpoint remembers below them.
        rest: the arguments that remain; they win over ``stack``.
    """

    subcommand: str
    stack: dict[str, Any]
    rest: list[str]


def read(argv: Sequence[str]) -> Invocation:
    """Reads ``fit --config a --config b --model X ...``; nothing is imported.

    Raises:
        InputError: a config or class is unknown, or ``--ckpt_path last`` finds nothing to test.
    """
    subcommand, *tokens = argv
    names, rest = _split_configs(tokens)
    stack = load_stack(names)
    for section, room in ROOMS.items():
        held = stack.get(section)
        if isinstance(held, str):
            held = stack[section] = {"class_path": held}
        if isinstance(held, dict) and isinstance(held.get("class_path"), str):
            held["class_path"] = class_path(held["class_path"], room)
        rest = [_complete(token, before, section, room) for before, token in zip(["", *rest], rest, strict=False)]
    folder = run_folder(stack, rest)
    if value_of(stack, rest, "trainer.default_root_dir") is None:
        stack = overlay(stack, {"trainer": {"default_root_dir": folder}})
    if not any(token.startswith("--trainer.logger") for token in rest) and "logger" not in stack.get("trainer", {}):
        stack = overlay(stack, {"trainer": {"logger": _default_logger(folder) if subcommand == "fit" else False}})
    invocation = Invocation(subcommand, stack, rest)
    _settle_checkpoint(invocation, Path(folder))
    return invocation


def class_path(name: str, room: str) -> str:
    """The import path that a class name means: ``EDSR`` and ``srbench.modules.EDSR`` name the same class.

    Raises:
        InputError: it is a short or srbench name that nobody exports; it suggests the nearest.
    """
    known = exported(room)
    prefix, _, last = name.rpartition(".")
    if last in known and (prefix in ("", f"srbench.{room}") or name == known[last].class_path):
        return known[last].class_path
    if "." not in name or prefix == f"srbench.{room}":
        raise unknown_name("model class" if room == "modules" else "data class", last, known)
    return name  # a class of the user's own, or one by its full path


def value_of(stack: dict[str, Any], rest: Sequence[str], key: str) -> Any:
    """The value a dotted key has on the command line, else in the stack, else None."""
    for i in range(len(rest) - 1, -1, -1):
        if rest[i] == f"--{key}" and i + 1 < len(rest):
            return rest[i + 1]
        if rest[i].startswith(f"--{key}="):
            return rest[i].split("=", 1)[1]
    held: Any = stack
    for part in key.split("."):
        held = held.get(part) if isinstance(held, dict) else None
    return held


def run_folder(stack: dict[str, Any], rest: Sequence[str]) -> str:
    """The folder of the run: ``--trainer.default_root_dir``, else ``runs/<class>`` in lower case."""
    given = value_of(stack, rest, "trainer.default_root_dir")
    if given is not None:
        return str(given)
    name = value_of(stack, rest, "model") if isinstance(value_of({}, rest, "model"), str) else None
    name = name or value_of(stack, rest, "model.class_path") or "run"
    return f"runs/{str(name).rpartition('.')[2].lower()}"


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest ``last*.ckpt`` of a run folder."""
    found = sorted((folder / "checkpoints").glob("last*.ckpt"), key=lambda p: p.stat().st_mtime_ns)
    return found[-1] if found else None


def _default_logger(folder: str) -> dict[str, Any]:
    """Losses and metrics as ``<run>/logs/version_<k>/metrics.csv``."""
    return {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": folder, "name": "logs"}}


def _split_configs(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    names: list[str] = []
    rest: list[str] = []
    waiting = iter(tokens)
    for token in waiting:
        if token in ("--config", "-c"):
            value = next(waiting, None)
            if value is None:
                raise InputError("--config needs a value", remedy="give a path or a name from srbench list configs")
            names.append(value)
        elif token.startswith("--config="):
            names.append(token.split("=", 1)[1])
        else:
            rest.append(token)
    return names, rest


def _complete(token: str, before: str, section: str, room: str) -> str:
    flags = (f"--{section}", f"--{section}.class_path")
    if before in flags and not token.startswith("-"):
        return token if token.startswith("{") else class_path(token, room)
    for flag in flags:
        if token.startswith(f"{flag}="):
            return f"{flag}={class_path(token.split('=', 1)[1], room)}"
    return token


def _settle_checkpoint(invocation: Invocation, folder: Path) -> None:
    """Finds ``last``, and puts what the checkpoint remembers of the model below everything else."""
    path = value_of(invocation.stack, invocation.rest, "ckpt_path")
    if path is None:
        return
    if path == "last":
        path = newest_checkpoint(folder)
        if path is None and invocation.subcommand != "fit":
            raise InputError("there is no last checkpoint", where=folder, remedy="run srbench fit first")
    invocation.rest = _without(invocation.rest, "ckpt_path")
    invocation.stack.pop("ckpt_path", None)
    if path is None:
        print(f"{folder}: no checkpoint yet, training starts from the beginning")
        return
    invocation.stack["ckpt_path"] = str(path)
    invocation.stack = overlay(_remembered(Path(path)), invocation.stack)


def _remembered(path: Path) -> dict[str, Any]:
    from srbench.weights import read_checkpoint

    held = read_checkpoint(path)
    hparams = dict(held.get("hyper_parameters") or {}) if isinstance(held, dict) else {}
    hparams.pop("_instantiator", None)
    hparams.pop("weights", None)  # the checkpoint's own tensors come after them anyway
    name = hparams.pop("_class_path", None)
    return {"model": {"class_path": name, "init_args": hparams}} if name else {}


def _without(rest: Sequence[str], key: str) -> list[str]:
    out: list[str] = []
    skip = False
    for token in rest:
        if skip:
            skip = False
        elif token == f"--{key}":
            skip = True
        elif not token.startswith(f"--{key}="):
            out.append(token)
    return out
