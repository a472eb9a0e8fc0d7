"""Half precision with a way out: what is not finite is computed again in float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from srbench.errors import InputError

Failed = Callable[[str], None]
"""Told what had to be computed again."""


def guarded(make: Callable[[], Tensor], net: nn.Module, format: torch.dtype, what: str, failed: Failed) -> Tensor:
    """What ``make`` returns; made a second time in float32 when it is not finite in a half format.

    Args:
        make: computes with ``net``; must draw the same numbers every time.
        net: in ``format``, before and after.
        format: float32, or a half format, to which operations are cast.
        what: ``make`` does, for messages.
        failed: told when it is made again.

    Raises:
        InputError: it is not finite in float32 either.
    """
    device = next(net.parameters()).device
    if format == torch.float32:
        made = make()
    else:
        with torch.autocast(device.type, dtype=format):
            made = make()
        if not bool(torch.isfinite(made).all()):
            failed(f"not finite in {str(format).removeprefix('torch.')}: {what} in float32")
            cast(net, torch.float32)
            try:
                made = make()
            finally:
                cast(net, format)
    if not bool(torch.isfinite(made).all()):
        raise InputError(f"what is {what} is not finite", remedy="check the weights of the base and of the stage")
    return made


def cast(net: nn.Module, format: torch.dtype) -> None:
    """Puts the floating-point tensors of ``net`` into another number format, in place."""
    # Not `to`, at which diffusers warns of modules to be kept in float32, of which there are none here.
    net._apply(lambda t: t.to(format) if t.is_floating_point() else t)


def bring(children: dict[str, nn.Module], working: set[str], device: torch.device, *, offload: bool) -> None:
    """With ``offload``, leaves on an accelerator only the ``working`` ones of ``children``, the others on the CPU."""
    if not offload or device.type == "cpu":
        return
    for name, child in sorted(children.items(), key=lambda item: item[0] in working):  # room is made first
        place = device if name in working else torch.device("cpu")
        child._apply(lambda t, place=place: t.to(place))
    if device.type == "cuda":
        torch.cuda.empty_cache()
