"""Predictions that somebody else's program made, in COCO's formats of results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from srbench.analysis.semantic_scores import Scorer
from srbench.analysis.semantic_truth import Truth, read_json, segmented
from srbench.errors import InputError

OBJECTS = ("detections.json", "coco_instances_results.json")
"""COCO's list of results, boxes and masks; the second is detectron2's name."""

PANOPTIC = ("panoptic.json", "predictions.json")
"""The annotations' form; PNGs beside it in a folder of its name, else in ``panoptic`` or beside it."""


def score_files(folder: str, truth: Truth, progress: Callable[[int, int], None]) -> Scorer:
    """Scores the predictions in a folder.

    Args:
        folder: holds one of :data:`OBJECTS`, one of :data:`PANOPTIC`, or both.
        truth: the annotations; predictions are in pixels of the size in which they are scored.
        progress: told how many pictures are done, of how many.

    Raises:
        InputError: neither is there, images or categories are unknown, or pictures are absent.
    """
    scorer = Scorer(truth)
    objects, panoptic = _there(folder, OBJECTS), _there(folder, PANOPTIC)
    if objects is None and panoptic is None:
        names = ", ".join((*OBJECTS, *PANOPTIC))
        raise InputError("no predictions", where=folder, remedy=f"give a folder that holds one or two of {names}")
    if objects is not None and truth.has_instances:
        held = _checked(read_json(objects), objects, truth)
        kinds = [kind for kind in ("bbox", "segmentation") if not held or kind in held[0]]
        scorer.add_objects(held, kinds)
    if panoptic is not None and truth.has_panoptic:
        _add_panoptic(scorer, panoptic, truth, progress)
    return scorer


def _there(folder: str, names: tuple[str, ...]) -> Path | None:
    return next((path for path in (Path(folder) / name for name in names) if path.is_file()), None)


def _checked(held: Any, path: Path, truth: Truth) -> list[dict[str, Any]]:
    if not isinstance(held, list) or not all(isinstance(entry, dict) for entry in held):
        raise InputError("it is no list of results", where=path, remedy="give COCO's format of results")
    pictures = {p.id: p for p in truth.pictures.values()}
    for i, entry in enumerate(held):
        lost = {"image_id", "category_id", "score"} - entry.keys()
        if lost or not {"bbox", "segmentation"} & entry.keys():
            lost_one = min(lost or {"bbox or segmentation"})
            raise InputError(f"entry {i} has no {lost_one}", where=path, remedy="give COCO's format of results")
        if entry["image_id"] not in pictures:
            raise InputError(f"image {entry['image_id']} is not annotated", where=path, remedy="see --partial")
        mask, wanted = entry.get("segmentation"), pictures[entry["image_id"]].size
        if isinstance(mask, list):
            what = f"the mask of entry {i} is an outline"
            raise InputError(what, where=path, remedy="encode masks as runs (pycocotools.mask.encode)")
        if isinstance(mask, dict) and tuple(mask.get("size", ())) != wanted:
            what = f"a mask of {mask.get('size')}, and image {entry['image_id']} is scored at {list(wanted)}"
            raise InputError(what, where=path, remedy="give predictions of the restored images, or --side 0")
    return held


def _add_panoptic(scorer: Scorer, path: Path, truth: Truth, progress: Callable[[int, int], None]) -> None:
    held = read_json(path, ("annotations",))
    entries = {entry["image_id"]: entry for entry in held["annotations"]}
    absent = [p.name for p in truth.pictures.values() if p.id not in entries]
    if absent:
        raise InputError(
            f"{len(absent)} of {len(truth.pictures)} images are missing (first {absent[0]})",
            where=path,
            remedy="predict all of them",
        )
    places = (path.with_suffix(""), path.parent / "panoptic", path.parent)
    maps = next(place for place in places if place.is_dir())
    for done, picture in enumerate(truth.pictures.values(), 1):
        scorer.add_panoptic(picture, segmented(entries[picture.id], maps, picture, picture.size))
        progress(done, len(truth.pictures))
