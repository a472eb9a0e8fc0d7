"""What ``srbench doctor`` says of outside weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbench.doctor_command import check_weights
from srbench.weight_files import find, names


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any weights."""
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_no_weights(home: Path) -> None:
    (finding,) = check_weights()
    assert finding.state == "missing"
    assert finding.detail == f"0 of {len(names())} files of the catalogue are here; see srbench weights list"


def test_some_weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(home / "mine"))
    (home / "mine").mkdir()
    (home / "mine" / find("alexnet").file).write_bytes(b"any")
    (finding,) = check_weights()
    assert finding.state == "ok"
    assert finding.detail.startswith("1 of ")


def test_a_folder_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(home / "absent"))
    first, second = check_weights()
    assert (first.state, first.what) == ("missing", "SRBENCH_WEIGHTS")
    assert "absent is no folder" in first.detail
    assert second.what == "outside weights"
