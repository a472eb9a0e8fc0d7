"""From a command line to one configuration: configs stacked, names completed, checkpoints asked last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srbench.catalog import exported, overlay, read_config
from srbench.errors import InputError
from srbench.naming import unknown_name

ROOMS = {"model": "modules", "data": "datamodules"}
SECTIONS = ("model", "data", "trainer", "benchmark", "checkpoint")


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
    stack: dict[str, Any] = {}
    for name in names:
        stack = overlay(stack, _settled(read_config(name), name))
    for section, room in ROOMS.items():
        rest = [_complete(token, before, section, room) for before, token in zip(["", *rest], rest, strict=False)]
    _refuse_loose_ends(rest)
    stack, rest = with_deep_nulls(stack, rest)
    invocation = Invocation(subcommand, stack, rest)
    _settle_checkpoint(invocation)
    stack, rest = invocation.stack, invocation.rest
    if subcommand == "predict" and value_of(stack, rest, "return_predictions") is None:
        stack["return_predictions"] = False  # the images are written; keeping them too would fill the memory
    folder = run_folder(stack, rest)
    if value_of(stack, rest, "trainer.default_root_dir") is None:
        stack = overlay(stack, {"trainer": {"default_root_dir": folder}})
    if not any(token.startswith("--trainer.logger") for token in rest) and "logger" not in stack.get("trainer", {}):
        stack = overlay(stack, {"trainer": {"logger": _default_logger(folder) if subcommand == "fit" else False}})
    invocation.stack = stack
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


def with_deep_nulls(stack: dict[str, Any], rest: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Moves every ``null`` for an argument of a class within a class from the command line into the stack.

    jsonargparse (4.53) reads the value once per class around it and hands on the text of what it has read: a null would
    arrive as the word None. Where the stack does not name the class, the argument stays where it is.
    """
    out: list[str] = []
    for before, token in zip(["", *rest], rest, strict=False):
        key, equals, value = token.partition("=") if token.startswith("--") else (before, "", token)
        *parents, name = key.removeprefix("--").split(".")
        named = value_of(stack, [], ".".join([*parents[:-1], "class_path"]))
        if value != "null" or parents.count("init_args") < 2 or named is None:
            out.append(token)
            continue
        if not equals:
            out.pop()
        below: dict[str, Any] = {name: None}
        for part in reversed(parents):
            below = {part: below}
        stack = overlay(stack, below)
    return stack, out


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


def _settled(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A config whose sections are mappings and whose classes have their full names, so that it can be stacked.

    Raises:
        InputError: a key is no word, or a section is no mapping.
    """
    if odd := [key for key in config if not isinstance(key, str)]:
        raise InputError(f"the key {odd[0]!r} is no word", where=name, remedy="start with keys such as model:, data:")
    out = {key: value for key, value in config.items() if value is not None}  # a section left empty says nothing
    for section in SECTIONS:
        held = out.get(section)
        if isinstance(held, str) and section in ROOMS:
            held = out[section] = {"class_path": held}
        if held is not None and not isinstance(held, dict):
            raise _no_mapping(f"{section}: {held!r}", name)
    for section, room in ROOMS.items():
        held = out.get(section, {})
        if "class_path" in held:
            if not isinstance(held["class_path"], str):
                raise InputError(
                    f"{section}.class_path {held['class_path']!r} is no name", where=name, remedy="name a class"
                )
            held["class_path"] = class_path(held["class_path"], room)
        if not isinstance(held.get("init_args") or {}, dict):
            raise _no_mapping(f"{section}.init_args: {held['init_args']!r}", name)
    return out


def _no_mapping(what: str, name: str) -> InputError:
    return InputError(f"'{what}' is no mapping", where=name, remedy="write its keys below it, indented")


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
            if value is None or value.startswith("--"):
                raise InputError("--config needs a value", remedy="give a path or a name from srbench list configs")
            names.append(value)
        elif token.startswith("--config="):
            names.append(token.split("=", 1)[1])
        else:
            rest.append(token)
    return names, rest


def _refuse_loose_ends(rest: Sequence[str]) -> None:
    """Refuses words that belong to no key, and keys that need a value and have none.

    Raises:
        InputError: it says what the word was probably meant to be.
    """
    for before, token in zip(["", *rest], rest, strict=False):
        if not token.startswith("-") and (not before.startswith("--") or "=" in before):
            known = Path(token).is_file() or token.endswith((".yaml", ".yml"))
            remedy = f"did you mean '--config {token}'?" if known else "write --KEY VALUE, a list as '[a,b]'"
            raise InputError("it belongs to no key", where=token, remedy=remedy)
    for token, after in zip(rest, [*rest, ""][1:], strict=True):
        if token == "--ckpt_path" and (not after or after.startswith("--")):
            raise InputError("it needs a value", where=token, remedy="give a file, or `last`")


def _complete(token: str, before: str, section: str, room: str) -> str:
    flags = (f"--{section}", f"--{section}.class_path", f"--{section}.help")
    if before in flags and not token.startswith("-"):
        return token if token.startswith("{") else class_path(token, room)
    for flag in flags:
        if token.startswith(f"{flag}="):
            return f"{flag}={class_path(token.split('=', 1)[1], room)}"
    return token


def _settle_checkpoint(invocation: Invocation) -> None:
    """Finds ``last``, and puts what the checkpoint remembers of the model below everything else."""
    path = value_of(invocation.stack, invocation.rest, "ckpt_path")
    if path is None:
        return
    invocation.rest = _without(invocation.rest, "ckpt_path")
    invocation.stack.pop("ckpt_path", None)
    if path == "last":
        folder = Path(run_folder(invocation.stack, invocation.rest))
        path = newest_checkpoint(folder)
        if path is None and invocation.subcommand != "fit":
            raise InputError("there is no last checkpoint", where=folder, remedy="run srbench fit first")
        if path is None:
            print(f"{folder}: no checkpoint yet, training starts from the beginning")
            return
    given = invocation.stack.get("model", {}).get("init_args")
    if isinstance(given, dict):  # a copy of what the stack was read from; the checkpoint's tensors replace these
        given.pop("weights", None)
    invocation.stack["ckpt_path"] = str(path)
    invocation.stack = overlay(_remembered(Path(path)), invocation.stack)


def _remembered(path: Path) -> dict[str, Any]:
    """The ``model`` section of the run that wrote the checkpoint; without the class when it was not the command line.

    Raises:
        InputError: the file is no checkpoint of a training run.
    """
    from srbench.weights import read_checkpoint

    held = read_checkpoint(path)
    if not isinstance(held, dict) or "state_dict" not in held or "pytorch-lightning_version" not in held:
        raise InputError(
            "it is no checkpoint of srbench fit",
            where=path,
            remedy="weights alone are given by --model.init_args.weights FILE",
        )
    hparams = dict(held.get("hyper_parameters") or {})
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
