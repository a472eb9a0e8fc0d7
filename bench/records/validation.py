"""What a record must satisfy before it is written and after it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from srbench.errors import InputError
from srbench.naming import safe_name
from srbench.records.privacy import absolute_path, personal_key
from srbench.records.schema import MARKS, SCHEMA, ImageRow, MetricResult, RunRecord, fingerprint_of

_HEX64 = re.compile(r"[0-9a-f]{64}")
_METRIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_LONGEST = 2000
_REMEDY = "run the test again, or take this record out of the folder"


def validate(record: RunRecord, where: str | Path | None = None) -> RunRecord:
    """``record``, when every field holds what its description promises.

    Args:
        record: the record; its Python types must be right already.
        where: the file named in errors.

    Raises:
        InputError: an unknown schema, a hash that is none, a fingerprint of other inputs, a value without a count,
            an unknown mark, a name with separators, an absolute path, or text that is too long or holds control
            characters.
    """
    where = where if where is not None else f"record of {record.method}"
    try:
        _check(record)
    except InputError as error:
        raise InputError(error.what, where=where, remedy=error.remedy or _REMEDY) from None
    return record


def validate_rows(rows: Sequence[ImageRow], where: str | Path) -> None:
    """Refuse rows with unsafe or repeated names, odd metric names, or text that does not belong into a record.

    Raises:
        InputError: naming ``where`` and the row.
    """
    seen: set[str] = set()
    for row in rows:
        try:
            safe_name(row.name, kind="image name")
            for metric in row.values:
                _metric_name(metric)
            for note in row.notes:
                _text(f"note of {row.name}", note)
        except InputError as error:
            raise InputError(error.what, where=where, remedy=error.remedy or _REMEDY) from None
        if row.name in seen:
            raise InputError(f"the image '{row.name}' stands there twice", where=where, remedy=_REMEDY)
        seen.add(row.name)


def _check(record: RunRecord) -> None:
    if record.schema != SCHEMA:
        raise InputError(
            f"schema {record.schema} is unknown",
            remedy=f"this srbench reads schema {SCHEMA}; install the one that wrote it",
        )
    for label, text in _texts(record):
        _text(label, text)
    safe_name(record.test_set, kind="test set name")
    safe_name(record.protocol, kind="protocol name")
    if not record.method.strip():
        raise InputError("the method has no name")
    _hashes(record)
    _ranges(record)
    _date(record.date)
    for mark in record.marks:
        if mark not in MARKS:
            raise InputError(f"unknown mark '{mark}'", remedy=f"valid: {', '.join(MARKS)}")
    for key in record.environment:
        if personal_key(key):
            raise InputError(f"environment.{key} may name a person or a machine", remedy="leave it out of the record")
    if not 0 < len(record.metrics) <= 200:
        raise InputError(f"{len(record.metrics)} metrics", remedy="a record holds 1 to 200")
    for name, result in record.metrics.items():
        _metric(name, result)


def _texts(record: RunRecord) -> Iterator[tuple[str, str]]:
    for label, value in vars(record).items():
        if isinstance(value, str):
            yield label, value
    for label in ("marks", "notes"):
        yield from ((label, text) for text in getattr(record, label))
    yield "cost.device", record.cost.device
    yield from (("files", role) for role in record.files)
    for key, value in record.environment.items():
        yield f"environment.{key}", f"{key} {value}"
    for name, result in record.metrics.items():
        yield from ((f"metrics.{name}", text) for text in (result.library, *result.weights, result.missing or ""))


def _text(label: str, text: str) -> None:
    if len(text) > _LONGEST or not all(c.isprintable() for c in text):
        raise InputError(f"{label} is longer than {_LONGEST} characters or holds control characters")
    if (path := absolute_path(text)) is not None:
        raise InputError(f"{label} holds an absolute path ({path[:60]})", remedy="records name files without folders")


def _hashes(record: RunRecord) -> None:
    optional = ("weights_sha256", "drawn_from")
    for label in ("config_sha256", "testset_fingerprint", "protocol_sha256", "fingerprint", *optional):
        value = getattr(record, label)
        if not (value is None and label in optional) and not _HEX64.fullmatch(value):
            raise InputError(f"{label} is not a sha256 of 64 hex digits")
    for role, value in record.files.items():
        if not _HEX64.fullmatch(value):
            raise InputError(f"files.{role} is not a sha256 of 64 hex digits")
    if record.fingerprint != fingerprint_of(record):
        raise InputError("the fingerprint is not the one of the record's own fields")


def _ranges(record: RunRecord) -> None:
    if not 1 <= record.scale <= 64:
        raise InputError(f"scale {record.scale} is outside 1..64")
    if not 0 <= record.n <= 10**7 or record.protocol_version < 1:
        raise InputError("n or protocol_version is out of range")
    if (record.draw is None) != (record.drawn_from is None) or (record.draw or 0) < 0:
        raise InputError("draw and drawn_from belong together, and draws count from 0")
    for label, value in vars(record.cost).items():
        if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
            raise InputError(f"cost.{label} is {value}, not a finite number from 0 up")


def _date(text: str) -> None:
    try:
        offset = datetime.fromisoformat(text).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise InputError(f"the date '{text[:40]}' is not ISO 8601 in UTC")


def _metric_name(name: str) -> None:
    if not _METRIC.fullmatch(name):
        raise InputError(f"{name[:80]!r} is not a metric's name")


def _metric(name: str, result: MetricResult) -> None:
    _metric_name(name)
    if (result.mean is None) != (result.missing is not None):
        raise InputError(f"{name} needs either a value or the reason why it is missing")
    if result.n < 0 or (result.mean is not None and result.n == 0):
        raise InputError(f"{name} has a value without images")
    low, high = result.ci_low, result.ci_high
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise InputError(f"the interval of {name} is not one")
