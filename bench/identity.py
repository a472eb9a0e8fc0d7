"""What is measured: a module by its configuration and the content of its files, not by where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from srbench.evaluation import Subject, config_hash
from srbench.images import file_sha256
from srbench.module import SRModule
from srbench.naming import safe_name
from srbench.sampling import run_seed
from srbench.weights import checkpoint_marks, state_sha256


def identify(module: SRModule, *, method: str | None, checkpoint: Path | None, untrained: bool) -> Subject:
    """What a run of a prepared module is of.

    Args:
        module: with its weights.
        method: the row's name; None takes the module's.
        checkpoint: what Lightning restores over the module's weights.
        untrained: whether neither a file nor training gave its weights.
    """
    config = {**configuration(module), "scale": module.scale, "tile": module.tile}
    weights = module.weights_sha256 if checkpoint is None else file_sha256(checkpoint)
    if weights is None and any(True for _ in module.parameters()):
        config["state"] = state_sha256(module)  # no file says which weights these are
    if outside := set(module.files.values()) - {weights}:
        config["files"] = sorted(outside)
    drawn_from = config_hash(config) if module.stochastic else None
    if module.stochastic:
        config |= {"seed": run_seed(), "repeat": module.repeat}
    learned = () if checkpoint is None else checkpoint_marks(checkpoint)
    return Subject(
        method=method or safe_name(module.method, kind="method name"),
        class_path=f"{type(module).__module__}.{type(module).__qualname__}",
        stage=getattr(module, "stage", None),
        config_sha256=config_hash(config),
        weights_sha256=weights,
        files=dict(module.files),
        marks=tuple(dict.fromkeys([*module.marks, *learned, *(["random_backbones"] if untrained else [])])),
        draw=module.repeat if module.stochastic else None,
        drawn_from=drawn_from,
    )


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
