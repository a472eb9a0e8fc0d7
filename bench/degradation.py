"""What a degradation is to the rest of srbench: it draws a recipe for an image and applies it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from srbench.errors import InputError


class AnyRecipe(Protocol):
    """One image's degradation, with every parameter drawn."""

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists."""

    def apply(self, gt: Tensor) -> tuple[Tensor, Tensor]:
        """Makes (lq, target) from ``gt`` (3,H,W) float32 in [0,1], on its device."""


class Degradation(nn.Module, ABC):
    """Makes lq from gt: first a recipe is drawn, then it is applied, image by image.

    Drawing needs a generator and the image's size and nothing else; applying needs the recipe and the image and
    nothing else. So the same recipe gives the same pixels in the main process, in workers and in any number of
    processes, and it can be written down.

    Args:
        scale: magnification from lq to gt; must be the data module's.
        crop: side of the gt crop that is degraded; the patch is then cut out of it and of its lq at random. Smaller
            images are mirrored at the bottom and right (without the edge pixel) up to it. None degrades the patch.
        per_batch: draw once per batch what the authors' code draws once per batch; otherwise all is drawn per image.
        pool: pairs in the training-pair pool that mixes degraded pairs across batches; 0 is none.
    """

    def __init__(self, *, scale: int = 4, crop: int | None = None, per_batch: bool = False, pool: int = 0) -> None:
        super().__init__()
        where = f"{type(self).__name__}.init_args"
        if scale < 1:
            raise InputError(f"scale {scale} is impossible", where=where, remedy="use 1, 2, 3, 4, ...")
        if crop is not None and (crop < scale or crop % scale):
            raise InputError(f"crop {crop} is no multiple of scale {scale}", where=where, remedy="choose one that is")
        if pool < 0:
            raise InputError(f"a pool of {pool} pairs is impossible", where=where, remedy="use 0 for none")
        self.scale = scale
        self.crop = crop
        self.per_batch = per_batch
        self.pool = pool

    @abstractmethod
    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> AnyRecipe:
        """The recipe of one gt image of ``height`` x ``width``, both multiples of the scale.

        Args:
            rng: of this image alone.
            height: of gt.
            width: of gt.
            batch_rng: the same stream for every image of a batch; used under ``per_batch`` only. None draws all from
                ``rng``.
        """

    def forward(self, gt: Tensor, recipe: AnyRecipe) -> tuple[Tensor, Tensor]:
        """Applies a recipe to ``gt`` (3,H,W): (lq (3,H/s,W/s), target (3,H,W)), both in [0,1] on gt's device."""
        return recipe.apply(gt)
