"""The pictures of a page as data: crops, each embedded once, until the page is full."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from srbench.leaderboard import Leaderboard
from srbench.naming import printable
from srbench.report.crops import SIDE, crops, data_uri
from srbench.report.pictures import PictureSet, Pixels

PAGE_BYTES = 24 * 2**20
"""Pictures of one page, encoded, stay under this; browsers and mail still take such a file."""

_LOSSLESS_TILES = 160  # of about 100 KB each


@dataclass
class Gallery:
    """What the page's script shows.

    Attributes:
        data: ``pictures`` (id -> data address), ``sets`` (title, metrics, methods, total, scenes) and ``higher``
            (metric -> direction), ready for JSON.
        note: what the reader must know of the pictures.
    """

    data: dict[str, Any]
    note: str = ""
    size: int = 0
    ids: dict[bytes, str] = field(default_factory=dict)


def gallery(board: Leaderboard, scenes: Sequence[PictureSet], limit: int = PAGE_BYTES) -> Gallery:
    """Embed ``scenes`` in their order until ``limit`` bytes are used.

    Raises:
        InputError: a scene cannot be read, or its images have different sizes.
    """
    higher = {
        metric: result.higher_is_better
        for group in board.groups
        for row in group.rows
        for metric, result in row.record.metrics.items()
    }
    made = Gallery({"pictures": {}, "sets": [], "higher": higher})
    lossless: bool | None = None
    for index, scene in enumerate(scenes):
        if lossless is None:
            lossless = len(scenes) * len(scene.images) <= _LOSSLESS_TILES
        if made.size > limit:
            made.note = f" The page is full: {index} of {len(scenes)} scenes are shown, the worst ones first."
            break
        _add(made, scene, lossless)
    made.note = _explain(lossless or False) + made.note
    return made


def _explain(lossless: bool) -> str:
    quality = "stored without loss" if lossless else "stored as WebP of quality 90; the scores are of the originals"
    return (
        f"Windows of at most {SIDE} px, where the methods differ most from the truth, {quality}. "
        "lq is enlarged without smoothing. Move the pointer over a picture to look closer in all of them at once, "
        "click for a slider."
    )


def _add(made: Gallery, scene: PictureSet, lossless: bool) -> None:
    target = _set_of(made, scene)
    windows = crops(scene)
    height, width = next(iter(windows.values())).shape[:2]
    scores = {printable(label): _numbers(values) for label, values in scene.scores.items()}
    for label, values in scores.items():
        _remember(target["methods"], [label])
        _remember(target["metrics"], values)
    full = scene.images["gt"] if "gt" in scene.images else list(scene.images.values())[-1]
    target["total"] += 1
    target["scenes"].append(
        {
            "name": printable(scene.name),
            "size": f"{full.shape[1]}×{full.shape[0]}",
            "ratio": round(width / height, 5),
            "images": [[printable(label), _embed(made, window, lossless)] for label, window in windows.items()],
            "scores": scores,
        }
    )


def _set_of(made: Gallery, scene: PictureSet) -> dict[str, Any]:
    title = printable(scene.test_set)
    sets: list[dict[str, Any]] = made.data["sets"]
    for known in sets:
        if known["title"] == title:
            return known
    sets.append({"title": title, "metrics": [], "methods": [], "total": 0, "scenes": []})
    return sets[-1]


def _remember(known: list[str], names: Any) -> None:
    known.extend(name for name in names if name not in known)


def _numbers(values: Any) -> dict[str, float | str]:
    """Scores for JSON: four decimals are all that is shown; values that are not finite by name."""
    return {key: round(value, 4) if math.isfinite(value) else repr(float(value)) for key, value in values.items()}


def _embed(made: Gallery, pixels: Pixels, lossless: bool) -> str:
    """The id of the picture; one that two scenes share (lq and gt under two protocols) is embedded once."""
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
    if digest not in made.ids:
        made.ids[digest] = str(len(made.ids))
        address = data_uri(pixels, lossless=lossless)
        made.data["pictures"][made.ids[digest]] = address
        made.size += len(address)
    return made.ids[digest]
