"""Layout: a published set of images as it lies on disk, declared; read by data modules and by ``srbench data``.

Nothing here imports torch. :mod:`srbench.datamodules.layout_scan` finds a layout's files, and
:mod:`srbench.datamodules.layout_check` looks into them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from srbench.errors import InputError

SAME_STEM = (("{name}", "{name}"),)
"""gt and lq of one image have the same name."""


@dataclass(frozen=True)
class Layout:
    """A set as it is published. ``{scale}`` in a folder or a stem stands for the scale, ``{name}`` for an image's id.

    Attributes:
        name: its name in records.
        counts: number of images by scale; None where nobody states it.
        homes: where it may lie under the root, the first that holds its folders.
        gt: where gt lies in it, the first that exists; empty for a set without reference.
        lq: where lq lies in it; empty for a set of gt alone, which is used as images of one domain.
        spellings: stems of gt and lq, without ending; of several the one that fits most files is taken.
        ids: regular expression of an image's id.
        example: an id, for messages.
        names: the ids, where they are known.
        also: ids that may lie beside them and do not belong to this set.
        lq_made: lq is made from gt where there is no lq folder.
        gt_shared: gt belongs to another set too (DIV2K), so that its folder alone does not mean that this set is here.
        crop_gt: gt may be larger than ``scale`` times lq by less than ``scale`` and is then cropped at the top left.
        lq_size: height and width of every lq, where all have the same.
        rgb: whether every published file is RGB.
        version_trap: what it means when lq has gt's size.
        training: whether it is there to train on.
        on_request: a copy of another set with more images: only taken where it is asked for by name.
        source: where to get it.
        licence: its terms.
        citation: who made it.
        caveats: what of this could not be confirmed on the published files, and what to beware of.
    """

    name: str
    counts: Mapping[int, int | None]
    homes: tuple[str, ...]
    lq: tuple[str, ...]
    source: str
    licence: str
    citation: str
    gt: tuple[str, ...] = ()
    spellings: tuple[tuple[str, str], ...] = SAME_STEM
    ids: str = r".+"
    example: str = "NAME"
    names: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()
    lq_made: bool = False
    gt_shared: bool = False
    crop_gt: bool = False
    lq_size: tuple[int, int] | None = None
    rgb: bool = True
    version_trap: str = ""
    training: bool = False
    on_request: bool = False
    caveats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counted = {count for count in self.counts.values() if count is not None}
        if self.names is not None and counted != {len(self.names)}:
            raise ValueError(f"{self.name} has {len(self.names)} names and says {self.counts}")
        if not self.gt and not self.lq:
            raise ValueError(f"{self.name} has neither gt nor lq")

    @property
    def scales(self) -> tuple[int, ...]:
        """The scales that it exists for."""
        return tuple(self.counts)

    def checked_scale(self, scale: int) -> int:
        """``scale``, when the set exists for it.

        Raises:
            InputError: it does not.
        """
        if scale not in self.counts:
            known = " and ".join(f"x{s}" for s in self.counts)
            raise InputError(
                f"{self.name} exists for {known}, not x{scale}", where="scale", remedy="choose one of them"
            )
        return scale

    def expected(self, scale: int) -> list[str]:
        """The files of the set in words, a line for gt and one for lq: folder, number, names."""
        count = self.counts[self.checked_scale(scale)]
        many = "images" if count is None else f"{count} images"
        lines = []
        for side, folders in enumerate((self.gt, self.lq)):
            if folders:
                place = _joined(self.homes[0], "" if "" in folders else folders[0]).format(scale=scale)
                example = self.file_name(side, self.names[0] if self.names else self.example, scale)
                made = " (optional: lq is made where it is missing)" if side == 1 and self.lq_made else ""
                lines.append(f"{place}/ with {many}, such as {example}{made}")
        return lines

    def pattern(self, spelling: tuple[str, str], side: int, scale: int) -> re.Pattern[str]:
        """Matches the stems of gt (side 0) or lq (side 1) and gives the id as group ``name``."""
        head, tail = spelling[side].replace("{scale}", str(scale)).split("{name}")
        return re.compile(f"{re.escape(head)}(?P<name>{self.ids}){re.escape(tail)}")

    def file_name(self, side: int, name: str, scale: int, spelling: tuple[str, str] | None = None) -> str:
        """What the gt (side 0) or lq (side 1) of an image is called, as PNG."""
        return (spelling or self.spellings[0])[side].format(name=name, scale=scale) + ".png"


def named(group: tuple[Layout, ...], *starts: str) -> dict[str, Layout]:
    """A group of layouts by name; with ``starts``, those whose names start with one of them."""
    return {layout.name: layout for layout in group if not starts or layout.name.startswith(starts)}


def default_root(given: str | Path | None = None) -> Path:
    """The folder that holds the sets: the one given, else ``$SRBENCH_DATA``, else ``data`` in the working folder."""
    return Path(given if given is not None else os.environ.get("SRBENCH_DATA") or "data")


def candidates(layout: Layout, root: Path) -> list[Path]:
    """Where the set may lie: under the root by each of its names, or in the root itself when that has such a name."""
    under = [root / home for home in layout.homes]
    own = root.resolve().name
    return under + [root for home in layout.homes if home and Path(home).name == own][:1]


def first_folder(home: Path, folders: tuple[str, ...], scale: int) -> Path | None:
    """The first of the folders that exists under ``home``."""
    places = (home / folder.format(scale=scale) for folder in folders)
    return next((place for place in places if place.is_dir()), None)


def _joined(home: str, folder: str) -> str:
    return "/".join(part for part in (home, folder) if part)
