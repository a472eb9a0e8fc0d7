"""Poisson counts on a CPU, several times as fast as ``torch.poisson``.

The means of a rounded image are 256 at most, so each has a table of its own, after Walker's alias method (1977, as
M. D. Vose, "A linear algorithm for generating random numbers with a given distribution", 1991, fills it): a uniform
number picks a column, and either that column's count or the count of its alias is the draw. The tables hold the exact
probabilities; what they leave out beyond twelve standard deviations is under 1e-12.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import poisson
from torch import Tensor


class _Tables(NamedTuple):
    """One row of ``width`` columns for each of the 256 levels, flattened.

    Attributes:
        keep: (256*width,) probability that the column's own count is the draw.
        alias: (256*width,) the count otherwise.
        width: counts 0..width-1 can be drawn; a power of two.
    """

    keep: Tensor
    alias: Tensor
    width: int


def draw_counts(levels: Tensor, photons: int, generator: torch.Generator) -> Tensor:
    """Counts of mean ``levels / 255 * photons``.

    Args:
        levels: whole numbers from 0 to 255, floating point, on the CPU.
        photons: mean count of level 255, 1 to 256.
        generator: of the CPU; takes one double for every count.

    Returns:
        Whole numbers in the shape and type of the levels.
    """
    tables = _tables(photons)
    place = torch.rand(levels.numel(), generator=generator, dtype=torch.float64).mul_(tables.width)
    column = place.to(torch.int32)
    rest = place.sub_(column).float()
    cell = levels.flatten().to(torch.int32).mul_(tables.width).add_(column)
    kept = rest < tables.keep.index_select(0, cell)
    return torch.where(kept, column, tables.alias.index_select(0, cell)).view_as(levels).to(levels.dtype)


@lru_cache(maxsize=16)
def _tables(photons: int) -> _Tables:
    means = np.arange(256) / 255 * photons
    width = 1 << int(means[-1] + 12 * np.sqrt(means[-1]) + 24).bit_length()
    chances = poisson.pmf(np.arange(width)[None, :], means[:, None])
    keep, alias = _aliases(chances / chances.sum(axis=1, keepdims=True))
    # Tensors made in inference mode could not be used for training afterwards, and these stay in the cache.
    with torch.inference_mode(False):
        return _Tables(torch.from_numpy(keep).float().flatten(), torch.from_numpy(alias).float().flatten(), width)


def _aliases(chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Alias tables of every row of probabilities (rows,width), all rows at once.

    Columns are taken from the least probable on. Each is filled up to 1/width by the most probable column that still
    has something to give; that one, once below 1/width itself, is the next to be filled.
    """
    rows, width = chances.shape
    row = np.arange(rows)
    order = np.argsort(chances, axis=1, kind="stable")
    sorted_chances = np.take_along_axis(chances, order, axis=1) * width
    keep, alias = np.ones((rows, width)), np.tile(np.arange(width), (rows, 1))
    small, large = np.zeros(rows, dtype=np.int64), np.full(rows, width - 1)
    left = sorted_chances[row, large]
    for _ in range(width - 1):
        spent = left < 1
        column = np.where(spent, large, small)
        filled = np.where(spent, left, sorted_chances[row, small])
        large = large - spent
        keep[row, order[row, column]] = filled
        alias[row, order[row, column]] = order[row, large]
        left = np.where(spent, sorted_chances[row, large], left) - (1 - filled)
        small = small + ~spent
    return keep, alias
