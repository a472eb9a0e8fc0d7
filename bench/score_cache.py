"""Scores that were computed once, kept for every later run: the same pixels, metric and weights, the same value.

One SQLite file in the user's cache folder. A process that is killed loses nothing it has stored; several processes of
one machine may share it (its journal needs a local disk; on a cluster each node wants its own). A cache that cannot be
used (read-only disk, damaged file) is left alone after one line of warning: it saves time and decides nothing.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from srbench.images import Pixels

PLACE = "SRBENCH_CACHE"
"""Environment variable: the cache folder, or ``off`` for none."""

_PATIENCE_S = 30.0
"""How long another process may hold the file before this one gives up."""

_Result = TypeVar("_Result")

_LAYOUT = "CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


def cache_folder() -> Path | None:
    """Where caches lie: ``$SRBENCH_CACHE``, else ``srbench`` in the user's cache folder; None when switched off."""
    given = os.environ.get(PLACE)
    if given == "off":
        return None
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "srbench"


def open_cache() -> ScoreCache | None:
    """The cache of this user; None when it is switched off."""
    folder = cache_folder()
    return None if folder is None else ScoreCache(folder / "scores.sqlite")


def pixel_sha256(pixels: Pixels) -> str:
    """sha256 over the size and values of (H,W,3) uint8, hexadecimal: the same image in any file format."""
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    digest.update(pixels.data if pixels.flags.c_contiguous else pixels.tobytes())
    return digest.hexdigest()


def cache_key(*parts: object) -> str:
    """One key of all the parts that decide a value; None is a part too."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()


class ScoreCache:
    """A table of texts by key, on disk.

    Args:
        path: the file; its folder is made. It is opened on first use, so that processes never share a handle.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._table: sqlite3.Connection | None = None
        self._broken = False

    def get(self, key: str) -> str | None:
        """What was stored under ``key``; None when nothing was, or the cache cannot be read."""
        if (table := self._opened()) is None:
            return None
        try:
            found = _patiently(lambda: table.execute("SELECT value FROM scores WHERE key = ?", (key,)).fetchone())
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return None if found is None else str(found[0])

    def put(self, values: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """Stores all of ``values``; they survive the death of this process from here on."""
        rows = list(values.items() if isinstance(values, Mapping) else values)
        if not rows or (table := self._opened()) is None:
            return
        try:
            _patiently(lambda: _store(table, rows))
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Closes the file; the next use opens it again."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_table": None, "_broken": self._broken}

    def _opened(self) -> sqlite3.Connection | None:
        if self._table is None and not self._broken:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._table = _connect(self.path)
            except (OSError, sqlite3.Error) as error:
                self._give_up(error)
        return self._table

    def _give_up(self, error: Exception) -> None:
        self.close()
        if not self._broken:
            print(f"srbench: scores are not cached: {self.path}: {error}", file=sys.stderr)
        self._broken = True


def _connect(path: Path) -> sqlite3.Connection:
    table = sqlite3.connect(path, timeout=_PATIENCE_S)
    try:
        # A commit in this mode is one appended write; what it may lose is the last second before a power cut.
        _patiently(lambda: table.execute("PRAGMA journal_mode = WAL"))
        table.execute("PRAGMA synchronous = NORMAL")
        _patiently(lambda: table.execute(_LAYOUT))
    except sqlite3.Error:
        table.close()
        raise
    return table


def _store(table: sqlite3.Connection, rows: list[tuple[str, str]]) -> None:
    with table:
        table.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)


def _patiently(action: Callable[[], _Result]) -> _Result:
    """What ``action`` gives, tried again while another process holds the file.

    The timeout of SQLite does not cover all: who switches the journal, or recovers it, refuses others at once.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            held = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not held or time.monotonic() > until:
                raise
        time.sleep(0.01)
