"""Scoring a folder of finished images: pairs by name, batches by size, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from srbench.images import PIXEL_LIMIT, Decoded, Pixels, file_sha256, list_images, read_image
from srbench.metrics import ImageMetric
from srbench.naming import safe_name
from srbench.pairing import pair
from srbench.records import ImageRow
from srbench.records.codec import row_from_json, row_to_json
from srbench.score_cache import cache_key
from srbench.scoring import Item, Scorer


class _Waiting(NamedTuple):
    """A decoded image whose turn has not come."""

    key: str | None
    item: Item
    notes: tuple[str, ...]


def score_folders(
    sr_dir: str | Path,
    gt_dir: str | Path | None,
    scorer: Scorer,
    *,
    scale: int | None = None,
    pixel_limit: int = PIXEL_LIMIT,
    progress: Callable[[ImageRow], None] | None = None,
) -> list[ImageRow]:
    """Score every image of a folder, against the image of the same name in another.

    With a cache a pair of files that was scored before under the same protocol is not even decoded.

    Args:
        sr_dir: results; see :func:`srbench.pairing.pair` for the suffixes that names may carry.
        gt_dir: references; None scores no-reference metrics alone.
        scorer: the protocol to score under.
        scale: when given, a gt whose sides are no multiples of it is cropped at the bottom and right until they are,
            as test scripts do before shrinking; the row notes it.
        pixel_limit: see :func:`srbench.images.read_image`.
        progress: called with each row.

    Returns:
        One row per image, named after gt (after sr where there is none), sorted by file name.

    Raises:
        InputError: naming folder, file or image: nothing there, no partner, unreadable, or of another size.
    """
    rows: dict[str, ImageRow] = {}
    order: list[str] = []

    def take(row: ImageRow) -> None:
        rows[row.name] = row
        if progress is not None:
            progress(row)

    waiting: list[_Waiting] = []
    for sr_path, gt_path in _pairs(sr_dir, gt_dir):
        order.append(safe_name((gt_path or sr_path).stem, kind="image name"))
        key = _key(scorer, sr_path, gt_path, scale)
        known = _recalled(scorer, key, order[-1])
        if known is not None:
            take(known)
            continue
        image = _decoded(order[-1], key, sr_path, gt_path, scale, pixel_limit)
        if waiting and (waiting[0].item.sr.shape != image.item.sr.shape or len(waiting) >= scorer.batch):
            _drain(waiting, scorer, take)
        waiting.append(image)
    _drain(waiting, scorer, take)
    return [rows[name] for name in order]


def _pairs(sr_dir: str | Path, gt_dir: str | Path | None) -> Sequence[tuple[Path, Path | None]]:
    results = list_images(sr_dir)
    return [(sr, None) for sr in results] if gt_dir is None else pair(results, list_images(gt_dir))


def _key(scorer: Scorer, sr: Path, gt: Path | None, scale: int | None) -> str | None:
    if scorer.cache is None:
        return None
    return cache_key("files", scorer.identity, file_sha256(sr), None if gt is None else file_sha256(gt), scale)


def _recalled(scorer: Scorer, key: str | None, name: str) -> ImageRow | None:
    text = None if key is None or scorer.cache is None else scorer.cache.get(key)
    if text is None:
        return None
    row = row_from_json({**json.loads(text), "name": name})
    scorer.recalled += sum(isinstance(scorer.metrics[m], ImageMetric) for m in row.values) + 2 * len(row.vectors)
    return row


def _decoded(
    name: str, key: str | None, sr_path: Path, gt_path: Path | None, scale: int | None, pixel_limit: int
) -> _Waiting:
    sr = read_image(sr_path, pixel_limit=pixel_limit)
    gt = None if gt_path is None else _reference(gt_path, sr.pixels, scale, pixel_limit)
    notes = (*(gt.notes if gt else ()), *(f"sr: {note}" for note in sr.notes))
    return _Waiting(key, Item(name, sr.pixels, gt.pixels if gt else None), notes)


def _drain(waiting: list[_Waiting], scorer: Scorer, take: Callable[[ImageRow], None]) -> None:
    """Scores what waits and empties the list."""
    if not waiting:
        return
    before = scorer.identity
    scores = scorer.score_all([image.item for image in waiting])
    rows = [
        ImageRow(image.item.name, found.values, None, image.notes, found.vectors)
        for image, found in zip(waiting, scores, strict=True)
    ]
    if scorer.cache is not None and scorer.identity == before:  # else a metric has just turned out to be impossible
        scorer.cache.put(_texts(waiting, rows))
    waiting.clear()
    for row in rows:
        take(row)


def _texts(waiting: Sequence[_Waiting], rows: Sequence[ImageRow]) -> Iterator[tuple[str, str]]:
    for image, row in zip(waiting, rows, strict=True):
        if image.key is not None:
            yield image.key, json.dumps(row_to_json(row))


def _reference(path: Path, sr: Pixels, scale: int | None, pixel_limit: int) -> Decoded:
    gt = read_image(path, pixel_limit=pixel_limit)
    if scale is None or gt.pixels.shape == sr.shape:
        return gt
    height, width = (side - side % scale for side in gt.pixels.shape[:2])
    if (height, width) != sr.shape[:2]:
        return gt  # the sizes differ for another reason; scoring says so
    return Decoded(gt.pixels[:height, :width], (*gt.notes, f"gt cropped to a multiple of {scale}"))
