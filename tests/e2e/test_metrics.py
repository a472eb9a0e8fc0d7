"""Metrics in whole runs: set-level values, the cache, and what happens where a metric cannot be computed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from srbench import metrics
from srbench.errors import MetricUnavailable
from srbench.evaluation import Evaluation
from srbench.metrics import ImageMetric, ImageScores, SetMetric
from srbench.records import ImageRow, RunRecord, find_records, read_rows

from .conftest import Run

PROTOCOL = """
name: trial
version: 1
image_crop: full
metrics:
  - {metric: psnr_rgb, crop_border: 0}
  - {metric: spread, crop_border: 2}
  - {metric: fetched, crop_border: 0}
"""


class Spread:
    def describe(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([image.std((0, 1)) for image in images]).astype(np.float32)

    def distance(self, sr: np.ndarray, gt: np.ndarray) -> float:
        return float(np.abs(sr.mean(0, dtype=np.float64) - gt.mean(0, dtype=np.float64)).sum())


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Two more metrics; the second needs a file that is there when ``here["file"]`` is true."""
    state = {"file": False}

    def fetched(device: str) -> ImageScores:
        if not state["file"]:
            raise MetricUnavailable("w.pth (srbench weights fetch w)")
        return lambda sr, gt: [float(image.mean()) for image in sr]

    mine = [
        SetMetric("spread", "set_level", False, "srbench", "", make=lambda device: Spread()),
        ImageMetric("fetched", "no_reference", True, "srbench", "", make=fetched),
    ]
    known = metrics._all() | {metric.name: (metric, "code") for metric in mine}
    monkeypatch.setattr(metrics, "_all", lambda: known)
    return state


@pytest.fixture
def protocol(here: dict[str, bool], tmp_path: Path) -> str:
    (tmp_path / "trial.yaml").write_text(PROTOCOL)
    return str(tmp_path / "trial.yaml")


def _only(out: str) -> tuple[Path, RunRecord]:
    [(path, record)] = find_records([Path(out)])
    return path, record


def test_the_callback_and_score_agree_on_every_metric(
    run: Run, tests: list[str], folder: Path, protocol: str, here: dict[str, bool]
) -> None:
    here["file"] = True
    ran = run("test", "--model", "Bicubic", *tests, "--benchmark.protocol", protocol, "--benchmark.out", "a")
    assert "spread: n=6, images full, border 2; strongly biased under 1000 images" in ran.out
    path, record = _only("a")
    run("predict", "--model", "Bicubic", *tests, "--benchmark.out", "p")
    run("score", "p/six_x4", "--ref", str(folder / "test"), "--protocol", protocol, "--out", "b", "--scale", "4")
    other, scored = _only("b")
    assert {name: r.mean for name, r in record.metrics.items()} == {n: r.mean for n, r in scored.metrics.items()}
    assert [row.values for row in read_rows(path)] == [row.values for row in read_rows(other)]
    assert record.metrics["spread"].n == 6
    assert any(note.startswith("spread: n=6") for note in record.notes)
    assert "spread" not in path.with_name("per_image.csv").read_text()


def test_a_killed_run_keeps_what_set_level_metrics_need(
    run: Run, tests: list[str], protocol: str, here: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    here["file"] = True
    arguments = ["test", "--model", "Bicubic", *tests, "--benchmark.protocol", protocol, "--benchmark.out"]
    run(*arguments, "whole")
    add = Evaluation.add
    seen: list[str] = []

    def dies(self: Evaluation, row: ImageRow) -> None:
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(row.name)
        add(self, row)

    monkeypatch.setattr(Evaluation, "add", dies)
    run(*arguments, "cut", status=None)
    monkeypatch.setattr(Evaluation, "add", add)
    assert "4 of 6 images scored already" in run(*arguments, "cut").out
    assert _only("cut")[1].metrics == _only("whole")[1].metrics


def test_a_missing_metric_is_told_recorded_and_computed_once_its_file_is_there(
    run: Run, tests: list[str], protocol: str, here: dict[str, bool]
) -> None:
    arguments = ["test", "--model", "Bicubic", *tests, "--benchmark.protocol", protocol, "--benchmark.out", "a"]
    ran = run(*arguments)
    assert "1 of 3 metrics are missing: fetched" in ran.out
    result = _only("a")[1].metrics["fetched"]
    assert (result.mean, result.missing) == (None, "unavailable: w.pth (srbench weights fetch w)")
    assert "images scored already" in run(*arguments).out
    here["file"] = True
    assert "images scored already" not in run(*arguments).out
    assert _only("a")[1].metrics["fetched"].n == 6


def test_strict_makes_a_missing_metric_an_error(run: Run, tests: list[str], protocol: str) -> None:
    arguments = ["test", "--model", "Bicubic", *tests, "--benchmark.protocol", protocol, "--benchmark.out", "a"]
    ran = run(*arguments, "--benchmark.strict", "true", status=2)
    assert "1 of 3 metrics cannot be computed here (fetched: unavailable: w.pth" in ran.err
    assert not Path("a").exists()


@pytest.mark.parametrize("verb", ["validate", "fit"])
def test_validation_tells_what_it_cannot_measure_and_strict_refuses(
    run: Run, tests: list[str], training: list[str], protocol: str, verb: str, folder: Path
) -> None:
    arguments = ["validate", "--model", "Bicubic", *tests]
    if verb == "fit":
        arguments = ["fit", *training, "--data.test_gt", str(folder / "test"), "--trainer.max_steps", "1"]
    arguments += ["--benchmark.protocol", protocol]
    ran = run(*arguments)
    assert ran.out.count("fetched: unavailable: w.pth (srbench weights fetch w)") == 1
    ran = run(*arguments, "--benchmark.strict", "true", status=2)
    assert "1 of 3 metrics cannot be computed here (fetched: unavailable: w.pth" in ran.err


def test_pixels_that_were_scored_before_are_not_scored_again(
    run: Run, tests: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "a")
    ran = run("test", "--model", "Bicubic", *tests, "--benchmark.out", "b", "--benchmark.method", "Again")
    assert "0 scores computed, 12 remembered" in ran.out
    assert _only("a")[1].metrics == _only("b")[1].metrics
    ran = run("test", "--model", "Bicubic", *tests, "--benchmark.out", "c", "--benchmark.cache", "false")
    assert "remembered" not in ran.out


DRIVER = """
import sys
from collections.abc import Sequence
import numpy as np
from srbench import metrics
from srbench.metrics import SetMetric

class Spread:
    def describe(self, images):
        return np.stack([image.std((0, 1)) for image in images]).astype(np.float32)

    def distance(self, sr, gt):
        return float(np.abs(sr.mean(0, dtype=np.float64) - gt.mean(0, dtype=np.float64)).sum())

spread = SetMetric("spread", "set_level", False, "srbench", "", make=lambda device: Spread())
known = metrics._all() | {"spread": (spread, "code"), "fetched": metrics._all()["psnr_yiq"]}
metrics._all = lambda: known

from srbench.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_set_level_value_is_equal_to_the_last_digit_in_two_processes(tests: list[str], tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "trial.yaml").write_text(PROTOCOL.replace("fetched", "psnr_yiq"))
    for count in ("1", "2"):
        ddp = ["--trainer.devices", count, "--trainer.strategy", "ddp" if count == "2" else "auto"]
        command = ["test", "--model", "Bicubic", *tests, "--benchmark.protocol", "trial.yaml", "--benchmark.out", count]
        done = subprocess.run(
            [sys.executable, "driver.py", *command, *ddp], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    one, two = (_only(str(tmp_path / count))[1] for count in ("1", "2"))
    assert one.metrics == two.metrics
    assert one.metrics["spread"].n == 6
    assert two.environment["processes"] == "2"
