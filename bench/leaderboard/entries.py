"""What a leaderboard is built from: records with their rows, each run once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from srbench.errors import InputError
from srbench.leaderboard.draws import joined
from srbench.leaderboard.entry import Entry
from srbench.records import RunRecord, find_records, read_rows
from srbench.records.codec import record_to_json


def load_entries(dirs: Iterable[Path]) -> list[Entry]:
    """Every run below ``dirs``; of several records of the same run (equal fingerprints) the newest.

    Draws of one stochastic method are one entry, see :func:`~srbench.leaderboard.draws.joined`.
    The same files under two names of test sets are two runs: tables ask for them by name.

    Raises:
        InputError: a folder is missing, a record or its table is invalid, or the two disagree.
    """
    found = find_records(dirs)
    newest: dict[tuple[str, str], tuple[Path, RunRecord]] = {}
    for path, record in sorted(found, key=lambda item: _age(item[1])):
        newest[record.fingerprint, record.test_set] = (path, record)
    return joined([_entry(path, record) for path, record in newest.values()])


def _age(record: RunRecord) -> tuple[datetime, str]:
    """Orders records by date; of two of the same second the content decides, never the folder they lie in."""
    return datetime.fromisoformat(record.date), record_to_json(record)


def _entry(path: Path, record: RunRecord) -> Entry:
    rows = read_rows(path)
    if len(rows) != record.n:
        _disagree(path, f"{len(rows)} rows for {record.n} images")
    for metric, result in record.metrics.items():
        values = [row.values[metric] for row in rows if metric in row.values]
        if not values:
            continue  # missing, or a value of the whole set
        if result.mean is None or len(values) != result.n:
            _disagree(path, f"{metric} has {len(values)} values per image, the record counts {result.n}")
        elif not _same(math.fsum(values) / len(values) if all(map(math.isfinite, values)) else None, result.mean):
            _disagree(path, f"the mean of {metric} is not the record's {result.mean:.6g}")
    return Entry(record, rows, path)


def _same(mean: float | None, stated: float) -> bool:
    """Infinite and undefined values have no mean to check against a finite one."""
    if mean is None:
        return not math.isfinite(stated)
    return math.isclose(mean, stated, rel_tol=1e-6, abs_tol=1e-9)


def _disagree(path: Path, what: str) -> None:
    raise InputError(
        f"the record and its per_image.csv disagree: {what}",
        where=path,
        remedy="run the test again; records are not edited by hand",
    )
