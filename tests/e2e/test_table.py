"""``srbench table`` on images the tests make: what is measured is measured once, whatever interrupts it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from srbench.evaluation import Evaluation
from srbench.records import ImageRow, find_records

from .conftest import Run

TABLE = """\
table: mine/1
title: Bicubic in two border rules
protocol: y219_crop4
test_sets:
  - {name: six, configs: [six.yaml]}
  - {name: four, configs: [four.yaml]}
  - {name: far, configs: [four.yaml], root: nowhere}
methods:
  - {name: Symmetric, configs: [methods/bicubic/test.yaml]}
  - {name: Replicate, configs: [methods/bicubic/test.yaml], arguments: {model.init_args.border: replicate}}
  - {name: ESRGAN, configs: [methods/spandrel/esrgan.yaml], weights: esrgan}
"""
DATA = """\
data:
  class_path: srbench.datamodules.ImagePairs
  init_args: {{scale: 4, test_gt: {gt}, test_name: {name}}}
"""
PRINTED = """\
paper,table,row,test_set,scale,method,variant,metric,metric_id,metric_id_basis,value,unit,protocol,note
mine,1,1,six,4,Symmetric,,PSNR,psnr_y219,stated,99.9,dB,y219_crop4,a made up number
"""
CPU = ["--", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
COMMAND = ["table", "mine.yaml", "--out", "out", *CPU]


@pytest.fixture
def table(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are scored, in order; the table and its data lie in the working folder."""
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "no weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("mine.yaml").write_text(TABLE)
    Path("six.yaml").write_text(DATA.format(gt=folder / "test", name="six"))
    Path("four.yaml").write_text(DATA.format(gt=folder / "train", name="four"))
    published = Path("results/published")
    published.mkdir(parents=True)
    (published / "mine.csv").write_text(PRINTED)
    scored: list[str] = []
    add = Evaluation.add

    def counts(self: Evaluation, row: ImageRow) -> None:
        scored.append(f"{self.subject.method}/{self.info.name}/{row.name}")
        add(self, row)

    monkeypatch.setattr(Evaluation, "add", counts)
    return scored


def _rows() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("out/table.csv").open(encoding="utf-8", newline="")))


def test_a_table_is_measured_beside_print_and_only_once(run: Run, table: list[str]) -> None:
    shown = run(*COMMAND).out
    assert "mine/1: 9 cells, 0 recorded, 4 to run, 5 cannot run" in shown
    assert "[4/4] Replicate on four x4" in shown
    assert len(table) == len(set(table)) == 20
    rows = {(row["method"], row["test_set"], row["metric"]): row for row in _rows()}
    best = rows["Symmetric", "six", "psnr_y219"]
    [record] = [r for _, r in find_records([Path("out")]) if (r.method, r.test_set) == ("Symmetric", "six")]
    assert float(best["measured"]) == record.metrics["psnr_y219"].mean
    assert (best["reported"], best["beyond"], best["status"]) == ("99.9", "yes", "recorded")
    assert float(best["difference"]) == pytest.approx(float(best["measured"]) - 99.9)
    assert rows["ESRGAN", "six", "psnr_y219"]["status"] == "cannot run"
    assert "srbench weights fetch esrgan" in rows["ESRGAN", "six", "psnr_y219"]["remark"]
    assert "no such folder of test images" in rows["Symmetric", "far", "psnr_y219"]["remark"]
    assert "99.9 | -" in Path("out/table.md").read_text()
    first = Path("out/table.csv").read_bytes(), Path("out/table.md").read_bytes()
    again = run(*COMMAND).out
    assert "9 cells, 4 recorded, 0 to run, 5 cannot run" in again
    assert len(table) == 20, "nothing is computed twice"
    assert (Path("out/table.csv").read_bytes(), Path("out/table.md").read_bytes()) == first


def test_what_is_recorded_elsewhere_is_not_run(run: Run, table: list[str]) -> None:
    run("test", "--config", "methods/bicubic/test.yaml", "--config", "six.yaml", "--benchmark.method", "Symmetric",
        "--benchmark.out", "earlier", *CPU[1:])  # fmt: skip
    assert len(table) == 6
    shown = run("table", "mine.yaml", "--records", "earlier", "--out", "out", *CPU).out
    assert "1 recorded, 3 to run" in shown
    assert len(table) == len(set(table)) == 20


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(run: Run, table: list[str]) -> None:
    shown = run("table", "mine.yaml", "--out", "out", "--dry-run", *CPU).out
    assert "to run      Symmetric on six x4: srbench test --config methods/bicubic/test.yaml --config six.yaml" in shown
    assert "--trainer.accelerator cpu" in shown
    assert "cannot run  ESRGAN on six x4, four x4: unavailable: " in shown, "one reason is told once"
    assert "cannot run  ESRGAN on far x4: " in shown
    assert not table
    assert not Path("out").exists()


def test_interrupted_it_goes_on_where_it_stopped(run: Run, table: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    add = Evaluation.add

    def stops(self: Evaluation, row: ImageRow) -> None:
        if len(table) == 9:  # in the middle of the second cell
            raise KeyboardInterrupt
        add(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "add", stops)
        run(*COMMAND, status=130)
    assert len(table) == 9
    assert not Path("out/table.csv").exists()
    shown = run(*COMMAND).out
    assert "1 recorded, 3 to run" in shown
    assert len(table) == len(set(table)) == 20, "no image is scored twice"
    assert {row["status"] for row in _rows() if row["method"] != "ESRGAN" and row["test_set"] != "far"} == {"recorded"}


def test_a_set_that_is_not_here_is_named_and_the_rest_is_measured(run: Run, table: list[str]) -> None:
    Path("four.yaml").write_text(DATA.format(gt="gone", name="four"))
    ran = run(*COMMAND)
    assert "  cannot run: " in ran.out
    assert "srbench: error" not in ran.err, "it is told once"
    rows = {(row["method"], row["test_set"]): row for row in _rows() if row["metric"] == "psnr_y219"}
    for method in ("Symmetric", "Replicate"):
        assert rows[method, "four"]["status"] == "cannot run"
        assert "gone" in rows[method, "four"]["remark"], "every cell says its own reason"
    assert rows["Replicate", "six"]["status"] == "recorded"


def test_a_test_set_under_another_name_is_told(run: Run, table: list[str]) -> None:
    Path("mine.yaml").write_text(TABLE.replace("name: four", "name: quattro"))
    assert "it left no record of quattro x4: the table names the set otherwise" in run(*COMMAND, status=1).out


def test_mistakes_get_one_line(run: Run, table: list[str]) -> None:
    assert "unknown table 'hraware/9'; did you mean 'hraware/" in run("table", "hraware/9", status=2).err
    assert "no such folder of records" in run("table", "mine.yaml", "--records", "none", status=2).err
    Path("out").write_text("a file")
    assert "cannot be written" in run(*COMMAND, status=2).err + run(*COMMAND, status=None).out


def test_a_check_runs_nothing_and_fails_where_print_is_missed(run: Run, table: list[str]) -> None:
    assert "0 numbers are measured and printed, 0 disagree" in run(*COMMAND[:4], "--check").out
    run(*COMMAND)
    scored = len(table)
    shown = run(*COMMAND[:4], "--check", status=1).out
    assert "Symmetric, psnr_y219, six: measured" in shown
    assert "1 numbers are measured and printed, 1 disagree" in shown
    assert len(table) == scored
    for ending in ("csv", "md", "tex", "html"):
        assert "Symmetric" in Path(f"out/table.{ending}").read_text(encoding="utf-8")


def test_without_slurm_it_says_so_and_what_was_recorded_stays(
    run: Run, table: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    run(*COMMAND)
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    monkeypatch.setenv("PATH", str(tmp_path / "no programs"))
    Path("mine.yaml").write_text(TABLE + "  - {name: More, configs: [methods/bicubic/test.yaml]}\n")
    shown = run(*COMMAND[:4], "--launcher", "slurm", *CPU, status=2)
    assert "srbench: error: --launcher slurm: there is no SLURM here" in shown.err
    assert len(shown.err.splitlines()) == 1
    after = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before


def test_a_cell_that_breaks_leaves_the_others_and_what_is_recorded(
    run: Run, table: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"now": True}
    add = Evaluation.add

    def breaks(self: Evaluation, row: ImageRow) -> None:
        if broken["now"] and (self.subject.method, self.info.name) == ("Symmetric", "four"):
            raise RuntimeError("the disk is gone")
        add(self, row)

    monkeypatch.setattr(Evaluation, "add", breaks)
    shown = run(*COMMAND, status=1)
    assert "  failed: " in shown.out
    rows = {(row["method"], row["test_set"]): row for row in _rows() if row["metric"] == "psnr_y219"}
    assert rows["Symmetric", "four"]["status"] == "failed"
    assert "the disk is gone" in rows["Symmetric", "four"]["remark"]
    assert [rows[cell]["status"] for cell in rows if cell[1] in ("six", "four")].count("recorded") == 3
    kept = {path: path.read_bytes() for path in Path("out/records").rglob("record.json")}
    broken["now"] = False
    assert "9 cells, 3 recorded, 1 to run" in run(*COMMAND).out
    assert {path: path.read_bytes() for path in kept} == kept
    assert {row["status"] for row in _rows() if row["method"] != "ESRGAN" and row["test_set"] != "far"} == {"recorded"}


@pytest.mark.slow
def test_cells_run_as_jobs_of_their_own(run: Run, table: list[str]) -> None:
    pytest.importorskip("submitit")
    shown = run(*COMMAND[:4], "--launcher", "processes", *CPU).out
    assert "4 jobs are submitted" in shown
    assert "[4/4]" in shown
    assert [row["status"] for row in _rows() if row["test_set"] in ("six", "four")].count("recorded") == 8
    assert len(list(find_records([Path("out")]))) == 4
