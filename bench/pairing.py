"""Which result belongs to which reference, told from file names that nobody agreed on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from srbench.errors import InputError
from srbench.images import by_stem

# What test scripts append: babyx4, baby_x4, baby_out, Cam_001_LR4, Cam_001_HR.
_TAIL = re.compile(r"(?i)(?:[_-]?x\d{1,2}|[_-](?:sr|hr|gt|out|l[rq]\d?))$")
# A name and a scale, then a method's name, which does not start with a digit: img_1 is not a result of img.
_REMAINDER = re.compile(r"(?i)(?:[_-]?x\d{1,2})?(?:[_-](?!\d).+)?")


def pair(sr_files: Sequence[Path], gt_files: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Every sr with its gt, in the order of the gt files.

    Equal stems belong together. A stem without an equal is compared without tails such as ``x4``, ``_x4``, ``_sr``,
    ``_out``, ``_HR``; then it may go on behind the reference's with a method's name (``baby_x4_SwinIR``). Everything
    must come out even: no file is left over and none is used twice.

    Raises:
        InputError: naming the first files that have no partner, or more than one, or one name but for the ending.
    """
    references = by_stem(gt_files)
    by_stem(sr_files)  # results must be told apart by their names too
    found: dict[Path, Path] = {}
    lost: list[str] = []
    for sr in sr_files:
        stem = _partner(sr.stem, references)
        if stem is None:
            lost.append(sr.name)
        elif references[stem] in found:
            raise InputError(
                f"both {found[references[stem]].name} and {sr.name} go with {references[stem].name}",
                where=sr.parent,
                remedy="keep one result per reference in the folder",
            )
        else:
            found[references[stem]] = sr
    remedy = "give the two files of a pair the same name"
    if lost:
        where = sr_files[0].parent
        raise InputError(f"no reference for {_listed(lost)} among {_listed(references)}", where=where, remedy=remedy)
    absent = [gt.name for gt in gt_files if gt not in found]
    if absent:
        raise InputError(f"no result for {_listed(absent)}", where=sr_files[0].parent, remedy=remedy)
    return [(found[gt], gt) for gt in gt_files]


def _partner(stem: str, references: dict[str, Path]) -> str | None:
    if stem in references:
        return stem
    bare = [other for other in references if _bare(other) == _bare(stem)]
    if len(bare) == 1:
        return bare[0]
    longer = [
        (len(start), other)
        for other in references
        for start in (other, _bare(other))
        if stem.startswith(start) and _REMAINDER.fullmatch(stem[len(start) :])
    ]
    # img_b_SwinIR goes with img_b rather than with img.
    return max(longer)[1] if longer else None


def _bare(stem: str) -> str:
    while (shorter := _TAIL.sub("", stem)) not in (stem, ""):
        stem = shorter
    return stem


def _listed(names: Sequence[str] | dict[str, Path]) -> str:
    first = list(names)[:3]
    return ", ".join(first) + (f" and {len(names) - len(first)} more" if len(names) > len(first) else "")
