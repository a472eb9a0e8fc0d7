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


def need_options(path: str, options: Mapping[str, Any]) -> None:
    """Refuses a checkpoint that was trained with other options, which its tensors alone would not show.

    Args:
        path: the checkpoint.
        options: the present stage's; those that the checkpoint does not remember are not compared.

    Raises:
        InputError: one differs.
    """
    held = read_checkpoint(path)
    known = held.get("hyper_parameters") or {} if isinstance(held, Mapping) else {}
    for name, value in options.items():
        if name in known and known[name] != value:
            raise InputError(
                f"it was trained with {name} {known[name]}, and here {name} is {value}",
                where=path,
                remedy=f"set --model.init_args.{name} {known[name]}, or train the stage before with {value}",
            )
