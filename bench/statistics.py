"""Which methods a test set can tell apart: the paired bootstrap over images, and tie groups."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 20_260_101
FEWEST_IMAGES = 10
"""Under so many common images an interval says little, and no tie groups are given."""

Floats = NDArray[np.float64]

_CHUNK = 2**24  # numbers held at once: 128 MiB of float64
_INFINITE = 1e6  # stands for an infinite PSNR (equal images), so that its differences stay numbers


def separable(values: Floats, leader: int, others: Sequence[int], *, higher_is_better: bool) -> list[bool | None]:
    """Whether ``leader`` is better than each of ``others`` at 95 %, by the paired percentile bootstrap over images.

    The leader is better when the two-sided 95 % interval of the mean difference over the common images lies wholly on
    its side. The draw is fixed, so equal input gives equal output.

    Args:
        values: (images, methods), NaN where a method has no value.
        leader: column of the leader.
        others: columns to compare it with.
        higher_is_better: direction of the metric.

    Returns:
        One answer per column of ``others``; None with fewer than ``FEWEST_IMAGES`` common images.
    """
    if not others:
        return []
    numbers = np.clip(values if higher_is_better else -values, -_INFINITE, _INFINITE)
    differences = numbers[:, [leader]] - numbers[:, list(others)]
    common = ~np.isnan(differences)
    answers: list[bool | None] = [None] * len(others)
    patterns, member = np.unique(common, axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        mask, columns = patterns[:, index], np.flatnonzero(member.reshape(-1) == index)
        if mask.sum() < FEWEST_IMAGES:
            continue
        worse = _share_not_positive(differences[mask][:, columns])
        for column, share in zip(columns, worse, strict=True):
            answers[column] = bool(share < 0.025)
    return answers


def tie_groups(values: Floats, *, higher_is_better: bool) -> list[int | None]:
    """The tie group of every method, the methods being sorted from best to worst.

    The best method leads group 0, and every method that it is not better than at 95 % joins; the best one left over
    leads the next group, and so on.

    Args:
        values: (images, methods), columns from best to worst, NaN where a method has no value.
        higher_is_better: direction of the metric.

    Returns:
        One number per method; None for a method that shares fewer than ``FEWEST_IMAGES`` images with the leaders.
    """
    groups: list[int | None] = [None] * values.shape[1]
    enough = (~np.isnan(values)).sum(axis=0) >= FEWEST_IMAGES
    left = [int(column) for column in np.flatnonzero(enough)]
    number = 0
    while left:
        leader, *others = left
        groups[leader] = number
        answers = separable(values, leader, others, higher_is_better=higher_is_better)
        for column, better in zip(others, answers, strict=True):
            if better is False:
                groups[column] = number
        left = [column for column, better in zip(others, answers, strict=True) if better]
        number += 1
    return groups


def paired_bootstrap(differences: Floats) -> tuple[float, float, float]:
    """The mean of paired differences under resampling of the images, by the same draw as :func:`separable`.

    Args:
        differences: (images,), finite or infinite, none NaN; infinite ones count as a million.

    Returns:
        The ends of the 95 % percentile interval of the mean, and the two-sided p: twice the share of resamples that
        lie on the other side of zero, or on it.

    Raises:
        ValueError: there is no image.
    """
    sample = np.clip(np.asarray(differences, dtype=np.float64), -_INFINITE, _INFINITE)
    if not len(sample):
        raise ValueError("no image to resample")
    step = max(1, _CHUNK // len(sample))
    sums = [_draws(len(sample), start, min(step, RESAMPLES - start)) @ sample for start in range(0, RESAMPLES, step)]
    low, high = np.percentile(np.concatenate(sums) / len(sample), [2.5, 97.5])
    sides = _share_not_positive(np.stack([sample, -sample], axis=1))
    return float(low), float(high), min(1.0, 2 * float(sides.min()))


def _share_not_positive(differences: Floats) -> Floats:
    """Per column, the share of resamples whose mean difference is not above zero; differences (images, columns)."""
    images, columns = differences.shape
    # A sum of equal numbers may come out a rounding error above zero.
    margin = 1e-12 * np.abs(differences).max(axis=0, initial=0.0) * images
    count = np.zeros(columns)
    step = max(1, _CHUNK // max(images, columns))
    for start in range(0, RESAMPLES, step):
        sums = _draws(images, start, min(step, RESAMPLES - start)) @ differences
        count += (sums <= margin).sum(axis=0)
    return np.asarray(count / RESAMPLES)


@functools.lru_cache(maxsize=2)
def _draws(images: int, start: int, number: int) -> Floats:
    """How often each image occurs in resamples ``start`` to ``start + number``: (number, images).

    Drawn from the raw bits of PCG64, whose stream never changes, whereas NumPy may change how a Generator uses it.
    """
    bits = np.random.PCG64(SEED)
    bits.advance(start * images)
    picked = (bits.random_raw(number * images) % np.uint64(images)).astype(np.int64).reshape(number, images)
    flat = (picked + np.arange(number)[:, None] * images).reshape(-1)
    return np.bincount(flat, minlength=number * images).reshape(number, images).astype(np.float64)
