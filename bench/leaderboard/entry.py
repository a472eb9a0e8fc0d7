"""One line of what a leaderboard is built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srbench.records import ImageRow, RunRecord


@dataclass(frozen=True)
class Entry:
    """A record with its rows.

    Attributes:
        record: what was measured.
        rows: per image, sorted by name.
        path: where the record lies; None for one that was never written. No table depends on it.
    """

    record: RunRecord
    rows: Sequence[ImageRow]
    path: Path | None = None
