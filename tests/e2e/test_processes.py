"""Several processes: every image is scored exactly once, to the last digit; training is that of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from srbench.records import RunRecord, find_records, read_rows
from srbench.weights import read_checkpoint

from .conftest import TINY


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "srbench.cli", *arguments]


def _run(tmp_path: Path, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        _command(*arguments), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _processes(count: int) -> list[str]:
    return ["--trainer.devices", str(count), "--trainer.strategy", "ddp"] if count > 1 else []


def _scores(out: Path) -> tuple[RunRecord, list[Any]]:
    [(path, record)] = find_records([out])
    return record, [(r.name, r.values, r.notes) for r in read_rows(path)]


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)])
def test_scores_are_equal_to_the_last_digit_in_any_number_of_processes(
    tmp_path: Path, tests: list[str], count: int
) -> None:
    for n in (1, count):
        _run(tmp_path, "test", *TINY, *tests, "--benchmark.out", f"runs/{n}", *_processes(n))
    one, many = (_scores(tmp_path / "runs" / str(n)) for n in (1, count))
    assert one[1] == many[1]
    assert one[0].metrics == many[0].metrics
    assert one[0].fingerprint == many[0].fingerprint
    assert many[0].environment["processes"] == str(count)


@pytest.mark.slow
def test_validation_is_equal_too(tmp_path: Path, tests: list[str]) -> None:
    shown = []
    for n in (1, 2):
        text = _run(tmp_path, "validate", *TINY, *tests, *_processes(n))
        shown.append([line for line in text.splitlines() if "metrics/six/psnr_y219" in line])
    assert shown[0]
    assert shown[0] == shown[1]


@pytest.mark.slow
def test_training_in_two_processes_equals_one_at_the_same_global_batch(tmp_path: Path, training: list[str]) -> None:
    for n in (1, 2):
        batch = ["--data.batch_size", str(4 // n), "--trainer.max_steps", "3", "--trainer.default_root_dir", f"run{n}"]
        _run(tmp_path, "fit", *training, *batch, *_processes(n))
    one, two = (read_checkpoint(tmp_path / f"run{n}/checkpoints/last.ckpt") for n in (1, 2))
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][key], value, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_two_processes_resume_bit_for_bit(tmp_path: Path, training: list[str]) -> None:
    def fit(folder: str, steps: int, *more: str) -> Any:
        arguments = ["--trainer.max_steps", str(steps), "--trainer.default_root_dir", folder, *_processes(2), *more]
        _run(tmp_path, "fit", *training, *arguments)
        return read_checkpoint(tmp_path / folder / "checkpoints" / "last.ckpt")

    straight = fit("straight", 5)
    fit("broken", 2)
    broken = fit("broken", 5, "--ckpt_path", "last")
    for key, value in straight["state_dict"].items():
        assert torch.equal(broken["state_dict"][key], value)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_a_run_killed_by_the_system_goes_on(tmp_path: Path, folder: Path, count: int) -> None:
    """SIGKILL at some moment between the first journal line and the record."""
    tests = ["--data", "ImagePairs", "--data.test_gt", str(folder / "test"), "--data.test_name", "six"]
    slow = ["--model", "RRDB", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    command = ["test", *slow, *tests, "--benchmark.out", "runs/killed", *_processes(count)]
    process = subprocess.Popen(_command(*command), cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("runs/killed/**/.journal*")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not find_records([tmp_path / "runs/killed"])
    assert "images scored already" in _run(tmp_path, *command)
    _run(tmp_path, "test", *slow, *tests, "--benchmark.out", "runs/whole")
    assert _scores(tmp_path / "runs/killed")[1] == _scores(tmp_path / "runs/whole")[1]
