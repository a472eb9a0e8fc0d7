"""GivenMethod: the trained method whose network another one adapts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.nets.frozen import Frozen
from srbench.weights import check_finite


class GivenMethod(Frozen):
    """Holds a method out of its owner's parameters and checkpoints; :meth:`network` hands out what may move.

    Args:
        method: with or without its weights; one that builds its network from a file (spandrel) may have none yet.
        scale: the owner's.
        tile: side in lq pixels that the method restores large images in; None leaves its own.
        tile_overlap: lq pixels that tiles read beyond their own part.

    Raises:
        InputError: the method magnifies by another factor than its owner.
    """

    def __init__(self, method: SRModule, scale: int, tile: int | None = None, tile_overlap: int = 32) -> None:
        if method.scale != scale:
            raise InputError(
                f"the network to adapt is x{method.scale}, this adaptation x{scale}",
                where="model.init_args.model.init_args.scale",
                remedy="give both the same scale",
            )
        net = getattr(method, "net", None)
        fixed = {name for name, p in net.named_parameters() if not p.requires_grad} if net is not None else set()
        super().__init__(method)
        self.fixed = fixed
        if tile is not None:
            method.tile, method.tile_overlap = tile, tile_overlap

    @property
    def method(self) -> SRModule:
        """The method."""
        held = self.net
        assert isinstance(held, SRModule)
        return held

    @property
    def is_built(self) -> bool:
        """Whether its network is there, with whatever values."""
        return getattr(self.method, "net", None) is not None

    def load(self, weights: str | None, key: str | None) -> None:
        """Gives it the weights of a file, by the method's own ways; without a file it stays as it is.

        Raises:
            InputError: the file is missing, unsafe, or another network's.
        """
        if weights is not None:
            self.method.weights, self.method.weights_key = weights, key or self.method.weights_key
        if weights is not None or self.is_built:
            self.method.prepare()

    def build(self, state: Mapping[str, Tensor], where: str | Path) -> None:
        """Builds the network that these tensors belong to, unless it is there.

        Raises:
            InputError: they hold NaN or infinity, or no architecture is recognised.
        """
        if not self.is_built:
            check_finite(state, where=where)
            self.method.adopt(dict(state), where)  # type: ignore[operator]  # whoever needs a file to be built has it

    def network(self) -> nn.Module:
        """The network, ready to learn: what the method itself would train takes gradients."""
        net = self.method.parts()["net"]
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name not in self.fixed)
        return net

    def need_leave(self, random: bool) -> None:
        """Refuses to adapt a network without weights, unless ``random`` ones are asked for.

        Raises:
            InputError: they are not, or the method has no network without a file.
        """
        if not (random and self.is_built):
            raise InputError(
                f"there are no weights of {self.method.method} to adapt",
                where="model.init_args.weights",
                remedy="give its checkpoint, or adapt a random network with --model.init_args.allow_random_backbones "
                "true for a trial",
            )

    def need_gradient(self, sr: Tensor) -> None:
        """Refuses a method whose sr has no gradient.

        Raises:
            InputError: it has none.
        """
        if not sr.requires_grad:
            remedy = "adapt a method whose upscale can be trained through"
            raise InputError(f"{self.method.method} lets no gradient reach its network", where="model", remedy=remedy)

    def need_float32(self) -> None:
        """Refuses a network whose numbers are too coarse for steps of 1e-6.

        Raises:
            InputError: a parameter is not float32.
        """
        for name, parameter in self.method.parts()["net"].named_parameters():
            if parameter.dtype != torch.float32:
                raise InputError(
                    f"{name} is {parameter.dtype}, too coarse for steps of 1e-6",
                    where="model.init_args.model",
                    remedy="set its precision to float32",
                )
