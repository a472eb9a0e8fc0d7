"""From the rows of a test set to one result per metric: mean, interval, or the reason why there is none."""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from srbench.errors import InputError
from srbench.metrics import DerivedMetric, Metric, SetMetric, Vectors
from srbench.records import ImageRow, MetricResult, RunRecord

if TYPE_CHECKING:
    from srbench.scoring import Scorer

RESAMPLES = 10_000
SEED = 20_260_101

_ROUNDING = 1e-6
"""Two orders of the same sum differ by less, two formulas by more."""

_CHUNK = 2**22  # draws held at once: 32 MiB


def summarise(rows: Sequence[ImageRow], scorer: Scorer) -> dict[str, MetricResult]:
    """Mean and 95 % interval of every metric of the protocol, in its order; of a set-level metric its one value.

    The rows are sorted by name first and the bootstrap's draw is fixed, so the result does not depend on who scored
    which image when.

    Args:
        rows: one per image, any order; a metric that is absent from a row does not enter its mean.
        scorer: what scored them.
    """
    ordered = sorted(rows, key=lambda row: row.name)
    return {name: _result(metric, ordered, scorer) for name, metric in scorer.metrics.items()}


def remarks(results: dict[str, MetricResult], scorer: Scorer) -> tuple[str, ...]:
    """What has to stand beside some values.

    Of a set-level value: how many images, which crops, and whether that is too few. Of a derived one: what its formula
    gives on the set's means, where that is another number than the mean over the images.
    """
    found = []
    for spec in scorer.protocol.metrics:
        metric, result = scorer.metrics[spec.metric], results[spec.metric]
        if isinstance(metric, SetMetric) and result.mean is not None:
            text = f"{metric.name}: n={result.n}, images {scorer.protocol.image_crop}, border {spec.crop_border}"
            if result.n < metric.fewest:
                text += f"; strongly biased under {metric.fewest} images, comparable at equal n and crop alone"
            found.append(text)
        elif isinstance(metric, DerivedMetric) and result.mean is not None:
            whole = metric.combine({name: mean for name, r in results.items() if (mean := r.mean) is not None})
            if abs(whole - result.mean) > _ROUNDING:
                found.append(f"{metric.name}: {whole:.4f} when made of the set's means, not averaged over images")
    return tuple(found)


def oddities(rows: Collection[ImageRow]) -> tuple[str, ...]:
    """Which images make a mean infinite (PSNR of equal images) or no number (NIQE of one colour), one line each."""
    names: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for metric, value in row.values.items():
            if not math.isfinite(value):
                names.setdefault(("not a number" if math.isnan(value) else "infinite", metric), []).append(row.name)
    metrics: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (what, metric), images in names.items():
        metrics.setdefault((what, tuple(images)), []).append(metric)
    return tuple(
        f"{', '.join(concerned)}: {what} on {len(images)} of {len(rows)} images "
        f"({', '.join(images[:3])}{', ...' if len(images) > 3 else ''}), and so is the mean"
        for (what, images), concerned in metrics.items()
    )


def summary_line(record: RunRecord, told: Collection[str] = ()) -> str:
    """One record as one line: ``DVMSR on Set5 x4 (y219_crop4, n=5): psnr_y219 32.1812, ...``.

    The interval stands behind a value where there is one, and the reason where there is none.

    Args:
        record: of a test run.
        told: reasons that the reader knows already.
    """
    values = ", ".join(f"{name} {_value(result, told)}" for name, result in record.metrics.items())
    pace = f", {record.cost.ms_per_image:.1f} ms/image" if record.cost.ms_per_image is not None else ""
    return f"{record.method} on {record.test_set} x{record.scale} ({record.protocol}, n={record.n}): {values}{pace}"


def _value(result: MetricResult, told: Collection[str]) -> str:
    if result.mean is None:
        return "missing" if result.missing in told else f"missing ({result.missing})"
    if result.ci_low is None or result.ci_high is None:
        return f"{result.mean:.4f}"
    return f"{result.mean:.4f} [{result.ci_low:.4f}, {result.ci_high:.4f}]"


def _result(metric: Metric, rows: Sequence[ImageRow], scorer: Scorer) -> MetricResult:
    if isinstance(metric, SetMetric):
        mean, n, missing = _of_the_set(metric, rows, scorer)
        low = high = None
    else:
        values = [row.values[metric.name] for row in rows if metric.name in row.values]
        mean, n = (math.fsum(values) / len(values) if values else None), len(values)
        low, high = interval(values)
        missing = None if values else _reason(metric, rows, scorer)
    return MetricResult(
        mean=mean,
        n=n,
        ci_low=low,
        ci_high=high,
        higher_is_better=metric.higher_is_better,
        library=metric.library,
        weights=scorer.weights(metric.name),
        missing=missing,
    )


def _of_the_set(metric: SetMetric, rows: Sequence[ImageRow], scorer: Scorer) -> tuple[float | None, int, str | None]:
    held = [row.vectors[metric.name] for row in rows if metric.name in row.vectors]
    if not held:
        return None, 0, _reason(metric, rows, scorer)
    if len(held) < len(rows):
        return None, 0, f"the features of {len(rows) - len(held)} of {len(rows)} images are not known; score again"
    sr, gt = (np.stack([unpack(pair[half]) for pair in held]) for half in (0, 1))
    try:
        return scorer.distance(metric.name, sr, gt), len(held), None
    except InputError as error:
        return None, 0, str(error)


def _reason(metric: Metric, rows: Sequence[ImageRow], scorer: Scorer) -> str:
    if metric.name in scorer.missing:
        return scorer.missing[metric.name]
    return "no ground truth" if metric.kind != "no_reference" and rows else "no image was scored"


def pack(vector: Vectors) -> str:
    """One image's features (d,) as text, without losing a bit."""
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode()


def unpack(text: str) -> Vectors:
    """The inverse of :func:`pack`: (d,)."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)


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
