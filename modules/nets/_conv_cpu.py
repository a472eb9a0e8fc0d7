"""The causal depthwise convolution on CPU tensors: an autograd function around the numba kernels."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from srbench.modules.nets import _conv_kernels as kernels
from srbench.modules.nets._blocks import Plan, flat, like_layout, strided, zeros
from srbench.modules.nets._simd import LANES
from srbench.modules.nets._threads import run_parallel


def _head(x: Tensor, weight: Tensor, gated: bool) -> tuple[Plan, list[tuple[int, int, int]], tuple[Any, ...]]:
    plan = Plan(x.shape[0], x.shape[1], groups=1)
    # Channels are independent, forward and backward: the cut may follow the number of threads.
    tasks = plan.tasks(-(-2 * torch.get_num_threads() // plan.batch) if torch.get_num_threads() > 1 else 1)
    return plan, tasks, (plan.blocks(), x.shape[2], weight.shape[1], gated)


def _forward(x: Tensor, weight: Tensor, bias: Tensor, gated: bool) -> Tensor:
    plan, tasks, head = _head(x, weight, gated)
    out = like_layout(x)
    arguments = (*head, *strided(x), plan.lanes(weight), plan.lanes(bias), *strided(out))
    run_parallel(lambda task: kernels.forward(tasks[task], *arguments), len(tasks))
    return out


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, gated: bool) -> Tensor:
        ctx.gated = gated
        ctx.save_for_backward(x, weight, bias)
        return _forward(x, weight, bias, gated)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        plan, tasks, head = _head(x, weight, ctx.gated)
        grad_x = like_layout(x)
        grad_weight = zeros(x, plan.batch, plan.count, weight.shape[1], LANES)
        grad_bias = zeros(x, plan.batch, plan.count, LANES)
        arguments = (
            *head, *strided(x), plan.lanes(weight), plan.lanes(bias), *strided(grad),
            *strided(grad_x), flat(grad_weight), flat(grad_bias),
        )  # fmt: skip
        run_parallel(lambda task: kernels.backward(tasks[task], *arguments), len(tasks))
        return grad_x, plan.channels_of(grad_weight, weight.shape), plan.channels_of(grad_bias, bias.shape), None


def convolve(x: Tensor, weight: Tensor, bias: Tensor, gated: bool) -> Tensor:
    """The convolution of :mod:`.causal_conv1d` on CPU tensors of one dtype, float32 or float64, of any strides.

    Args:
        x: (B, D, L).
        weight: (D, K) with K - 1 <= CHUNK.
        bias: (D,).
        gated: Whether SiLU follows.

    Returns:
        (B, D, L), with channels side by side in memory if those of ``x`` are.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, weight, bias)):
        return cast(Tensor, _Convolution.apply(x, weight, bias, gated))
    return _forward(x, weight, bias, gated)
