"""Keys of configs and arguments, checked before anything is built: a misspelt one is told its nearest neighbour."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer

from srbench.arguments import Invocation, value_of
from srbench.benchmark import Benchmark
from srbench.errors import InputError
from srbench.guards import Checkpoint
from srbench.naming import nearest

_PLAIN = {
    "seed_everything",
    "ckpt_path",
    "weights_only",
    "verbose",
    "return_predictions",
    "config",
    "print_config",
    "help",
}
_SECTIONS: dict[str, Any] = {"trainer": Trainer, "benchmark": Benchmark, "checkpoint": Checkpoint}


def check_keys(invocation: Invocation) -> None:
    """Refuses unknown keys of the stack and of the command line.

    Raises:
        InputError: it names the key and the nearest valid one.
    """
    for key, value in invocation.stack.items():
        _known(key, {*_PLAIN, *_SECTIONS, "model", "data"}, key)
        if key in _SECTIONS and isinstance(value, Mapping):
            for inner in value:
                _known(inner, _parameters(_SECTIONS[key]), f"{key}.{inner}")
        elif key in ("model", "data") and isinstance(value, Mapping):
            _check_class_section(key, value, invocation)
    for token in invocation.rest:
        if token.startswith("--"):
            _check_flag(token[2:].split("=", 1)[0], invocation)


def _check_class_section(section: str, value: Mapping[str, Any], invocation: Invocation) -> None:
    for inner in value:
        _known(inner, {"class_path", "init_args", "dict_kwargs"}, f"{section}.{inner}")
    arguments = value.get("init_args")
    class_path = _class_of(section, invocation)
    # A class given on the command line discards what the config said of another one; jsonargparse sees to that.
    if isinstance(arguments, Mapping) and class_path == value.get("class_path"):
        for inner in arguments:
            _known(inner, class_arguments(class_path), f"{section}.init_args.{inner}")


def _check_flag(flag: str, invocation: Invocation) -> None:
    head, *path = flag.split(".")
    _known(head, {*_PLAIN, *_SECTIONS, "model", "data"}, flag)
    if not path:
        return
    if head in _SECTIONS:
        _known(path[0].rstrip("+"), _parameters(_SECTIONS[head]), flag)
    elif head in ("model", "data") and path[0] not in ("class_path", "help"):
        inner = path[1:] if path[0] in ("init_args", "dict_kwargs") else path
        class_path = _class_of(head, invocation)
        if inner and class_path:
            _known(inner[0].rstrip("+"), class_arguments(class_path), flag)


def _class_of(section: str, invocation: Invocation) -> str | None:
    given = value_of({}, invocation.rest, section) or value_of({}, invocation.rest, f"{section}.class_path")
    held = given or value_of(invocation.stack, [], f"{section}.class_path")
    return held if isinstance(held, str) and not held.startswith("{") else None


@cache
def class_arguments(class_path: str | None) -> frozenset[str]:
    """Names of everything that a class and its parents take in ``__init__``.

    Raises:
        InputError: the class cannot be imported.
    """
    if class_path is None:
        return frozenset()
    module, _, name = class_path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"the class cannot be imported ({error})",
            where=class_path,
            remedy="check its path; see srbench list methods",
        ) from error
    added = ArgumentParser(exit_on_error=False).add_class_arguments(found, as_group=False, fail_untyped=False)
    return frozenset(name.split(".")[0] for name in added)


@cache
def _parameters(of: Any) -> frozenset[str]:
    return frozenset(inspect.signature(of.__init__).parameters) - {"self"}


def _known(key: str, valid: Iterable[str], where: str) -> None:
    if key in set(valid):
        return
    hint = nearest(key, valid)
    remedy = f"did you mean '{hint}'?" if hint else f"valid: {', '.join(sorted(valid)[:40])}"
    raise InputError(f"unknown key '{key}'", where=where, remedy=remedy)
