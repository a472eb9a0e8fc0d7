"""What is in the images by their annotations, in COCO's formats, at the size that restored images have.

Instances: https://cocodataset.org/#format-data (``instances_val2017.json``). Panoptic: the same page,
``panoptic_val2017.json`` with a PNG per image whose colours are segments' ids, R + 256 G + 65536 B.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srbench.errors import InputError

Map = NDArray[np.int64]
"""(H,W), a number per pixel."""

VOID = -1
"""In maps of categories: nothing is said of this pixel."""


class Picture(NamedTuple):
    """An annotated image.

    Attributes:
        id: its number in the annotations.
        name: its file's, without the ending.
        own: its height and width in the annotations.
        size: height and width in which it is scored.
    """

    id: int
    name: str
    own: tuple[int, int]
    size: tuple[int, int]


class Panoptic(NamedTuple):
    """An image cut into segments: category and segment per pixel; ``VOID`` where there is none."""

    categories: Map
    segments: Map


class Truth:
    """The annotations of a set.

    Args:
        instances: boxes and masks of objects, a JSON file; None scores neither boxes nor masks.
        panoptic: a JSON file; None scores no segmentation of the whole image.
        maps: its folder of PNGs; None takes the one beside it of the same name.
        side: images are squares of this side, to which the annotations are stretched, as DeeDSR resizes its images
            to 512 x 512; 0 scores in the size that the annotations have.

    Attributes:
        pictures: by name.
        categories: id -> name.
        things: ids of the categories that can be counted.

    Raises:
        InputError: neither file is given, or one is no such file.
    """

    def __init__(
        self, instances: str | None, panoptic: str | None, maps: str | None = None, *, side: int = 512
    ) -> None:
        if instances is None and panoptic is None:
            raise InputError("no annotations are given", where="--annotations", remedy="give them, or --panoptic")
        self.side = side
        self._instances = None if instances is None else read_json(instances, ("images", "annotations", "categories"))
        self._panoptic = None if panoptic is None else read_json(panoptic, ("images", "annotations", "categories"))
        self._maps = None if panoptic is None else Path(maps or Path(panoptic).with_suffix(""))
        held = self._panoptic or self._instances
        assert held is not None
        where = panoptic or instances
        try:
            self.pictures = {p.name: p for p in map(self._picture, held["images"])}
            self.categories = {int(c["id"]): str(c["name"]) for c in held["categories"]}
            self.things = {int(c["id"]) for c in held["categories"] if c.get("isthing", 1)}
            self._segments = {a["image_id"]: a for a in (self._panoptic or {"annotations": []})["annotations"]}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"an entry has no {error}", where=where, remedy="give COCO's annotations") from error

    @property
    def has_instances(self) -> bool:
        """Whether boxes and masks can be scored."""
        return self._instances is not None

    @property
    def has_panoptic(self) -> bool:
        """Whether segmentations of the whole image can be scored."""
        return self._panoptic is not None

    def keep(self, names: Iterable[str]) -> None:
        """Leaves only these pictures."""
        kept = set(names)
        self.pictures = {name: picture for name, picture in self.pictures.items() if name in kept}

    def _picture(self, entry: Mapping[str, Any]) -> Picture:
        own = (int(entry["height"]), int(entry["width"]))
        return Picture(int(entry["id"]), Path(entry["file_name"]).stem, own, (self.side,) * 2 if self.side else own)

    @cached_property
    def instances(self) -> dict[str, Any]:
        """COCO's dictionary of objects, stretched to the pictures' sizes; areas with them."""
        assert self._instances is not None
        pictures = {p.id: p for p in self.pictures.values()}
        images = [{"id": p.id, "height": p.size[0], "width": p.size[1]} for p in self.pictures.values()]
        entries = [entry for entry in self._instances["annotations"] if entry["image_id"] in pictures]
        objects = [_stretched(entry, pictures[entry["image_id"]]) for entry in entries]
        return {"images": images, "annotations": objects, "categories": self._instances["categories"]}

    def panoptic(self, picture: Picture) -> tuple[Panoptic, set[int]]:
        """The segments of a picture, and the ids of those that are crowds.

        Raises:
            InputError: its entry or PNG is absent, or they do not go together.
        """
        assert self._maps is not None
        entry = self._segments.get(picture.id)
        if entry is None:
            raise InputError("no panoptic annotation of this image", where=picture.name, remedy="give all of them")
        crowds = {int(s["id"]) for s in entry["segments_info"] if s.get("iscrowd", 0)}
        return segmented(entry, self._maps, picture, picture.own), crowds


def segmented(entry: Mapping[str, Any], maps: Path, picture: Picture, size: tuple[int, int]) -> Panoptic:
    """One entry of a panoptic JSON with its PNG, stretched to the picture's size without mixing.

    Args:
        entry: ``file_name`` and ``segments_info``.
        maps: the folder of PNGs.
        picture: it is of.
        size: height and width that the PNG must have.

    Raises:
        InputError: the PNG is absent, of another size, or has colours of no segment.
    """
    path = maps / str(entry["file_name"])
    try:
        with Image.open(path) as image:
            if (image.height, image.width) != size:
                what = f"{image.height}x{image.width}, not {size[0]}x{size[1]}"
                raise InputError(what, where=path, remedy="give the maps of these images, and --side")
            colours = np.asarray(image.convert("RGB").resize(picture.size[::-1], Image.Resampling.NEAREST), np.int64)
    except OSError as error:
        raise InputError("there is no such image, or it is damaged", where=path, remedy="copy it again") from error
    segments = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    kinds = {int(s["id"]): int(s["category_id"]) for s in entry["segments_info"]}
    known, places = np.unique(segments, return_inverse=True)
    odd = [int(k) for k in known if k and int(k) not in kinds]
    if odd:
        raise InputError(f"{len(odd)} of its colours are no segment's (first {odd[0]})", where=path)
    made = np.array([kinds.get(int(k), VOID) for k in known], np.int64)[places.reshape(segments.shape)]
    return Panoptic(made, np.where(made == VOID, 0, segments))


def read_json(path: str | Path, keys: Sequence[str] = ()) -> Any:
    """A JSON file; with ``keys``, an object that has them.

    Raises:
        InputError: it cannot be read, or lacks one.
    """
    try:
        held = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("it cannot be read as JSON", where=path, remedy="give a file in COCO's format") from error
    lost = [key for key in keys if not isinstance(held, dict) or key not in held]
    if lost:
        raise InputError(f"it has no '{lost[0]}'", where=path, remedy="give a file in COCO's format")
    return held


def _stretched(entry: Mapping[str, Any], picture: Picture) -> dict[str, Any]:
    down, across = picture.size[0] / picture.own[0], picture.size[1] / picture.own[1]
    x, y, width, height = entry["bbox"]
    made = dict(entry)
    made["bbox"] = [x * across, y * down, width * across, height * down]
    made["area"] = entry.get("area", width * height) * across * down
    outline = entry.get("segmentation")
    if isinstance(outline, list):
        made["segmentation"] = [[v * (down if i % 2 else across) for i, v in enumerate(part)] for part in outline]
    elif outline is not None and picture.own != picture.size:
        made["segmentation"] = _stretched_mask(outline, picture)
    return made


def _stretched_mask(encoded: Mapping[str, Any], picture: Picture) -> Any:
    from pycocotools import mask

    packed = encoded if isinstance(encoded["counts"], (str, bytes)) else mask.frPyObjects(dict(encoded), *picture.own)
    image = Image.fromarray(mask.decode(packed)).resize(picture.size[::-1], Image.Resampling.NEAREST)
    return mask.encode(np.asfortranarray(np.asarray(image, np.uint8)))
