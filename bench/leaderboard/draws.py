"""Several draws of one stochastic method as one line: their mean, and how far apart they are."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

from srbench.leaderboard.entry import Entry
from srbench.records import ImageRow, MetricResult, RunRecord
from srbench.summary import interval

SPREAD = "spread (standard deviation between draws)"


def joined(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with draws that differ in nothing but seed and number made one.

    The joined entry holds the mean of the draws, per image and of the set, the interval over images of these means, and
    a note per metric with the spread between the draws' means. Its other fields are the first draw's.
    """
    together: dict[object, list[Entry]] = defaultdict(list)
    for index, entry in enumerate(entries):
        together[_family(entry.record) or index].append(entry)
    return [_joined(sorted(group, key=_order)) if len(group) > 1 else group[0] for group in together.values()]


def spreads(records: Sequence[RunRecord]) -> Iterator[str]:
    """A line per test set of several draws: every metric's mean and spread."""
    together: dict[object, list[RunRecord]] = defaultdict(list)
    for record in records:
        if _family(record) is not None:
            together[_family(record)].append(record)
    for group in together.values():
        if len(group) > 1:
            first = group[0]
            figures = [
                f"{name} {statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"
                for name in first.metrics
                if len(values := _means(group, name)) == len(group)
            ]
            yield f"{first.method} on {first.test_set} x{first.scale}, {len(group)} draws: {', '.join(figures)}"


def _family(record: RunRecord) -> tuple[object, ...] | None:
    if record.drawn_from is None:
        return None
    r = record
    files = (r.test_set, r.testset_fingerprint, r.scale, r.protocol, r.protocol_sha256)
    return r.method, r.class_path, r.drawn_from, r.weights_sha256, r.marks, *files


def _order(entry: Entry) -> tuple[int, str]:
    return entry.record.draw or 0, entry.record.fingerprint


def _joined(group: Sequence[Entry]) -> Entry:
    records = [entry.record for entry in group]
    rows = _rows(group)
    metrics = {name: _result(name, records, rows) for name in records[0].metrics}
    notes = [
        f"{name}: {SPREAD} {statistics.stdev(values):.4g}, {len(values)} draws"
        for name in metrics
        if len(values := _means(records, name)) == len(records)
    ]
    record = dataclasses.replace(records[0], metrics=metrics, notes=(*records[0].notes, *notes))
    return Entry(record, rows, group[0].path)


def _means(records: Sequence[RunRecord], metric: str) -> list[float]:
    found = (record.metrics[metric].mean for record in records if metric in record.metrics)
    return [mean for mean in found if mean is not None and math.isfinite(mean)]


def _rows(group: Sequence[Entry]) -> list[ImageRow]:
    by_name: dict[str, list[ImageRow]] = defaultdict(list)
    for entry in group:
        for row in entry.rows:
            by_name[row.name].append(row)
    return [_row(rows, len(group)) for _, rows in sorted(by_name.items())]


def _row(rows: Sequence[ImageRow], draws: int) -> ImageRow:
    names = [name for name in rows[0].values if sum(name in row.values for row in rows) == draws]
    values = {name: math.fsum(row.values[name] for row in rows) / draws for name in names}
    times = [row.ms for row in rows if row.ms is not None]
    return dataclasses.replace(rows[0], values=values, ms=statistics.median(times) if times else None)


def _result(name: str, records: Sequence[RunRecord], rows: Sequence[ImageRow]) -> MetricResult:
    first = records[0].metrics[name]
    means = [record.metrics[name].mean for record in records if name in record.metrics]
    if len(means) < len(records) or any(mean is None for mean in means):
        return first
    values = [row.values[name] for row in rows if name in row.values]
    low, high = interval(values) if values else (first.ci_low, first.ci_high)
    return dataclasses.replace(
        first, mean=math.fsum(m for m in means if m is not None) / len(means), ci_low=low, ci_high=high
    )
