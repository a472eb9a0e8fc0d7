"""A network that a method uses and never trains: kept out of parameters, checkpoints, train mode and averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor, nn


class Frozen(nn.Module):
    """Holds a network where its owner's ``parameters()``, ``state_dict()``, ``train()`` and DDP do not find it.

    It moves between devices with its owner, stays in evaluation mode and takes no gradients itself; gradients flow
    through it to its input. On the meta device, where a network has shapes and no values, it stays until
    :meth:`put` replaces it.

    Args:
        net: the network.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.put(net)

    @property
    def net(self) -> nn.Module:
        """The network."""
        held = self.__dict__["_held"]
        assert isinstance(held, nn.Module)
        return held

    def put(self, net: nn.Module) -> None:
        """Takes another network in place of the one it holds."""
        self.__dict__["_held"] = net.eval().requires_grad_(False)

    @property
    def is_meta(self) -> bool:
        """Whether the network has no values yet."""
        return any(parameter.is_meta for parameter in self.net.parameters())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns."""
        return self.net(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if not self.is_meta:
            self.net._apply(fn, recurse)
        return super()._apply(fn, recurse)
