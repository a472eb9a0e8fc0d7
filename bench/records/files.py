"""Records on disk: where they lie, writing them whole, reading them with distrust."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from srbench.atomic import locked, write_whole
from srbench.errors import InputError
from srbench.naming import printable, safe_name
from srbench.records.codec import record_from_json, record_to_json, rows_from_csv, rows_to_csv
from srbench.records.privacy import portable
from srbench.records.schema import ImageRow, RunRecord
from srbench.records.validation import validate, validate_rows

RECORD_FILE = "record.json"
ROWS_FILE = "per_image.csv"
_LARGEST = {RECORD_FILE: 2 * 2**20, ROWS_FILE: 64 * 2**20}


def record_folder(out: Path, *, protocol: str, test_set: str, scale: int, method: str, fingerprint: str) -> Path:
    """Where a run's record lies: ``out/<protocol>/<set>_x<scale>/<method>-<fingerprint[:8]>``.

    Raises:
        InputError: ``protocol`` or ``test_set`` cannot be part of a path. The method's name is cut to safe characters.
    """
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", method).strip("-.")[:80] or "method"
    folder = f"{safe_name(test_set, kind='test set name')}_x{int(scale)}"
    return Path(out) / safe_name(protocol, kind="protocol name") / folder / f"{slug}-{fingerprint[:8]}"


def write_record(folder: Path, record: RunRecord, rows: Sequence[ImageRow]) -> Path:
    """Write ``record.json`` and ``per_image.csv`` into ``folder``; returns the path of the record.

    Each file is replaced whole, the rows first, so that a record always has its rows. Reasons and notes come from
    elsewhere and are made portable (paths cut to their last part); an absolute path anywhere else is refused.

    Args:
        folder: made when missing; see ``record_folder``.
        record: what was measured.
        rows: one per image, any order; written sorted by name.

    Raises:
        InputError: the record is invalid, the disk is full, the folder cannot be written, or another process holds it.
    """
    path = Path(folder) / RECORD_FILE
    record = validate(_portable_record(record), path)
    ordered = sorted((_portable_row(row) for row in rows), key=lambda row: row.name)
    validate_rows(ordered, path)
    table = rows_to_csv(ordered, _columns(record, ordered))
    with locked(Path(folder)):
        write_whole(path.with_name(ROWS_FILE), table.encode())
        write_whole(path, record_to_json(record).encode())
    return path


def read_record(path: Path) -> RunRecord:
    """The record at ``path`` (the file, or its folder).

    Raises:
        InputError: naming the file: missing, too large, no UTF-8 JSON, or not a valid record.
    """
    path = _file(Path(path), RECORD_FILE)
    return validate(record_from_json(_text(path, _LARGEST[RECORD_FILE]), path), path)


def read_rows(path: Path) -> list[ImageRow]:
    """The per-image rows beside the record at ``path`` (the record, its folder, or the CSV itself), sorted by name.

    Raises:
        InputError: naming the file: missing, too large, or not a valid table.
    """
    path = Path(path)
    path = path.with_name(ROWS_FILE) if path.name == RECORD_FILE else _file(path, ROWS_FILE)
    rows = rows_from_csv(_text(path, _LARGEST[ROWS_FILE]), path)
    validate_rows(rows, path)
    return sorted(rows, key=lambda row: row.name)


def find_records(dirs: Iterable[Path]) -> list[tuple[Path, RunRecord]]:
    """Every record below ``dirs``, each file once, in the order of their paths; links to folders are not followed.

    Raises:
        InputError: a folder does not exist, or a record in it is invalid.
    """
    found: dict[Path, Path] = {}
    for folder in map(Path, dirs):
        if not folder.is_dir():
            raise InputError("no such folder of records", where=folder, remedy="give the --benchmark.out of a test run")
        for here, subfolders, files in os.walk(folder):
            subfolders.sort()
            if RECORD_FILE in files:
                path = Path(here) / RECORD_FILE
                found.setdefault(path.resolve(), path)
    return [(path, read_record(path)) for path in found.values()]


def _file(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path


def _text(path: Path, largest: int) -> str:
    if path.exists() and not path.is_file():  # a pipe would be read for ever
        raise InputError("is not a regular file", where=path, remedy="take it out of the folder")
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, remedy="run the test again to write it"
        ) from error
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", where=path, remedy="take it out of the folder") from None
    if len(data) > largest:
        raise InputError(f"is larger than {largest // 2**20} MiB", where=path, remedy="take it out of the folder")
    return text


def _columns(record: RunRecord, rows: Sequence[ImageRow]) -> list[str]:
    """Metrics that have a value per image, in the record's order; set-level metrics have none."""
    present = {metric for row in rows for metric in row.values}
    unknown = sorted(present - record.metrics.keys())
    if unknown:
        raise InputError(f"the rows hold metrics the record lacks: {', '.join(unknown)}", where=record.method)
    return [metric for metric in record.metrics if metric in present]


def _portable_record(record: RunRecord) -> RunRecord:
    metrics = {
        name: result if result.missing is None else dataclasses.replace(result, missing=_clean(result.missing))
        for name, result in record.metrics.items()
    }
    return dataclasses.replace(record, metrics=metrics, notes=tuple(_clean(note) for note in record.notes))


def _portable_row(row: ImageRow) -> ImageRow:
    return dataclasses.replace(row, notes=tuple(_clean(note) for note in row.notes if note))


def _clean(text: str) -> str:
    return printable(portable(text))[:1000].strip()
