"""ImagePairs: anyone's folders of gt and lq, to train on and to test on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from srbench.datamodule import Pair, SRDataModule, TestSet, TrainingSet
from srbench.datamodules.degradations.imresize import Border
from srbench.datamodules.pairing import pair_files, set_name
from srbench.datamodules.synthesis import matlab_bicubic
from srbench.errors import InputError

__all__ = ["ImagePairs"]


class ImagePairs(SRDataModule):
    """Folders of ground truth, each with a folder of lq or with lq made by MATLAB's bicubic.

    Partners are found by name: the lq of ``a.png`` is ``a.png``, ``ax4.png`` or ``a_x4.png`` of any image format. gt
    must be exactly ``scale`` times its lq; where lq is made, gt is cropped to a multiple of the scale first.

    Args:
        train_gt: folders to train on; None if there is nothing to train on.
        train_lq: their lq folders, in the same order; None makes lq from gt.
        test_gt: folder to test on.
        test_lq: its lq folder; None makes lq from gt.
        test_name: the test set's name; None takes the folder's (of ``Set5/HR``, ``Set5``).
        border: border rule of MATLAB's bicubic where lq is made.
        source: where the test images come from, for the record.
        licence: their terms, for the record.
        kwargs: see :class:`SRDataModule`.
    """

    def __init__(
        self,
        *,
        train_gt: str | list[str] | None = None,
        train_lq: str | list[str] | None = None,
        test_gt: str | None = None,
        test_lq: str | None = None,
        test_name: str | None = None,
        border: Border = "symmetric",
        source: str = "",
        licence: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.train_gt = _listed(train_gt)
        self.train_lq = _listed(train_lq)
        self.test_gt = test_gt
        self.test_lq = test_lq
        self.test_name = test_name
        self.synthesis = matlab_bicubic(self.scale, border)
        self.source = source
        self.licence = licence
        if self.train_lq and len(self.train_lq) != len(self.train_gt):
            raise InputError(
                f"{len(self.train_gt)} gt folders and {len(self.train_lq)} lq folders to train on",
                where="data.init_args.train_lq",
                remedy="name one lq folder for each gt folder, or none at all to have lq made",
            )
        if test_lq is not None and test_gt is None:
            raise InputError(
                "test_lq was given without test_gt", where=test_lq, remedy="use the data set Images for lq alone"
            )

    def training_set(self) -> TrainingSet:
        """Patches of all training folders."""
        if not self.train_gt:
            raise InputError(
                "there is nothing to train on", where="data", remedy="set data.init_args.train_gt to a folder of images"
            )
        pairs: list[Pair] = []
        for gt, lq in zip_longest(self.train_gt, self.train_lq):
            pairs += pair_files(gt, lq, self.scale)
        return self.patches(pairs, self.synthesis)

    def testing_sets(self) -> list[TestSet]:
        """The test folder, if there is one."""
        if self.test_gt is None:
            return []
        name = self.test_name or set_name(self.test_gt)
        pairs = pair_files(self.test_gt, self.test_lq, self.scale)
        synthesis = self.synthesis if self.test_lq is None else None
        return [self.files(name, pairs, synthesis, source=self.source, licence=self.licence)]


def _listed(folders: str | Sequence[str] | None) -> list[str]:
    if folders is None:
        return []
    return [folders] if isinstance(folders, str) else list(folders)
