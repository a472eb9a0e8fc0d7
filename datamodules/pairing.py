"""Finds which lq file belongs to which gt file."""

from __future__ import annotations

from pathlib import Path

from srbench.errors import InputError
from srbench.images import by_stem, list_images
from srbench.pairs import Pair


def pair_files(gt: str | Path, lq: str | Path | None, scale: int) -> list[Pair]:
    """The images of a gt folder with their lq, by name; the lq's name may carry ``x4``, ``_x4`` or SelfExSR's ending.

    Args:
        gt: folder of ground truth.
        lq: folder of low-quality images; None leaves lq to be made from gt.
        scale: magnification from lq to gt.

    Raises:
        InputError: a folder is missing or empty, two of its images differ in their ending alone, or an image has no
            partner.
    """
    gts = by_stem(list_images(gt))
    if lq is None:
        return [Pair(stem, gt=path) for stem, path in gts.items()]
    lqs = by_stem(list_images(lq))
    pairs = [Pair(stem, gt=path, lq=_partner(stem, path, lqs, Path(lq), scale)) for stem, path in gts.items()]
    taken = {pair.lq for pair in pairs}
    alone = [path for path in lqs.values() if path not in taken]
    if alone:
        raise InputError(f"no image in {gt} belongs to this one", where=alone[0], remedy="add its gt or remove it")
    return pairs


def _partner(stem: str, path: Path, lqs: dict[str, Path], folder: Path, scale: int) -> Path:
    for candidate in _spellings(stem, scale):
        if candidate in lqs:
            return lqs[candidate]
    raise InputError(
        f"there is no lq for it in {folder}",
        where=path,
        remedy=f"name it {stem}{path.suffix} or {stem}x{scale}{path.suffix}",
    )


def _spellings(stem: str, scale: int) -> list[str]:
    """How the lq of a gt may be called, the likeliest first."""
    suffixes = [f"x{scale}", f"_x{scale}", f"X{scale}"]
    bare = [stem.removesuffix(suffix) for suffix in suffixes if stem.endswith(suffix)]
    return [stem, *(stem + suffix for suffix in suffixes), stem.removesuffix("_HR") + "_LR", *bare]


def set_name(folder: str | Path) -> str:
    """What to call the set in a folder: the folder's name, or its parent's where it only says gt or lq.

    >>> set_name("sets/Set5/HR")
    'Set5'
    """
    path = Path(folder).resolve()
    return path.parent.name if path.name.lower() in ("hr", "gt", "lr", "lq") else path.name
