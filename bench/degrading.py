"""Training images degraded as they are drawn: the gt crop, its recipe and the patch, all functions of the draw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict, cast

import numpy as np
import torch
from torch import Tensor

from srbench.contracts import Batch
from srbench.datasets import Sample, TrainingSet, collate, turned, window
from srbench.degradation import Degradation
from srbench.errors import InputError
from srbench.images import Pixels, to_tensor
from srbench.pairs import Pair, read_gt
from srbench.sampling import Draw, batch_rng, draw_rng, recipe_rng
from srbench.threads import side_by_side

DegradeIn = Literal["auto", "device", "workers"]


class Crop(TypedDict):
    """A gt crop that is not degraded yet: ``gt`` (3,C,C) float32 RGB in [0,1], and what its lq will be made of."""

    gt: Tensor
    name: str
    draw: Draw


class Degraded(Sample):
    """A sample made in a worker, with the seconds that took and, if asked for, its recipe."""

    seconds: float
    degradation: NotRequired[dict[str, Any]]
    lq_whole: NotRequired[Tensor]
    lq_corner: NotRequired[Tensor]


class CropBatch(TypedDict):
    """Crops on their way to the device: ``gt`` (B,3,C,C)."""

    gt: Tensor
    name: list[str]
    draw: list[Draw]


class Made(NamedTuple):
    """What becomes of a crop; see :meth:`Degrader.made`. ``corner`` is the patch's row and column in ``whole``."""

    lq: Tensor
    gt: Tensor
    recipe: dict[str, Any] | None
    whole: Tensor
    corner: tuple[int, int]


class Degrader:
    """Makes lq and the patch of a crop; the same wherever it runs.

    Args:
        degradation: draws and applies recipes.
        patch_size: side of the patch in gt pixels.
        seed: of all draws.
        carry: note every recipe.
        whole: carry the lq of the whole crop beside that of the patch.
    """

    def __init__(
        self, degradation: Degradation, *, patch_size: int, seed: int, carry: bool = False, whole: bool = False
    ) -> None:
        self.degradation = degradation
        self.patch_size = patch_size
        self.seed = seed
        self.carry = carry
        self.whole = whole

    @property
    def crop(self) -> int:
        """Side of the gt crop that is degraded."""
        return max(self.degradation.crop or 0, self.patch_size)

    def __call__(self, gt: Tensor, draw: Draw) -> tuple[Tensor, Tensor, dict[str, Any] | None]:
        """From a gt crop (3,C,C) in [0,1]: lq (3,p/s,p/s), target (3,p,p), and the recipe if it is to be noted."""
        made = self.made(gt, draw)
        return made.lq, made.gt, made.recipe

    def made(self, gt: Tensor, draw: Draw) -> Made:
        """As calling it, and the whole crop's lq (3,C/s,C/s) with the patch's row and column in it."""
        rng, shared = recipe_rng(self.seed, draw), batch_rng(self.seed, draw)
        scale, patch = self.degradation.scale, self.patch_size // self.degradation.scale
        places = shared if self.degradation.per_batch else rng
        top, left = (int(place) for place in places.integers(gt.shape[-1] // scale - patch + 1, size=2))
        recipe = self.degradation.draw(rng, gt.shape[-2], gt.shape[-1], batch_rng=shared)
        whole, target = self.degradation(gt.float(), recipe)
        lq = whole[:, top : top + patch, left : left + patch]
        high, wide = top * scale, left * scale
        target = target[:, high : high + self.patch_size, wide : wide + self.patch_size]
        note = recipe.as_dict() if self.carry else None
        return Made(lq.to(gt.dtype), target.to(gt.dtype), note, whole.to(gt.dtype), (top, left))

    def batch(self, crops: CropBatch) -> Batch:
        """A batch of crops, on its device, to a batch to train on."""
        images = list(zip(crops["gt"], crops["draw"], strict=True))
        if crops["gt"].device.type == "cpu":
            made = side_by_side(lambda image: self.made(*image), images)
        else:
            made = [self.made(*image) for image in images]
        batch = Batch(lq=torch.stack([one.lq for one in made]), name=crops["name"])
        batch["gt"] = torch.stack([one.gt for one in made])
        if self.carry:
            batch["degradation"] = [cast("dict[str, Any]", one.recipe) for one in made]
        if self.whole:
            batch["lq_whole"] = torch.stack([one.whole for one in made])
            corners = torch.tensor([one.corner for one in made])
            batch["lq_corner"] = corners.to(crops["gt"].device, non_blocking=True)
        return batch


class DegradedSet(TrainingSet):
    """Random gt crops with the lq that a degradation makes of them, here or later on the batch's device.

    Args:
        pairs: its images, without lq. Where the degradation asks for a larger crop than the patch, images smaller than
            it are mirrored at the bottom and right, as the authors' code has it.
        degrader: makes lq.
        late: give :class:`Crop` and leave the degrading to :meth:`Degrader.batch`.
        kwargs: see :class:`~srbench.datasets.TrainingSet`.

    Raises:
        InputError: an image has an lq of its own, or is smaller than a patch and must not be mirrored.
    """

    def __init__(self, pairs: Sequence[Pair], degrader: Degrader, *, late: bool = False, **kwargs: Any) -> None:
        self.degrader = degrader
        self.late = late
        super().__init__(pairs, **kwargs)

    def _check(self, pair: Pair, patch_size: int) -> None:
        if pair.lq is not None:
            raise InputError(
                "this image has an lq of its own, which a degradation would replace",
                where=pair.file,
                remedy="set data.init_args.degradation to null, or leave the lq folder out",
            )
        if self.degrader.degradation.crop is None:  # otherwise small images are mirrored
            super()._check(pair, patch_size)

    def __getitem__(self, draw: Draw) -> Any:
        gt, name = self._crop(draw), self.pairs[draw.index].name
        if self.late:
            return Crop(gt=gt, name=name, draw=draw)
        start = time.perf_counter()
        made = self.degrader.made(gt, draw)
        sample = Degraded(lq=made.lq, gt=made.gt, name=name, seconds=time.perf_counter() - start)
        if made.recipe is not None:
            sample["degradation"] = made.recipe
        if self.degrader.whole:
            sample["lq_whole"], sample["lq_corner"] = made.whole, torch.tensor(made.corner)
        return sample

    def _crop(self, draw: Draw) -> Tensor:
        [gt] = self._decoded(draw.index)
        side = self.degrader.crop
        rng = draw_rng(self.seed, draw)
        top, left = (int(rng.integers(max(length - side, 0) + 1)) for length in gt.shape[:2])
        return to_tensor(turned(_mirrored(window(gt, top, left, side), side), self._turns(rng)))

    def _read(self, index: int) -> tuple[Pixels, ...]:
        return (read_gt(self.pairs[index], self.pixel_limit, read=self.read)[0],)


def collate_training(samples: Sequence[Any]) -> Any:
    """Stacks samples, degraded or not; the seconds that degrading took are added up under ``seconds``."""
    if all("draw" in s for s in samples):
        gt = torch.stack([s["gt"] for s in samples])
        return CropBatch(gt=gt, name=[s["name"] for s in samples], draw=[s["draw"] for s in samples])
    batch: Any = collate(samples)
    for key in ("lq_whole", "lq_corner"):
        if all(key in s for s in samples):
            batch[key] = torch.stack([s[key] for s in samples])
    if all("seconds" in s for s in samples):
        batch["seconds"] = sum(s["seconds"] for s in samples)
    return batch


def _mirrored(image: Pixels, side: int) -> Pixels:
    """Continued at the bottom and right by its mirror image, without the edge pixel, up to ``side``."""
    missing = [max(side - length, 0) for length in image.shape[:2]]
    return np.pad(image, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="reflect") if any(missing) else image
