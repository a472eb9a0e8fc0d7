"""Triples: pairs of gt and lq, each with a reference image of gt's size that a method made of lq beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from srbench.datamodule import FileTestSet, Pair, TestSet, TrainingSet
from srbench.datamodules.image_pairs import ImagePairs
from srbench.datamodules.pairing import pair_files, set_name
from srbench.datasets import Sample, turned, window
from srbench.errors import InputError
from srbench.images import Pixels, fingerprint, read_image, to_tensor
from srbench.pairs import check_sizes, known
from srbench.sampling import Draw, draw_rng

__all__ = ["Triples"]


class Triples(ImagePairs):
    """Folders of ground truth, lq and reference: batches also hold ``ref`` (B,3,s*h,s*w), cut and turned with gt.

    Partners are found by name; what ``srbench predict`` writes of an lq folder has the right names::

        train/gt/0001_0000.png     512 x 512
        train/lq/0001_0000.png     128 x 128
        train/ref/0001_0000.png    512 x 512, made of this lq

    Args:
        train_ref: reference folders to train with, one for each of ``train_gt``; lq must be given too.
        test_ref: reference folder to test with; None leaves references to the method.
        kwargs: see :class:`~srbench.datamodules.ImagePairs`.

    Raises:
        InputError: the folders do not fit each other.
    """

    def __init__(self, *, train_ref: str | list[str] | None = None, test_ref: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.train_ref = [train_ref] if isinstance(train_ref, str) else list(train_ref or [])
        self.test_ref = test_ref
        counts = (len(self.train_gt), len(self.train_lq), len(self.train_ref))
        if len(set(counts)) > 1:
            raise InputError(
                "there are {} folders of gt, {} of lq and {} of references to train on".format(*counts),
                where="data.init_args.train_ref",
                remedy="name as many of each: a reference belongs to the lq it was made of",
            )
        if self.degradation is not None:
            raise InputError(
                "a degradation makes another lq than the references were made of",
                where="data.init_args.degradation",
                remedy="set it to null and give the lq folders",
            )

    def training_set(self) -> TrainingSet:
        """Patches of all training folders, with their references."""
        refs: list[Pair] = []
        for gt, ref in zip(self.train_gt, self.train_ref, strict=True):
            refs += pair_files(gt, ref, 1)
        return TripleSet(super().training_set(), refs, self.patch_size)

    def testing_sets(self) -> list[TestSet]:
        """The test folder, if there is one, with its references, if there are any."""
        if self.test_gt is None or self.test_ref is None:
            return super().testing_sets()
        name = self.test_name or set_name(self.test_gt)
        pairs = pair_files(self.test_gt, self.test_lq, self.scale)
        settings = {"scale": self.scale, "pixel_limit": self.pixel_limit}
        about = {"source": self.source, "licence": self.licence, "synthesis": self._synthesis()}
        return [TripleTestSet(name, pairs, pair_files(self.test_gt, self.test_ref, 1), **settings, **about)]

    def _synthesis(self) -> Any:
        return self.synthesis if self.test_lq is None else None


class TripleSet(TrainingSet):
    """Random patches of pairs with the same place of their references.

    Args:
        plain: the pairs, with their settings.
        refs: gt and, as ``lq``, the reference, in the pairs' order.
        patch_size: side of a patch in gt pixels.

    Raises:
        InputError: a reference has another size than its gt.
    """

    def __init__(self, plain: TrainingSet, refs: Sequence[Pair], patch_size: int) -> None:
        room = plain._room // 2**20
        super().__init__(
            plain.pairs, scale=plain.scale, patch_size=patch_size, augment=plain.augment, seed=plain.seed,
            cache_mb=room, synthesis=plain.synthesis, pixel_limit=plain.pixel_limit, read=plain.read,
        )  # fmt: skip
        self.refs = _checked(refs)

    def __getitem__(self, draw: Draw) -> Sample:
        """A patch of lq, gt and reference, cut and turned alike."""
        lq, gt, ref = self._decoded(draw.index)
        rng = draw_rng(self.seed, draw)
        top, left = (int(rng.integers(side - self.patch + 1)) for side in lq.shape[:2])
        turns = self._turns(rng)
        large = (top * self.scale, left * self.scale, self.patch * self.scale)
        return Sample(
            lq=to_tensor(turned(window(lq, top, left, self.patch), turns)),
            gt=to_tensor(turned(window(gt, *large), turns)),
            ref=to_tensor(turned(window(ref, *large), turns)),
            name=self.pairs[draw.index].name,
        )

    def _read(self, index: int) -> tuple[Pixels, ...]:
        return (*super()._read(index), _pixels(self.refs[index], self.pixel_limit))


class TripleTestSet(FileTestSet):
    """A test set whose images have references.

    Args:
        name: see :class:`~srbench.datasets.FileTestSet`.
        pairs: see there.
        refs: gt and, as ``lq``, the reference, in the pairs' order.
        kwargs: see there.

    Raises:
        InputError: a reference has another size than its gt.
    """

    def __init__(self, name: str, pairs: Sequence[Pair], refs: Sequence[Pair], **kwargs: Any) -> None:
        super().__init__(name, pairs, **kwargs)
        self.refs = _checked(refs)

    def __getitem__(self, index: int) -> Sample:
        """lq, gt and reference; the reference is cropped where gt was."""
        sample = super().__getitem__(index)
        height, width = sample["gt"].shape[-2:]
        sample["ref"] = to_tensor(_pixels(self.refs[index], self.pixel_limit))[..., :height, :width]
        return sample

    def _fingerprint(self) -> str:
        refs = fingerprint((f"ref/{pair.name}", known(pair.lq)) for pair in self.refs)
        return hashlib.sha256(f"{super()._fingerprint()}\n{refs}".encode()).hexdigest()


def _checked(refs: Sequence[Pair]) -> list[Pair]:
    for pair in refs:
        check_sizes(pair, 1)
    return list(refs)


def _pixels(pair: Pair, limit: int) -> Pixels:
    return read_image(known(pair.lq), pixel_limit=limit).pixels
