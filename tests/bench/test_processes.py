"""Several processes, one voice."""

import os
from pathlib import Path

import pytest

from srbench.processes import FOLDER, is_peer_lost, one_voice, said, say


def test_the_first_one_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    with one_voice():
        assert not said(patience=0.0)
        say("a.png is damaged")
        with one_voice():  # as in a process that this one started
            say("b.png is damaged")
        assert said(patience=0.0)
    assert capsys.readouterr().err == "a.png is damaged\n"


def test_nothing_stays_behind() -> None:
    with one_voice():
        folder = Path(os.environ[FOLDER])
        assert folder.is_dir()
    assert not folder.exists()
    assert FOLDER not in os.environ


def test_who_comes_after_the_first_has_gone_is_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "gone"))
    say("too late")
    assert said(patience=0.0)
    assert capsys.readouterr().err == ""


def test_alone_everything_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    say("one")
    say("one")
    assert capsys.readouterr().err == "one\none\n"
    assert not said(patience=0.0)


def test_a_lost_connection_counts_in_a_run_of_several_processes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("[pair.cc:561] Connection closed by peer [127.0.0.1]:1")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert not is_peer_lost(error)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert is_peer_lost(error)
    assert not is_peer_lost(RuntimeError("shape mismatch"))
