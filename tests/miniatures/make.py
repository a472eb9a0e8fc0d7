"""Fabricated miniatures: every published set's layout with its names and numbers, filled with cuts of photographs.

The pixels come from the photographs that ship with scikit-image; nothing of the published sets is in them. As a script:
``python tests/miniatures/make.py OUT [SET ...]`` lays them out at x4 under OUT, all sets where none is named.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from srbench.datamodules.layout import Layout
from srbench.datamodules.published import SETS

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
LINKED = 200
"""Sets with more images than this hold hard links to a few files: never write into one of theirs."""


def make(
    layout: Layout,
    root: Path,
    scale: int = 4,
    *,
    count: int | None = None,
    home: str | None = None,
    gt: str | None = None,
    lq: str | None = None,
    spelling: int = 0,
    side: int = 8,
) -> Path:
    """Lays out a set under ``root``.

    Args:
        layout: the set.
        root: the folder of data.
        scale: its scale.
        count: the first images only; None makes as many as the published set has (3 where nobody says how many).
        home: one of its folders' names; None takes the first.
        gt: one of the names of its gt folder, likewise.
        lq: one of the names of its lq folder, likewise.
        spelling: which of its spellings.
        side: of lq, where the set does not say; a few images are higher than wide.

    Returns:
        The set's folder.
    """
    place = root / (layout.homes[0] if home is None else home)
    folders = [given if given is not None else (names[0] if names else None) for given, names in zip(
        (gt, lq), (layout.gt, layout.lq), strict=True)]  # fmt: skip
    names = ids(layout, scale)[:count]
    first: dict[tuple[int, int], Path] = {}
    for index, name in enumerate(names):
        height, width = layout.lq_size or (side + index % 2, side)
        for part, folder in enumerate(folders):
            if folder is None:
                continue
            file = place / folder.format(scale=scale) / layout.file_name(part, name, scale, layout.spellings[spelling])
            file.parent.mkdir(parents=True, exist_ok=True)
            if len(names) > LINKED and (part, index % 4) in first:
                os.link(first[part, index % 4], file)
                continue
            over = 1 if part == 0 and layout.crop_gt and index == 1 else 0
            by = 1 if part == 1 or not layout.gt else scale
            shutil.copyfile(_png(root, index % 16, height * by + over, width * by, scale if part else 1), file)
            first.setdefault((part, index % 4), file)
    return place


def ids(layout: Layout, scale: int) -> list[str]:
    """The published ids, or made ones of their form where they are not published."""
    if layout.names is not None:
        return list(layout.names)
    digits = re.search(r"\d+$", layout.example)
    head, width = (layout.example[: digits.start()], len(digits[0])) if digits else ("im_", 4)
    return [f"{head}{number:0{width}d}" for number in range(1, (layout.counts[scale] or 3) + 1)]


def _png(root: Path, index: int, height: int, width: int, shrink: int) -> Path:
    """A cut of a photograph as PNG, made once; lq shows what its gt shows."""
    file = root / ".cuts" / f"{index}_{height}_{width}_{shrink}.png"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        photograph = _photograph(PHOTOGRAPHS[index % len(PHOTOGRAPHS)])
        top, left = 20 + 7 * index, 30 + 5 * index
        box = (left, top, left + width * shrink, top + height * shrink)
        Image.fromarray(photograph).crop(box).resize((width, height), Image.Resampling.BICUBIC).save(file)
    return file


@cache
def _photograph(name: str) -> np.ndarray:
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.submodule_search_locations
    with Image.open(Path(next(iter(spec.submodule_search_locations))) / "data" / name) as image:
        return np.array(image.convert("RGB"))


if __name__ == "__main__":
    out = Path(sys.argv[1])
    for chosen in sys.argv[2:] or SETS:
        declared = SETS[chosen]
        # Scales share their gt folder, whose size follows the scale: one of them lies there at a time.
        print(make(declared, out, 4 if 4 in declared.scales else declared.scales[0]))
