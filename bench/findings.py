"""What an analysis found, as tables and pictures that are not written yet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from srbench.atomic import write_whole
from srbench.errors import InputError
from srbench.images import Pixels, write_png
from srbench.naming import safe_name

Rows: TypeAlias = Sequence[Mapping[str, Any]]
"""A table: one mapping per row, all with the same keys in the same order."""


class Findings(NamedTuple):
    """What an analysis hands to whoever writes it down.

    Attributes:
        files: by name: rows for ``.csv``, (H,W,3) uint8 for ``.png``, text for anything else.
        lines: the figures in words, for the terminal.
    """

    files: Mapping[str, Rows | Pixels | str]
    lines: Sequence[str]


def write_findings(found: Findings, folder: Path) -> list[Path]:
    """Writes every file whole, pictures after tables.

    Returns:
        The files, in the order they were written.

    Raises:
        InputError: the folder cannot be written.
    """
    written = []
    for name, held in sorted(found.files.items(), key=lambda item: (not item[0].endswith(".csv"), item[0])):
        path = folder / safe_name(name)
        if isinstance(held, np.ndarray):
            write_png(path, held)
        else:
            write_whole(path, (held if isinstance(held, str) else as_csv(held)).encode())
        written.append(path)
    return written


def as_csv(rows: Rows) -> str:
    """A table as CSV with a header; numbers with all their digits.

    >>> as_csv([{"x": 1, "value": 0.5}]).splitlines()
    ['x,value', '1,0.5']
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    if rows:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a file with a header, separated by commas or tabs.

    Raises:
        InputError: it cannot be read, is empty, or lacks one of ``columns``.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
        tab = "\t" if "\t" in text.partition("\n")[0] else ","
        rows = [dict(row) for row in csv.DictReader(io.StringIO(text), delimiter=tab)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"it cannot be read as CSV ({error})", where=path, remedy="check the file") from error
    if not rows:
        raise InputError("it has no rows", where=path, remedy="give a CSV file with a header")
    absent = [column for column in columns if rows[0].get(column) is None]
    if absent:
        held = ", ".join(map(str, rows[0]))
        raise InputError(f"no column '{absent[0]}'", where=path, remedy=f"it has {held}")
    return rows
