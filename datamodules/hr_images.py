"""HRImages: any photographs to train on, whose lq is made while training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from srbench.datamodule import Pair, SRDataModule, TestSet, TrainingSet
from srbench.datamodules.decoded_cache import DecodedCache, in_threads
from srbench.datamodules.file_lists import Found, find_images
from srbench.datamodules.pairing import pair_files, set_name
from srbench.datamodules.synthesis import matlab_bicubic
from srbench.errors import InputError
from srbench.images import read_image, read_size

__all__ = ["HRImages"]


class HRImages(SRDataModule):
    """Folders and lists of high-resolution images (DF2K, OST, DIV8K, LSDIR, FFHQ, COCO) to train on.

    lq is made by ``degradation``; without one by MATLAB's bicubic, once per image. Images are read by the header when
    the run starts, so that a file that is none is found before the first step.

    Args:
        gt: folders, or list files with a path on each line (BasicSR's ``meta_info``).
        recursive: look into folders of folders.
        first: take so many images of each source only (of FFHQ, the first 10,000); one number for all sources or one
            for each, null for all images.
        list_root: folder that the lines of list files start from; None is the list file's own.
        min_side: leave out images with a shorter side, in pixels.
        min_kb: leave out smaller files, in KiB (StableSR and DeeDSR: 100, and images of under 384 x 384 pixels; with
            ``min_side`` 384 neither side may be shorter).
        skip_unreadable: decode every file before training, those in ``cache`` excepted, and leave out those that
            cannot be; otherwise the run refuses to start when a file's header is none.
        sub_size: cut images into squares of this side, which are then drawn like images; None cuts none. BasicSR's
            ``extract_subimages`` has 480.
        sub_step: from one square to the next, in pixels (BasicSR: 240); the last ones end at the border.
        cache: folder to keep decoded images in, memory-mapped; None decodes an image whenever it is drawn and not in
            memory.
        val_gt: folder to validate on.
        val_lq: its lq folder; None makes lq by MATLAB's bicubic.
        kwargs: see :class:`SRDataModule`.
    """

    def __init__(
        self,
        *,
        gt: str | list[str] | None = None,
        recursive: bool = True,
        first: int | list[int | None] | None = None,
        list_root: str | None = None,
        min_side: int = 0,
        min_kb: int = 0,
        skip_unreadable: bool = False,
        sub_size: int | None = None,
        sub_step: int = 240,
        cache: str | None = None,
        val_gt: str | None = None,
        val_lq: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gt = [gt] if isinstance(gt, str) else list(gt or ())
        self.recursive = recursive
        self.first = first
        self.list_root = list_root
        self.min_side = min_side
        self.min_kb = min_kb
        self.skip_unreadable = skip_unreadable
        self.sub_size = sub_size
        self.sub_step = sub_step
        self.cache = None if cache is None else DecodedCache(Path(cache))
        self.val_gt = val_gt
        self.val_lq = val_lq
        self._found: list[tuple[Found, tuple[int, int]]] | None = None
        self._check()

    def prepare_data(self) -> None:
        """Lightning's hook, in one process of a machine: fills the cache before training."""
        if self.cache is not None and self.trainer is not None and self.trainer.state.fn == "fit":
            self.cache.fill([found.path for found, _ in self._photographs()], pixel_limit=self.pixel_limit)

    def training_set(self) -> TrainingSet:
        """Patches of all images, or of their squares.

        Raises:
            InputError: there is no image, one cannot be read, or one is smaller than a patch or a square.
        """
        images = self._photographs()
        if self.cache is not None:
            self.cache.fill([found.path for found, _ in images], pixel_limit=self.pixel_limit)
        pairs = [pair for found, size in images for pair in self._pairs(found, size)]
        read = read_image if self.cache is None else self.cache.read
        return self.patches(pairs, matlab_bicubic(self.scale), read=read)

    def validation_sets(self) -> list[TestSet]:
        """The folder to validate on, if there is one."""
        if self.val_gt is None:
            return []
        synthesis = matlab_bicubic(self.scale) if self.val_lq is None else None
        pairs = pair_files(self.val_gt, self.val_lq, self.scale)
        return [self.files(set_name(self.val_gt), pairs, synthesis)]

    def _check(self) -> None:
        if self.val_lq is not None and self.val_gt is None:
            raise InputError("val_lq was given without val_gt", where=self.val_lq, remedy="name the gt folder too")
        least = max(self.scale, self.patch_size)
        if self.sub_size is not None and (self.sub_size < least or self.sub_step < 1):
            raise InputError(
                f"squares of {self.sub_size} at steps of {self.sub_step} hold no patch of {self.patch_size}",
                where="data.init_args.sub_size",
                remedy=f"use {least} or more, and sub_step of 1 or more",
            )

    def _photographs(self) -> list[tuple[Found, tuple[int, int]]]:
        """What there is to train on, with heights and widths; looked up once."""
        if self._found is None:
            found = find_images(self.gt, recursive=self.recursive, first=self.first, list_root=self.list_root)
            self._found = self._large(self._readable(found))
        return self._found

    def _readable(self, found: Sequence[Found]) -> list[tuple[Found, tuple[int, int]]]:
        measured = in_threads(self._measured, [f.path for f in found], "reading images")
        broken = [result for result in measured if isinstance(result, InputError)]
        if broken and not self.skip_unreadable:
            more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
            raise InputError(
                f"{broken[0].what}{more}",
                where=broken[0].where,
                remedy="replace or remove it, or set data.init_args.skip_unreadable to true",
            )
        if broken:
            names = ", ".join(str(error.where) for error in broken[:5]) + (", ..." if len(broken) > 5 else "")
            rank_zero_warn(f"{len(broken)} of {len(found)} images cannot be read and are left out: {names}")
        return [(f, size) for f, size in zip(found, measured, strict=True) if not isinstance(size, InputError)]

    def _measured(self, path: Path) -> tuple[int, int] | InputError:
        try:
            if not self.skip_unreadable:
                return read_size(path)
            kept = None if self.cache is None else self.cache.size(path)
            if kept is not None:
                return kept
            height, width, _ = read_image(path, pixel_limit=self.pixel_limit).pixels.shape
        except InputError as error:
            return error
        return height, width

    def _large(self, images: list[tuple[Found, tuple[int, int]]]) -> list[tuple[Found, tuple[int, int]]]:
        kept = [
            (found, size)
            for found, size in images
            if min(size) >= self.min_side and (not self.min_kb or found.path.stat().st_size >= self.min_kb * 1024)
        ]
        if not kept:
            raise InputError(
                f"all {len(images)} images are smaller than min_side {self.min_side} or min_kb {self.min_kb}",
                where="data.init_args",
                remedy="lower them, or give larger images",
            )
        if len(kept) < len(images):
            rank_zero_warn(f"{len(images) - len(kept)} of {len(images)} images are left out as too small")
        return kept

    def _pairs(self, found: Found, size: tuple[int, int]) -> list[Pair]:
        if self.sub_size is None:
            return [Pair(found.name, gt=found.path)]
        rows, columns = (_places(side, self.sub_size, self.sub_step) for side in size)
        return [
            Pair(f"{found.name}_s{i:03d}", gt=found.path, box=(top, left, *_square(size, self.sub_size)))
            for i, (top, left) in enumerate(((t, c) for t in rows for c in columns), 1)
        ]


def _places(side: int, square: int, step: int) -> list[int]:
    """Where squares begin along a side: every ``step``, and one that ends at the border.

    >>> _places(1000, 480, 240)
    [0, 240, 480, 520]
    """
    last = max(side - square, 0)
    places = list(range(0, last + 1, step))
    return places if places[-1] == last else [*places, last]


def _square(size: tuple[int, int], square: int) -> tuple[int, int]:
    return min(size[0], square), min(size[1], square)
