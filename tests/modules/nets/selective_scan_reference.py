"""The selective scan written step by step, to be read and compared against."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus


def _per_channel(weight: Tensor, channels: int, length: int, batch: int) -> Tensor:
    """Any of the three forms of B and C as (B, D, N, L)."""
    if weight.dim() == 2:
        return weight[None, :, :, None].expand(batch, -1, -1, length)
    if weight.dim() == 3:
        return weight[:, None].expand(-1, channels, -1, -1)
    return weight.repeat_interleave(channels // weight.shape[1], dim=1)


def selective_scan_reference(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None,
    z: Tensor | None = None, delta_bias: Tensor | None = None, delta_softplus: bool = False,
) -> Tensor:  # fmt: skip
    """Same arguments and result as ``srbench.modules.nets.selective_scan.selective_scan``; one torch step per l."""
    batch, channels, length = u.shape
    if delta_bias is not None:
        delta = delta + delta_bias[:, None]
    if delta_softplus:
        delta = softplus(delta)
    B, C = (_per_channel(weight, channels, length, batch) for weight in (B, C))
    state = u.new_zeros(batch, channels, A.shape[1])
    outputs = []
    # unbind rather than an index per step, whose backward pass would write a whole zero tensor for every step.
    for dt, value, write, read in zip(*(tensor.unbind(-1) for tensor in (delta, u, B, C)), strict=True):
        dt = dt[..., None]
        state = torch.exp(dt * A) * state + dt * write * value[..., None]
        outputs.append((state * read).sum(-1))
    y = torch.stack(outputs, dim=-1)
    if D is not None:
        y = y + D[:, None] * u
    return y if z is None else y * silu(z)
