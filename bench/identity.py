"""What a module is by its configuration, apart from where its files lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from srbench.module import SRModule


def configuration(module: SRModule) -> dict[str, Any]:
    """The arguments that ``module`` was made with, without its ``unhashed`` ones; so too of a method given to it."""
    given = {key: value for key, value in dict(module.hparams).items() if key != "_instantiator"}
    return _placeless(given, module.unhashed)


def _placeless(arguments: Mapping[str, Any], unhashed: Sequence[str]) -> dict[str, Any]:
    return {key: _nested(value) for key, value in arguments.items() if key not in unhashed}


def _nested(value: Any) -> Any:
    if not (isinstance(value, Mapping) and {"class_path", "init_args"} <= value.keys()):
        return value
    unhashed = getattr(_made(str(value["class_path"])), "unhashed", ())
    return {**value, "init_args": _placeless(value["init_args"] or {}, unhashed)}


def _made(class_path: str) -> Any:
    """The class; the command line has made one of it before."""
    room, _, name = class_path.rpartition(".")
    return getattr(import_module(room), name, None) if room else None
