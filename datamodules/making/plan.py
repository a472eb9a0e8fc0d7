"""What a made set will hold, settled before any pixel is touched: its images, crops, recipes, and what it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from srbench.datamodules.making.sets import Part, Spec
from srbench.datamodules.pairing import set_name
from srbench.errors import InputError
from srbench.images import by_stem, list_images, read_size
from srbench.naming import safe_name

DIV2K_VAL = frozenset(f"{number:04d}" for number in range(801, 901))
"""Names of DIV2K's validation images; exactly these are recognised."""


class Source(NamedTuple):
    """An image to degrade.

    Attributes:
        stem: its name without ending, of which its draws are made.
        path: the file.
        crops: how many crops to take; None takes the whole image.
    """

    stem: str
    path: Path
    crops: int | None


class Window(NamedTuple):
    """The gt of one item within its source.

    Attributes:
        item: name of the files.
        crop: number of the crop, None for a whole image.
        top: first row.
        left: first column.
        height: a multiple of the scale.
        width: a multiple of the scale.
    """

    item: str
    crop: int | None
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Plan:
    """A set to make.

    Attributes:
        spec: what is made.
        seed: of every draw.
        title: what the images are, in records' names.
        sources: in the order of their names.
        crops: of all images together; None for whole images.
    """

    spec: Spec
    seed: int
    title: str
    sources: tuple[Source, ...]
    crops: int | None

    @property
    def total(self) -> int:
        """Items to make."""
        return sum(1 if source.crops is None else source.crops for source in self.sources)

    def record_name(self, part: Part) -> str:
        """What records call a part: ``div2k_level1@srbench-seed0``; another number of crops than the paper's shows."""
        crops = "" if self.crops in (None, self.spec.crops) else f"_{self.crops}crops"
        return f"{part.label.format(of=self.title)}{crops}@srbench-seed{self.seed}"


def draw_plan(spec: Spec, hr: Path, *, seed: int, crops: int | None = None, title: str | None = None) -> Plan:
    """Settles what is made of the images in ``hr``, reading no more of them than their headers.

    Crops are dealt out evenly; where they do not come out even, the first images by name get one more.

    Raises:
        InputError: the folder or an image is unfit, two images have one name, or a number is impossible.
    """
    if seed < 0:
        raise InputError(f"seed {seed} is impossible", where="--seed", remedy="use 0 or more")
    files = sorted(by_stem(list_images(hr)).items())
    count = _crop_count(spec, crops)
    shares: list[int | None] = [None] * len(files)
    if count is not None:
        each, more = divmod(count, len(files))
        shares = [each + (index < more) for index in range(len(files))]
    sources = tuple(Source(stem, path, share) for (stem, path), share in zip(files, shares, strict=True) if share != 0)
    plan = Plan(spec, seed, _title(title, hr, [stem for stem, _ in files]), sources, count)
    for source in sources:
        _check(plan, source)
    return plan


def generator(plan: Plan, stem: str, crop: int | None, purpose: str) -> np.random.Generator:
    """The generator of one draw: a function of seed, set, image, crop and purpose, on any machine.

    >>> from srbench.datamodules.making.sets import find
    >>> plan = Plan(find("deedsr_val"), 0, "div2k", (), 1)
    >>> generator(plan, "0801", 0, "lq").random() == generator(plan, "0801", 0, "lq").random()
    True
    """
    words = "\0".join((str(plan.seed), plan.spec.name, stem, "" if crop is None else str(crop), purpose))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(words.encode("utf-8", "surrogateescape")).digest()))


def windows(plan: Plan, source: Source, height: int, width: int) -> Iterator[Window]:
    """The items of an image of ``height`` x ``width``: the whole of it, or its crops.

    A whole image loses up to scale - 1 rows at the bottom and columns at the right, so that its sides are multiples of
    the scale (DIV2K's are).
    """
    if source.crops is None:
        scale = plan.spec.scale
        yield Window(source.stem, None, 0, 0, height - height % scale, width - width % scale)
        return
    side = plan.spec.crop or 0
    for crop in range(source.crops):
        rng = generator(plan, source.stem, crop, "window")
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        yield Window(f"{source.stem}_{crop:04d}", crop, top, left, side, side)


def _crop_count(spec: Spec, crops: int | None) -> int | None:
    if spec.crop is None:
        if crops is not None:
            raise InputError(f"{spec.name} takes whole images", where="--crops", remedy="leave --crops out")
        return None
    count = spec.crops if crops is None else crops
    if count is None or count < 1:
        raise InputError(f"{count} crops are impossible", where="--crops", remedy="use 1 or more")
    return count


def _title(given: str | None, hr: Path, stems: list[str]) -> str:
    if given is None:
        given = "div2k" if set(stems) == DIV2K_VAL else set_name(hr)
    title = given.lower().replace(" ", "_")
    if "@" in title:
        raise InputError(f"{given!r} cannot name images", where="--title", remedy="leave out '@', which marks the seed")
    return safe_name(title, kind="name of a set")


def _check(plan: Plan, source: Source) -> None:
    """Refuses an image now that could not be degraded later."""
    height, width = read_size(source.path)
    safe_name(source.stem, kind="name of an image")
    side = plan.spec.crop
    if side is not None and min(height, width) < side:
        raise InputError(
            f"{height} x {width} is smaller than a crop of {side}", where=source.path, remedy="leave the image out"
        )
    first = next(windows(plan, source, height, width))
    if min(first.height, first.width) < plan.spec.scale:
        raise InputError(f"{height} x {width} is too small", where=source.path, remedy="leave the image out")
    for part in plan.spec.parts:
        try:
            part.degradation.draw(np.random.default_rng(0), first.height, first.width)
        except InputError as error:
            raise InputError(error.what, where=source.path, remedy="leave the image out") from error
