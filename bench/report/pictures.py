"""The images of one scene side by side: what went in, what every method made of it, and the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from srbench.leaderboard import Group, Leaderboard, Row

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PictureSet:
    """One scene.

    Attributes:
        test_set: heading under which it is shown (test set, scale and protocol).
        name: the image's id.
        images: label -> (H,W,3) uint8, in the order to be shown: ``lq``, the methods by rank, ``gt``. ``lq`` may be
            smaller; it is enlarged without smoothing.
        scores: method's label -> metric -> value.
    """

    test_set: str
    name: str
    images: Mapping[str, Pixels]
    scores: Mapping[str, Mapping[str, float]]


class SavedPictures(Sequence[PictureSet]):
    """The pictures that test runs kept beside their records, read from disk when asked for.

    A run keeps ``<record folder>/images/<name>.png`` and, for all methods together,
    ``<out>/reference/<set>_x<scale>/<name>_lq.png`` and ``..._gt.png``.
    """

    def __init__(self, scenes: Sequence[_Scene]) -> None:
        self._scenes = scenes

    def __len__(self) -> int:
        return len(self._scenes)

    @overload
    def __getitem__(self, index: int) -> PictureSet: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PictureSet]: ...

    def __getitem__(self, index: int | slice) -> PictureSet | Sequence[PictureSet]:
        """Reads one scene.

        Raises:
            InputError: a picture cannot be read.
        """
        if isinstance(index, slice):
            return SavedPictures(self._scenes[index])
        return _read(self._scenes[index])


@dataclass(frozen=True)
class _Scene:
    test_set: str
    name: str
    files: dict[str, Path]
    scores: dict[str, dict[str, float]]
    badness: float


def collect_pictures(board: Leaderboard) -> SavedPictures:
    """The pictures beside the records of ``board``, those that score worst first, the test sets taking turns."""
    per_group = [sorted(_scenes(group), key=lambda scene: (scene.badness, scene.name)) for group in board.groups]
    return SavedPictures([scene for turn in zip_longest(*per_group) for scene in turn if scene is not None])


def _scenes(group: Group) -> list[_Scene]:
    made: dict[str, dict[str, Path]] = {}
    for label, row in zip(group.labels, group.rows, strict=True):
        for name, file in _images(row).items():
            made.setdefault(name, {})[label] = file
    values = {
        label: {image.name: dict(image.values) for image in row.rows}
        for label, row in zip(group.labels, group.rows, strict=True)
    }
    scenes = []
    for name, methods in made.items():
        scores = {label: values[label].get(name, {}) for label in methods}
        files = _with_references(group, name, methods)
        scenes.append(_Scene(group.title, name, files, scores, _badness(group, scores)))
    return scenes


def _images(row: Row) -> dict[str, Path]:
    if row.path is None:
        return {}
    files = {image.name: row.path.parent / "images" / f"{image.name}.png" for image in row.rows}
    return {name: file for name, file in files.items() if file.is_file()}


def _with_references(group: Group, name: str, methods: dict[str, Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for row in group.rows:
        if row.path is None or len(row.path.parents) < 4:
            continue
        out = row.path.parents[3]  # <out>/<protocol>/<set>/<method>/record.json
        folder = out / "reference" / f"{row.record.test_set}_x{row.record.scale}"
        for kind in ("lq", "gt"):
            if kind not in found and (folder / f"{name}_{kind}.png").is_file():
                found[kind] = folder / f"{name}_{kind}.png"
    first = {"lq": found["lq"]} if "lq" in found else {}
    return {**first, **methods, **({"gt": found["gt"]} if "gt" in found else {})}


def _badness(group: Group, scores: Mapping[str, Mapping[str, float]]) -> float:
    """How badly the best method that has a score does on this image."""
    for values in scores.values():
        value = values.get(group.metric or "", math.nan)
        if math.isfinite(value):
            return value if group.higher_is_better else -value
    return math.inf


def _read(scene: _Scene) -> PictureSet:
    from srbench.images import read_image

    images = {label: np.asarray(read_image(file).pixels) for label, file in scene.files.items()}
    return PictureSet(scene.test_set, scene.name, images, scene.scores)
