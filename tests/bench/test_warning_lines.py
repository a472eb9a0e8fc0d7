"""What is warned of is one line, and says whose it is."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from srbench import catalog
from srbench.warning_lines import one_line_warnings

OURS = str(catalog.room_folder("modules") / "some" / "file.py")


def _shown(message: str, file: str) -> str:
    return warnings.formatwarning(message, UserWarning, file, 7, "the_source(line)")


def test_our_own_warnings_are_the_message_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRBENCH_TRACEBACK", raising=False)
    before = warnings.formatwarning
    with one_line_warnings():
        assert _shown("it is random", OURS) == "srbench: warning: it is random\n"
        assert _shown("it is random", catalog.__file__) == "srbench: warning: it is random\n"
    assert warnings.formatwarning is before


def test_those_of_others_keep_their_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SRBENCH_TRACEBACK", raising=False)
    theirs = str(tmp_path / "torch" / "x.py")
    with one_line_warnings():
        assert _shown("deprecated", theirs) == f"{theirs}:7: UserWarning: deprecated\n"


def test_whoever_asks_for_tracebacks_gets_the_source_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_TRACEBACK", "1")
    with one_line_warnings():
        assert "the_source(line)" in _shown("it is random", OURS)
