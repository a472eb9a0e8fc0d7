"""The selective scan's numba kernels: forward and backward over one span of channels.

Sixteen channels of one sample (a *block*) go through time together, one channel per vector lane, so neither the sum
over the states nor the recurrence crosses lanes. Time is cut into chunks of CHUNK steps whose inputs are laid out step
by step in scratch memory that stays in the processor's cache; the backward pass keeps the states at the chunks'
beginnings only and recomputes those between.

All tensors arrive as flat arrays with their strides in elements, so that any layout, also a slice of a larger tensor,
is read in place. ``shape`` is (steps L, states N); ``blocks`` has a row (group, first channel, channels) per block.
Importing this file imports numba, hence it is imported at the first call of the scan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from srbench.modules.nets._layout import CHUNK, compiled, offset, pack, unpack
from srbench.modules.nets._simd import (
    LANES,
    add,
    exp2,
    fma,
    load,
    mul,
    negate,
    sigmoid,
    softplus,
    splat,
    store,
    times_log2e,
    total,
    zeros,
)


@compiled
def _steps_of(delta: Any, bias: Any, at: int, soft: bool, steps: int) -> None:
    """In place: ``delta`` plus bias, through softplus if asked: the step lengths."""
    shift = load(bias, at)
    for step in range(steps):
        value = add(load(delta, step * LANES), shift)
        if soft:
            value = softplus(value)
        store(delta, step * LANES, value)


@compiled
def _inputs_of(u: Any, dt: Any, skip: Any, at: int, steps: int, drive: Any, y: Any) -> None:
    """``drive`` = step length times u; ``y`` = D u, to which the scan adds."""
    direct = load(skip, at)
    for step in range(steps):
        value = load(u, step * LANES)
        store(drive, step * LANES, mul(value, load(dt, step * LANES)))
        store(y, step * LANES, mul(value, direct))


@compiled
def _scan(
    state: Any, at: int, a: Any, mix: Any, a_at: int, dt: Any, drive: Any,
    b: Any, b_at: int, b_stride: int, c: Any, c_at: int, c_stride: int, states: int, steps: int, y: Any,
) -> None:  # fmt: skip
    """Advance the ``states`` state vectors at ``state[at:]`` by ``steps`` steps and add their read-out to ``y``."""
    for step in range(steps):
        length = times_log2e(load(dt, step * LANES))
        push = load(drive, step * LANES)
        out = load(y, step * LANES)
        for n in range(states):
            decay = exp2(mul(length, load(a, a_at + n * LANES)))
            x = fma(decay, load(state, at + n * LANES), mul(push, splat(b, b_at + step * b_stride + n)))
            store(state, at + n * LANES, x)
            if mix is not None:
                x = mul(x, load(mix, a_at + n * LANES))
            out = fma(x, splat(c, c_at + step * c_stride + n), out)
        store(y, step * LANES, out)


@compiled
def _gate(y: Any, z: Any, steps: int) -> None:
    """In place: ``y`` times SiLU of ``z``."""
    for step in range(steps):
        value = load(z, step * LANES)
        store(y, step * LANES, mul(load(y, step * LANES), mul(value, sigmoid(value))))


@compiled
def forward(
    task: Any, blocks: Any, shape: Any, soft: bool, gated: bool, keep: bool,
    u: Any, u_strides: Any, delta: Any, delta_strides: Any, b: Any, b_strides: Any, c: Any, c_strides: Any,
    z: Any, z_strides: Any, a: Any, mix: Any, skip: Any, bias: Any, out: Any, out_strides: Any, kept: Any,
) -> None:  # fmt: skip
    """Scan the blocks ``task[1]`` to ``task[2]`` of sample ``task[0]``; see :mod:`.selective_scan` for the formula.

    Where:
        task: (sample, first block, last block + 1); all its blocks belong to one group.
        blocks: int64 (blocks, 3): group, first channel, channels.
        shape: (L, N).
        soft: Whether step lengths go through softplus.
        gated: Whether ``z`` gates the output.
        keep: Whether the states at the chunks' beginnings are written to ``kept``.
        u: Flat values with strides (sample, channel, step); so are ``delta``, ``z`` and ``out``.
        b: Flat values with strides (sample, group, step), states side by side; so is ``c``.
        a: (blocks, N, LANES) flat; so is ``mix``, a factor on the read-out, or None for 1.
        skip: (blocks, LANES) flat, the factor D; so is ``bias``.
        kept: (samples, chunks, blocks, N, LANES) flat; untouched unless ``keep``.
    """
    sample, first, last = task
    length, states = shape
    group = blocks[first, 0]
    chunks = (length + CHUNK - 1) // CHUNK
    scratch = np.empty((4, CHUNK * LANES), u.dtype)
    dt, drive, y, work = scratch[0], scratch[1], scratch[2], scratch[3]
    tile = np.empty(LANES * LANES, u.dtype)
    state = np.zeros((last - first) * states * LANES, u.dtype)
    for chunk in range(chunks):
        start = chunk * CHUNK
        steps = min(CHUNK, length - start)
        b_at = sample * b_strides[0] + group * b_strides[1] + start * b_strides[2]
        c_at = sample * c_strides[0] + group * c_strides[1] + start * c_strides[2]
        for block in range(first, last):
            channel, width = blocks[block, 1], blocks[block, 2]
            at, a_at = (block - first) * states * LANES, block * states * LANES
            if keep:
                kept_at = ((sample * chunks + chunk) * len(blocks) + block) * states * LANES
                kept[kept_at : kept_at + states * LANES] = state[at : at + states * LANES]
            pack(delta, offset(delta_strides, sample, channel, start), delta_strides, width, steps, tile, dt)
            pack(u, offset(u_strides, sample, channel, start), u_strides, width, steps, tile, work)
            _steps_of(dt, bias, block * LANES, soft, steps)
            _inputs_of(work, dt, skip, block * LANES, steps, drive, y)
            _scan(
                state, at, a, mix, a_at, dt, drive,
                b, b_at, b_strides[2], c, c_at, c_strides[2], states, steps, y,
            )  # fmt: skip
            if gated:
                pack(z, offset(z_strides, sample, channel, start), z_strides, width, steps, tile, work)
                _gate(y, work, steps)
            unpack(y, tile, out, offset(out_strides, sample, channel, start), out_strides, width, steps)


@compiled
def _replay(
    first: Any, first_at: int, a: Any, mix: Any, a_at: int, dt: Any, drive: Any,
    b: Any, b_at: int, b_stride: int, c: Any, c_at: int, c_stride: int, states: int, steps: int,
    y: Any, xs: Any, decays: Any,
) -> None:  # fmt: skip
    """As :func:`_scan`, keeping every decay and state: ``xs`` row 0 is the state before the chunk."""
    row = states * LANES
    xs[:row] = first[first_at : first_at + row]
    for step in range(steps):
        length = times_log2e(load(dt, step * LANES))
        push = load(drive, step * LANES)
        out = load(y, step * LANES)
        for n in range(states):
            at = step * row + n * LANES
            decay = exp2(mul(length, load(a, a_at + n * LANES)))
            x = fma(decay, load(xs, at), mul(push, splat(b, b_at + step * b_stride + n)))
            store(decays, at, decay)
            store(xs, at + row, x)
            if mix is not None:
                x = mul(x, load(mix, a_at + n * LANES))
            out = fma(x, splat(c, c_at + step * c_stride + n), out)
        store(y, step * LANES, out)


@compiled
def _scan_back(
    carry: Any, at: int, a: Any, mix: Any, a_at: int, dt: Any, drive: Any, xs: Any, decays: Any,
    b: Any, b_at: int, b_stride: int, c: Any, c_at: int, c_stride: int, states: int, steps: int,
    grad_y: Any, grad_a: Any, grad_mix: Any, grad_at: int, grad_b: Any, grad_c: Any, bc_at: int,
    grad_dt: Any, grad_drive: Any,
) -> None:  # fmt: skip
    """Go back through a chunk; ``carry[at:]`` is the gradient that reaches its last states from later chunks.

    Adds to ``grad_a``, ``grad_mix``, ``grad_b`` and ``grad_c``; writes ``grad_dt`` (the part through the decays) and
    ``grad_drive``.
    """
    row = states * LANES
    for step in range(steps - 1, -1, -1):
        length, push, dy = load(dt, step * LANES), load(drive, step * LANES), load(grad_y, step * LANES)
        to_dt, to_drive = zeros(dt), zeros(dt)
        for n in range(states):
            here = n * LANES
            x = load(xs, (step + 1) * row + here)
            reading = mul(dy, splat(c, c_at + step * c_stride + n))
            grad_c_here = mul(dy, x)
            if mix is not None:
                weight = load(mix, a_at + here)
                store(grad_mix, grad_at + here, fma(reading, x, load(grad_mix, grad_at + here)))
                reading, grad_c_here = mul(reading, weight), mul(grad_c_here, weight)
            grad_x = add(reading, load(carry, at + here))
            grad_c[bc_at + step * states + n] += total(grad_c_here)
            grad_b[bc_at + step * states + n] += total(mul(grad_x, push))
            to_drive = fma(grad_x, splat(b, b_at + step * b_stride + n), to_drive)
            passed = mul(grad_x, load(decays, step * row + here))
            store(carry, at + here, passed)
            # d decay / d(dt A) = decay, times the state that it multiplied.
            slope = mul(passed, load(xs, step * row + here))
            to_dt = fma(slope, load(a, a_at + here), to_dt)
            store(grad_a, grad_at + here, fma(slope, length, load(grad_a, grad_at + here)))
        store(grad_dt, step * LANES, to_dt)
        store(grad_drive, step * LANES, to_drive)


@compiled
def _gate_back(y: Any, z: Any, grad_y: Any, grad_z: Any, steps: int) -> None:
    """Through :func:`_gate`: ``grad_y`` comes in as the output's gradient and leaves as that of the ungated ``y``."""
    for step in range(steps):
        at = step * LANES
        value, grad = load(z, at), load(grad_y, at)
        open_ = sigmoid(value)
        silu = mul(value, open_)
        # SiLU' = s + z s (1 - s) = s + silu - silu s
        slope = add(add(open_, silu), negate(mul(silu, open_)))
        store(grad_z, at, mul(mul(grad, load(y, at)), slope))
        store(grad_y, at, mul(grad, silu))


@compiled
def _inputs_back(
    u: Any, dt: Any, raw: Any, skip: Any, bias: Any, at: int, soft: bool, steps: int, grad_y: Any,
    grad_drive: Any, grad_dt: Any, grad_skip: Any, grad_bias: Any, grad_at: int, grad_u: Any,
) -> None:  # fmt: skip
    """Through :func:`_inputs_of` and :func:`_steps_of`; ``grad_dt`` becomes the gradient of delta."""
    direct, shift = load(skip, at), load(bias, at)
    sum_skip, sum_bias = load(grad_skip, grad_at), load(grad_bias, grad_at)
    for step in range(steps):
        here = step * LANES
        value, push, dy = load(u, here), load(grad_drive, here), load(grad_y, here)
        store(grad_u, here, fma(push, load(dt, here), mul(dy, direct)))
        slope = fma(push, value, load(grad_dt, here))
        if soft:
            slope = mul(slope, sigmoid(add(load(raw, here), shift)))
        store(grad_dt, here, slope)
        sum_skip, sum_bias = fma(dy, value, sum_skip), add(sum_bias, slope)
    store(grad_skip, grad_at, sum_skip)
    store(grad_bias, grad_at, sum_bias)


@compiled
def backward(
    task: Any, index: int, blocks: Any, shape: Any, soft: bool, gated: bool,
    u: Any, u_strides: Any, delta: Any, delta_strides: Any, b: Any, b_strides: Any, c: Any, c_strides: Any,
    z: Any, z_strides: Any, a: Any, mix: Any, skip: Any, bias: Any, kept: Any,
    grad: Any, grad_strides: Any, grad_u: Any, grad_u_strides: Any, grad_delta: Any, grad_delta_strides: Any,
    grad_z: Any, grad_z_strides: Any, grad_b: Any, grad_c: Any,
    grad_a: Any, grad_mix: Any, grad_skip: Any, grad_bias: Any,
) -> None:  # fmt: skip
    """The gradients of :func:`forward` for task number ``index``; the arguments it shares mean the same.

    Where:
        grad: The output's gradient, flat, with strides.
        grad_u: Written, like ``grad_delta`` and ``grad_z`` (the last only if ``gated``).
        grad_b: (tasks, L, N) flat, zero on entry; so is ``grad_c``. Each task has rows of its own.
        grad_a: (samples, blocks, N, LANES) flat, zero on entry; so is ``grad_mix``.
        grad_skip: (samples, blocks, LANES) flat, zero on entry; so is ``grad_bias``.
    """
    sample, first, last = task
    length, states = shape
    group = blocks[first, 0]
    chunks = (length + CHUNK - 1) // CHUNK
    row = states * LANES
    scratch = np.empty((11, CHUNK * LANES), u.dtype)
    raw, dt, drive, value, gate, y = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    dy, d_gate, d_dt, d_drive, d_u = scratch[6], scratch[7], scratch[8], scratch[9], scratch[10]
    tile = np.empty(LANES * LANES, u.dtype)
    xs = np.empty((CHUNK + 1) * row, u.dtype)
    decays = np.empty(CHUNK * row, u.dtype)
    carry = np.zeros((last - first) * row, u.dtype)
    for chunk in range(chunks - 1, -1, -1):
        start = chunk * CHUNK
        steps = min(CHUNK, length - start)
        b_at = sample * b_strides[0] + group * b_strides[1] + start * b_strides[2]
        c_at = sample * c_strides[0] + group * c_strides[1] + start * c_strides[2]
        for block in range(first, last):
            channel, width = blocks[block, 1], blocks[block, 2]
            lane_at, grad_at = block * LANES, sample * len(blocks) + block
            pack(delta, offset(delta_strides, sample, channel, start), delta_strides, width, steps, tile, raw)
            pack(u, offset(u_strides, sample, channel, start), u_strides, width, steps, tile, value)
            pack(grad, offset(grad_strides, sample, channel, start), grad_strides, width, steps, tile, dy)
            dt[:] = raw
            _steps_of(dt, bias, lane_at, soft, steps)
            _inputs_of(value, dt, skip, lane_at, steps, drive, y)
            _replay(
                kept, ((sample * chunks + chunk) * len(blocks) + block) * row, a, mix, block * row, dt, drive,
                b, b_at, b_strides[2], c, c_at, c_strides[2], states, steps, y, xs, decays,
            )  # fmt: skip
            if gated:
                pack(z, offset(z_strides, sample, channel, start), z_strides, width, steps, tile, gate)
                _gate_back(y, gate, dy, d_gate, steps)
                at = offset(grad_z_strides, sample, channel, start)
                unpack(d_gate, tile, grad_z, at, grad_z_strides, width, steps)
            _scan_back(
                carry, (block - first) * row, a, mix, block * row, dt, drive, xs, decays,
                b, b_at, b_strides[2], c, c_at, c_strides[2], states, steps,
                dy, grad_a, grad_mix, grad_at * row, grad_b, grad_c, (index * length + start) * states,
                d_dt, d_drive,
            )  # fmt: skip
            _inputs_back(
                value, dt, raw, skip, bias, lane_at, soft, steps, dy,
                d_drive, d_dt, grad_skip, grad_bias, grad_at * LANES, d_u,
            )  # fmt: skip
            unpack(d_u, tile, grad_u, offset(grad_u_strides, sample, channel, start), grad_u_strides, width, steps)
            at = offset(grad_delta_strides, sample, channel, start)
            unpack(d_dt, tile, grad_delta, at, grad_delta_strides, width, steps)
