"""The files of an image: which they are, whether they fit each other, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from srbench.errors import InputError
from srbench.images import PIXEL_LIMIT, Decoded, Pixels, read_image, read_size
from srbench.naming import safe_name


class Pair(NamedTuple):
    """The files of one image.

    Attributes:
        name: its id, unique in its set.
        gt: ground truth, None where there is none.
        lq: low-quality image, None where it is made from ``gt``.
        box: top, left, height and width of the part of ``gt`` that is meant; None is all of it. Only for training, and
            only without ``lq``.
    """

    name: str
    gt: Path | None = None
    lq: Path | None = None
    box: tuple[int, int, int, int] | None = None

    @property
    def file(self) -> Path:
        """The file to name in a message: gt where there is one."""
        return known(self.gt or self.lq)


@dataclass(frozen=True)
class Synthesis:
    """How lq is made from gt when no file holds it.

    Attributes:
        origin: what records say (``matlab_bicubic``).
        settings: everything else that changes pixels; enters the fingerprint of the test set.
        make: gt (s*h,s*w,3) to lq (h,w,3), deterministic, picklable.
    """

    origin: str
    settings: str
    make: Callable[[Pixels], Pixels]


def read_gt(
    pair: Pair, pixel_limit: int = PIXEL_LIMIT, *, read: Callable[..., Decoded] | None = None
) -> tuple[Pixels, tuple[str, ...]]:
    """Reads a pair's gt, or its box of it, by ``read`` or :func:`~srbench.images.read_image`."""
    gt, notes = (read or read_image)(known(pair.gt), pixel_limit=pixel_limit)
    if pair.box is None:
        return gt, notes
    top, left, height, width = pair.box
    part = gt[top : top + height, left : left + width]
    # A view would keep the whole image in memory; one into a file keeps nothing.
    return part if isinstance(part, np.memmap) else part.copy(), notes


def read_pair(
    pair: Pair,
    scale: int,
    synthesis: Synthesis | None = None,
    pixel_limit: int = PIXEL_LIMIT,
    *,
    read: Callable[..., Decoded] | None = None,
) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    """Reads a pair that has a gt: lq (h,w,3), gt (s*h,s*w,3) and what was done to them.

    Raises:
        InputError: a file cannot be read.
    """
    gt, notes = read_gt(pair, pixel_limit, read=read)
    if pair.lq is not None:
        lq, more = read_image(pair.lq, pixel_limit=pixel_limit)
        height, width = (side * scale for side in lq.shape[:2])
        notes += tuple(note for note in more if note not in notes)
    else:
        height, width = (side - side % scale for side in gt.shape[:2])
    if gt.shape[:2] != (height, width):
        gt = np.ascontiguousarray(gt[:height, :width])
        notes += (f"gt cropped to a multiple of {scale}",)
    if pair.lq is None:
        lq = _synthesised(synthesis, gt)
    return lq, gt, notes


def _synthesised(synthesis: Synthesis | None, gt: Pixels) -> Pixels:
    if synthesis is None:
        raise ValueError("the pair has no lq and nothing says how to make one")
    return synthesis.make(np.array(gt) if isinstance(gt, np.memmap) else gt)


def known(path: Path | None) -> Path:
    """A file that the caller knows to be there."""
    if path is None:
        raise ValueError("the pair lacks a file that it must have")
    return path


def check_names(set_name: str, pairs: Sequence[Pair]) -> None:
    """Refuses a test set without images, and names that are unfit or occur twice.

    Raises:
        InputError: naming the set or the folder.
    """
    if not pairs:
        raise InputError("the test set has no image", where=set_name, remedy="give a folder that holds some")
    seen: dict[str, Pair] = {}
    for pair in pairs:
        try:
            safe_name(pair.name, kind="name of an image")
        except InputError as error:
            raise InputError(error.what, where=pair.file.parent, remedy=error.remedy) from error
        if pair.name in seen:
            raise InputError(
                f"two images are called '{pair.name}': {seen[pair.name].file.name} and {pair.file.name}",
                where=pair.file.parent,
                remedy="rename or remove one of them",
            )
        seen[pair.name] = pair


def check_sizes(pair: Pair, scale: int, *, crop_gt: bool = False) -> tuple[int, int]:
    """Height and width of the gt that will be used (of lq where there is no gt), from the files' headers.

    Raises:
        InputError: gt is not ``scale`` times its lq, or too small.
    """
    if pair.gt is None:
        return read_size(known(pair.lq))
    height, width = read_size(pair.gt) if pair.box is None else pair.box[2:]
    if pair.lq is None:
        if min(height, width) < scale:
            raise InputError(
                f"{height} x {width} is too small for scale {scale}", where=pair.gt, remedy="leave the image out"
            )
        return height - height % scale, width - width % scale
    lq = read_size(pair.lq)
    wanted = (lq[0] * scale, lq[1] * scale)
    over = (height - wanted[0], width - wanted[1])
    if over != (0, 0) and not (crop_gt and min(over) >= 0 and max(over) < scale):
        raise InputError(
            f"gt is {height} x {width}, not {scale} times its lq of {lq[0]} x {lq[1]} ({pair.lq.name})",
            where=pair.gt,
            remedy=f"use the lq made from this gt at scale {scale}, with gt cropped to a multiple of {scale} first",
        )
    return wanted


def check_patch(pair: Pair, size: tuple[int, int], patch_size: int) -> None:
    """Refuses an image of ``size`` (height, width) that no patch can be cut from.

    Raises:
        InputError: naming the file.
    """
    if min(size) < patch_size:
        raise InputError(
            f"a patch of {patch_size} does not fit into {size[0]} x {size[1]}",
            where=pair.file,
            remedy="set a smaller patch_size or leave the image out",
        )
