"""t-SNE (van der Maaten and Hinton 2008), exact: for a few thousand vectors, and the same picture every time."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from srbench.errors import InputError

_EXAGGERATED = 250
"""Steps in which attraction is 12 times as strong, the habit of all implementations."""


def tsne(
    vectors: Tensor,
    *,
    perplexity: float = 30.0,
    steps: int = 1000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Places in the plane, (N,2): near where vectors are near.

    It begins with the two principal components, at a standard deviation of 1e-4, so that nothing is drawn; the rate is
    N / 48, at least 50 (Belkina et al. 2019).

    Args:
        vectors: (N,C).
        perplexity: how many neighbours count, above 1 and at most (N - 1) / 3.
        steps: of gradient descent, of which the first 250 exaggerate attraction.
        progress: is told the steps done and their number.

    Raises:
        InputError: the perplexity or the steps do not fit, or vectors are not finite.
    """
    count = len(vectors)
    if not 1 < perplexity <= (count - 1) / 3 or steps < 1:
        raise InputError(
            f"t-SNE of {count} vectors with perplexity {perplexity:g} in {steps} steps is impossible",
            remedy=f"use a perplexity above 1, at most {(count - 1) / 3:.3g}, and 1 step or more",
        )
    if not bool(torch.isfinite(vectors).all()):
        raise InputError("some vectors hold NaN or infinity", remedy="see whether the encoder's weights are whole")
    places, near = principal(vectors.double()), _affinities(vectors.double(), perplexity)
    speed, gains = torch.zeros_like(places), torch.ones_like(places)
    rate = max(count / 48, 50.0)
    for step in range(steps):
        early = step < _EXAGGERATED
        pull = _gradient(places, near * 12 if early else near)
        gains = torch.where(pull * speed < 0, gains + 0.2, gains * 0.8).clamp(min=0.01)
        speed = (0.5 if early else 0.8) * speed - rate * gains * pull
        places = places + speed
        places = places - places.mean(0)
        progress(step + 1, steps)
    return places


def principal(vectors: Tensor) -> Tensor:
    """The first two principal components, (N,2), each sign such that its largest weight is positive, scaled to 1e-4."""
    centred = vectors - vectors.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    axes = torch.nn.functional.pad(axes, (0, 0, 0, max(2 - len(axes), 0)))[:2]
    axes = axes * torch.where(axes.gather(1, axes.abs().argmax(1, keepdim=True)) < 0, -1.0, 1.0)
    found = centred @ axes.T
    return found / found[:, 0].std().clamp(min=1e-12) * 1e-4


def _affinities(vectors: Tensor, perplexity: float) -> Tensor:
    """Joint probabilities (N,N): each vector's width is found by bisection, so that its entropy is the perplexity's."""
    squared = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist").square()
    squared = squared / squared.mean().clamp(min=torch.finfo(torch.float64).tiny)
    squared.fill_diagonal_(float("inf"))
    squared = squared - squared.amin(1, keepdim=True)
    low, high = torch.full((len(vectors), 1), -20.0), torch.full((len(vectors), 1), 40.0)  # of the logarithm
    low, high = low.double(), high.double()
    for _ in range(60):
        middle = (low + high) / 2
        chances = torch.softmax(-squared * middle.exp(), 1)
        wide = torch.special.entr(chances).sum(1, keepdim=True) > math.log(perplexity)
        low, high = torch.where(wide, middle, low), torch.where(wide, high, middle)
    chances = torch.softmax(-squared * ((low + high) / 2).exp(), 1)
    return (chances + chances.T) / (2 * len(vectors))


def _gradient(places: Tensor, near: Tensor) -> Tensor:
    """Of the Kullback-Leibler divergence, by the places: (N,2)."""
    kernel = 1 / (1 + torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist").square())
    kernel.fill_diagonal_(0.0)
    force = (near - kernel / kernel.sum()) * kernel
    return 4 * (force.sum(1, keepdim=True) * places - force @ places)
