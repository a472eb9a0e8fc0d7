"""PublishedSets: what the data modules of published sets have in common; each names its layouts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from srbench.datamodule import Pair, SRDataModule, TestSet, TrainingSet
from srbench.datamodules.center_cropped import CenterCropped
from srbench.datamodules.layout import Layout, default_root
from srbench.datamodules.layout_check import sizes
from srbench.datamodules.layout_scan import Problem, Scan, scan
from srbench.datamodules.synthesis import matlab_bicubic
from srbench.errors import InputError
from srbench.naming import unknown_name

_TOLERABLE = ("missing", "count")
"""What ``allow_partial`` puts up with."""


class PublishedSets(SRDataModule):
    """Sets that are declared as layouts in ``srbench.datamodules.published``.

    Args:
        root: the folder that holds the sets; None takes ``$SRBENCH_DATA``, and ``data`` where that is not set.
        sets: names of the sets to test on; None takes those that lie in ``root``.
        train_sets: names of the sets to train on; None takes those that lie in ``root`` (of unpaired domains, the
            clean one).
        center_crop: test on the middle of this side of every lq; None takes whole images.
        allow_partial: take a set that lacks images; the record says so.
        kwargs: see :class:`SRDataModule`.

    Raises:
        InputError: a set is unknown.
    """

    layouts: ClassVar[dict[str, Layout]] = {}
    """The sets of this data module by name."""

    def __init__(
        self,
        *,
        root: str | None = None,
        sets: list[str] | None = None,
        train_sets: list[str] | None = None,
        center_crop: int | None = None,
        allow_partial: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = default_root(root)
        self.sets = sets
        self.train_sets = train_sets
        self.center_crop = center_crop
        self.allow_partial = allow_partial
        for key, given in (("sets", sets), ("train_sets", train_sets)):
            for name in given or ():
                if name not in self._choice(training=key == "train_sets"):
                    raise unknown_name("set", name, self._choice(key == "train_sets"), where=f"data.init_args.{key}")

    def testing_sets(self) -> list[TestSet]:
        """The chosen sets, or those that are on disk.

        Raises:
            InputError: a set is not there, or not whole; it names the file, or the expected tree.
        """
        return [self._test_set(found) for found in self._found(self._usual(), self.sets)]

    def validation_sets(self) -> list[TestSet]:
        """Those to test on; none where none was named and none lies in the root, so that training needs no test set."""
        usual = [layout for layout in self._usual() if self.scale in layout.counts]
        if self.sets is None and all(scan(layout, self.root, self.scale).home is None for layout in usual):
            return []
        return super().validation_sets()

    def training_set(self) -> TrainingSet:
        """Patches of the chosen training sets, or of those on disk; images without partner get MATLAB's bicubic lq.

        Raises:
            InputError: there is none, a set is not there, or not whole.
        """
        usual = [layout for layout in self._choice(training=True).values() if layout.gt]
        if not usual:
            name = type(self).__name__
            raise InputError(
                f"{name} holds test sets only, nothing to train on", where="data", remedy="choose other data"
            )
        whole = self._found(usual, self.train_sets)
        pairs = [pair for found in whole for pair in _training_pairs(found, many=len(whole) > 1)]
        if all(pair.lq is None for pair in pairs):
            return self.patches(pairs, matlab_bicubic(self.scale))
        return self.patches(pairs, crop_gt=any(found.layout.crop_gt for found in whole))

    def _choice(self, training: bool) -> dict[str, Layout]:
        """What may be asked for: to train on, what is meant for it; to test on, whatever has lq."""
        return {n: lay for n, lay in self.layouts.items() if (lay.training if training else lay.lq)}

    def _usual(self) -> list[Layout]:
        """What is tested on where nothing is asked for."""
        return [lay for lay in self._choice(training=False).values() if not (lay.training or lay.on_request)]

    def _found(self, usual: Sequence[Layout], asked: Sequence[str] | None) -> list[Scan]:
        if asked is not None:
            return [self._whole(self.layouts[name]) for name in asked]
        here = [layout for layout in usual if self.scale in layout.counts]
        here = [layout for layout in here if scan(layout, self.root, self.scale).home is not None]
        if here:
            return [self._whole(layout) for layout in here]
        return [self._whole(layout) for layout in usual[:1]]  # refuses, with what is expected

    def _whole(self, layout: Layout) -> Scan:
        """The files of a set, which must be there and, unless told otherwise, complete."""
        found = scan(layout, self.root, self.scale)
        if found.home is None:
            error = found.absent()
            raise InputError(error.what, where=self.root, remedy=error.remedy)
        tolerable = _TOLERABLE if self.allow_partial and found.files else ()
        _refuse(found, (p for p in found.problems if p.kind not in tolerable))
        _refuse(found, sizes(found))
        return found

    def _test_set(self, found: Scan) -> TestSet:
        layout = found.layout
        pairs = [Pair(files.name, gt=files.gt, lq=files.lq) for files in found.files]
        count = layout.counts[self.scale]
        about: dict[str, Any] = {
            "crop_gt": layout.crop_gt,
            "source": f"{layout.citation}; {layout.source}",
            "licence": layout.licence,
            "notes": () if count in (None, len(pairs)) else (f"{len(pairs)} of {count} images",),
        }
        if self.center_crop is None:
            return self.files(layout.name, pairs, **about)
        limits = {"scale": self.scale, "pixel_limit": self.pixel_limit}
        return CenterCropped(layout.name, pairs, size=self.center_crop, **limits, **about)


def _training_pairs(found: Scan, *, many: bool) -> list[Pair]:
    """Pairs to train on; images of one domain alone are their own gt. Names get the set's where there are several."""
    prefix = f"{found.layout.name}-" if many else ""
    paired = bool(found.layout.gt and found.layout.lq)
    return [
        Pair(prefix + files.name, gt=files.gt or files.lq, lq=files.lq if paired else None) for files in found.files
    ]


def _refuse(found: Scan, problems: Iterable[Problem]) -> None:
    for problem in problems:
        raise problem.error(f"; srbench data check {found.layout.name} lists all that is wrong with this set")
