"""Unlabelled: the lq of one test set, to adapt a network to without ever handing out its gt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from srbench.contracts import SetInfo
from srbench.datamodule import Pair, SRDataModule, TestSet, TrainingSet
from srbench.datamodules.images import Images
from srbench.datasets import Sample, turned, window
from srbench.errors import InputError
from srbench.images import Pixels, to_tensor, to_uint8
from srbench.sampling import Draw, draw_rng

__all__ = ["Unlabelled"]


class Unlabelled(SRDataModule):
    """Trains on random crops of one test set's lq, gt withheld, and tests on that set as it is.

    The set is a folder of lq (``root``) or that of another data module (``of``). A crop is ``patch_size / scale`` lq
    pixels wide (HR-aware: 64, so a ``patch_size`` of 256 at x4).

    With ``split`` so many images, the same ones in every run, are validated on with their gt, for curves over the
    iterations and for early stopping by an oracle. They are adapted to like the others, since their lq is; tests then
    score the whole set and, as a second set ``<name>-without<split>``, what no stopping could have looked at.

    Args:
        root: a folder of lq.
        of: a data module with exactly one test set; give this or ``root``.
        split: images to validate on; 0 validates on none.
        kwargs: see :class:`SRDataModule`; ``degradation`` stays None.

    Raises:
        InputError: neither or both of ``root`` and ``of``, another scale, a degradation, a negative split.
    """

    def __init__(
        self, *, root: str | None = None, of: SRDataModule | None = None, split: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if root is not None and of is not None:
            raise InputError("both root and of name a test set", where="data.init_args.root", remedy="give one of them")
        if of is not None and of.scale != self.scale:
            raise InputError(
                f"its test set is x{of.scale}, this data module x{self.scale}",
                where="data.init_args.of.init_args.scale",
                remedy="give both the same scale",
            )
        if self.degradation is not None:
            raise InputError(
                "the lq of a test set is not degraded again", where="data.init_args.degradation", remedy="leave it out"
            )
        if split < 0:
            raise InputError(f"a split of {split} is impossible", where="data.init_args.split", remedy="use 0 or more")
        self.of = of if root is None else Images(root=root, scale=self.scale, pixel_limit=self.pixel_limit)
        self.split = split

    @cached_property
    def whole(self) -> TestSet:
        """The test set.

        Raises:
            InputError: none was named, or ``of`` has several.
        """
        if self.of is None:
            raise InputError(
                "no test set was named", where="data", remedy="set data.init_args.root to a folder of lq, or .of"
            )
        sets = self.of.test_sets
        if len(sets) > 1:
            raise InputError(
                f"{len(sets)} test sets, and a network is adapted to one: {', '.join(s.name for s in sets)}",
                where="data.init_args.of",
                remedy="name one, e.g. by data.init_args.of.init_args.sets",
            )
        return sets[0]

    def training_set(self) -> TrainingSet:
        """Random crops of lq alone."""
        return LqPatches(
            self.whole,
            scale=self.scale,
            patch_size=self.patch_size,
            augment=self.augment,
            seed=self.run_seed,
            cache_mb=self.cache_mb,
        )

    def validation_sets(self) -> list[TestSet]:
        """The split, if there is one.

        Raises:
            InputError: the set has no gt, or no more images than the split takes.
        """
        if not self.split:
            return []
        whole = self.whole
        if not whole.info.has_gt:
            raise InputError(
                "a split is validated on, and this set has no gt", where=whole.name, remedy="set data.init_args.split 0"
            )
        return [SomeOf(whole, self._chosen(), f"{whole.name}-split{self.split}")]

    def testing_sets(self) -> list[TestSet]:
        """The whole set, and without the split where there is one."""
        whole = self.whole
        if not self.split:
            return [whole]
        chosen = set(self._chosen())
        rest = [index for index in range(len(whole)) if index not in chosen]
        return [whole, SomeOf(whole, rest, f"{whole.name}-without{self.split}")]

    def _chosen(self) -> list[int]:
        """The split's images: evenly spread over the set in its order, so equal in every run."""
        count = len(self.whole)
        if self.split >= count:
            raise InputError(
                f"a split of {self.split} leaves none of {count} images",
                where=self.whole.name,
                remedy=f"set data.init_args.split below {count}",
            )
        return [number * count // self.split for number in range(self.split)]


class SomeOf(TestSet):
    """Some images of a test set, under a name of their own.

    Args:
        whole: the set.
        indices: which images of it.
        name: the part's name.
    """

    def __init__(self, whole: TestSet, indices: Sequence[int], name: str) -> None:
        self.whole = whole
        self.indices = list(indices)
        self._name = name

    @property
    def name(self) -> str:
        """The part's name."""
        return self._name

    @property
    def names(self) -> list[str]:
        """The images' ids."""
        every = self.whole.names
        return [every[index] for index in self.indices]

    @cached_property
    def info(self) -> SetInfo:
        """As the whole set's; the fingerprint is that of the whole and the names taken."""
        whole = self.whole.info
        text = "\n".join([whole.fingerprint, *self.names])
        return replace(
            whole,
            name=self._name,
            count=len(self.indices),
            fingerprint=hashlib.sha256(text.encode()).hexdigest(),
            notes=(*whole.notes, f"{len(self.indices)} of the {whole.count} images of {whole.name}"),
        )

    def __getitem__(self, index: int) -> Sample:
        return self.whole[self.indices[index]]


class LqPatches(TrainingSet):
    """Random crops of a test set's lq, flipped and turned; no sample holds gt.

    Args:
        whole: the test set.
        settings: see :class:`TrainingSet`; ``patch_size`` counts gt pixels.
    """

    def __init__(self, whole: TestSet, **settings: Any) -> None:
        super().__init__([Pair(name) for name in whole.names], **settings)
        self.whole = whole

    def __getitem__(self, draw: Draw) -> Sample:
        [lq] = self._decoded(draw.index)
        rng = draw_rng(self.seed, draw)
        top, left = (int(rng.integers(side - self.patch + 1)) for side in lq.shape[:2])
        patch = turned(window(lq, top, left, self.patch), self._turns(rng))
        return Sample(lq=to_tensor(patch), name=self.pairs[draw.index].name)

    def _check(self, pair: Pair, patch_size: int) -> None:
        """Nothing: sizes are known when an image is read."""

    def _read(self, index: int) -> tuple[Pixels, ...]:
        lq = to_uint8(self.whole[index]["lq"])
        if min(lq.shape[:2]) < self.patch:
            raise InputError(
                f"a crop of {self.patch} does not fit into its lq of {lq.shape[0]} x {lq.shape[1]}",
                where=f"{self.whole.name}: {self.pairs[index].name}",
                remedy="set a smaller data.init_args.patch_size (it counts gt pixels), or leave the image out",
            )
        return (lq,)
