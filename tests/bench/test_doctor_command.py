"""What ``srbench doctor`` says of outside weights."""

from __future__ import annotations

from importlib.metadata import metadata
from pathlib import Path

import pytest

from srbench.doctor_command import check_extras, check_weights
from srbench.weight_files import find, names


def test_no_weights(bare_machine: Path) -> None:
    (finding,) = check_weights()
    assert finding.state == "missing"
    assert finding.detail == f"0 of {len(names())} files of the catalogue are here; see srbench weights list"


def test_some_weights(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(bare_machine / "mine"))
    (bare_machine / "mine").mkdir()
    (bare_machine / "mine" / find("alexnet").file).write_bytes(b"any")
    (finding,) = check_weights()
    assert finding.state == "ok"
    assert finding.detail.startswith("1 of ")


def test_a_folder_that_is_not_there(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(bare_machine / "absent"))
    first, second = check_weights()
    assert (first.state, first.what) == ("missing", "SRBENCH_WEIGHTS")
    assert "absent is no folder" in first.detail
    assert second.what == "outside weights"


def test_every_extra_is_reported() -> None:
    offered = set(metadata("srbench").get_all("Provides-Extra") or ()) - {"all", "dev"}
    assert {finding.what.removeprefix("extra ") for finding in check_extras()} == offered
