"""Makes one item of a set: its gt, the lq of every part, their recipes and hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from srbench.atomic import write_whole
from srbench.datamodules.making.plan import Plan, Source, Window, generator, windows
from srbench.datamodules.making.sets import Part
from srbench.errors import InputError
from srbench.images import Pixels, file_sha256, read_image, to_tensor, to_uint8, write_png


class FileNote(TypedDict):
    """A written file: its path in the set's folder, sha256 and size."""

    file: str
    sha256: str
    bytes: int


class PartNote(FileNote):
    """An lq file with the recipe that made it, and the recipe in words where the set has them."""

    recipe: dict[str, Any]
    text: NotRequired[FileNote]
    words: NotRequired[str]


class ItemNote(TypedDict):
    """One image of the manifest."""

    name: str
    source: dict[str, str]
    window: dict[str, int]
    gt: FileNote
    parts: dict[str, PartNote]


class Finished(NamedTuple):
    """An item whose files are all on disk; ``kept`` when an earlier run had written them."""

    note: ItemNote
    kept: bool


def make_items(plan: Plan, source: Source, out: Path, known: Mapping[str, ItemNote]) -> Iterator[Finished]:
    """Makes the items of one image and gives the note of each when all of its files are written.

    Args:
        plan: what is made.
        source: the image.
        out: the set's folder.
        known: notes of items that were made before; those whose files are whole are not made again.

    Raises:
        InputError: the image cannot be read or degraded, is another than before, or a file cannot be written.
    """
    digest = file_sha256(source.path)
    if any(note["source"]["sha256"] != digest for note in known.values()):
        what = "the image is not the one that a part of the set was made of"
        raise InputError(what, where=source.path, remedy="bring the old one back, or give another output folder")
    whole = [name for name, note in known.items() if intact(note, out)]
    wanted = source.crops if source.crops is not None else 1
    if len(whole) == wanted:
        yield from (Finished(known[name], True) for name in whole)
        return
    pixels = read_image(source.path).pixels
    origin = {"file": source.path.name, "sha256": digest}
    for window in windows(plan, source, *pixels.shape[:2]):
        if window.item in whole:
            yield Finished(known[window.item], True)
        else:
            yield Finished(_make(plan, source, pixels, window, origin, out), False)


def intact(note: ItemNote, out: Path) -> bool:
    """Whether every file of an item is on disk as it was written."""
    return all(_matches(out, note_of) for note_of in files_of(note))


def files_of(note: ItemNote) -> Iterator[FileNote]:
    """Every file of an item: gt, then per part lq and text."""
    yield note["gt"]
    for part in note["parts"].values():
        yield part
        if "text" in part:
            yield part["text"]


def _matches(out: Path, note: FileNote) -> bool:
    path = out / note["file"]
    try:
        return path.stat().st_size == note["bytes"] and file_sha256(path) == note["sha256"]
    except OSError:
        return False


def _make(plan: Plan, source: Source, pixels: Pixels, window: Window, origin: dict[str, str], out: Path) -> ItemNote:
    bottom, right = window.top + window.height, window.left + window.width
    gt = np.ascontiguousarray(pixels[window.top : bottom, window.left : right])
    parts = {part.name: _lq(plan, source, window, part, gt, out) for part in plan.spec.parts}
    place = {"top": window.top, "left": window.left, "height": window.height, "width": window.width}
    return ItemNote(
        name=window.item,
        source=origin,
        window=place if window.crop is None else {"crop": window.crop, **place},
        gt=_png(out, f"gt/{window.item}.png", gt),
        parts=parts,
    )


def _lq(plan: Plan, source: Source, window: Window, part: Part, gt: Pixels, out: Path) -> PartNote:
    rng = generator(plan, source.stem, window.crop, part.name)
    recipe = part.degradation.draw(rng, window.height, window.width)
    lq, _ = part.degradation(to_tensor(gt), recipe)
    wanted = (3, window.height // plan.spec.scale, window.width // plan.spec.scale)
    if tuple(lq.shape) != wanted:
        raise RuntimeError(f"{part.name} made {tuple(lq.shape)} of {window.item}, not {wanted}")
    try:
        levels = to_uint8(lq)
    except InputError as error:
        raise InputError(error.what, where=source.path, remedy="report it with the seed") from error
    note = PartNote(**_png(out, f"{part.name}/{window.item}.png", levels), recipe=recipe.as_dict())
    if plan.spec.text:
        note["words"] = _words(part, recipe, window, plan.spec.scale)
        note["text"] = _written(out, f"text/{window.item}.txt", f"{note['words']}\n".encode())
    return note


def _words(part: Part, recipe: Any, window: Window, scale: int) -> str:
    from srbench.datamodules.making.wording import describe

    ranges: Any = part.degradation.ranges
    return describe(recipe, ranges, height=window.height, width=window.width, scale=scale)


def _png(out: Path, file: str, pixels: Pixels) -> FileNote:
    write_png(out / file, pixels)
    return _note(out, file)


def _written(out: Path, file: str, data: bytes) -> FileNote:
    write_whole(out / file, data, durable=False)
    return _note(out, file)


def _note(out: Path, file: str) -> FileNote:
    data = (out / file).read_bytes()
    return FileNote(file=file, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
