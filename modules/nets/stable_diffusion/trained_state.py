"""A network of which a method trains a part: its ``state_dict`` holds that part alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from srbench.weights import check_finite, check_fit, read_checkpoint

Network = TypeVar("Network", bound=nn.Module)


def keep_trained_state(net: Network) -> Network:
    """Lets checkpoints hold only what is trainable in ``net`` at the time; what is frozen keeps its values on loading.

    Unlike in :class:`~srbench.modules.nets.frozen.Frozen` everything stays a registered parameter, so that single
    matrices can be trained and FSDP can shard what is frozen too.
    """
    net.register_state_dict_post_hook(_drop_frozen)
    net.register_load_state_dict_pre_hook(_fill_in_frozen)
    return net


def frozen_names(net: nn.Module) -> list[str]:
    """Names of the parameters of ``net`` that take no gradient, and of its buffers."""
    held = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
    return held + [name for name, _ in net.named_buffers()]


def _drop_frozen(net: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    for name in frozen_names(net):
        state.pop(prefix + name, None)


def _fill_in_frozen(net: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    held = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    for name in frozen_names(net):
        state.setdefault(prefix + name, held[name].detach())


def load_trained_state(module: nn.Module, path: str | Path) -> bool:
    """Loads a checkpoint that Lightning wrote of ``module``, strictly.

    Returns:
        Whether it is one; nothing is loaded of another file.

    Raises:
        InputError: it is one of another module, not finite, or cannot be read.
    """
    held = read_checkpoint(path)
    if "pytorch-lightning_version" not in held:
        return False
    check_finite(held["state_dict"], where=path)
    check_fit(module, held["state_dict"], where=path)
    module.load_state_dict(held["state_dict"])
    return True
