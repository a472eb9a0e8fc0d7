"""The nineteen tables end to end, on miniatures and tiny random weights: every cell is filled, or says why not."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from srbench.tables import load_table, table_names

from .miniature_tables import build, check, lay_out

QUICK = ["dacesr/3", "deedsr/6", "hraware/4"]
"""Of few cells, and without made sets; the first has rows of outside programs."""


SLOW = sorted(set(table_names()) - set(QUICK))


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights of this machine's, and a fresh working folder."""
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "no weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tables' test sets are laid out, once each."""
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_it_is_built(name: str, data: Path, miniatures: ModuleType, tmp_path: Path) -> None:
    lay_out(data, load_table(name), miniatures)
    status, rows = build(name, data, tmp_path)
    assert status == 0
    check(name, tmp_path, rows)
