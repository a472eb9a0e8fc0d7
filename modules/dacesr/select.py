"""Degradation selection: which of many random degradations are severe for the tagger, and which are mild.

Every degradation is applied to every image; its score is the mean text similarity (Jaccard, Eq. 1 and 2) between the
tags of lq and plain RAM's tags of gt. The paper takes 30 images of DIV2K's validation set (its method section: of the
training set), 1000 draws of Real-ESRGAN's degradation, and calls a score above 0.710 mild ("top 1/4") and one below
0.297 severe ("bottom 1/4"). The authors' own scores contradict these thresholds: their quartiles are 0.759 and 0.642,
0.710 leaves 473 mild and 0.297 three severe. So quantiles are the default, and the thresholds an option.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.datamodules.degradations import Recipe, apply_recipe
from srbench.degradation import Degradation
from srbench.errors import InputError
from srbench.modules.nets.ram import RAMTagger, jaccard

PAPER_THRESHOLDS = (0.710, 0.297)
"""Mild above the first, severe below the second (section V-B)."""


class Groups(NamedTuple):
    """Indices of the mild and the severe degradations, the highest score first."""

    mild: list[int]
    severe: list[int]


def draw_recipes(degradation: Degradation, count: int, side: int, seed: int) -> list[Recipe]:
    """Degradations for gt of ``side`` x ``side``; the i-th depends on ``seed`` and i alone.

    Raises:
        InputError: images of that side are too small for one of them.
    """
    drawn = []
    for index in range(count):
        try:
            recipe = degradation.draw(np.random.default_rng([seed, index]), side, side)
        except InputError as error:
            raise InputError(error.what, where=f"--side {side}", remedy="give a larger one") from error
        assert isinstance(recipe, Recipe)
        drawn.append(recipe)
    return drawn


@torch.no_grad()
def tags_of(net: RAMTagger, images: Tensor, batch: int = 8) -> list[frozenset[int]]:
    """The tags of images (N,3,H,W) in [0,1], prepared as for conditioning."""
    parts = (net.tags(net.logits(net.representation(net.prepared(part)))) for part in images.split(batch))
    return [tags for part in parts for tags in part]


@torch.no_grad()
def degraded(recipe: Recipe, images: Tensor) -> Tensor:
    """Images (N,3,S,S) in [0,1] by a recipe, enlarged to their own size as SeeSR's lq is before it is prepared."""
    lq = torch.stack([apply_recipe(image, recipe).lq for image in images])
    return F.interpolate(lq, images.shape[-2:], mode="bicubic", align_corners=False).clamp(0, 1)


@torch.no_grad()
def similarities(
    recipes: Sequence[Recipe],
    images: Tensor,
    reference: Sequence[frozenset[int]],
    net: RAMTagger,
    *,
    batch: int = 8,
    skip: Callable[[int], bool] = lambda index: False,
) -> Iterator[tuple[int, float]]:
    """Index and score of each degradation, as soon as it is known.

    Args:
        recipes: the degradations.
        images: gt (N,3,S,S) in [0,1] on the tagger's device.
        reference: what plain RAM says of each gt.
        net: the tagger that looks at lq.
        batch: images that it takes at once.
        skip: degradations that are known already.
    """
    for index, recipe in enumerate(recipes):
        if skip(index):
            continue
        found = tags_of(net, degraded(recipe, images), batch)
        yield index, sum(map(jaccard, found, reference)) / len(reference)


def groups(scores: Sequence[float], *, quantile: float = 0.25, thresholds: tuple[float, float] | None = None) -> Groups:
    """The mild and the severe ones.

    Args:
        scores: of all degradations.
        quantile: how much of them is mild and how much is severe, rounded, at least one each.
        thresholds: instead: a score strictly above the first is mild, strictly below the second severe.

    Raises:
        InputError: the quantile or the thresholds are impossible, or leave a group empty.
    """
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    if thresholds is None:
        if not 0 < quantile <= 0.5 or len(scores) < 2:
            raise InputError(
                f"a quantile of {quantile:g} of {len(scores)} degradations makes no two groups",
                where="--quantile",
                remedy="use more than 0 and at most 0.5, and two degradations or more",
            )
        size = max(1, round(quantile * len(scores)))
        return Groups(order[:size], order[-size:])
    high, low = thresholds
    if not 0 <= low <= high <= 1:
        raise InputError(
            f"thresholds {high:g} and {low:g} are impossible", where="--thresholds", remedy="give MILD SEVERE in [0,1]"
        )
    found = Groups([i for i in order if scores[i] > high], [i for i in order if scores[i] < low])
    if not found.mild or not found.severe:
        raise InputError(
            f"{len(found.mild)} degradations score above {high:g} and {len(found.severe)} below {low:g}; the scores "
            f"go from {min(scores):.3f} to {max(scores):.3f}",
            where="--thresholds",
            remedy="choose others, or take --quantile; the scores are kept",
        )
    return found
