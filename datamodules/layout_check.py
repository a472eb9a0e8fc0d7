"""Looks into the images of a set that was found: sizes from headers, every pixel decoded, the fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from srbench.datamodules.layout_scan import Files, Problem, Scan
from srbench.errors import InputError
from srbench.images import fingerprint, read_image, read_size


def sizes(found: Scan) -> Iterator[Problem]:
    """What is wrong with the sizes, from the headers; a header that cannot be read is left to :func:`pixels`."""
    for files in found.files:
        try:
            problem = _size(found, files)
        except InputError:
            continue
        if problem is not None:
            yield problem


def pixels(found: Scan, seen: Callable[[Path], None] = lambda file: None) -> Iterator[Problem]:
    """Decodes every image; yields what cannot be read, or is not RGB where the published files are.

    Args:
        found: the set.
        seen: is called after each file.
    """
    for files in found.files:
        for file in (files.gt, files.lq):
            if file is None:
                continue
            problem = _decoded(file, rgb=found.layout.rgb)
            seen(file)
            if problem is not None:
                yield problem


def files_fingerprint(found: Scan) -> str:
    """The fingerprint that records of this set carry; the same as its test set's when lq comes from files."""
    return fingerprint(
        (f"{side}/{files.name}", file)
        for files in found.files
        for side, file in (("gt", files.gt), ("lq", files.lq))
        if file is not None
    )


def _size(found: Scan, files: Files) -> Problem | None:
    layout, scale = found.layout, found.scale
    gt = None if files.gt is None else read_size(files.gt)
    lq = None if files.lq is None else read_size(files.lq)
    if lq is not None and layout.lq_size is not None and lq != layout.lq_size:
        what = f"lq is {lq[0]} x {lq[1]}, the published one {layout.lq_size[0]} x {layout.lq_size[1]}"
        return Problem("size", files.lq or Path(), what, "copy it again from its source")
    if gt is None or lq is None:
        return None
    over = [side - scale * small for side, small in zip(gt, lq, strict=True)]
    if over == [0, 0] or (layout.crop_gt and min(over) >= 0 and max(over) < scale):
        return None
    what = f"gt is {gt[0]} x {gt[1]}, not {scale} times its lq of {lq[0]} x {lq[1]}"
    return Problem("size", files.gt or Path(), what, "copy both again from their source")


def _decoded(file: Path, *, rgb: bool) -> Problem | None:
    try:
        notes = read_image(file).notes
    except InputError as error:
        return Problem("unreadable", file, error.what, error.remedy or "copy it again from its source")
    other = [note for note in notes if "made RGB" in note or "alpha" in note]
    if rgb and other:
        return Problem("colour", file, f"it is not RGB ({other[0]})", "copy it again from its source")
    return None
