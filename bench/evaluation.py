"""One method on one test set: what is scored already, what is still to do, and the record at the end."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srbench import __version__
from srbench.contracts import SetInfo
from srbench.environment import git_revision, now
from srbench.errors import UNAVAILABLE, InputError
from srbench.records import (
    SCHEMA,
    Cost,
    ImageRow,
    Journal,
    RunRecord,
    read_journals,
    read_record,
    read_rows,
    record_folder,
    remove_journals,
    run_fingerprint,
    write_record,
)
from srbench.scoring import Scorer
from srbench.summary import oddities, remarks, summarise


@dataclass(frozen=True)
class Subject:
    """What is being measured.

    Attributes:
        method: the row's name.
        class_path: import path of the class.
        stage: training stage, for methods that have several.
        config_sha256: see :func:`config_hash`.
        weights_sha256: hash of the weights file, None when there is none.
        files: see :class:`~srbench.records.RunRecord`; part of ``config_sha256``.
        marks: why the row may not be ranked.
        draw: which draw of a stochastic method it is; None for one that draws nothing.
        drawn_from: see :class:`~srbench.records.RunRecord`.
    """

    method: str
    class_path: str
    stage: str | None
    config_sha256: str
    weights_sha256: str | None
    files: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    draw: int | None = None
    drawn_from: str | None = None


def config_hash(config: Mapping[str, Any]) -> str:
    """sha256 of a configuration, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


@dataclass
class Evaluation:
    """The scoring of one test set; survives being killed at any moment.

    Every scored image is appended to a journal beside the record. Whoever starts the same evaluation again (same
    method, configuration, weights, files and protocol) reads the journals and goes on with the rest.
    """

    subject: Subject
    info: SetInfo
    scorer: Scorer
    out: Path
    rank: int = 0
    force: bool = False
    rows: dict[str, ImageRow] = field(default_factory=dict)
    _journal: Journal | None = None

    def mark(self, *marks: str) -> None:
        """Adds to why the row may not be ranked; what it is of does not change."""
        self.subject = dataclasses.replace(self.subject, marks=tuple(dict.fromkeys([*self.subject.marks, *marks])))

    @property
    def fingerprint(self) -> str:
        """The same inputs give the same value."""
        return run_fingerprint(
            method=self.subject.method,
            class_path=self.subject.class_path,
            config_sha256=self.subject.config_sha256,
            weights_sha256=self.subject.weights_sha256,
            testset_fingerprint=self.info.fingerprint,
            scale=self.info.scale,
            protocol_sha256=self.scorer.protocol.sha256,
        )

    @property
    def folder(self) -> Path:
        """Where the record lies."""
        return record_folder(
            self.out,
            protocol=self.scorer.protocol.name,
            test_set=self.info.name,
            scale=self.info.scale,
            method=self.subject.method,
            fingerprint=self.fingerprint,
        )

    def finished(self) -> RunRecord | None:
        """The record of an earlier run of the same evaluation, when it is whole.

        One that lacks a metric which can be computed by now is not: its weights have been fetched since.
        """
        try:
            record = read_record(self.folder)
        except InputError:
            return None
        if record.fingerprint != self.fingerprint:
            return None
        lacked = [name for name, result in record.metrics.items() if (result.missing or "").startswith(UNAVAILABLE)]
        self.scorer.build(lacked)
        return record if all(name in self.scorer.missing for name in lacked) else None

    def earlier(self) -> dict[str, ImageRow]:
        """Rows that need not be scored again; none under ``force``, which forgets the journals too."""
        if self.force:
            remove_journals(self.folder, self.fingerprint)
            return {}
        if self.finished() is not None:
            return {row.name: row for row in read_rows(self.folder)}
        journal = read_journals(self.folder, self.fingerprint)
        held = {name: {*row.values, *row.vectors} for name, row in journal.items()}
        # A metric that no row has may have turned out to be impossible then: only building it tells.
        self.scorer.build(set(self.scorer.expected(has_gt=self.info.has_gt)).difference(*held.values()) if held else ())
        expected = set(self.scorer.expected(has_gt=self.info.has_gt))
        return {name: row for name, row in journal.items() if expected <= held[name]}

    def add(self, row: ImageRow) -> None:
        """Takes one image's scores; they are on disk before this returns."""
        if self._journal is None:
            self._journal = Journal(self.folder, self.fingerprint, self.rank)
        self._journal.append(row)
        self.rows[row.name] = row

    def close(self) -> None:
        """Closes the journal, if one was opened."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def missing(self, rows: Mapping[str, ImageRow], names: Iterable[str]) -> list[str]:
        """Names of the set that have no row yet."""
        return sorted(name for name in names if name not in rows)

    def record(self, rows: Mapping[str, ImageRow], cost: Cost, environment: dict[str, str]) -> RunRecord:
        """The record of all ``rows``; pure, nothing is written."""
        ordered = [rows[name] for name in sorted(rows)]
        times = [row.ms for row in ordered if row.ms is not None]
        results = summarise(ordered, self.scorer)
        timed = {
            "ms_per_image": round(statistics.median(times), 3) if times else None,
            "ms_total": round(sum(times), 3) if times else None,
        }
        return RunRecord(
            schema=SCHEMA,
            method=self.subject.method,
            class_path=self.subject.class_path,
            stage=self.subject.stage,
            config_sha256=self.subject.config_sha256,
            weights_sha256=self.subject.weights_sha256,
            test_set=self.info.name,
            scale=self.info.scale,
            n=len(ordered),
            testset_fingerprint=self.info.fingerprint,
            lq_origin=self.info.lq_origin,
            source=self.info.source,
            licence=self.info.licence,
            protocol=self.scorer.protocol.name,
            protocol_version=self.scorer.protocol.version,
            protocol_sha256=self.scorer.protocol.sha256,
            metrics=results,
            cost=Cost(**{**cost.__dict__, **timed}),
            environment=environment,
            srbench_version=__version__,
            git_revision=git_revision(),
            date=now(),
            fingerprint=self.fingerprint,
            files=dict(self.subject.files),
            marks=self.subject.marks,
            draw=self.subject.draw,
            drawn_from=self.subject.drawn_from,
            notes=(*self.info.notes, *remarks(results, self.scorer), *oddities(ordered), *_image_notes(ordered)),
        )

    def write(self, record: RunRecord, rows: Mapping[str, ImageRow]) -> Path:
        """Writes the record and its rows, then drops the journals; returns the record's path."""
        path = write_record(self.folder, record, [rows[name] for name in sorted(rows)])
        remove_journals(self.folder, self.fingerprint)
        return path


def _image_notes(rows: Iterable[ImageRow]) -> list[str]:
    return [f"{row.name}: {note}" for row in rows for note in row.notes]
