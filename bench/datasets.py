"""Images on disk as datasets: test sets that records can name, and training patches that any process can reproduce."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from srbench.contracts import Batch, SetInfo
from srbench.errors import InputError
from srbench.images import PIXEL_LIMIT, Decoded, Pixels, fingerprint, read_image, to_tensor
from srbench.naming import safe_name
from srbench.pairs import Pair, Synthesis, check_names, check_patch, check_sizes, known, read_pair
from srbench.sampling import Draw, draw_rng

Augment = bool | Literal["hflip"]
"""All eight positions of a patch, none but its own, or its mirror image only."""


class Sample(TypedDict):
    """One image: ``lq`` (3,h,w) and ``gt`` (3,s*h,s*w) float32 RGB in [0,1], its name, what was done on reading it.

    ``ref`` is as ``gt``: what another method made of ``lq``.
    """

    lq: Tensor
    name: str
    gt: NotRequired[Tensor]
    notes: NotRequired[tuple[str, ...]]
    degradation: NotRequired[dict[str, Any]]
    ref: NotRequired[Tensor]


def collate(samples: Sequence[Sample]) -> Batch:
    """Stacks samples of equal size to a batch; names and notes become lists."""
    batch = Batch(lq=torch.stack([s["lq"] for s in samples]), name=[s["name"] for s in samples])
    if all("gt" in s for s in samples):
        batch["gt"] = torch.stack([s["gt"] for s in samples])
    if all("ref" in s for s in samples):
        batch["ref"] = torch.stack([s["ref"] for s in samples])
    if all("notes" in s for s in samples):
        batch["notes"] = [s["notes"] for s in samples]
    if all("degradation" in s for s in samples):
        batch["degradation"] = [s["degradation"] for s in samples]
    return batch


# ---------------------------------------------------------------------------------------------------------- test sets


class TestSet(Dataset[Sample], ABC):
    """A named set of images to test on, in a fixed order."""

    __test__ = False  # its name makes pytest take it for a test

    @property
    @abstractmethod
    def name(self) -> str:
        """The set's name, cheap to ask for."""

    @property
    @abstractmethod
    def info(self) -> SetInfo:
        """The set as records know it; hashes its files when it is asked for the first time."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The images' ids, in the order of the indices."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    def __len__(self) -> int:
        return len(self.names)


class FileTestSet(TestSet):
    """A test set of image files, checked when it is built.

    Args:
        name: the set's name; one path component.
        pairs: its images, all with gt or all without.
        scale: magnification from lq to gt.
        synthesis: makes lq where the pairs have none; gt is cropped at the top left to a multiple of ``scale`` first.
        crop_gt: crop a gt that is larger than ``scale`` times its lq by less than ``scale`` instead of refusing it.
        source: where the images come from.
        licence: their terms.
        notes: remarks for the record.
        pixel_limit: larger images are refused.

    Raises:
        InputError: there is no image, a name is unfit or occurs twice, or gt is not ``scale`` times lq.
    """

    def __init__(
        self,
        name: str,
        pairs: Sequence[Pair],
        *,
        scale: int,
        synthesis: Synthesis | None = None,
        crop_gt: bool = False,
        source: str = "",
        licence: str = "",
        notes: Sequence[str] = (),
        pixel_limit: int = PIXEL_LIMIT,
    ) -> None:
        self._name = safe_name(name, kind="name of a test set")
        self.pairs = list(pairs)
        self.scale = scale
        self.synthesis = synthesis
        self.crop_gt = crop_gt
        self.source = source
        self.licence = licence
        self.notes = tuple(notes)
        self.pixel_limit = pixel_limit
        check_names(name, self.pairs)
        for pair in self.pairs:
            check_sizes(pair, scale, crop_gt=crop_gt)

    @property
    def name(self) -> str:
        """The set's name."""
        return self._name

    @property
    def names(self) -> list[str]:
        """The images' ids."""
        return [pair.name for pair in self.pairs]

    @cached_property
    def info(self) -> SetInfo:
        """Reads and hashes every file of the set, once."""
        return SetInfo(
            name=self._name,
            scale=self.scale,
            count=len(self.pairs),
            has_gt=self.pairs[0].gt is not None,
            fingerprint=self._fingerprint(),
            source=self.source,
            licence=self.licence,
            lq_origin="files" if self.synthesis is None else self.synthesis.origin,
            notes=self.notes,
        )

    def _fingerprint(self) -> str:
        files = [
            (f"{kind}/{pair.name}", path)
            for pair in self.pairs
            for kind, path in (("gt", pair.gt), ("lq", pair.lq))
            if path is not None
        ]
        held = fingerprint(files)
        if self.synthesis is None:
            return held
        made = f"{held}\n{self.synthesis.origin} x{self.scale} {self.synthesis.settings}"
        return hashlib.sha256(made.encode()).hexdigest()

    def __getitem__(self, index: int) -> Sample:
        pair = self.pairs[index]
        if pair.gt is None:
            only = read_image(known(pair.lq), pixel_limit=self.pixel_limit)
            return Sample(lq=to_tensor(only.pixels), name=pair.name, notes=only.notes)
        lq, gt, notes = read_pair(pair, self.scale, self.synthesis, self.pixel_limit)
        return Sample(lq=to_tensor(lq), gt=to_tensor(gt), name=pair.name, notes=notes)


# ----------------------------------------------------------------------------------------------------------- training


class TrainingSet(Dataset[Sample]):
    """Random patches of image pairs, flipped and turned; the crop and the turn are functions of the :class:`Draw`.

    Args:
        pairs: its images, all with gt.
        scale: magnification from lq to gt.
        patch_size: side of a patch in gt pixels.
        augment: flip and turn patches by quarters, each with probability 1/2; ``hflip`` only mirrors them left to
            right.
        seed: of all draws.
        cache_mb: MiB of decoded 8-bit images to keep in memory; images beyond it are decoded each time they are drawn.
        synthesis: makes lq where the pairs have none, once per image and before the crop.
        pixel_limit: larger images are refused.
        read: decodes gt; a cache may stand before :func:`~srbench.images.read_image`.
        crop_gt: crop a gt that is larger than ``scale`` times its lq by less than ``scale`` instead of refusing it.

    Raises:
        InputError: there is no image, one is smaller than a patch, gt is not ``scale`` times lq, or ``patch_size`` is
            no multiple of ``scale``.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        scale: int,
        patch_size: int,
        augment: Augment = True,
        seed: int = 0,
        cache_mb: int = 1024,
        synthesis: Synthesis | None = None,
        pixel_limit: int = PIXEL_LIMIT,
        read: Callable[..., Decoded] | None = None,
        crop_gt: bool = False,
    ) -> None:
        self.pairs = list(pairs)
        self.scale = scale
        self.read = read
        self.crop_gt = crop_gt
        self.patch = patch_size // scale
        self.augment = augment
        self.seed = seed
        self.synthesis = synthesis
        self.pixel_limit = pixel_limit
        self._room = cache_mb * 2**20
        self._cache: dict[int, tuple[Pixels, ...]] = {}
        if not self.pairs:
            raise InputError("there is no image to train on", where="data", remedy="give a folder that holds some")
        if patch_size < scale or patch_size % scale:
            raise InputError(f"patch_size {patch_size} is no multiple of scale {scale}", remedy="choose one that is")
        for pair in self.pairs:
            self._check(pair, patch_size)

    def _check(self, pair: Pair, patch_size: int) -> None:
        """Refuses an image that no patch can be cut from."""
        check_patch(pair, check_sizes(pair, self.scale, crop_gt=self.crop_gt), patch_size)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> Sample:
        lq, gt = self._decoded(draw.index)
        rng = draw_rng(self.seed, draw)
        top, left = (int(rng.integers(side - self.patch + 1)) for side in lq.shape[:2])
        turns = self._turns(rng)
        return Sample(
            lq=to_tensor(turned(window(lq, top, left, self.patch), turns)),
            gt=to_tensor(turned(window(gt, top * self.scale, left * self.scale, self.patch * self.scale), turns)),
            name=self.pairs[draw.index].name,
        )

    def preload(self) -> None:
        """Decodes images until the cache is full, so that workers forked afterwards share one copy."""
        for index in range(len(self.pairs)):
            if self._room <= 0:
                break
            self._decoded(index)

    def _turns(self, rng: np.random.Generator) -> NDArray[np.int64]:
        turns = rng.integers(2, size=3) if self.augment else np.zeros(3, dtype=np.int64)
        if self.augment == "hflip":
            turns[1:] = 0
        return turns

    def _decoded(self, index: int) -> tuple[Pixels, ...]:
        if index in self._cache:
            return self._cache[index]
        images = self._read(index)
        size = sum(image.nbytes for image in images)
        # What is mapped from disk costs no memory, and keeping it open would cost a file handle.
        if self._room >= size and not any(isinstance(image, np.memmap) for image in images):
            self._room -= size
            self._cache[index] = images
        return images

    def _read(self, index: int) -> tuple[Pixels, ...]:
        return read_pair(self.pairs[index], self.scale, self.synthesis, self.pixel_limit, read=self.read)[:2]


def window(image: Pixels, top: int, left: int, side: int) -> Pixels:
    """The square of this side at (top, left), a view."""
    return image[top : top + side, left : left + side]


def turned(patch: Pixels, turns: NDArray[np.int64]) -> Pixels:
    """Mirrored left to right, upside down and along the diagonal, each if asked for: all eight positions."""
    mirrored, flipped, transposed = turns
    out = patch[:: -1 if flipped else 1, :: -1 if mirrored else 1]
    return np.ascontiguousarray(out.transpose(1, 0, 2) if transposed else out)
