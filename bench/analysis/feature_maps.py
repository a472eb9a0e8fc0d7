"""What a layer answers to an image, averaged over its channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.naming import unknown_name


class Answer(NamedTuple):
    """A layer's output and how often the layer ran; the output is that of its last run."""

    output: Tensor
    runs: int


def layer(model: nn.Module, name: str) -> nn.Module:
    """The submodule of that name.

    Raises:
        InputError: there is none; it suggests the nearest.
    """
    known = dict(model.named_modules())
    if not name or name not in known:
        raise unknown_name("layer", name, [n for n in known if n], where="--layer")
    return known[name]


def answer(model: nn.Module, name: str, lq: Tensor) -> Answer:
    """What a layer gives while the model restores ``lq`` (1,3,h,w).

    Raises:
        InputError: there is no such layer, it does not run, or its output holds no floating-point tensor.
    """
    held: list[Any] = []
    hook = layer(model, name).register_forward_hook(lambda module, inputs, output: held.append(output))
    try:
        with torch.no_grad():
            model.upscale(lq)  # type: ignore[operator]
    finally:
        hook.remove()
    if not held:
        raise InputError(
            "the layer does not run when an image is restored", where=name, remedy="choose one of the network's own"
        )
    return Answer(_tensor(held[-1], name).detach().float().cpu(), len(held))


def channel_mean(
    output: Tensor, lq_size: tuple[int, int], *, raster: tuple[int, int] | None = None, channels_last: bool = False
) -> Tensor:
    """Averages a layer's output over its channels.

    Args:
        output: (1,C,h,w), tokens (1,N,d), or (1,h,w,C) with ``channels_last``.
        lq_size: height and width of lq; tokens are laid out so when there is one per pixel, else in its proportions.
        raster: rows and columns of tokens; one token more than these is a class or mean token before them.
        channels_last: whether four dimensions end with the channels.

    Returns:
        (h,w).

    Raises:
        InputError: it has other dimensions, or no raster fits its tokens.
    """
    if output.ndim == 4:
        return output[0].mean(-1 if channels_last else 0)
    if output.ndim != 3:
        raise InputError(
            f"its output {tuple(output.shape)} is no map",
            where="--layer",
            remedy="choose a layer with (B,C,h,w) or (B,N,d)",
        )
    means = output[0].mean(-1)
    rows, columns = raster or _proportioned(len(means), lq_size)
    if len(means) - rows * columns not in (0, 1):
        raise InputError(
            f"{len(means)} tokens make no raster of {rows}x{columns}",
            where="--tokens",
            remedy="give --tokens ROWSxCOLUMNS",
        )
    return means[-rows * columns :].view(rows, columns)


def normalised(values: Tensor, eps: float = 1e-8) -> Tensor:
    """To [0,1] by the map's own extremes; a map of one value gives zeros."""
    return (values - values.min()) / (values.max() - values.min() + eps)


def shrunk(values: Tensor, most: int) -> Tensor:
    """A map (h,w) bilinearly shrunk until no side is longer than ``most``."""
    longest = max(values.shape)
    if longest <= most:
        return values
    size = [max(1, round(side * most / longest)) for side in values.shape]
    return F.interpolate(values[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def _tensor(output: Any, name: str) -> Tensor:
    """The output, or the first of several."""
    while isinstance(output, (tuple, list, Mapping)) and output:
        output = next(iter(output.values())) if isinstance(output, Mapping) else output[0]
    if not isinstance(output, Tensor) or not output.is_floating_point():
        raise InputError(f"its output is no map but {type(output).__name__}", where=name, remedy="choose another layer")
    return output


def _proportioned(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns in the proportions of ``size`` whose product is ``tokens``, or one less."""
    for count in (tokens, tokens - 1):
        rows = round(math.sqrt(count * size[0] / size[1]))
        if rows >= 1 and count % rows == 0 and abs(count // rows - rows * size[1] / size[0]) < 1:
            return rows, count // rows
    raise InputError(
        f"{tokens} tokens have not the proportions of lq", where="--tokens", remedy="give --tokens ROWSxCOLUMNS"
    )
