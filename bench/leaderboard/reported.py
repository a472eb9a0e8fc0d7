"""What papers printed, as blocks of their own beside the measured groups: never ranked, never in a measured table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from srbench.leaderboard.ranking import Leaderboard
from srbench.published import Reported

UNKNOWN = "unknown"
"""Stands for the protocol of a printed number that none of ours rebuilds."""


@dataclass(frozen=True)
class ReportedRow:
    """One printed method on one test set.

    Attributes:
        method: with its variant, as printed.
        source: paper and table.
        protocol: the protocol of ours that rebuilds the table's, or ``unknown``.
        values: column -> printed number.
        notes: what one must know of its numbers, each once.
    """

    method: str
    source: str
    protocol: str
    values: Mapping[str, Reported]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ReportedGroup:
    """What papers printed on one test set at one scale.

    Attributes:
        test_set: the name under which it stands in our tables.
        scale: magnification.
        after: index of the last measured group of the same set and scale; None where nothing was measured on it.
        rows: in the order of papers and tables.
    """

    test_set: str
    scale: int
    after: int | None
    rows: tuple[ReportedRow, ...]

    @property
    def title(self) -> str:
        """The block in words, for headings."""
        return f"{self.test_set} ×{self.scale}, reported in papers"

    @property
    def columns(self) -> list[str]:
        """The metrics' columns, in the order of the rows."""
        return list(dict.fromkeys(column for row in self.rows for column in row.values))

    @property
    def shared_notes(self) -> list[str]:
        """Notes that hold for every row."""
        first = self.rows[0].notes if self.rows else ()
        return [note for note in first if all(note in row.notes for row in self.rows)]

    @property
    def notes(self) -> list[str]:
        """The other notes, each once; a note's number is its place here, from 1."""
        shared = self.shared_notes
        return [n for n in dict.fromkeys(n for row in self.rows for n in row.notes) if n not in shared]

    def marks(self, row: ReportedRow) -> str:
        """The numbers of a row's notes: ``1, 4``."""
        numbers = {note: number for number, note in enumerate(self.notes, start=1)}
        return ", ".join(str(number) for number in sorted(numbers[note] for note in row.notes if note in numbers))


def with_reported(
    board: Leaderboard, numbers: Iterable[Reported], our_sets: Mapping[tuple[str, str], str]
) -> Leaderboard:
    """The board with printed numbers beside its groups; ranks, ties and remarks stay what they were.

    Args:
        board: what was measured.
        numbers: printed ones; those of no test set, and what is no score (parameters, times, ranges), are left out.
        our_sets: (paper, printed test set) -> our name of it, where they differ.
    """
    parts: dict[tuple[str, int], list[Reported]] = {}
    for number in numbers:
        if number.value and number.test_set and number.scale and (number.metric_id or number.protocol):
            name = our_sets.get((number.paper, number.test_set), number.test_set)
            parts.setdefault((name, number.scale), []).append(number)
    groups = [ReportedGroup(*key, _last(board, *key), _rows(found)) for key, found in parts.items()]
    groups.sort(key=lambda group: len(board.groups) if group.after is None else group.after)
    return dataclasses.replace(board, reported=tuple(groups))


def _last(board: Leaderboard, test_set: str, scale: int) -> int | None:
    """The last group of that set; versions of its files (``Set5#0123abcd``) count as it."""
    places = [
        i for i, group in enumerate(board.groups) if (group.test_set.split("#")[0], group.scale) == (test_set, scale)
    ]
    return places[-1] if places else None


def _rows(numbers: Iterable[Reported]) -> tuple[ReportedRow, ...]:
    parts: dict[tuple[object, ...], list[Reported]] = {}
    for number in numbers:
        # An ablation may print one method twice; the metric's line then differs, and so does the row.
        key = (number.source, number.label, number.protocol)
        parts.setdefault(key, []).append(number)
    return tuple(_row(found) for found in parts.values())


def _row(numbers: list[Reported]) -> ReportedRow:
    first = numbers[0]
    values: dict[str, Reported] = {}
    for number in numbers:
        values.setdefault(number.column, number)
    notes = (f"{number.metric}: {sentence}" for number in numbers for sentence in number.note.split("; ") if sentence)
    return ReportedRow(
        first.label, first.source, first.protocol or UNKNOWN, values, tuple(dict.fromkeys(_merged(notes)))
    )


def _merged(notes: Iterable[str]) -> list[str]:
    """Notes that several metrics share are said once, without the metric's name."""
    metrics: dict[str, list[str]] = {}
    for note in notes:
        metric, _, sentence = note.partition(": ")
        metrics.setdefault(sentence, []).append(metric)
    return [sentence if len(names) > 1 else f"{names[0]}: {sentence}" for sentence, names in metrics.items()]
