"""The numba kernels of the causal depthwise convolution: sixteen channels together, one per vector lane."""

from __future__ import annotations

from typing import Any

import numpy as np

from srbench.modules.nets._layout import CHUNK, compiled, offset, pack, unpack
from srbench.modules.nets._simd import LANES, add, fma, load, mul, negate, sigmoid, store, zeros


@compiled
def _window(
    x: Any, strides: Any, sample: int, block: Any, start: int, steps: int, before: int, tile: Any, rows: Any
) -> None:
    """Lay out ``steps`` steps and the ``before`` ones ahead of them, zeros ahead of the first."""
    at = offset(strides, sample, block[1], start)
    if start == 0:
        rows[: before * LANES] = 0
        pack(x, at, strides, block[2], steps, tile, rows[before * LANES :])
    else:
        pack(x, at - before * strides[2], strides, block[2], steps + before, tile, rows)


@compiled
def _convolve(rows: Any, weight: Any, weight_at: int, taps: int, bias: Any, bias_at: int, steps: int, out: Any) -> None:
    for step in range(steps):
        value = load(bias, bias_at)
        for tap in range(taps):
            value = fma(load(rows, (step + tap) * LANES), load(weight, weight_at + tap * LANES), value)
        store(out, step * LANES, value)


@compiled
def forward(
    task: Any, blocks: Any, length: int, taps: int, gated: bool,
    x: Any, x_strides: Any, weight: Any, bias: Any, out: Any, out_strides: Any,
) -> None:  # fmt: skip
    """Convolve the blocks ``task[1]`` to ``task[2]`` of sample ``task[0]``.

    Where:
        task: (sample, first block, last block + 1).
        blocks: int64 (blocks, 3): group, first channel, channels.
        length: Steps L.
        taps: The filters' length, at most CHUNK + 1.
        gated: Whether SiLU follows.
        x: Flat values with strides (sample, channel, step); so is ``out``.
        weight: (blocks, taps, LANES) flat.
        bias: (blocks, LANES) flat.
    """
    sample, first, last = task
    tile, rows = np.empty(LANES * LANES, x.dtype), np.empty((CHUNK + taps) * LANES, x.dtype)
    y = np.empty(CHUNK * LANES, x.dtype)
    for start in range(0, length, CHUNK):
        steps = min(CHUNK, length - start)
        for block in range(first, last):
            _window(x, x_strides, sample, blocks[block], start, steps, taps - 1, tile, rows)
            _convolve(rows, weight, block * taps * LANES, taps, bias, block * LANES, steps, y)
            if gated:
                for step in range(steps):
                    value = load(y, step * LANES)
                    store(y, step * LANES, mul(value, sigmoid(value)))
            at = offset(out_strides, sample, blocks[block, 1], start)
            unpack(y, tile, out, at, out_strides, blocks[block, 2], steps)


@compiled
def _silu_back(y: Any, grad: Any, steps: int) -> None:
    """In place: ``grad`` times the slope of SiLU at ``y``."""
    for step in range(steps):
        value = load(y, step * LANES)
        s = sigmoid(value)
        silu = mul(value, s)
        slope = add(add(s, silu), negate(mul(silu, s)))
        store(grad, step * LANES, mul(load(grad, step * LANES), slope))


@compiled
def _sum_weights(
    rows: Any, grad: Any, taps: int, steps: int, grad_weight: Any, at: int, grad_bias: Any, b: int
) -> None:
    for tap in range(taps):
        value = load(grad_weight, at + tap * LANES)
        for step in range(steps):
            value = fma(load(grad, step * LANES), load(rows, (step + tap) * LANES), value)
        store(grad_weight, at + tap * LANES, value)
    value = load(grad_bias, b)
    for step in range(steps):
        value = add(value, load(grad, step * LANES))
    store(grad_bias, b, value)


@compiled
def backward(
    task: Any, blocks: Any, length: int, taps: int, gated: bool,
    x: Any, x_strides: Any, weight: Any, bias: Any, grad: Any, grad_strides: Any,
    grad_x: Any, grad_x_strides: Any, grad_weight: Any, grad_bias: Any,
) -> None:  # fmt: skip
    """The gradients of :func:`forward`; the arguments it shares mean the same.

    Where:
        grad: The output's gradient, flat, with strides.
        grad_x: Written.
        grad_weight: (samples, blocks, taps, LANES) flat, zero on entry.
        grad_bias: (samples, blocks, LANES) flat, zero on entry.
    """
    sample, first, last = task
    before = (taps - 1) * LANES
    tile, rows = np.empty(LANES * LANES, x.dtype), np.empty((CHUNK + taps) * LANES, x.dtype)
    y, d_x = np.empty(CHUNK * LANES, x.dtype), np.empty(CHUNK * LANES, x.dtype)
    for block in range(first, last):
        # Gradients of this chunk, then of the first steps of the chunk after it.
        d_y = np.zeros((CHUNK + taps) * LANES, x.dtype)
        weight_at = block * taps * LANES
        for chunk in range((length - 1) // CHUNK, -1, -1):
            start = chunk * CHUNK
            steps = min(CHUNK, length - start)
            d_y[steps * LANES : steps * LANES + before] = d_y[:before].copy()
            _window(x, x_strides, sample, blocks[block], start, steps, taps - 1, tile, rows)
            at = offset(grad_strides, sample, blocks[block, 1], start)
            pack(grad, at, grad_strides, blocks[block, 2], steps, tile, d_y)
            if gated:
                _convolve(rows, weight, weight_at, taps, bias, block * LANES, steps, y)
                _silu_back(y, d_y, steps)
            here = sample * len(blocks) + block
            _sum_weights(rows, d_y, taps, steps, grad_weight, here * taps * LANES, grad_bias, here * LANES)
            for step in range(steps):
                value = zeros(d_y)
                for tap in range(taps):
                    later = load(d_y, (step + taps - 1 - tap) * LANES)
                    value = fma(later, load(weight, weight_at + tap * LANES), value)
                store(d_x, step * LANES, value)
            at = offset(grad_x_strides, sample, blocks[block, 1], start)
            unpack(d_x, tile, grad_x, at, grad_x_strides, blocks[block, 2], steps)
