"""One method on one test set, killed at any moment."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from srbench import metrics
from srbench.contracts import SetInfo
from srbench.errors import MetricUnavailable
from srbench.evaluation import Evaluation, Subject, config_hash
from srbench.metrics import ImageMetric, ImageScores
from srbench.protocol import load_protocol, narrowed
from srbench.records import Cost, ImageRow, read_record, read_rows
from srbench.scoring import Scorer

HASH = "0123456789abcdef" * 4
SUBJECT = Subject("EDSR", "srbench.modules.edsr.EDSR", None, HASH, None)
INFO = SetInfo("six", 4, 3, True, HASH, "made", "none", "files", ("a note",))


def make(out: Path, subject: Subject = SUBJECT, *, rank: int = 0, force: bool = False) -> Evaluation:
    return Evaluation(subject, INFO, Scorer(load_protocol("y219_crop4")), out, rank, force)


def row(name: str, value: float = 30.0, ms: float | None = 2.0) -> ImageRow:
    return ImageRow(name, {"psnr_y219": value, "ssim_y219": 0.9}, ms, ("grey to RGB",))


def test_the_hash_of_a_configuration_ignores_order() -> None:
    assert config_hash({"a": 1, "b": [2]}) == config_hash({"b": [2], "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 2})


def test_rows_are_on_disk_at_once_and_found_again(tmp_path: Path) -> None:
    first, second = make(tmp_path), make(tmp_path, rank=1)
    first.add(row("a"))
    second.add(row("b"))
    again = make(tmp_path)  # nobody closed anything, as after a kill
    assert sorted(again.earlier()) == ["a", "b"]
    assert again.missing(again.earlier(), ["a", "b", "c"]) == ["c"]
    first.close()
    second.close()
    first.close()


def test_a_metric_that_turned_out_impossible_does_not_undo_what_was_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_none(device: str) -> ImageScores:
        raise MetricUnavailable('package pkg_resources (pip install "setuptools<82")')

    late = ImageMetric("late", "no_reference", True, "srbench", "", make=make_none)
    known = metrics._all() | {"late": (late, "code of late")}
    monkeypatch.setattr(metrics, "_all", lambda: known)
    protocol = narrowed(load_protocol("y219_crop4"), ["psnr_y219", "ssim_y219", "late"])
    first = Evaluation(SUBJECT, INFO, Scorer(protocol), tmp_path, 0, False)
    first.add(row("a"))
    first.close()
    again = Evaluation(SUBJECT, INFO, Scorer(protocol), tmp_path, 0, False)
    assert sorted(again.earlier()) == ["a"]


@pytest.mark.parametrize("field", ["method", "class_path", "config_sha256", "weights_sha256"])
def test_another_subject_finds_nothing(tmp_path: Path, field: str) -> None:
    held = make(tmp_path)
    held.add(row("a"))
    held.close()
    change: dict[str, Any] = {field: "f" * 64}
    changed = dataclasses.replace(SUBJECT, **change)
    assert make(tmp_path, changed).earlier() == {}
    assert make(tmp_path, changed).fingerprint != held.fingerprint


def test_force_forgets(tmp_path: Path) -> None:
    held = make(tmp_path)
    held.add(row("a"))
    held.close()
    assert make(tmp_path, force=True).earlier() == {}
    assert make(tmp_path).earlier() == {}


def test_a_record_is_written_and_the_journals_go(tmp_path: Path) -> None:
    held = make(tmp_path)
    rows = {name: row(name, value, ms) for name, value, ms in (("b", 31.0, 4.0), ("a", 29.0, 2.0), ("c", 30.0, 9.0))}
    for one in rows.values():
        held.add(one)
    held.close()
    assert held.finished() is None
    held.write(held.record(rows, Cost(params=5), {"python": "3.11"}), rows)
    assert sorted(p.name for p in held.folder.iterdir()) == ["per_image.csv", "record.json"]
    record = read_record(held.folder)
    assert make(tmp_path).finished() == record
    assert record.metrics["psnr_y219"].mean == 30.0
    assert (record.cost.ms_per_image, record.cost.ms_total, record.cost.params) == (4.0, 15.0, 5)
    assert record.notes == ("a note", "a: grey to RGB", "b: grey to RGB", "c: grey to RGB")
    assert [r.name for r in read_rows(held.folder)] == ["a", "b", "c"]
    assert sorted(make(tmp_path).earlier()) == ["a", "b", "c"]


def test_what_was_not_timed_has_no_time(tmp_path: Path) -> None:
    rows = {name: row(name, ms=None) for name in "abc"}
    record = make(tmp_path).record(rows, Cost(), {})
    assert record.cost.ms_per_image is None
    assert record.cost.ms_total is None


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    held = make(tmp_path)
    rows = {name: row(name) for name in "abc"}
    path = held.write(held.record(rows, Cost(), {}), rows)
    path.write_text(path.read_text()[:100])
    assert make(tmp_path).finished() is None
    assert make(tmp_path).earlier() == {}
