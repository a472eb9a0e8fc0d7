"""The journal of a run that is going: rows on disk as they are made, so that a killed run goes on where it stopped."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from srbench.atomic import make_folder, write_failed
from srbench.errors import InputError
from srbench.naming import safe_name
from srbench.records.codec import row_from_json, row_to_json
from srbench.records.schema import ImageRow


class Journal:
    """Appends rows to one JSONL file of this process beside the record; every row is on disk when ``append`` returns.

    Args:
        folder: the record's folder.
        fingerprint: of the run; rows of another one are never read back.
        rank: number of this process.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: str, rank: int = 0) -> None:
        self._fingerprint = fingerprint
        # The process id keeps two runs that were started by mistake out of each other's lines.
        self.path = Path(folder) / f"{_stem(fingerprint)}-{rank}-{os.getpid()}.jsonl"
        make_folder(Path(folder))
        try:
            self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise write_failed(self.path, error) from error
        self._clean = os.fstat(self._handle).st_size == 0

    def append(self, row: ImageRow) -> None:
        """Write one row and wait until it is on disk.

        Raises:
            InputError: the disk is full or the file is gone; the rows before stay readable.
        """
        line = json.dumps({"fingerprint": self._fingerprint, "row": row_to_json(row)}, allow_nan=False) + "\n"
        data = (line if self._clean else "\n" + line).encode()  # an earlier line may have been cut short
        self._clean = False
        try:
            if os.write(self._handle, data) != len(data):
                raise OSError(28, "No space left on device")
            os.fsync(self._handle)
        except OSError as error:
            raise write_failed(self.path, error) from error
        self._clean = True

    def close(self) -> None:
        """Close the file; more than once is fine."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_journals(folder: Path, fingerprint: str) -> dict[str, ImageRow]:
    """The rows that killed runs of the same fingerprint left in ``folder``, by image name.

    A line that was cut short or is otherwise unreadable counts as never written: its image is scored again.

    Raises:
        InputError: a journal exists but cannot be opened.
    """
    found: dict[str, ImageRow] = {}
    for path in _journals(folder, fingerprint):
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})", where=path, remedy="delete it; its images are scored again"
            ) from error
        for line in lines:
            if (row := _parse(line, fingerprint)) is not None:
                found[row.name] = row
    return dict(sorted(found.items()))


def remove_journals(folder: Path, fingerprint: str) -> None:
    """Delete the journals of ``fingerprint``, once their rows are in the record."""
    for path in _journals(folder, fingerprint):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _stem(fingerprint: str) -> str:
    return f".journal-{fingerprint[:16]}"


def _journals(folder: Path, fingerprint: str) -> list[Path]:
    return sorted(Path(folder).glob(f"{_stem(fingerprint)}-*.jsonl"))


def _parse(line: bytes, fingerprint: str) -> ImageRow | None:
    try:
        data = json.loads(line)
        if data["fingerprint"] != fingerprint:
            return None
        row = row_from_json(data["row"])
        safe_name(row.name, kind="image name")
    except (InputError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return row
