"""Which image files a data set is made of: folders, and list files as BasicSR's ``meta_info`` has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from srbench.errors import InputError
from srbench.images import SUFFIXES


class Found(NamedTuple):
    """An image file and what it is called: its path below the folder it was found in, without ending."""

    name: str
    path: Path


def find_images(
    sources: Sequence[str | Path],
    *,
    recursive: bool = True,
    first: int | Sequence[int | None] | None = None,
    list_root: str | Path | None = None,
) -> list[Found]:
    """The images of folders and list files, in the order of the sources and sorted within a folder.

    Args:
        sources: folders, or text files with one image per line, relative to ``list_root``; what follows the path on
            its line (`` (480,480,3)``) is ignored, as are blank lines and those that start with ``#``.
        recursive: look into folders of folders.
        first: take so many images of each source only; one number for all, or one for each source.
        list_root: folder that the lines of list files start from; None is the list file's own.

    Raises:
        InputError: a source is missing or holds no image, a line names no file or has Windows separators, or ``first``
            does not fit the sources.
    """
    if not sources:
        raise InputError("no folder and no list of images was named", where="data", remedy="set data.init_args.gt")
    found: list[Found] = []
    for source, count in zip(sources, _counts(first, len(sources)), strict=True):
        place = Path(source)
        held = _in_list(place, list_root) if place.is_file() else _in_folder(place, recursive)
        found += held[:count]
    return found


def _counts(first: int | Sequence[int | None] | None, sources: int) -> list[int | None]:
    counts = [first] * sources if first is None or isinstance(first, int) else list(first)
    where = "data.init_args.first"
    if len(counts) != sources:
        raise InputError(f"{len(counts)} numbers for {sources} sources", where=where, remedy="give one for each")
    if any(count is not None and count < 1 for count in counts):
        raise InputError(f"first {first} is impossible", where=where, remedy="use 1 or more, or null for all")
    return counts


def _in_folder(folder: Path, recursive: bool) -> list[Found]:
    if not folder.is_dir():
        raise InputError(
            "there is no such folder or list of images", where=folder, remedy="give a folder, or a text file of paths"
        )
    entries = folder.rglob("*") if recursive else folder.iterdir()
    paths = sorted(p for p in entries if p.suffix.lower() in SUFFIXES and not _hidden(p, folder) and p.is_file())
    if not paths:
        kinds = ", ".join(suffix[1:] for suffix in SUFFIXES)
        raise InputError("no images in the folder", where=folder, remedy=f"put images there ({kinds})")
    return [Found(path.relative_to(folder).with_suffix("").as_posix(), path) for path in paths]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _in_list(file: Path, list_root: str | Path | None) -> list[Found]:
    root = Path(list_root) if list_root is not None else file.parent
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list cannot be read ({error})", where=file, remedy="save it as UTF-8 text") from error
    entries = [(i, line.strip()) for i, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not entries:
        raise InputError("the list names no image", where=file, remedy="write one path on each line")
    return [_listed(root, file, number, line) for number, line in entries]


def _listed(root: Path, file: Path, number: int, line: str) -> Found:
    where = f"{file}, line {number}"
    if "\\" in line:
        raise InputError(f"'{line}' has Windows separators", where=where, remedy="write the list with / instead of \\")
    for entry in (line, line.split(" (")[0], line.split()[0]):  # names may hold blanks; sizes follow after one
        path = root / entry
        if path.is_file():
            return Found(PurePosixPath(entry).with_suffix("").as_posix().lstrip("/"), path)
    raise InputError(
        f"'{line}' is no file in {root}",
        where=where,
        remedy="complete the folder, or set data.init_args.list_root to the folder that the lines start from",
    )
