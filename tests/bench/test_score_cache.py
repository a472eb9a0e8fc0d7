"""The cache of scores: what it keeps, what it survives, and that it never decides anything."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from srbench.score_cache import ScoreCache, cache_folder, cache_key, open_cache, pixel_sha256


def test_what_is_stored_is_found_by_another_handle(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "scores.sqlite"
    one = ScoreCache(path)
    assert one.get("a") is None
    one.put({"a": "0.1", "b": "inf"})
    one.put([("a", "0.2")])
    assert [ScoreCache(path).get(key) for key in "abc"] == ["0.2", "inf", None]


def test_a_killed_process_loses_nothing_it_stored(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from srbench.score_cache import ScoreCache;"
        "cache = ScoreCache(Path(sys.argv[1])); [cache.put({str(i): str(i)}) for i in range(50)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "scores.sqlite"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -signal.SIGKILL
    assert [ScoreCache(path).get(str(i)) for i in range(50)] == [str(i) for i in range(50)]


def test_two_processes_share_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from srbench.score_cache import ScoreCache;"
        "cache = ScoreCache(Path(sys.argv[1])); [cache.put({f'{sys.argv[2]}{i}': 'x'}) for i in range(200)]"
    )
    path = tmp_path / "scores.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    assert all(ScoreCache(path).get(f"{name}{i}") == "x" for name in "ab" for i in range(200))


def test_a_file_that_another_process_holds_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Held:
        """A connection that refuses twice, as SQLite does while another process switches the journal."""

        def __init__(self, table: sqlite3.Connection) -> None:
            self.table = table
            self.refusals = 2

        def execute(self, *args: str) -> sqlite3.Cursor:
            if self.refusals:
                self.refusals -= 1
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY | 1 << 8
                raise error
            return self.table.execute(*args)

    cache = ScoreCache(tmp_path / "scores.sqlite")
    cache.put({"a": "1"})
    assert cache._table is not None
    held = Held(cache._table)
    cache._table = held  # type: ignore[assignment]
    assert cache.get("a") == "1"
    assert held.refusals == 0
    assert capsys.readouterr().err == ""


def test_a_damaged_file_is_left_alone_after_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.sqlite"
    path.write_bytes(b"no data base at all" * 100)
    cache = ScoreCache(path)
    assert cache.get("a") is None
    cache.put({"a": "1"})
    assert cache.get("a") is None
    assert capsys.readouterr().err.count("scores are not cached") == 1
    assert path.read_bytes().startswith(b"no data base")


def test_a_place_that_cannot_be_made_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    cache = ScoreCache(tmp_path / "file" / "scores.sqlite")
    cache.put({"a": "1"})
    assert cache.get("a") is None
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_handle_does_not_travel_to_another_process(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "scores.sqlite")
    cache.put({"a": "1"})
    assert pickle.loads(pickle.dumps(cache)).get("a") == "1"
    cache.close()
    assert cache.get("a") == "1"


def test_pixels_and_size_make_the_hash() -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert pixel_sha256(image) == pixel_sha256(np.asfortranarray(image)) == pixel_sha256(image[::-1][::-1])
    others = [image.reshape(6, 4, 3), image[::-1], image + np.uint8(1)]
    assert len({pixel_sha256(image), *(pixel_sha256(np.ascontiguousarray(o)) for o in others)}) == 4


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert len({cache_key("a", "bc"), cache_key("ab", "c"), cache_key("abc"), cache_key("a", "bc", None)}) == 4


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SRBENCH_CACHE", "off")
    assert (cache_folder(), open_cache()) == (None, None)
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SRBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "srbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "srbench"
