"""``srbench leaderboard`` as it is typed: outputs, drift, refusals."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.leaderboard import Entry
from srbench.leaderboard_command import run
from srbench.records import record_folder, write_record

MakeEntry = Callable[..., Entry]


def add(root: Path, entry: Entry) -> Path:
    record = entry.record
    folder = record_folder(
        root,
        protocol=record.protocol,
        test_set=record.test_set,
        scale=record.scale,
        method=record.method,
        fingerprint=record.fingerprint,
    )
    return write_record(folder, record, entry.rows)


@pytest.fixture
def checkout(tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two committed records, as the working directory."""
    for method, value in (("Bicubic", 28.43), ("DVMSR", 32.181)):
        add(tmp_path / "results" / "records", make_entry({"psnr_y219": [value, value]}, method=method))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_options_it_rebuilds_the_committed_tables(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert "32.18" in shown
    assert shown.index("DVMSR") < shown.index("Bicubic")
    table = (checkout / "results" / "leaderboard.csv").read_text()
    assert table.splitlines()[1].startswith("1,,DVMSR,Set5,4,y219_crop4,2,32.1810,")
    assert "| 1 | – | DVMSR | 32.18" in (checkout / "results" / "leaderboard.md").read_text()
    assert run(["--check"]) == 0


def test_csv_on_standard_output_is_nothing_but_csv(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--records", "results/records", "--csv", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("rank,tie_group,method")
    assert len(lines) == 3
    assert not (checkout / "results" / "leaderboard.csv").exists()


def test_check_names_the_rows_that_drifted(
    checkout: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    run([])
    path = checkout / "results" / "leaderboard.csv"
    path.write_text(path.read_text().replace("32.1810", "33.1810", 1))
    shutil.rmtree(next((checkout / "results" / "records" / "y219_crop4" / "Set5_x4").glob("Bicubic-*")))
    add(checkout / "results" / "records", make_entry({"psnr_y219": [20.0, 20.0]}, method="EDSR"))
    before = path.read_bytes()
    capsys.readouterr()
    assert run(["--check"]) == 1
    shown = capsys.readouterr().out
    assert "results/leaderboard.csv: has drifted" in shown
    assert "differs: DVMSR, Set5, 4, y219_crop4" in shown
    assert "in the file, not in the records: Bicubic, Set5, 4, y219_crop4" in shown
    assert "in the records, not in the file: EDSR, Set5, 4, y219_crop4" in shown
    assert path.read_bytes() == before, "a check writes nothing"


def test_check_sees_line_ends_and_order(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run([])
    path = checkout / "results" / "leaderboard.csv"
    right = path.read_bytes()
    path.write_bytes(right.replace(b"\n", b"\r\n"))
    assert run(["--check", "--csv", str(path)]) == 1
    assert "line ends differ" in capsys.readouterr().out
    header, first, second = right.splitlines(keepends=True)
    path.write_bytes(header + second + first)
    assert run(["--check", "--csv", str(path)]) == 1
    assert "another order" in capsys.readouterr().out


def test_every_output_at_once(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = {name: f"out/board.{name}" for name in ("csv", "md", "html", "svg")}
    arguments = [part for name, path in outputs.items() for part in (f"--{name}", path)]
    assert run(["--records", "results/records", *arguments]) == 0
    shown = capsys.readouterr().out
    for path in outputs.values():
        assert f"wrote {path}" in shown
        assert (checkout / path).stat().st_size > 100


def test_several_folders_make_one_table(
    checkout: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    add(checkout / "runs", make_entry({"psnr_y219": [40.0, 40.0]}, method="Mine"))
    assert run(["--records", "results/records", "runs", "--records", "runs", "--csv", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[2] for line in lines[1:]] == ["Mine", "DVMSR", "Bicubic"]


def test_another_ranking_leaves_the_committed_tables_alone(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--rank-by", "psnr_y219"]) == 0
    assert "DVMSR" in capsys.readouterr().out
    assert not (checkout / "results" / "leaderboard.csv").exists()
    with pytest.raises(InputError, match="unknown metric 'psnr'"):
        run(["--rank-by", "psnr"])


def test_refusals(checkout: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no records"):
        run(["--records", "empty"])
    with pytest.raises(InputError, match="none: no such folder of records"):
        run(["--records", "none"])
    with pytest.raises(InputError, match="not standard output"):
        run(["--check", "--csv", "-"])
    with pytest.raises(InputError, match=r"nothing\.csv: cannot be read"):
        run(["--check", "--csv", "nothing.csv"])
    with pytest.raises(InputError, match="unknown argument"):
        run(["--rank", "psnr_y219"])
    path = add(checkout / "results" / "records", make_entry({"a": [1.0]}, method="trial", marks=("random_backbones",)))
    with pytest.raises(InputError, match="such records stay out of results/") as caught:
        run([])
    assert path.name in str(caught.value)
    assert run(["--records", "results/records"]) == 0, "elsewhere they are shown, unranked"
    monkeypatch.chdir(checkout / "empty")
    with pytest.raises(InputError, match="run this in a checkout, or give --records"):
        run([])


def test_a_full_disk_keeps_the_earlier_table(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run([])
    path = checkout / "results" / "leaderboard.csv"
    path.write_text("earlier")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"leaderboard\.csv: cannot be written \(No space left on device\); make room"):
        run([])
    assert path.read_text() == "earlier"
    assert sorted(p.name for p in path.parent.iterdir()) == ["leaderboard.csv", "leaderboard.md", "records"]
