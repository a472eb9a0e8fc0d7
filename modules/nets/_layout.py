"""Between a tensor's layout and the kernels': rows of LANES channels, step after step.

Importing this file imports numba, hence it is imported at the first call of what uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from srbench.modules.nets._simd import LANES, load, load_first, store, store_first, transpose

# Steps that are laid out and worked on at a time: their rows stay in the processor's first caches.
CHUNK = 64


def compiled(function: Callable[..., Any]) -> Any:
    """Compile without the interpreter and without its lock; keep the machine code on disk.

    numba keeps it beside the source, where that is read-only in the user's cache folder (or ``NUMBA_CACHE_DIR``), and
    knows it by the source file's date: after a change of ``_simd.py`` alone, delete ``__pycache__``. Where it can write
    nowhere, every process compiles for itself.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)


@compiled
def offset(strides: Any, sample: int, channel: int, start: int) -> int:
    return sample * strides[0] + channel * strides[1] + start * strides[2]


@compiled
def pack(source: Any, base: int, strides: Any, width: int, steps: int, tile: Any, target: Any) -> None:
    """Copy ``steps`` steps of ``width`` channels into rows of LANES; missing channels become zero."""
    done = 0
    if strides[1] == 1:
        for step in range(steps):
            store(target, step * LANES, load_first(source, base + step * strides[2], width))
        return
    if strides[2] == 1:
        tile[width * LANES :] = 0
        for step in range(0, steps - LANES + 1, LANES):
            for lane in range(width):
                store(tile, lane * LANES, load(source, base + lane * strides[1] + step))
            transpose(tile, 0, target, step * LANES)
            done = step + LANES
    for step in range(done, steps):
        for lane in range(LANES):
            value = source[base + lane * strides[1] + step * strides[2]] if lane < width else 0
            target[step * LANES + lane] = value


@compiled
def unpack(source: Any, tile: Any, target: Any, base: int, strides: Any, width: int, steps: int) -> None:
    """The inverse of :func:`pack`."""
    done = 0
    if strides[1] == 1:
        for step in range(steps):
            store_first(target, base + step * strides[2], load(source, step * LANES), width)
        return
    if strides[2] == 1:
        for step in range(0, steps - LANES + 1, LANES):
            transpose(source, step * LANES, tile, 0)
            for lane in range(width):
                store(target, base + lane * strides[1] + step, load(tile, lane * LANES))
            done = step + LANES
    for step in range(done, steps):
        for lane in range(width):
            target[base + lane * strides[1] + step * strides[2]] = source[step * LANES + lane]


@compiled
def side_by_side(source: Any, strides: Any, shape: Any, target: Any) -> None:
    """Copy ``source`` of ``shape`` (B, G, N, L) and any strides into ``target``, flat (B, G, L, N)."""
    batch, groups, states, length = shape
    tile, rows = np.empty(LANES * LANES, source.dtype), np.empty(CHUNK * LANES, source.dtype)
    for sample in range(batch):
        for group in range(groups):
            for first in range(0, states, LANES):
                width = min(LANES, states - first)
                base = sample * strides[0] + group * strides[1] + first * strides[2]
                for start in range(0, length, CHUNK):
                    steps = min(CHUNK, length - start)
                    pack(source, base + start * strides[3], strides[1:], width, steps, tile, rows)
                    at = ((sample * groups + group) * length + start) * states + first
                    unpack(rows, tile, target, at, (0, 1, states), width, steps)
