"""The model under study: built from configs and given its weights, as ``srbench test`` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from srbench.arguments import read
from srbench.errors import InputError

if TYPE_CHECKING:
    import torch

    from srbench.module import SRModule


def load_subject(
    configs: Sequence[str], arguments: Sequence[str] = (), *, checkpoint: str | None = None, device: str = "cpu"
) -> SRModule:
    """Builds a model and loads what it starts from.

    Args:
        configs: names or paths, the later winning.
        arguments: ``--model...`` arguments, which win over them.
        checkpoint: of ``srbench fit``, or ``last``.
        device: where it runs.

    Returns:
        The model in evaluation mode, its parameters frozen; marked where it needs weights and was given none.

    Raises:
        InputError: a config, class, key, checkpoint or device is wrong, or there is no model.
    """
    given = [] if checkpoint is None else [f"--ckpt_path={checkpoint}"]
    invocation = read(["test", *(f"--config={name}" for name in configs), *arguments, *given])
    path = invocation.stack.get("ckpt_path")
    invocation.stack = {"model": invocation.stack["model"]} if "model" in invocation.stack else {}

    from srbench.build import build_model  # only now: a config that does not exist is told without torch
    from srbench.keys import check_keys, require

    check_keys(invocation)
    require(invocation, ["model"])
    where = device_named(device)
    model = build_model(invocation.stack, invocation.rest)
    model.setup("test")
    if path is not None:
        _restore(model, path)
    elif model.needs_weights and model.weights is None and any(True for _ in model.parameters()):
        model.stamp("random_weights")
    return model.eval().requires_grad_(False).to(where)


def device_named(name: str) -> torch.device:
    """The device of that name.

    Raises:
        InputError: there is none on this machine.
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"there is no device '{name}' here", where="--device", remedy="use cpu, or see srbench doctor"
        ) from error
    return device


def remarks(model: SRModule) -> list[str]:
    """What a reader of a figure must know of the weights behind it."""
    return [f"marked {', '.join(model.marks)}: records of this model are not ranked"] if model.marks else []


def _restore(model: SRModule, path: str) -> None:
    from srbench.weights import read_checkpoint

    held = read_checkpoint(path)
    model.on_load_checkpoint(held)  # refuses another network's, by name
    model.load_state_dict(held["state_dict"], strict=model.strict_loading)
