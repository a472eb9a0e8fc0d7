"""Records to JSON and rows to CSV and back, without losing a digit and without trusting what is read."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from srbench.errors import InputError
from srbench.naming import nearest
from srbench.records.schema import SCHEMA, ImageRow, RunRecord

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_BETWEEN_NOTES = " | "
_REMEDY = "it was not written by this version of srbench; take it out of the folder or write it again"


def number_text(value: float) -> str:
    """The shortest text that reads back as the same float; ``inf``, ``-inf`` and ``nan`` for the others."""
    return repr(float(value))


def guarded(cell: str) -> str:
    """``cell`` as spreadsheets cannot take it for a formula: led by ``'`` when it starts like one.

    Plain numbers stay as they are. A cell that starts with ``'`` gets another, so that ``unguarded`` is its inverse.

    >>> guarded("=1+1"), guarded("-1.5"), guarded("-inf")
    ("'=1+1", '-1.5', "'-inf")
    """
    return (
        "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "'") and not _NUMBER.fullmatch(cell) else cell
    )


def unguarded(cell: str) -> str:
    """The inverse of ``guarded``."""
    return cell[1:] if cell[:1] == "'" else cell


def record_to_json(record: RunRecord) -> str:
    """The record as indented JSON, every field written out, fields in their declared order."""
    return json.dumps(_plain(dataclasses.asdict(record)), indent=2, allow_nan=False) + "\n"


def record_from_json(text: str, where: str | Path) -> RunRecord:
    """The record in ``text``.

    Raises:
        InputError: no JSON, a repeated, unknown or missing field, or a value of another type; names ``where``.
    """
    try:
        data = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constants)
        if isinstance(data, dict) and data.get("schema") != SCHEMA:
            raise InputError(
                f"schema {str(data.get('schema'))[:20]!r} is unknown",
                remedy=f"this srbench reads schema {SCHEMA}; install the version that wrote it",
            )
        record = decode(RunRecord, data, "record")
    except InputError as error:
        raise InputError(error.what, where=where, remedy=error.remedy or _REMEDY) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a JSON record ({str(error)[:100]})", where=where, remedy=_REMEDY) from None
    assert isinstance(record, RunRecord)
    return record


def rows_to_csv(rows: Sequence[ImageRow], metrics: Sequence[str]) -> str:
    """Per-image CSV: ``name``, one column per metric, ``ms``, ``notes``; a value that is absent is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", *metrics, "ms", "notes"])
    for row in rows:
        values = [number_text(row.values[m]) if m in row.values else "" for m in metrics]
        notes = _BETWEEN_NOTES.join(note.replace("|", "/") for note in row.notes)
        cells = [row.name, *values, "" if row.ms is None else number_text(row.ms), notes]
        writer.writerow([guarded(cell) for cell in cells])
    return out.getvalue()


def rows_from_csv(text: str, where: str | Path) -> list[ImageRow]:
    """The rows in ``text``.

    Raises:
        InputError: other columns than promised, a ragged line or a value that is no number; names ``where``.
    """
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        if not lines or len(lines[0]) < 3 or (lines[0][0], *lines[0][-2:]) != ("name", "ms", "notes"):
            raise ValueError("the first line must be name, the metrics, ms, notes")
        metrics = lines[0][1:-2]
        if len(set(metrics)) != len(metrics):
            raise ValueError("a metric has two columns")
        return [_row(cells, metrics, number) for number, cells in enumerate(lines[1:], start=2)]
    except (ValueError, csv.Error) as error:
        raise InputError(f"not a per-image table ({str(error)[:100]})", where=where, remedy=_REMEDY) from None


def row_to_json(row: ImageRow) -> dict[str, Any]:
    """The row as plain JSON values."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(row))
    return plain


def row_from_json(data: Any) -> ImageRow:
    """The inverse of ``row_to_json``.

    Raises:
        InputError: a field is missing, unknown or of another type.
    """
    row = decode(ImageRow, data, "row")
    assert isinstance(row, ImageRow)
    return row


def decode(hint: Any, value: Any, where: str) -> Any:
    """``value`` (from JSON) as the type ``hint``: str, int, float, None, unions, tuple[str, ...], dict, dataclasses.

    Raises:
        InputError: it is of another type; ``where`` says which field.
    """
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint):
        return _decode_fields(hint, value, where)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        return decode(next(arg for arg in get_args(hint) if arg is not type(None)), value, where)
    if origin is dict and isinstance(value, dict):
        return {key: decode(get_args(hint)[1], item, f"{where}.{key[:80]}") for key, item in value.items()}
    if origin is tuple and isinstance(value, list):
        return tuple(decode(get_args(hint)[0], item, where) for item in value)
    if hint is float:
        return _decode_float(value, where)
    if hint in (str, int, bool) and type(value) is hint and (hint is not int or abs(value) < 2**63):
        return value
    raise InputError(f"{where} must be {_type_name(hint)}, not {type(value).__name__}")


def _decode_fields(cls: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be an object, not {type(value).__name__}")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in value:
        if key not in fields:
            hint = nearest(key[:80], fields)
            raise InputError(f"{where} has an unknown field '{key[:80]}'" + (f" (is it '{hint}'?)" if hint else ""))
    for name, f in fields.items():
        if name not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise InputError(f"{where} lacks the field '{name}'")
    hints = get_type_hints(cls)
    return cls(**{key: decode(hints[key], item, f"{where}.{key}") for key, item in value.items()})


def _decode_float(value: Any, where: str) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise InputError(f"{where} must be a number or one of inf, -inf, nan")


def _row(cells: list[str], metrics: list[str], line: int) -> ImageRow:
    if len(cells) != len(metrics) + 3:
        raise ValueError(f"line {line} has {len(cells)} cells, not {len(metrics) + 3}")
    name, *values, ms, notes = (unguarded(cell) for cell in cells)
    return ImageRow(
        name=name,
        values={metric: _cell_number(value, line) for metric, value in zip(metrics, values, strict=True) if value},
        ms=_cell_number(ms, line) if ms else None,
        notes=tuple(notes.split(_BETWEEN_NOTES)) if notes else (),
    )


def _cell_number(text: str, line: int) -> float:
    if text in _NOT_FINITE:
        return _NOT_FINITE[text]
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"line {line}: {text[:40]!r} is not a number")
    return float(text)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return number_text(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _type_name(hint: Any) -> str:
    names = {str: "text", int: "a whole number", bool: "true or false"}
    return names.get(hint) or ("a list" if get_origin(hint) is tuple else "an object")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands there twice")
    return found


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
