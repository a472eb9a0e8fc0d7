"""Images and labels that the analyses of HR-aware are given on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from srbench.errors import InputError
from srbench.images import by_stem, list_images, read_image, to_tensor


def labelled(texts: Sequence[str], option: str) -> dict[str, str]:
    """LABEL=PLACE given one or several times.

    Raises:
        InputError: there is none, one has no label, or two have one.
    """
    found: dict[str, str] = {}
    for text in texts:
        label, _, place = text.partition("=")
        if not label or not place or label in found:
            raise InputError(f"'{text}' has no label of its own", where=option, remedy="write LABEL=PLACE, each once")
        found[label] = place
    if not found:
        raise InputError("nothing is given", where=option, remedy="write LABEL=PLACE; may be repeated")
    return found


def pairs_of(gt: str | None, lq: str | None) -> list[tuple[str, Path, Path]]:
    """Names, gt and lq of two folders, sorted.

    Raises:
        InputError: a folder is missing or empty, or a gt has no lq of its name.
    """
    if gt is None or lq is None:
        raise InputError("folders of gt and lq are needed", where="--gt, --lq", remedy="give both")
    low = by_stem(list_images(lq))
    found = []
    for name, path in by_stem(list_images(gt)).items():
        if name not in low:
            raise InputError("it has no lq of its name", where=path, remedy=f"put {name} into {lq}, or leave it out")
        found.append((name, path, low[name]))
    return found


def read_pair(gt: Path, lq: Path, scale: int, crop: int) -> tuple[Tensor, Tensor]:
    """The lq (1,3,h,w) and gt (1,3,s*h,s*w) in [0,1], the middle ``crop`` lq pixels of both, or all.

    Raises:
        InputError: a file is no image, gt is not ``scale`` times lq, or the crop does not fit.
    """
    low, high = read(lq), read(gt)
    if tuple(high.shape[-2:]) != tuple(side * scale for side in low.shape[-2:]):
        raise InputError(
            f"gt of {_size(high)} is not {scale} times its lq of {_size(low)}",
            where=gt,
            remedy=f"use pairs at x{scale}",
        )
    if not crop:
        return low, high
    return middle(low, crop, lq), middle(high, crop * scale, gt)


def read(path: Path) -> Tensor:
    """An image (1,3,h,w) in [0,1]."""
    return to_tensor(read_image(path).pixels)[None]


def middle(image: Tensor, side: int, where: Path) -> Tensor:
    """The middle of an image (1,3,h,w).

    Raises:
        InputError: it is smaller.
    """
    height, width = image.shape[-2:]
    if min(height, width) < side:
        raise InputError(f"{_size(image)} holds no middle of {side}", where=where, remedy="choose a smaller --crop")
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top : top + side, left : left + side]


def _size(image: Tensor) -> str:
    return f"{image.shape[-2]}x{image.shape[-1]}"
