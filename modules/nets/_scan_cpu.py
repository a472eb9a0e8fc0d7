"""The selective scan on CPU tensors: an autograd function around the numba kernels.

Importing this file imports numba, hence it is imported at the first call of the scan.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from srbench.modules.nets import _scan_kernels as kernels
from srbench.modules.nets._blocks import Array, Plan, flat, like_layout, strided, zeros
from srbench.modules.nets._layout import CHUNK, side_by_side
from srbench.modules.nets._simd import LANES
from srbench.modules.nets._threads import run_parallel

# In the backward pass every task of a group adds up dB and dC by itself. How many there are must not depend on the
# number of threads, or the result's last digits would; each costs 2 L N numbers of memory.
_BACKWARD_SPANS = 4


def _rows(tensor: Tensor) -> tuple[Array, tuple[int, ...]]:
    """B or C (B, G, N, L) with strides (sample, group, step); copied only if its states are not side by side."""
    _, groups, states, length = tensor.shape
    if tensor.stride(2) == 1:
        return flat(tensor), (tensor.stride(0), tensor.stride(1), tensor.stride(3))
    # Not torch's copy: its threads would go on spinning for milliseconds, in the way of ours.
    source = flat(tensor)
    target = np.empty(tensor.numel(), source.dtype)
    side_by_side(source, tensor.stride(), tuple(tensor.shape), target)
    return target, (groups * length * states, length * states, states)


# u, delta, A, B, C, mix, D, z, delta_bias; see :func:`scan`.
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor | None, Tensor]


class _Call:
    """The kernels' arguments for one set of inputs."""

    def __init__(self, inputs: Inputs, soft: bool) -> None:
        u, delta, a, b, c, mix, skip, z, bias = inputs
        self.plan = Plan(u.shape[0], u.shape[1], b.shape[1])
        self.shape = (u.shape[2], a.shape[1])
        self.blocks = self.plan.blocks()
        self.head = (self.blocks, self.shape, soft, z is not None)
        self.tensors = (*strided(u), *strided(delta), *_rows(b), *_rows(c), *strided(u if z is None else z))
        lanes = self.plan.lanes
        self.weights = (lanes(a), None if mix is None else lanes(mix), lanes(skip), lanes(bias))

    def kept(self, like: Tensor) -> Tensor:
        """Room for the states at the chunks' beginnings: N / CHUNK times as much as ``u`` takes."""
        length, states = self.shape
        chunks = -(-length // CHUNK)
        return like.new_empty(self.plan.batch, chunks, self.plan.count, states, LANES)


def _forward(inputs: Inputs, soft: bool, keep: bool) -> tuple[Tensor, Tensor]:
    u = inputs[0]
    call = _Call(inputs, soft)
    out = like_layout(u)
    kept = call.kept(u) if keep else u.new_empty(1)
    # Channels are independent, so the cut may follow the number of threads: two tasks each, to even out their ends.
    threads = torch.get_num_threads()
    parts = 1 if threads == 1 else -(-2 * threads // (call.plan.batch * call.plan.groups))
    tasks = call.plan.tasks(parts)
    arguments = (*call.head, keep, *call.tensors, *call.weights, *strided(out), flat(kept))
    run_parallel(lambda task: kernels.forward(tasks[task], *arguments), len(tasks))
    return out, kept


def _backward(inputs: Inputs, kept: Tensor, grad: Tensor, soft: bool) -> list[Tensor | None]:
    u, delta, a, _, _, mix, skip, z, bias = inputs
    call = _Call(inputs, soft)
    plan, (length, states) = call.plan, call.shape
    tasks = plan.tasks(_BACKWARD_SPANS)
    grad_u, grad_delta = like_layout(u), like_layout(delta)
    grad_z = grad_u if z is None else like_layout(z)
    grad_b = zeros(u, len(tasks), length, states)
    grad_c = zeros(u, len(tasks), length, states)
    grad_a = zeros(u, plan.batch, plan.count, states, LANES)
    grad_mix = grad_a if mix is None else zeros(u, *grad_a.shape)
    grad_skip = zeros(u, plan.batch, plan.count, LANES)
    grad_bias = zeros(u, *grad_skip.shape)
    arguments = (
        *call.head, *call.tensors, *call.weights, flat(kept), *strided(grad),
        *strided(grad_u), *strided(grad_delta), *strided(grad_z), flat(grad_b), flat(grad_c),
        flat(grad_a), flat(grad_mix), flat(grad_skip), flat(grad_bias),
    )  # fmt: skip
    run_parallel(lambda task: kernels.backward(tasks[task], task, *arguments), len(tasks))

    def by_group(parts: Tensor) -> Tensor:
        return parts.view(plan.batch, plan.groups, -1, length, states).sum(2).transpose(2, 3)

    return [
        grad_u,
        grad_delta,
        plan.channels_of(grad_a, a.shape),
        by_group(grad_b),
        by_group(grad_c),
        None if mix is None else plan.channels_of(grad_mix, mix.shape),
        plan.channels_of(grad_skip, skip.shape),
        None if z is None else grad_z,
        plan.channels_of(grad_bias, bias.shape),
    ]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, soft: bool, *inputs: Any) -> Tensor:
        out, kept = _forward(cast(Inputs, inputs), soft, keep=True)
        ctx.soft = soft
        ctx.save_for_backward(*inputs, kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, kept = ctx.saved_tensors
        grads = _backward(cast(Inputs, tuple(inputs)), kept, grad, ctx.soft)
        wanted = ctx.needs_input_grad[1:]
        return (None, *(value if need else None for value, need in zip(grads, wanted, strict=True)))


def scan(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor,
    mix: Tensor | None, skip: Tensor, z: Tensor | None, bias: Tensor, soft: bool,
) -> Tensor:  # fmt: skip
    """The scan of :mod:`.selective_scan` on CPU tensors of one dtype, float32 or float64, of any strides.

    Args:
        u: (B, D, L).
        delta: (B, D, L).
        a: (D, N).
        b: (B, G, N, L).
        c: (B, G, N, L).
        mix: (D, N), a factor on every state's read-out, or None for 1.
        skip: (D,).
        z: (B, D, L), or None.
        bias: (D,).
        soft: Whether ``delta + bias`` goes through softplus.

    Returns:
        (B, D, L), with channels side by side in memory if those of ``u`` are.
    """
    inputs = (u, delta, a, b, c, mix, skip, z, bias)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs):
        return cast(Tensor, _Scan.apply(soft, *inputs))
    return _forward(inputs, soft, keep=False)[0]
