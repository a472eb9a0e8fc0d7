"""The committed tables and the README's picture are what the committed records say."""

from pathlib import Path

import pytest

from srbench.cli import main
from srbench.leaderboard import build_leaderboard, load_entries
from srbench.records import find_records
from srbench.report.plot import leaderboard_svg

RESULTS = Path(__file__).resolve().parents[1] / "results"


def test_the_tables_agree_with_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RESULTS.parent)
    assert main(["leaderboard", "--check"]) == 0


def test_the_picture_agrees_with_the_records() -> None:
    board = build_leaderboard(load_entries([RESULTS / "records"]))
    assert (RESULTS / "leaderboard.svg").read_text(encoding="utf-8") == leaderboard_svg(board)


def test_published_numbers_are_reproduced() -> None:
    measured = {
        (record.method, record.test_set): record.metrics["psnr_y219"].mean
        for _, record in find_records([RESULTS / "records"])
        if record.protocol == "y219_crop4"
    }
    published = {  # DVMSR: NTIRE 2024 report; bicubic: Timofte et al. and many since
        ("DVMSR", "Set5"): 32.19,
        ("DVMSR", "Set14"): 28.61,
        ("Bicubic", "Set5"): 28.42,
        ("Bicubic", "BSD100"): 25.96,
    }
    for row, value in published.items():
        assert measured[row] == pytest.approx(value, abs=0.01), row
    assert not [record for _, record in find_records([RESULTS / "records"]) if record.marks]
