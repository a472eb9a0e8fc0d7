"""Ranks and tie groups, within rows that were measured the same way on the same files."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from srbench.leaderboard.draws import SPREAD
from srbench.leaderboard.entry import Entry
from srbench.naming import unknown_name
from srbench.records import ImageRow, RunRecord
from srbench.statistics import FEWEST_IMAGES, Floats, tie_groups

if TYPE_CHECKING:
    from srbench.leaderboard.reported import ReportedGroup


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        rank: place among the ranked rows of its group, equal means share one; None when it is not ranked.
        tie_group: letter shared by rows that the images cannot tell from the best of them; None under ten images.
        record: what was measured.
        rows: per image.
        unranked: why there is no rank; None when there is one.
        path: where the record lies, for the pictures beside it; no table depends on it.
    """

    rank: int | None
    tie_group: str | None
    record: RunRecord
    rows: Sequence[ImageRow]
    unranked: str | None = None
    path: Path | None = None

    @property
    def label(self) -> str:
        """The method's name with the marks of its record."""
        marks = ", ".join(mark.replace("_", " ") for mark in self.record.marks)
        return f"{self.record.method} [{marks}]" if marks else self.record.method


@dataclass(frozen=True)
class Group:
    """Rows that may be compared: one test set (the same files), scale and protocol (the same version).

    Attributes:
        test_set: the set's name; with the head of its fingerprint when the table holds several versions of its files.
        scale: magnification.
        protocol: the protocol's name, with its version from the second on.
        metric: the metric that ranks; None when ``rank_by`` asks for one that the protocol lacks.
        higher_is_better: its direction.
        rows: ranked rows from best to worst, then the others.
    """

    test_set: str
    scale: int
    protocol: str
    metric: str | None
    higher_is_better: bool
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """The group in words, for headings."""
        return f"{self.test_set} ×{self.scale}, {self.protocol}"

    @property
    def labels(self) -> list[str]:
        """One name per row, with the head of its weights' (or else its own) hash where two rows share a name."""
        names = [row.label for row in self.rows]
        return [
            name if names.count(name) == 1 else f"{name} #{(row.record.weights_sha256 or row.record.fingerprint)[:8]}"
            for name, row in zip(names, self.rows, strict=True)
        ]

    @property
    def metrics(self) -> list[str]:
        """The group's metrics in the protocol's order."""
        return list(dict.fromkeys(metric for row in self.rows for metric in row.record.metrics))


@dataclass(frozen=True)
class Leaderboard:
    """The whole table.

    Attributes:
        groups: sorted by test set, scale and protocol.
        remarks: sentences a reader needs: values that are missing, rows that are not ranked, groups kept apart.
        reported: what papers printed, where it was asked for; no rank depends on it.
    """

    groups: tuple[Group, ...]
    remarks: tuple[str, ...]
    reported: tuple[ReportedGroup, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """Every metric once, in the order of the groups."""
        return list(dict.fromkeys(metric for group in self.groups for metric in group.metrics))


def build_leaderboard(entries: Iterable[Entry], rank_by: str | None = None) -> Leaderboard:
    """Rank what may be compared, and say why the rest is not.

    Args:
        entries: runs, in any order.
        rank_by: metric that ranks instead of each protocol's first one.

    Raises:
        InputError: no record holds ``rank_by``.
    """
    entries = list(entries)
    metrics = {metric for entry in entries for metric in entry.record.metrics}
    if rank_by is not None and rank_by not in metrics:
        raise unknown_name("metric", rank_by, metrics, where="--rank-by")
    parts: dict[tuple[str, int, str, int, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        r = entry.record
        key = (r.test_set, r.scale, r.protocol, r.protocol_version, r.protocol_sha256, r.testset_fingerprint)
        parts[key].append(entry)
    names = _group_names(parts)
    groups = tuple(_group(names[key], parts[key], rank_by) for key in sorted(parts, key=_reading_order))
    return Leaderboard(groups, tuple(dict.fromkeys(_remarks(groups, rank_by))))


def _reading_order(key: tuple[str, int, str, int, str, str]) -> tuple[object, ...]:
    """Set5 before Set14: digits in a set's name count as numbers."""
    parts = re.split(r"([0-9]+)", key[0].lower())
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)], key


def _group_names(keys: Iterable[tuple[str, int, str, int, str, str]]) -> dict[object, tuple[str, str]]:
    """Names under which sets and protocols stand in the table, told apart where one name means two things."""
    files: dict[tuple[str, int], set[str]] = defaultdict(set)
    rules: dict[tuple[str, int], set[str]] = defaultdict(set)
    for test_set, scale, protocol, version, rule, file in (keys := list(keys)):
        files[test_set, scale].add(file)
        rules[protocol, version].add(rule)
    names: dict[object, tuple[str, str]] = {}
    for key in keys:
        test_set, scale, protocol, version, rule, file = key
        shown = test_set if len(files[test_set, scale]) == 1 else f"{test_set}#{file[:8]}"
        named = protocol if version == 1 else f"{protocol}@{version}"
        names[key] = shown, named if len(rules[protocol, version]) == 1 else f"{named}#{rule[:8]}"
    return names


def _group(names: tuple[str, str], entries: list[Entry], rank_by: str | None) -> Group:
    # The protocol fixes the order of metrics, so that every record of a group has the same first one.
    first = entries[0].record.metrics
    metric = next(iter(first)) if rank_by is None else (rank_by if rank_by in first else None)
    higher = first[metric].higher_is_better if metric else True
    reasons = [(entry, _why_unranked(entry, metric)) for entry in entries]
    ranked = [entry for entry, reason in reasons if reason is None]
    ranked.sort(key=lambda entry: (_badness(entry, metric or "", higher), *_identity(entry)))
    others = sorted((entry for entry, reason in reasons if reason is not None), key=_identity)
    ties = _ties(ranked, metric or "", higher)
    means = [_badness(entry, metric or "", higher) for entry in ranked]
    rows = [
        Row(means.index(mean) + 1, tie, entry.record, entry.rows, path=entry.path)
        for entry, mean, tie in zip(ranked, means, ties, strict=True)
    ]
    rows += [Row(None, None, e.record, e.rows, _why_unranked(e, metric), e.path) for e in others]
    record = entries[0].record
    return Group(names[0], record.scale, names[1], metric, higher, tuple(rows))


def _why_unranked(entry: Entry, metric: str | None) -> str | None:
    if metric is None:
        return "its protocol lacks the metric that was asked for"
    if "oracle" in entry.record.marks:
        return "it saw the ground truth (oracle)"
    if entry.record.marks:
        return "part of it ran on random weights"
    result = entry.record.metrics.get(metric)
    if result is None or result.mean is None:
        return f"{metric} is missing"
    return f"{metric} is not a number" if math.isnan(result.mean) else None


def _badness(entry: Entry, metric: str, higher: bool) -> float:
    mean = entry.record.metrics[metric].mean
    assert mean is not None
    return -mean if higher else mean


def _identity(entry: Entry) -> tuple[str, str]:
    return entry.record.method, entry.record.fingerprint


def _ties(entries: list[Entry], metric: str, higher: bool) -> list[str | None]:
    values = _value_matrix([entry.rows for entry in entries], metric)
    if values.shape[0] < FEWEST_IMAGES:
        return [None] * len(entries)
    groups = tie_groups(values, higher_is_better=higher)
    return [None if group is None else _letters(group) for group in groups]


def _value_matrix(tables: Sequence[Sequence[ImageRow]], metric: str) -> Floats:
    """(images, methods), images sorted by name, NaN where a method has no value."""
    columns = [{row.name: row.values[metric] for row in rows if metric in row.values} for rows in tables]
    names = sorted(set().union(*columns)) if columns else []
    values = [[column.get(name, math.nan) for column in columns] for name in names]
    return np.array(values, dtype=np.float64).reshape(len(names), len(columns))


def _letters(number: int) -> str:
    """0 -> a, 25 -> z, 26 -> aa."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("a") + digit) + text
    return text


def _remarks(groups: Sequence[Group], rank_by: str | None) -> Iterable[str]:
    for group in groups:
        if group.metric is None:
            yield (
                f"{group.title}: not ranked, because its protocol does not measure {rank_by}; "
                "rows of different protocols are never ranked together."
            )
    yield from _unranked_rows(groups)
    if rank_by is not None:
        yield from _ranked_apart(groups)
    yield from _missing_values(groups)
    yield from _set_level_values(groups)
    for test_set in sorted({group.test_set.split("#")[0] for group in groups if "#" in group.test_set}):
        yield f"{test_set}: these rows were measured on different files; each version (#...) is ranked apart."
    if any("#" in group.protocol for group in groups):
        yield "A protocol's name stands for two different rules (#...); they are ranked apart."


def _unranked_rows(groups: Sequence[Group]) -> Iterable[str]:
    """Why rows have no rank: a method and a reason once, with every group where it is so."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for group in groups:
        for label, row in zip(group.labels, group.rows, strict=True):
            if group.metric is not None and row.unranked and not row.unranked.endswith("is missing"):
                places[label, row.unranked].append(group.title)
    for (label, why), titles in places.items():
        yield f"{'; '.join(titles)}: {label} is not ranked, because {why}."


def _ranked_apart(groups: Sequence[Group]) -> Iterable[str]:
    """Whoever asks for one ranking by a metric that several protocols measure is told why there are several."""
    protocols: dict[tuple[str, int], list[str]] = defaultdict(list)
    for group in groups:
        if group.metric is not None:
            protocols[group.test_set, group.scale].append(group.protocol)
    for (test_set, scale), names in protocols.items():
        if len(names) > 1:
            yield (
                f"{test_set} ×{scale}: ranked under {', '.join(names)} apart, never together, for border and crop move "
                "a score by more than methods do."
            )


def _set_level_values(groups: Sequence[Group]) -> Iterable[str]:
    """What a value is of: images and crops of a set's one value (FID), draws of a stochastic method.

    The records' notes start with the metric's name.
    """
    for group in groups:
        for row in group.rows:
            for note in row.record.notes:
                if any(note.startswith(f"{metric}: n=") for metric in row.record.metrics):
                    yield f"{group.title}: {note}."
                elif group.metric is not None and note.startswith(f"{group.metric}: {SPREAD}"):
                    yield f"{group.title}: {row.label}: {note}."


def _missing_values(groups: Sequence[Group]) -> Iterable[str]:
    """One sentence per metric and reason, whatever number of rows it concerns."""
    concerned: dict[tuple[str, str], list[tuple[Group, str]]] = defaultdict(list)
    for group in groups:
        for label, row in zip(group.labels, group.rows, strict=True):
            for metric, result in row.record.metrics.items():
                if result.missing is not None:
                    concerned[metric, result.missing.rstrip(".")].append((group, label))
    for (metric, reason), places in concerned.items():
        methods = ", ".join(dict.fromkeys(label for _, label in places))
        titles = "; ".join(dict.fromkeys(group.title for group, _ in places))
        yield f"{metric} is missing for {methods} ({titles}): {reason}."
