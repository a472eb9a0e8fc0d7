"""CPU tensors as the numba kernels take them: flat arrays, and channels cut into blocks of LANES."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from srbench.modules.nets._simd import LANES

Array = NDArray[Any]


def flat(tensor: Tensor) -> Array:
    """The stretch of memory that ``tensor`` covers, as a flat array that shares it."""
    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.detach().as_strided((extent,), (1,), tensor.storage_offset()).numpy()


def like_layout(tensor: Tensor) -> Tensor:
    """An uninitialised (B, D, L) tensor whose channels lie side by side if those of ``tensor`` do."""
    batch, channels, length = tensor.shape
    if tensor.stride(1) == 1 and tensor.stride(2) != 1:
        return tensor.new_empty(batch, length, channels).transpose(1, 2)
    return tensor.new_empty(batch, channels, length)


def spans(start: int, stop: int, parts: int) -> list[tuple[int, int]]:
    """Cut ``range(start, stop)`` into at most ``parts`` stretches of nearly equal length."""
    parts = max(1, min(parts, stop - start))
    edges = [start + (stop - start) * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(edges))


@dataclass(frozen=True)
class Plan:
    """How the channels of one call are cut into blocks of LANES; a block never straddles two groups."""

    batch: int
    channels: int
    groups: int

    @property
    def per_group(self) -> int:
        """Blocks per group."""
        return -(-(self.channels // self.groups) // LANES)

    @property
    def count(self) -> int:
        """Blocks in all."""
        return self.groups * self.per_group

    def blocks(self) -> Array:
        """int64 (blocks, 3): group, first channel, channels."""
        size = self.channels // self.groups
        rows = [
            (group, group * size + first, min(LANES, size - first))
            for group in range(self.groups)
            for first in range(0, size, LANES)
        ]
        return np.array(rows, dtype=np.int64)

    def tasks(self, parts: int) -> list[tuple[int, int, int]]:
        """(sample, first block, last block + 1), each group of each sample in ``parts`` tasks or fewer."""
        return [
            (sample, *span)
            for sample in range(self.batch)
            for group in range(self.groups)
            for span in spans(group * self.per_group, (group + 1) * self.per_group, parts)
        ]

    def lanes(self, weight: Tensor) -> Array:
        """Lay (D, ...) out as flat (blocks, ..., LANES), with zeros in the lanes without a channel."""
        grouped = weight.detach().reshape(self.groups, self.channels // self.groups, -1)
        padded = pad(grouped, (0, 0, 0, self.per_group * LANES - grouped.shape[1]))
        return cast(Array, padded.reshape(self.count, LANES, -1).transpose(1, 2).contiguous().numpy().reshape(-1))

    def channels_of(self, lanes: Tensor, shape: torch.Size) -> Tensor:
        """The inverse of :meth:`lanes` for (B, blocks, ..., LANES), summed over the samples."""
        by_lane = lanes.sum(0).reshape(self.count, -1, LANES).transpose(1, 2)
        grouped = by_lane.reshape(self.groups, self.per_group * LANES, -1)
        return grouped[:, : self.channels // self.groups].reshape(shape)


def strided(tensor: Tensor) -> tuple[Array, tuple[int, ...]]:
    return flat(tensor), tensor.stride()


def zeros(like: Tensor, *shape: int) -> Tensor:
    """As ``like.new_zeros``, without torch's threads: they would spin on for milliseconds, in the way of ours."""
    return torch.from_numpy(np.zeros(shape, np.float64 if like.dtype == torch.float64 else np.float32))
