"""The selective scan in torch operations: any device and dtype, chunk by chunk in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus
from torch.utils.checkpoint import checkpoint

# Elements of one chunk's (B, D, N, T) tensors; about a dozen of them are alive at a time.
_BUDGET = 2**23
_SHORTEST, _LONGEST = 32, 512


def _chunk(
    dt: Tensor, drive: Tensor, a: Tensor, b: Tensor, c: Tensor, mix: Tensor | None, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Scan T steps by doubling: after round k every step knows its last 2^k inputs.

    Shapes: ``dt`` and ``drive`` (B, G, D/G, T), ``a`` and ``mix`` (G, D/G, N), ``b`` and ``c`` (B, G, N, T), ``state``
    (B, G, D/G, N). Returns the read-out (B, G, D/G, T) and the last state.
    """
    decay = torch.exp(dt.unsqueeze(3) * a.unsqueeze(-1))
    x = drive.unsqueeze(3) * b.unsqueeze(2)
    reach = 1
    while reach < dt.shape[-1]:
        x = torch.cat([x[..., :reach], torch.addcmul(x[..., reach:], decay[..., reach:], x[..., :-reach])], -1)
        decay = torch.cat([decay[..., :reach], decay[..., reach:] * decay[..., :-reach]], -1)
        reach *= 2
    x = torch.addcmul(x, decay, state.unsqueeze(-1))
    last = x[..., -1].clone()
    if mix is not None:
        x = x * mix.unsqueeze(-1)
    return (x * c.unsqueeze(2)).sum(3), last


def _chunk_length(states: int) -> int:
    """Steps per chunk, a power of two, for ``states`` = B D N state values."""
    length = _LONGEST
    while length > _SHORTEST and length * states > _BUDGET:
        length //= 2
    return length


def scan(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor,
    mix: Tensor | None, skip: Tensor, z: Tensor | None, bias: Tensor, soft: bool,
) -> Tensor:  # fmt: skip
    """As :func:`srbench.modules.nets._scan_cpu.scan`, on any device.

    With gradients wanted, each chunk is checkpointed: only the states between chunks are kept.
    """
    batch, channels, length = u.shape
    groups, states = b.shape[1], a.shape[1]
    dt = delta + bias[:, None]
    if soft:
        dt = softplus(dt)

    def grouped(tensor: Tensor) -> Tensor:
        return tensor.reshape(batch, groups, channels // groups, length)

    a = a.reshape(groups, -1, states)
    mix = None if mix is None else mix.reshape(groups, -1, states)
    steps, drive = grouped(dt), grouped(dt * u)
    state = u.new_zeros(batch, groups, channels // groups, states)
    pieces, size = [], _chunk_length(batch * channels * states)
    for start in range(0, length, size):
        part = slice(start, start + size)
        arguments = (steps[..., part], drive[..., part], a, b[..., part], c[..., part], mix, state)
        if torch.is_grad_enabled():
            piece, state = checkpoint(_chunk, *arguments, use_reentrant=False, preserve_rng_state=False)
        else:
            piece, state = _chunk(*arguments)
        pieces.append(piece)
    y = torch.cat(pieces, -1).reshape(batch, channels, length) + u * skip[:, None]
    return y if z is None else y * silu(z)
