"""A recipe: one image's degradation, drawn and written down before any pixel is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from srbench.datamodules.degradations.steps import Step, step_from_dict
from srbench.errors import InputError


class Degraded(NamedTuple):
    """What a recipe makes of an image.

    Attributes:
        lq: (3,h,w) float32 in [0,1].
        gt: (3,H,W) float32 in [0,1]: the image itself, or its sharpened version where that is the target.
    """

    lq: Tensor
    gt: Tensor


@dataclass(frozen=True)
class Recipe:
    """Every parameter of one degradation, in order; equal recipes give equal pixels on one kind of device.

    Attributes:
        steps: applied one after the other.
        kind: which of a pipeline's branches was drawn (``weak``, ``bicubic``), empty where there is one only.
    """

    steps: tuple[Step, ...]
    kind: str = ""

    def apply(self, gt: Tensor) -> Degraded:
        """:func:`apply_recipe` of this recipe."""
        return apply_recipe(gt, self)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON: ``{"kind": ..., "steps": [{"step": "blur", ...}, ...]}``."""
        return {"kind": self.kind, "steps": [step.as_dict() for step in self.steps]}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`as_dict` wrote.

        Raises:
            InputError: it is none.
        """
        steps = given.get("steps")
        if not isinstance(steps, (list, tuple)):
            raise InputError("a degradation recipe needs a list of steps", remedy="write it with Recipe.as_dict")
        return cls(tuple(step_from_dict(step) for step in steps), str(given.get("kind", "")))


@torch.no_grad()
def apply_recipe(gt: Tensor, recipe: Recipe) -> Degraded:
    """Runs a recipe on one image.

    Args:
        gt: (3,H,W) float32 RGB in [0,1], on any device; left as it is.
        recipe: drawn for an image of this size.

    Returns:
        lq and the target, on gt's device.
    """
    image = target = gt
    for step in recipe.steps:
        image = step.apply(image)
        if step.on_target:
            target = image
    return Degraded(image, target)
