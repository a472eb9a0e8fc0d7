"""Text similarity by degradation: what a tagger still says of a degraded image (DACESR, Eq. 1-2, Figs. 1-2).

The reference is always what plain RAM says of gt, whichever tagger looks at lq.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any, NamedTuple, get_args

import numpy as np
from torch import Tensor

from srbench.datamodules.degradations import Recipe, Single
from srbench.datamodules.degradations.single import STRENGTHS, SingleKind
from srbench.degradation import Degradation
from srbench.errors import InputError
from srbench.modules.dacesr.select import degraded, draw_recipes
from srbench.modules.nets.ram import jaccard
from srbench.naming import unknown_name

Tags = Callable[[Tensor], Sequence[frozenset[int]]]
"""From images (N,3,S,S) in [0,1] to the indices of each one's tags."""

RANDOM = "random"
"""Type of degradations that are ranked into classes instead of having a level."""

SHARES = (0.0, 0.2, 0.5, 0.8, 1.0)
"""Where the ranking is cut: of 1000, classes 1 to 4 are 0-199, 200-499, 500-799 and 800-999 (the authors' data)."""


class Case(NamedTuple):
    """One degradation: its type (``blur``), its level (``1.5``, or the number of the draw), and how to apply it."""

    type: str
    level: str
    recipe: Recipe


class Similarity(NamedTuple):
    """What one tagger still says of one degraded image, from 0 to 1."""

    tagger: str
    type: str
    level: str
    image: str
    similarity: float


def single_cases(side: int, *, scale: int = 4, seed: int = 0) -> list[Case]:
    """Blur, noise and JPEG at the four strengths of Fig. 2, for gt of ``side`` x ``side``."""
    cases = []
    for kind in get_args(SingleKind):
        for number, strength in enumerate(STRENGTHS[kind]):
            rng = np.random.default_rng([seed, number])
            recipe = Single(kind=kind, strength=strength, scale=scale).draw(rng, side, side)
            cases.append(Case(kind, f"{strength:g}", recipe))
    return cases


def random_cases(degradation: Degradation, count: int, side: int, seed: int) -> list[Case]:
    """``count`` draws of a degradation, those of :func:`~srbench.modules.dacesr.select.draw_recipes`."""
    return [Case(RANDOM, str(i), recipe) for i, recipe in enumerate(draw_recipes(degradation, count, side, seed))]


def measure(
    cases: Sequence[Case],
    images: Tensor,
    names: Sequence[str],
    reference: Sequence[frozenset[int]],
    taggers: Mapping[str, Tags],
) -> Iterator[list[Similarity]]:
    """Degrades every image by every case and asks every tagger.

    Args:
        cases: the degradations.
        images: gt (N,3,S,S) in [0,1] on the taggers' device.
        names: of the images.
        reference: what plain RAM says of each gt.
        taggers: by the names that tables print.

    Yields:
        The similarities of one case, all taggers and images.
    """
    for case in cases:
        lq = degraded(case.recipe, images)
        yield [
            Similarity(tagger, case.type, case.level, name, jaccard(found, wanted))
            for tagger, tags in taggers.items()
            for name, found, wanted in zip(names, tags(lq), reference, strict=True)
        ]


def level_means(found: Sequence[Similarity]) -> dict[tuple[str, str, str], float]:
    """Mean over the images (Eq. 2) by tagger, type and level, in the order they came."""
    held: dict[tuple[str, str, str], list[float]] = {}
    for one in found:
        held.setdefault((one.tagger, one.type, one.level), []).append(one.similarity)
    return {key: fmean(values) for key, values in held.items()}


def classes(scores: Sequence[float]) -> list[list[int]]:
    """Indices of class 1 (mild) to 4 (severe): the scores ranked from high to low and cut at :data:`SHARES`.

    Raises:
        InputError: there are too few for four classes.
    """
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    cuts = [round(share * len(order)) for share in SHARES]
    found = [order[start:end] for start, end in pairwise(cuts)]
    if not all(found):
        raise InputError(
            f"{len(order)} degradations make no four classes", where="text-similarity", remedy="take 4 or more"
        )
    return found


def class_means(table: Mapping[str, Sequence[float]], by: str) -> list[dict[str, Any]]:
    """Mean similarity of every tagger in the four classes that one tagger's scores make (Fig. 2d).

    Args:
        table: a tagger's name -> its score of each degradation, in one order for all.
        by: the tagger whose scores rank the degradations.

    Returns:
        Rows of ``tagger``, ``type``, ``level`` (``class1`` to ``class4``), ``n`` and ``mean``.

    Raises:
        InputError: ``by`` is no tagger of the table, or there are too few degradations.
    """
    if by not in table:
        raise unknown_name("tagger", by, table, where="--rank-by")
    members = classes(table[by])
    return [
        {"tagger": tagger, "type": RANDOM, "level": f"class{k}", "n": len(some), "mean": fmean(scores[i] for i in some)}
        for tagger, scores in table.items()
        for k, some in enumerate(members, 1)
    ]
