"""The middle of every lq with the gt that belongs to it: how diffusion papers keep large photographs affordable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from srbench.datamodule import FileTestSet, Pair
from srbench.datasets import Sample
from srbench.errors import InputError
from srbench.images import read_size


class CenterCropped(FileTestSet):
    """A test set of files of which the middle ``size`` x ``size`` of lq is used, and that part of gt.

    An odd remainder leaves the extra row or column at the end. StableSR's published crops are files of their own (see
    :class:`srbench.datamodules.StableSRSets`); whether its rule for odd remainders is this one is not known, so records
    keep the two apart by name.

    Args:
        name: the set's name; ``-center128`` is added.
        pairs: its images.
        size: side of the crop in lq pixels.
        kwargs: see :class:`FileTestSet`.

    Raises:
        InputError: as :class:`FileTestSet`, or an lq is smaller than the crop.
    """

    def __init__(self, name: str, pairs: Sequence[Pair], *, size: int, **kwargs: Any) -> None:
        super().__init__(f"{name}-center{size}", pairs, **kwargs)
        self.size = size
        for pair in self.pairs:
            if pair.lq is not None and min(read_size(pair.lq)) < size:
                height, width = read_size(pair.lq)
                raise InputError(
                    f"{height} x {width} hold no {size} x {size} centre",
                    where=pair.lq,
                    remedy="set a smaller center_crop",
                )

    def _fingerprint(self) -> str:
        return hashlib.sha256(f"{super()._fingerprint()}\ncenter {self.size}".encode()).hexdigest()

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        height, width = sample["lq"].shape[1:]
        top, left = (height - self.size) // 2, (width - self.size) // 2
        sample["lq"] = sample["lq"][:, top : top + self.size, left : left + self.size].contiguous()
        if "gt" in sample:
            side = self.size * self.scale
            top, left = top * self.scale, left * self.scale
            sample["gt"] = sample["gt"][:, top : top + side, left : left + side].contiguous()
        return sample
