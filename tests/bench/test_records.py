"""Records: nothing is lost on the way through a file, and nothing is believed of what is read."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.errors import InputError
from srbench.records import (
    Cost,
    ImageRow,
    Journal,
    MetricResult,
    RunRecord,
    find_records,
    portable,
    read_journals,
    read_record,
    read_rows,
    record_folder,
    remove_journals,
    run_fingerprint,
    validate,
    write_record,
)
from srbench.records.codec import guarded, unguarded

MakeRecord = Callable[..., RunRecord]
ROWS = [
    ImageRow("baby", {"psnr_y219": 0.1 + 0.2}, 1 / 3, ("grey image made RGB", "b")),
    ImageRow("bird", {"psnr_y219": 60.2}),
]


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_record_and_rows_come_back_to_the_last_digit(tmp_path: Path, make_record: MakeRecord) -> None:
    metrics = {
        "psnr_y219": MetricResult(1 / 3, 2, math.nextafter(0.1, 1), math.inf, True, "srbench", ("w.pth",)),
        "fid": MetricResult(None, 0, None, None, False, "clean-fid", (), "needs 50 images"),
    }
    record = make_record(metrics=metrics, marks=("oracle",), notes=("a note",), stage="2_gan", weights_sha256="b" * 64)
    path = write_record(tmp_path / "run", record, list(reversed(ROWS)))
    assert read_record(path) == record
    assert read_record(path.parent) == record
    assert read_rows(path) == ROWS
    assert list(read_record(path).metrics) == ["psnr_y219", "fid"], "the protocol's order ranks"


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_values_that_are_not_finite_are_written_by_name(tmp_path: Path, make_record: MakeRecord, value: float) -> None:
    record = make_record(n=1, metrics={"psnr_y219": MetricResult(value, 1, None, None, True, "srbench")})
    path = write_record(tmp_path, record, [ImageRow("a", {"psnr_y219": value})])
    assert f'"mean": "{value}"' in path.read_text()
    assert read_record(path).metrics["psnr_y219"].mean == value
    assert read_rows(path)[0].values["psnr_y219"] == value


def test_nan_comes_back(tmp_path: Path, make_record: MakeRecord) -> None:
    record = make_record(n=1, metrics={"psnr_y219": MetricResult(math.nan, 1, None, None, True, "srbench")})
    path = write_record(tmp_path, record, [ImageRow("a", {"psnr_y219": math.nan})])
    mean = read_record(path).metrics["psnr_y219"].mean
    assert mean is not None
    assert math.isnan(mean)


def test_fingerprint_depends_on_every_input_and_on_nothing_else() -> None:
    inputs: dict[str, Any] = {
        "method": "EDSR",
        "class_path": "srbench.modules.EDSR",
        "config_sha256": "a" * 64,
        "weights_sha256": None,
        "testset_fingerprint": "b" * 64,
        "scale": 4,
        "protocol_sha256": "c" * 64,
    }
    base = run_fingerprint(**inputs)
    assert run_fingerprint(**dict(reversed(inputs.items()))) == base
    others = {run_fingerprint(**{**inputs, key: 2 if key == "scale" else "d" * 64}) for key in inputs}
    assert len(others | {base}) == len(inputs) + 1


def test_folder_is_made_of_safe_parts(tmp_path: Path) -> None:
    given = {"protocol": "y219_crop4", "test_set": "Set5", "scale": 4, "fingerprint": "0123456789"}
    folder = record_folder(tmp_path, method="../Real ESRGAN/x4+", **given)  # type: ignore[arg-type]
    assert folder.relative_to(tmp_path).as_posix() == "y219_crop4/Set5_x4/Real-ESRGAN-x4-01234567"
    for key in ("protocol", "test_set"):
        with pytest.raises(InputError, match="cannot be used"):
            record_folder(tmp_path, method="EDSR", **{**given, key: "../up"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(schema=2), "schema '2' is unknown"),
        (lambda d: d.pop("schema"), "schema 'None' is unknown"),
        (lambda d: d.update(extra=1), "unknown field 'extra'"),
        (lambda d: d["cost"].update(parms=1), r"unknown field 'parms' \(is it 'params'\?\)"),
        (lambda d: d.pop("licence"), "lacks the field 'licence'"),
        (lambda d: d.update(n="2"), "record.n must be a whole number, not str"),
        (lambda d: d.update(n=True), "record.n must be a whole number, not bool"),
        (lambda d: d.update(n=10**30), "record.n must be a whole number"),
        (lambda d: d.update(metrics=[]), "record.metrics must be an object"),
        (lambda d: d.update(metrics={}), "0 metrics"),
        (lambda d: d["metrics"]["psnr_y219"].update(mean="much"), "mean must be a number"),
        (lambda d: d["metrics"]["psnr_y219"].update(mean=None), "either a value or the reason"),
        (lambda d: d["metrics"]["psnr_y219"].update(ci_low=40.0), "interval"),
        (lambda d: d["metrics"].update({"=cmd": d["metrics"]["psnr_y219"]}), "not a metric's name"),
        (lambda d: d.update(method="SwinIR"), "fingerprint is not the one"),
        (lambda d: d.update(config_sha256="xyz"), "config_sha256 is not a sha256"),
        (lambda d: d.update(test_set="../../etc"), "cannot be used as a test set name"),
        (lambda d: d.update(protocol="a/b"), "cannot be used as a protocol name"),
        (lambda d: d.update(marks=["best"]), "unknown mark 'best'"),
        (lambda d: d.update(date="yesterday"), "not ISO 8601 in UTC"),
        (lambda d: d.update(date="2026-01-01T00:00:00+02:00"), "not ISO 8601 in UTC"),
        (lambda d: d.update(source="/home/ann/Set5"), r"absolute path \(/home/ann/Set5\)"),
        (lambda d: d.update(notes=["see C:\\Users\\ann\\x.png"]), "absolute path"),
        (lambda d: d["environment"].update(hostname="gpu7"), "environment.hostname may name a person"),
        (lambda d: d["environment"].update(PATH="bin"), "environment.PATH may name a person"),
        (lambda d: d["cost"].update(params=-1), "cost.params is -1"),
        (lambda d: d["cost"].update(macs="inf"), "cost.macs is inf"),
        (lambda d: d.update(method="a\nb"), "control characters"),
        (lambda d: d.update(licence="x" * 3000), "longer than"),
    ],
)
def test_a_record_that_breaks_a_promise_is_refused_by_name(
    tmp_path: Path, make_record: MakeRecord, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    path = write_record(tmp_path, make_record(), ROWS)
    edit(path, change)
    with pytest.raises(InputError, match=says) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[1]",
        b"{",
        b"\xff\xfe",
        b'{"schema": NaN}',
        b'{"schema": 1, "schema": 1}',
        b"[" * 100_000,
        b" " * (3 * 2**20),
    ],
)
def test_what_is_no_record_is_refused_by_name(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "record.json").write_bytes(text)
    with pytest.raises(InputError, match=r"record\.json"):
        read_record(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "record.json")
    with pytest.raises(InputError, match="not a regular file"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "table",
    [
        "",
        "name,psnr,notes\na,1,\n",
        "name,psnr,ms,notes\na,1,2\n",
        "name,psnr,ms,notes\na,one,2,\n",
        "name,psnr,ms,notes\na,1_0,2,\n",
        "name,psnr,psnr,ms,notes\na,1,1,2,\n",
        "name,psnr,ms,notes\n../a,1,2,\n",
        "name,psnr,ms,notes\na,1,2,\na,1,2,\n",
        "name,psnr,ms,notes\na,1,2,see /home/ann/a.png\n",
    ],
)
def test_a_broken_table_is_refused_by_name(tmp_path: Path, table: str) -> None:
    (tmp_path / "per_image.csv").write_text(table)
    with pytest.raises(InputError, match=r"per_image\.csv"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "'x", "''", "-inf", "-1.5", "+1e-5", "", "x=1"]
)
def test_guarded_cells_come_back_and_never_start_a_formula(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell
    kept = guarded(cell)
    assert kept[:1] not in ("=", "@", "\t", "\r")
    if kept[:1] in ("+", "-"):
        float(kept)


def test_names_that_look_like_formulas_survive_the_table(tmp_path: Path, make_record: MakeRecord) -> None:
    rows = [ImageRow("=HYPERLINK(1)", {"psnr_y219": 1.0}), ImageRow("'quoted", {"psnr_y219": -1.0})]
    path = write_record(tmp_path, make_record(), rows)
    assert {row.name for row in read_rows(path)} == {"=HYPERLINK(1)", "'quoted"}
    lines = path.with_name("per_image.csv").read_text().splitlines()
    assert all(not line.startswith(("=", "@")) for line in lines)


def test_paths_in_reasons_and_notes_are_cut_on_writing(tmp_path: Path, make_record: MakeRecord) -> None:
    missing = MetricResult(None, 0, None, None, False, "lpips", (), "no weights at /home/ann/w/alex.pth")
    record = make_record(metrics={**make_record().metrics, "lpips_alex": missing}, notes=("read /data/x/a.png\nagain",))
    path = write_record(tmp_path, record, [ImageRow("a", {"psnr_y219": 1.0}, None, ("from /data/a.png",))])
    read = read_record(path)
    assert read.metrics["lpips_alex"].missing == "no weights at alex.pth"
    assert read.notes == ("read a.png again",)
    assert read_rows(path)[0].notes == ("from a.png",)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://example.org/a/b and/or 1/2, ~50 images", "https://example.org/a/b and/or 1/2, ~50 images"),
        ("at /home/ann/w.pth: no", "at w.pth: no"),
        ("'/a/b c'", "'b c'"),
        (r"C:\Users\ann\w.pth", "w.pth"),
        ("file:///home/ann/w.pth", "w.pth"),
        (r"\\server\share\w.pth", "w.pth"),
        ("~ann/w.pth and ~/v.pth", "w.pth and v.pth"),
        ("runs/edsr/last.ckpt", "runs/edsr/last.ckpt"),
    ],
)
def test_portable_text(text: str, kept: str) -> None:
    assert portable(text) == kept


def test_host_and_user_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from srbench.records import privacy

    monkeypatch.setattr(privacy.socket, "gethostname", lambda: "gpu-node-17")
    monkeypatch.setattr(privacy.getpass, "getuser", lambda: "annika")
    privacy._identity.cache_clear()
    try:
        assert portable("annika on gpu-node-17, annikas") == "<user> on <host>, annikas"
    finally:
        privacy._identity.cache_clear()


def test_absolute_paths_elsewhere_are_refused_on_writing(tmp_path: Path, make_record: MakeRecord) -> None:
    with pytest.raises(InputError, match="source holds an absolute path"):
        write_record(tmp_path / "run", make_record(source="/data/Set5"), ROWS)
    assert not (tmp_path / "run").exists()


def test_rows_of_unknown_metrics_are_refused(tmp_path: Path, make_record: MakeRecord) -> None:
    with pytest.raises(InputError, match="the rows hold metrics the record lacks: ssim"):
        write_record(tmp_path, make_record(), [ImageRow("a", {"ssim": 1.0})])


def test_find_records_takes_each_file_once_in_order(tmp_path: Path, make_record: MakeRecord) -> None:
    for name in ("b", "a"):
        write_record(tmp_path / name, make_record(method=name), ROWS)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    found = find_records([tmp_path, tmp_path / "a"])
    assert [record.method for _, record in found] == ["a", "b"]
    with pytest.raises(InputError, match="no such folder of records"):
        find_records([tmp_path / "none"])


# What was written stays whole: full disk, read-only folder, a second process.


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_failed_write_keeps_the_earlier_record(
    tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    path = write_record(tmp_path, make_record(), ROWS)
    before = path.read_bytes(), path.with_name("per_image.csv").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(InputError, match="cannot be written") as caught:
            write_record(tmp_path, make_record(notes=("second",)), ROWS)
    assert caught.value.remedy
    assert (path.read_bytes(), path.with_name("per_image.csv").read_bytes()) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["per_image.csv", "record.json"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, make_record: MakeRecord) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match=r"runs.*a file stands where a folder is needed"):
        write_record(tmp_path / "runs" / "x", make_record(), ROWS)


def _write_often(folder: Path, record: RunRecord, rows: list[ImageRow], gate: Any) -> None:
    gate.wait()
    for _ in range(20):
        write_record(folder, record, rows)


def test_two_processes_writing_one_record_leave_one_whole(tmp_path: Path, make_record: MakeRecord) -> None:
    fork = multiprocessing.get_context("fork")
    gate = fork.Barrier(2)
    records = [make_record(notes=(f"{name * 500}",)) for name in "ab"]
    tables = [[ImageRow("im", {"psnr_y219": value}, None, (name * 500,))] for name, value in (("a", 1.0), ("b", 2.0))]
    workers = [
        fork.Process(target=_write_often, args=(tmp_path, record, rows, gate))
        for record, rows in zip(records, tables, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    winner = records.index(read_record(tmp_path))
    assert read_rows(tmp_path) == tables[winner], "record and rows come from the same process"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["per_image.csv", "record.json"]


def test_a_lock_held_too_long_is_told_and_one_left_behind_is_not_in_the_way(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    from srbench import atomic

    (tmp_path / ".lock").write_text("left by a process that was killed")
    with (
        atomic.locked(tmp_path),
        pytest.raises(InputError, match="another process is writing this record"),
        atomic.locked(tmp_path, patience=0.1),
    ):
        pass
    write_record(tmp_path, make_record(), ROWS)


def test_the_lock_of_a_file_that_is_gone_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A waits on the file that B unlinks on its way out; C has locked a fresh one: A must go on waiting."""
    from srbench import atomic

    lock, real = tmp_path / ".lock", atomic._try_lock
    held: list[int] = []

    def others_come_first(handle: int) -> bool:
        if not held:
            lock.unlink()
            held.append(os.open(lock, os.O_RDWR | os.O_CREAT))
            assert real(held[0])
        return real(handle)

    monkeypatch.setattr(atomic, "_try_lock", others_come_first)
    with pytest.raises(InputError, match="another process"), atomic.locked(tmp_path, patience=0.1):
        pass
    assert lock.exists(), "C's lock is left alone"
    os.close(held[0])


# The journal.


def test_journal_rows_come_back_by_fingerprint(tmp_path: Path) -> None:
    for rank, row in enumerate(ROWS):
        with Journal(tmp_path, "f" * 64, rank) as journal:
            journal.append(row)
    with Journal(tmp_path, "f" * 16 + "0" * 48) as other:
        other.append(ImageRow("else", {}))
    assert read_journals(tmp_path, "f" * 64) == {row.name: row for row in ROWS}
    remove_journals(tmp_path, "f" * 64)
    assert read_journals(tmp_path, "f" * 64) == {}


def test_a_line_cut_short_counts_as_never_written(tmp_path: Path) -> None:
    with Journal(tmp_path, "f" * 64) as journal:
        journal.append(ROWS[0])
    whole = journal.path.read_bytes()
    for cut in range(len(whole) - 1):
        journal.path.write_bytes(whole + whole[:cut])
        assert list(read_journals(tmp_path, "f" * 64)) == ["baby"]
    journal.path.write_bytes(whole[: len(whole) // 2])
    with Journal(tmp_path, "f" * 64) as again:
        again.append(ROWS[1])
    assert list(read_journals(tmp_path, "f" * 64)) == ["bird"]


def test_hostile_journal_lines_are_not_used(tmp_path: Path) -> None:
    with Journal(tmp_path, "f" * 64) as journal:
        journal.append(ROWS[0])
    line = json.loads(journal.path.read_text())
    for change in ({"name": "../x"}, {"values": [1]}, {"ms": "soon"}, {"extra": 1}):
        with journal.path.open("a") as file:
            file.write(json.dumps({**line, "row": {**line["row"], **change}}) + "\n")
    with journal.path.open("a") as file:
        file.write("null\n7\n[]\n")
    assert read_journals(tmp_path, "f" * 64) == {"baby": ROWS[0]}


def test_a_full_disk_keeps_the_journal_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path, "f" * 64) as journal:
        journal.append(ROWS[0])
        real = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda handle, data: real(handle, data[:10]))
            with pytest.raises(InputError, match="make room on the disk"):
                journal.append(ROWS[1])
        assert list(read_journals(tmp_path, "f" * 64)) == ["baby"]
        journal.append(ROWS[1])
    assert read_journals(tmp_path, "f" * 64) == {row.name: row for row in ROWS}


def test_a_killed_process_loses_no_row_it_reported(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom srbench.records import ImageRow, Journal\n"
        "journal = Journal(Path(sys.argv[1]), 'f' * 64)\n"
        "for i in range(3):\n    journal.append(ImageRow(f'im{i}', {'psnr': i / 3}))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert {name: row.values["psnr"] for name, row in read_journals(tmp_path, "f" * 64).items()} == {
        "im0": 0.0,
        "im1": 1 / 3,
        "im2": 2 / 3,
    }


def test_records_and_tables_import_no_torch() -> None:
    script = (
        "import sys, srbench.records, srbench.leaderboard_command, srbench.report; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_validate_accepts_its_own_costs(make_record: MakeRecord) -> None:
    record = make_record(cost=Cost())
    assert validate(record) is record
    with pytest.raises(InputError, match=r"cost\.ms_per_image is nan"):
        validate(dataclasses.replace(record, cost=Cost(ms_per_image=math.nan)))
