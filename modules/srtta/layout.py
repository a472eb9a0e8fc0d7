"""Where the body and the tail of a network lie: what adapts, and where deep features are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from srbench.errors import InputError
from srbench.module import SRModule


@dataclass(frozen=True)
class Layout:
    """Parts of a network by their names in ``named_modules``.

    Attributes:
        body: what adapts: everything between the first convolution and the upsampler.
        tail: what follows the upsampler; features are what goes into it.
    """

    body: tuple[str, ...]
    tail: str


KNOWN = (
    # EDSR. The released code's body holds the blocks and the convolution behind them.
    Layout(("body", "conv_after_body"), "conv_last"),
    # RRDB in BasicSR's names: the trunk with its convolution. Both stages of upsampling end in an activation.
    Layout(("body", "conv_body"), "conv_hr"),
    # RRDB as spandrel numbers it.
    Layout(("model.1",), "model.8"),
    # SwinIR: the groups (RSTBs), their normalisation and convolution; with its two upsamplers for real and bicubic lq.
    Layout(("layers", "norm", "conv_after_body"), "conv_hr"),
    Layout(("layers", "norm", "conv_after_body"), "conv_last"),
)
"""The networks that SRTTA knows its way in. Beyond EDSR nothing is published; the paper speaks of the same parts."""


def layout_of(net: nn.Module, body: Sequence[str] | None = None, tail: str | None = None) -> Layout:
    """The layout of a network, or the one that is given.

    Raises:
        InputError: the network has no such parts, or is of a kind not known here.
    """
    names = {name for name, _ in net.named_modules()}
    if body is None and tail is None:
        for known in KNOWN:
            if names >= {*known.body, known.tail}:
                return known
        raise InputError(
            f"it is not known what the body of {type(net).__name__} is",
            where="model.init_args.body",
            remedy="name its deep layers by model.init_args.body and the module behind its upsampler by "
            "model.init_args.tail",
        )
    if not body or tail is None:
        remedy = "give model.init_args.body and model.init_args.tail, or neither"
        raise InputError("a body needs a tail and a tail a body", where="model.init_args.body", remedy=remedy)
    if unknown := [name for name in (*body, tail) if name not in names]:
        parts = ", ".join(name for name, _ in net.named_children())
        raise InputError(
            f"{type(net).__name__} has no part {unknown[0]!r}", where="model.init_args.body", remedy=f"it has {parts}"
        )
    return Layout(tuple(body), tail)


def body_parameters(net: nn.Module, layout: Layout) -> dict[str, nn.Parameter]:
    """The body's floating-point parameters by name."""
    return {
        name: parameter
        for name, parameter in net.named_parameters()
        if parameter.is_floating_point() and any(name.startswith(f"{part}.") for part in layout.body)
    }


class _Reached(Exception):
    """Nothing is wrong: what was looked for is there."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def features(method: SRModule, net: nn.Module, tail: str, lq: Tensor) -> Tensor:
    """What goes into the tail: (B,C,s*h,s*w) for ``lq`` (B,3,h,w) in [0,1]; the tail itself is not computed.

    Raises:
        InputError: the network made sr without its tail.
    """
    height, width = lq.shape[-2] * method.scale, lq.shape[-1] * method.scale

    def stop(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        raise _Reached(inputs[0])

    hook = net.get_submodule(tail).register_forward_pre_hook(stop)
    try:
        method.upscale(lq)
    except _Reached as reached:
        return reached.features[..., :height, :width]  # without what was mirrored around the image
    finally:
        hook.remove()
    raise InputError(
        f"{method.method} makes sr without {tail}", where="model.init_args.tail", remedy="name a part that it runs"
    )
