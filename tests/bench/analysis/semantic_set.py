"""A miniature annotated set: two images of coloured rectangles, of which every answer is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1},
    {"id": 17, "name": "cat", "isthing": 1},
    {"id": 119, "name": "sky", "isthing": 0},
    {"id": 193, "name": "grass", "isthing": 0},
]
SIZES = {"a": (32, 32), "b": (32, 64)}
"""Height and width of the annotations; restored images are SIDE x SIDE."""


class Thing(NamedTuple):
    """A rectangle in pixels of the restored image."""

    category: int
    left: int
    top: int
    width: int
    height: int
    crowd: bool = False


THINGS = {
    "a": [Thing(1, 4, 8, 20, 32), Thing(17, 32, 40, 24, 16), Thing(1, 40, 4, 16, 16)],
    "b": [Thing(17, 16, 16, 32, 24), Thing(1, 50, 44, 12, 16)],
}
"""What is in the images; above row 32 there is sky behind, below it grass."""


class Miniature(NamedTuple):
    """Where it was laid out."""

    instances: str
    panoptic: str
    maps: Path


def mask(thing: Thing) -> NDArray[np.uint8]:
    made = np.zeros((SIDE, SIDE), np.uint8)
    made[thing.top : thing.top + thing.height, thing.left : thing.left + thing.width] = 1
    return made


def segments(things: list[Thing]) -> tuple[NDArray[np.int64], list[dict[str, Any]]]:
    """The ids of an image's segments, and what they are: 1 sky, 2 grass, then the things; one has a large id."""
    ids = np.ones((SIDE, SIDE), np.int64)
    ids[SIDE // 2 :] = 2
    entries: list[dict[str, Any]] = [{"id": 1, "category_id": 119}, {"id": 2, "category_id": 193}]
    for i, thing in enumerate(things):
        number = 70000 + 300 * i
        ids[mask(thing) == 1] = number
        entries.append({"id": number, "category_id": thing.category, "iscrowd": int(thing.crowd)})
    return ids, [entry for entry in entries if (ids == entry["id"]).any()]


def write_map(path: Path, ids: NDArray[np.int64]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    Image.fromarray(colours).save(path)


def lay(folder: Path, things: dict[str, list[Thing]] | None = None) -> Miniature:
    """The annotations in their own sizes, by every form that objects may have: polygon, runs of pixels."""
    things = THINGS if things is None else things
    images = [{"id": i, "file_name": f"{n}.jpg", "height": s[0], "width": s[1]} for i, (n, s) in _numbered()]
    objects: list[dict[str, Any]] = []
    whole: list[dict[str, Any]] = []
    for i, (name, size) in _numbered():
        down, across = SIDE // size[0], SIDE // size[1]
        for thing in things[name]:
            x, y, w, h = thing.left / across, thing.top / down, thing.width / across, thing.height / down
            outline: Any = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            if thing.crowd or thing.category == 17:
                outline = {"size": list(size), "counts": runs(mask(thing)[::down, ::across])}
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": i,
                    "category_id": thing.category,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": int(thing.crowd),
                    "segmentation": outline,
                }
            )
        ids, entries = segments(things[name])
        write_map(folder / "panoptic_mini" / f"{name}.png", ids[::down, ::across])
        whole.append({"image_id": i, "file_name": f"{name}.png", "segments_info": entries})
    counted = [category for category in CATEGORIES if category["isthing"]]
    instances, panoptic = folder / "instances_mini.json", folder / "panoptic_mini.json"
    instances.write_text(json.dumps({"images": images, "annotations": objects, "categories": counted}))
    panoptic.write_text(json.dumps({"images": images, "annotations": whole, "categories": CATEGORIES}))
    return Miniature(str(instances), str(panoptic), folder / "panoptic_mini")


def _numbered() -> list[tuple[int, tuple[str, tuple[int, int]]]]:
    return list(enumerate(SIZES.items(), 7))


def runs(picture: NDArray[np.uint8]) -> list[int]:
    """Lengths of runs down the columns, of 0 first: COCO's uncompressed form."""
    flat = picture.flatten(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


def predict(folder: Path, *, shift: int = 0, masks: bool = True) -> str:
    """Predictions in COCO's formats: the truth, moved to the right by ``shift`` pixels."""
    from pycocotools import mask as packing

    found: list[dict[str, Any]] = []
    whole = []
    for i, (name, _) in _numbered():
        moved = [thing._replace(left=min(thing.left + shift, SIDE - thing.width)) for thing in THINGS[name]]
        for thing in moved:
            entry = {"image_id": i, "category_id": thing.category, "score": 0.9, "bbox": [float(v) for v in thing[1:5]]}
            if masks:
                packed = packing.encode(np.asfortranarray(mask(thing)))
                entry["segmentation"] = {"size": packed["size"], "counts": packed["counts"].decode()}
            found.append(entry)
        ids, entries = segments(moved)
        write_map(folder / "panoptic" / f"{name}.png", ids)
        whole.append({"image_id": i, "file_name": f"{name}.png", "segments_info": entries})
    (folder / "detections.json").write_text(json.dumps(found))
    (folder / "panoptic.json").write_text(json.dumps({"annotations": whole}))
    return str(folder)


def restore(folder: Path, side: int = SIDE) -> str:
    """Restored images, each thing in a colour of its category."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, things in THINGS.items():
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        for thing in things:
            pixels[mask(thing) == 1] = (thing.category, 100, 200)
        Image.fromarray(pixels).resize((side, side)).save(folder / f"{name}.png")
    return str(folder)
