"""What a stage needs to know of the checkpoint of the stage before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srbench.errors import InputError
from srbench.weights import read_checkpoint


def need_stage(path: str | None, config: str) -> str:
    """The checkpoint's path, if there is a file.

    Args:
        path: as given by ``pretrained``.
        config: of the stage that makes it.

    Raises:
        InputError: there is none; it names the command that makes one.
    """
    if path is None or not Path(path).is_file():
        raise InputError(
            "this stage learns through the network of the stage before, which is not here",
            where=path or "model.init_args.pretrained",
            remedy=f"run srbench fit --config {config} and give its checkpoint by --model.init_args.pretrained, or set "
            "it null with --model.init_args.allow_random_backbones true for a trial",
        )
    return path


def need_maker(path: str, maker: str, config: str) -> None:
    """Refuses a checkpoint of another of srbench's stages; one of a class of the user's own passes.

    Args:
        path: the checkpoint.
        maker: name of the class whose checkpoint is wanted.
        config: of that stage.

    Raises:
        InputError: another stage made it.
    """
    made_by = str(_remembered(path).get("_class_path", ""))
    if made_by.startswith("srbench.modules.") and made_by.rpartition(".")[2] != maker:
        raise InputError(
            f"it is a checkpoint of {made_by.rpartition('.')[2]}, not of {maker}",
            where=path,
            remedy=f"give that of srbench fit --config {config}",
        )


def need_options(path: str, options: Mapping[str, Any]) -> None:
    """Refuses a checkpoint that was trained with other options, which its tensors alone would not show.

    Args:
        path: the checkpoint.
        options: the present stage's; those that the checkpoint does not remember are not compared.

    Raises:
        InputError: one differs.
    """
    known = _remembered(path)
    for name, value in options.items():
        if name in known and known[name] != value:
            raise InputError(
                f"it was trained with {name} {known[name]}, and here {name} is {value}",
                where=path,
                remedy=f"set --model.init_args.{name} {known[name]}, or train the stage before with {value}",
            )


def _remembered(path: str) -> Mapping[str, Any]:
    held = read_checkpoint(path)
    known: Mapping[str, Any] = held.get("hyper_parameters") or {} if isinstance(held, Mapping) else {}
    return known
