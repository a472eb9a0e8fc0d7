"""Finds the files of a layout on disk and says what is missing, too many or ambiguous, from names alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from srbench.datamodules.layout import Layout, candidates, first_folder
from srbench.errors import InputError
from srbench.images import SUFFIXES, read_size

Kind = Literal["missing", "count", "extra", "twice", "partial", "version", "size", "unreadable", "colour"]

_HALF_LOADED = (".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp")


class Problem(NamedTuple):
    """One thing that is wrong: its kind, the file or folder, what it is, and how to mend it."""

    kind: Kind
    where: Path
    what: str
    remedy: str

    def error(self, more: str = "") -> InputError:
        """The problem as an exception; ``more`` is added to the remedy."""
        return InputError(self.what, where=self.where, remedy=self.remedy + more)


class Files(NamedTuple):
    """The files of one image."""

    name: str
    gt: Path | None
    lq: Path | None


@dataclass(frozen=True)
class Scan:
    """What lies on disk of a layout at one scale.

    Attributes:
        layout: the set.
        scale: the scale.
        home: its folder, None when it is not there at all.
        files: the images that are complete, ordered by id.
        problems: what is wrong with the rest.
        lq_made: whether lq has to be made, as there is no folder of it.
    """

    layout: Layout
    scale: int
    home: Path | None
    files: tuple[Files, ...] = ()
    problems: tuple[Problem, ...] = ()
    lq_made: bool = False

    @property
    def state(self) -> Literal["missing", "partial", "found"]:
        """``found`` when every file is there and none too many."""
        if self.home is None:
            return "missing"
        return "partial" if self.problems else "found"

    def absent(self) -> InputError:
        """The error for a set that is not there: the expected tree and where to get it."""
        tree = " and ".join(self.layout.expected(self.scale))
        return InputError(
            f"the set {self.layout.name} (x{self.scale}) is not here; expected under this folder of data: {tree}",
            remedy=f"get it from {self.layout.source}, or set the folder of data (data.init_args.root, $SRBENCH_DATA)",
        )


def scan(layout: Layout, root: Path, scale: int) -> Scan:
    """Looks for the set under ``root``; names and the first pair's headers are read, no pixels.

    Raises:
        InputError: the set does not exist for this scale.
    """
    layout.checked_scale(scale)
    for home in candidates(layout, root):
        gt, lq = first_folder(home, layout.gt, scale), first_folder(home, layout.lq, scale)
        if lq is not None or (gt is not None and not _anothers(layout, home, scale)):
            return _Search(layout, scale, home, gt, lq).result()
    return Scan(layout, scale, None)


def _anothers(layout: Layout, home: Path, scale: int) -> bool:
    """Whether gt without lq may belong to another set, or to another scale of this one."""
    if layout.lq_made or not layout.lq:
        return False
    return layout.gt_shared or any(first_folder(home, layout.lq, s) is not None for s in layout.scales if s != scale)


class _Search:
    """One walk over the folders of a set; collects problems as it goes."""

    def __init__(self, layout: Layout, scale: int, home: Path, gt: Path | None, lq: Path | None) -> None:
        self.layout = layout
        self.scale = scale
        self.home = home
        self.folders = (gt, lq)
        self.problems: list[Problem] = []
        self.made = layout.lq_made and lq is None

    def result(self) -> Scan:
        for side, names in enumerate((self.layout.gt, self.layout.lq)):
            if names and self.folders[side] is None and not (side == 1 and self.made):
                folder = self.home / names[0].format(scale=self.scale)
                self._add("missing", folder, "the folder is missing", f"get it from {self.layout.source}")
        stems = [self._stems(folder) for folder in self._distinct()]
        by_folder = dict(zip(self._distinct(), stems, strict=True))
        spelling = max(self.layout.spellings, key=lambda s: self._fit(s, by_folder))
        sides = [self._ids(side, spelling, by_folder) for side in (0, 1)]
        self._leftovers(sides, by_folder)
        files = self._pairs(sides, spelling)
        self._counted(files)
        self._version(files)
        return Scan(self.layout, self.scale, self.home, tuple(files), tuple(self.problems), self.made)

    def _distinct(self) -> list[Path]:
        return list(dict.fromkeys(folder for folder in self.folders if folder is not None))

    def _stems(self, folder: Path) -> dict[str, Path]:
        """The images of a folder by stem; what is there twice or only half is a problem."""
        found: dict[str, Path] = {}
        for file in sorted(folder.iterdir(), key=lambda p: p.name):
            if file.name.startswith("."):
                continue
            if file.suffix.lower() in _HALF_LOADED:
                self._add("partial", file, "a download that did not end", "finish it, or remove the file")
            elif file.suffix.lower() in SUFFIXES:
                if file.stem in found:
                    what = f"{found[file.stem].name} and {file.name} have the same name but for the ending"
                    self._add("twice", folder, what, "keep the one that was published")
                else:
                    found[file.stem] = file
        return found

    def _fit(self, spelling: tuple[str, str], by_folder: dict[Path, dict[str, Path]]) -> int:
        ids = [set(self._ids(side, spelling, by_folder)) for side in (0, 1) if self.folders[side] is not None]
        return len(set.intersection(*ids)) if ids else 0

    def _ids(self, side: int, spelling: tuple[str, str], by_folder: dict[Path, dict[str, Path]]) -> dict[str, Path]:
        folder = self.folders[side]
        if folder is None:
            return {}
        pattern = self.layout.pattern(spelling, side, self.scale)
        matches = ((pattern.fullmatch(stem), file) for stem, file in by_folder[folder].items())
        return {match["name"]: file for match, file in matches if match is not None}

    def _leftovers(self, sides: list[dict[str, Path]], by_folder: dict[Path, dict[str, Path]]) -> None:
        """Images whose names fit neither side, or that the published set does not have."""
        known = {file for side in sides for file in side.values()}
        for files in by_folder.values():
            for stem, file in files.items():
                if file not in known and stem not in self.layout.also:
                    self._extra(file)
        for side in sides:
            for name in [n for n in side if self.layout.names is not None and n not in self.layout.names]:
                file = side.pop(name)
                if name not in self.layout.also:
                    self._extra(file)

    def _pairs(self, sides: list[dict[str, Path]], spelling: tuple[str, str]) -> list[Files]:
        """The complete images by id; a file without its partner is a problem."""
        needed = [side for side in (0, 1) if (self.layout.gt, self.layout.lq)[side] and not (side and self.made)]
        present = [side for side in needed if self.folders[side] is not None]
        names = self.layout.names or sorted(set().union(*(sides[side] for side in present)), key=_natural)
        whole = [name for name in names if all(name in sides[side] for side in present)]
        # Of a set whose names are not known: when as many as were published are whole, the rest is too much.
        full = self.layout.names is None and len(whole) == self.layout.counts[self.scale]
        for name in sorted(set(names) - set(whole), key=_natural):
            self._single(name, sides, present, spelling, extra=full)
        return [Files(name, sides[0].get(name), sides[1].get(name)) for name in whole if present == needed]

    def _single(
        self, name: str, sides: list[dict[str, Path]], present: list[int], spelling: tuple[str, str], *, extra: bool
    ) -> None:
        """An image that lacks gt, lq or both."""
        for side in present:
            folder = self.folders[side]
            assert folder is not None
            if name not in sides[side] and not extra:
                file = folder / self.layout.file_name(side, name, self.scale, spelling)
                self._add("missing", file, f"the {('gt', 'lq')[side]} is missing", "copy it again from its source")
            elif name in sides[side] and extra:
                self._extra(sides[side][name])

    def _counted(self, files: list[Files]) -> None:
        count = self.layout.counts[self.scale]
        if self.layout.names is not None or count is None or len(files) == count or self.problems_of("missing"):
            if not files and not self.problems:
                self._add("count", self.home, "it holds no image of the set", f"get it from {self.layout.source}")
            return
        what = f"it holds {len(files)} images, the published set has {count}"
        folder = self.folders[0] or self.folders[1] or self.home
        self._add("count", folder, what, "complete the set, or remove what does not belong to it")

    def _version(self, files: list[Files]) -> None:
        """Versions of a set that are told apart by sizes alone."""
        if not self.layout.version_trap or not files or self.scale == 1:
            return
        first = files[0]
        if first.gt is None or first.lq is None:
            return
        try:
            same = read_size(first.gt) == read_size(first.lq)
        except InputError:
            return  # a broken file is named when the images are looked into
        if same:
            what = f"lq has the size of its gt: {self.layout.version_trap}"
            self.problems.insert(0, Problem("version", first.lq, what, f"get it from {self.layout.source}"))

    def problems_of(self, kind: Kind) -> list[Problem]:
        """The problems of one kind found so far."""
        return [problem for problem in self.problems if problem.kind == kind]

    def _extra(self, file: Path) -> None:
        self._add("extra", file, f"{self.layout.name} has no such image", "remove it, or put it elsewhere")

    def _add(self, kind: Kind, where: Path, what: str, remedy: str) -> None:
        self.problems.append(Problem(kind, where, what, remedy))


def _natural(name: str) -> tuple[object, ...]:
    """Sorts ``im_2`` before ``im_10``."""
    return tuple((1, int(part), part) if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name))
