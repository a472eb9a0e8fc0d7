"""One vector per image from any network: what the model calls its representation, a part of it, or a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from srbench.analysis.feature_maps import answer, layer
from srbench.errors import InputError
from srbench.module import SRModule


@runtime_checkable
class Represents(Protocol):
    """A method that describes an image by numbers."""

    def represent(self, lq: Tensor) -> Tensor:
        """Of ``lq`` (B,3,h,w) in [0,1]: vectors (B,C), tokens (B,N,C) or a map (B,C,h,w)."""


def encoder(model: SRModule, *, part: str | None = None, layer_name: str | None = None) -> Callable[[Tensor], Tensor]:
    """A function of lq (1,3,h,w) that gives one vector (C,) on the CPU, float32.

    Args:
        model: whose.
        part: the submodule that is given lq, and nothing else of the model runs; any network can so be an encoder, as
            the ``net`` of :class:`~srbench.modules.pixel.PixelSR`.
        layer_name: the submodule whose output is taken while the model restores lq.

    Raises:
        InputError: both are given, there is no such submodule, or neither is given and the model has no ``represent``.
    """
    if part is not None and layer_name is not None:
        raise InputError("a part and a layer are two encoders", where="--part", remedy="give one of --part and --layer")
    if part is not None:
        return _pooling(layer(model, part), part)
    if layer_name is not None:
        layer(model, layer_name)  # an unknown one is told before images are read
        return lambda lq: pooled(answer(model, layer_name, lq).output, layer_name)
    if not isinstance(model, Represents):
        raise InputError(
            f"{type(model).__name__} has no representation of its own",
            where="--model",
            remedy="name by --part the network that is given lq, or by --layer the layer whose output counts",
        )
    return _pooling(model.represent, type(model).__name__)


def pooled(output: Any, where: str) -> Tensor:
    """One vector (C,) of what a network gave for one image: tokens and maps are averaged over their places.

    Args:
        output: (1,C), (1,N,C) or (1,C,h,w); of a tuple or list the last tensor, as encoders put maps before vectors.
        where: what to blame.

    Raises:
        InputError: it is none of these, or not finite.
    """
    if isinstance(output, (tuple, list)):
        output = next((item for item in reversed(output) if isinstance(item, Tensor)), None)
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4) or len(output) != 1:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(f"its output {shape} is no vector, no tokens and no map", where=where, remedy="choose another")
    vector = output[0].detach().float().cpu()
    if vector.ndim > 1:
        vector = vector.mean(0) if vector.ndim == 2 else vector.mean((-2, -1))
    if not bool(torch.isfinite(vector).all()):
        raise InputError("it gives NaN or infinity", where=where, remedy="see whether its weights are whole")
    return vector


def _pooling(network: Callable[[Tensor], Any], where: str) -> Callable[[Tensor], Tensor]:
    def vector(lq: Tensor) -> Tensor:
        with torch.no_grad():
            return pooled(network(lq), where)

    return vector
