"""The one scoring function: 8-bit images in, numbers out, under a protocol.

The Benchmark callback and ``srbench score`` both come here. Metrics are computed per image and then averaged, never
pooled over the data set. Nothing here imports torch; a metric that needs it does so when it is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srbench.errors import InputError, MetricUnavailable
from srbench.images import PIXEL_LIMIT, Decoded, Pixels, center_crop, crop_border, list_images, read_image
from srbench.metrics import ImageMetric, Metric, find
from srbench.naming import safe_name
from srbench.pairing import pair
from srbench.protocol import Protocol
from srbench.records import ImageRow, MetricResult

RESAMPLES = 10_000
SEED = 20_260_101

_CHUNK = 2**22  # draws held at once: 32 MiB


class Scorer:
    """A protocol with its metrics built, on one device.

    Attributes:
        protocol: what is measured.
        missing: metric -> why it cannot be computed here.
    """

    def __init__(self, protocol: Protocol, device: str = "cpu") -> None:
        self.protocol = protocol
        self.missing: dict[str, str] = {}
        self.metrics: dict[str, Metric] = {spec.metric: find(spec.metric) for spec in protocol.metrics}
        self._scores: dict[str, ImageMetric] = {}
        for name, metric in self.metrics.items():
            if metric.kind == "set_level":
                self.missing[name] = "one value for a whole set, which image-by-image scoring cannot give"
                continue
            try:
                self._scores[name] = metric.make(device)
            except MetricUnavailable as reason:
                self.missing[name] = str(reason)

    def score(self, name: str, sr: Pixels, gt: Pixels | None) -> dict[str, float]:
        """The metrics of one image, in the protocol's order.

        Args:
            name: the image's id, for messages.
            sr: (H,W,3) uint8.
            gt: as ``sr``; None leaves the full-reference metrics out.

        Raises:
            InputError: naming the image: sr and gt differ in size, or it is too small for a crop or a window.
        """
        if gt is not None and sr.shape != gt.shape:
            raise InputError(
                f"sr is {_size(sr)} and gt {_size(gt)}",
                where=name,
                remedy="score results of gt's size; gt must be a multiple of lq",
            )
        try:
            return self._score(sr, gt)
        except InputError as error:
            raise InputError(error.what, where=name, remedy=error.remedy) from error

    def _score(self, sr: Pixels, gt: Pixels | None) -> dict[str, float]:
        if self.protocol.center is not None:
            sr = center_crop(sr, self.protocol.center)
            gt = None if gt is None else center_crop(gt, self.protocol.center)
        values = {}
        for spec in self.protocol.metrics:
            score = self._scores.get(spec.metric)
            if score is None or (gt is None and self.metrics[spec.metric].kind == "full_reference"):
                continue
            cropped = None if gt is None else crop_border(gt, spec.crop_border)
            values[spec.metric] = score(crop_border(sr, spec.crop_border), cropped)
        return values


def summarise(rows: Sequence[ImageRow], scorer: Scorer) -> dict[str, MetricResult]:
    """Mean and 95 % interval of every metric of the protocol, in its order.

    The rows are sorted by name first and the bootstrap's draw is fixed, so the result does not depend on who scored
    which image when.

    Args:
        rows: one per image, any order; a metric that is absent from a row does not enter its mean.
        scorer: what scored them.
    """
    ordered = sorted(rows, key=lambda row: row.name)
    return {name: _result(name, ordered, scorer) for name in scorer.metrics}


def _result(name: str, rows: Sequence[ImageRow], scorer: Scorer) -> MetricResult:
    metric = scorer.metrics[name]
    values = [row.values[name] for row in rows if name in row.values]
    if values:
        mean, missing = math.fsum(values) / len(values), None
    else:
        nothing = "no ground truth" if metric.kind == "full_reference" and rows else "no image was scored"
        mean, missing = None, scorer.missing.get(name, nothing)
    low, high = interval(values)
    return MetricResult(
        mean=mean,
        n=len(values),
        ci_low=low,
        ci_high=high,
        higher_is_better=metric.higher_is_better,
        library=metric.library,
        weights=metric.weights,
        missing=missing,
    )


def interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % percentile bootstrap interval of the mean: 10,000 resamples, always the same draw.

    Args:
        values: one per image, in a fixed order.

    Returns:
        (low, high); (None, None) for fewer than two values, or when one is infinite or NaN.
    """
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2 or not np.isfinite(sample).all():
        return None, None
    low, high = np.percentile(_means(sample), [2.5, 97.5])
    return float(low), float(high)


def _means(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    # The raw stream of PCG64 is fixed for ever; what a Generator makes of it may change with NumPy's version.
    bits = np.random.PCG64(SEED)
    step = max(1, _CHUNK // len(sample))
    parts = []
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        picked = (bits.random_raw(count * len(sample)) % np.uint64(len(sample))).astype(np.intp)
        parts.append(sample[picked.reshape(count, len(sample))].mean(axis=1))
    return np.concatenate(parts)


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
    results = list_images(sr_dir)
    pairs: Sequence[tuple[Path, Path | None]] = (
        [(sr, None) for sr in results] if gt_dir is None else pair(results, list_images(gt_dir))
    )
    rows = []
    for sr_path, gt_path in pairs:
        name = safe_name((gt_path or sr_path).stem, kind="image name")
        sr = read_image(sr_path, pixel_limit=pixel_limit)
        gt = None if gt_path is None else _reference(gt_path, sr.pixels, scale, pixel_limit)
        notes = (*(gt.notes if gt else ()), *(f"sr: {note}" for note in sr.notes))
        rows.append(ImageRow(name, scorer.score(name, sr.pixels, gt.pixels if gt else None), None, notes))
        if progress is not None:
            progress(rows[-1])
    return rows


def _reference(path: Path, sr: Pixels, scale: int | None, pixel_limit: int) -> Decoded:
    gt = read_image(path, pixel_limit=pixel_limit)
    if scale is None or gt.pixels.shape == sr.shape:
        return gt
    height, width = (side - side % scale for side in gt.pixels.shape[:2])
    if (height, width) != sr.shape[:2]:
        return gt  # the sizes differ for another reason; scoring says so
    return Decoded(gt.pixels[:height, :width], (*gt.notes, f"gt cropped to a multiple of {scale}"))


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
