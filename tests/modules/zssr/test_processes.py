"""ZSSR by several processes, and by one that the system kills: images and scores are those of one unbroken run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srbench.records import find_records, read_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # six starts of Python, each of them seconds or more
SMALL = ["--model.init_args.features", "4", "--model.init_args.depth", "3", "--seed_everything", "0"]


@pytest.fixture(autouse=True)
def _images(tmp_path: Path) -> None:
    """Five images, of two sizes."""
    (tmp_path / "gt").mkdir()
    rng = np.random.default_rng(0)
    for i in range(5):
        height, width = (64, 72) if i % 2 else (80, 64)
        y, x = np.mgrid[:height, :width]
        waves = [np.sin(a * x + b * y) for a, b in rng.uniform(-0.9, 0.9, (3, 2))]
        pixels = (np.stack(waves, 2) * 100 + 128).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "gt" / f"{i}.png")


def _command(out: str, iterations: int, *more: str) -> list[str]:
    data = ["--config", "data/image_pairs.yaml", "--data.init_args.test_gt", "gt"]
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--benchmark.save_images", "-1"]
    learning = ["--config", "methods/zssr/test.yaml", *SMALL, "--model.init_args.iterations", str(iterations)]
    return [sys.executable, "-m", "srbench.cli", "test", *learning, *data, *quiet, "--benchmark.out", out, *more]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _run(place: Path, command: list[str]) -> str:
    done = subprocess.run(command, cwd=place, env=_environment(), capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _made(out: Path) -> tuple[list[Any], dict[str, bytes]]:
    """Rows of scores, and every restored image."""
    [(path, record)] = find_records([out])
    assert record.n == 5
    rows = [(row.name, row.values, row.notes) for row in read_rows(path)]
    return rows, {image.name: image.read_bytes() for image in out.rglob("images/*.png")}


def test_two_processes_make_what_one_does(tmp_path: Path) -> None:
    for count in (1, 2):
        several = ["--trainer.devices", "2", "--trainer.strategy", "ddp"] if count == 2 else []
        _run(tmp_path, _command(f"by_{count}", 20, *several))
    one, two = _made(tmp_path / "by_1"), _made(tmp_path / "by_2")
    assert len(one[1]) == 5
    assert one == two


def test_a_run_that_the_system_kills_while_it_learns_goes_on(tmp_path: Path) -> None:
    """SIGKILL behind the first image's scores, so while the second, or a later one, is learned."""
    command = _command("killed", 150)
    process = subprocess.Popen(command, cwd=tmp_path, env=_environment(), start_new_session=True)
    try:
        deadline = time.monotonic() + 1200
        while not list(tmp_path.glob("killed/**/.journal*")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not find_records([tmp_path / "killed"])
    assert "images scored already" in _run(tmp_path, command)
    _run(tmp_path, _command("whole", 150))
    assert _made(tmp_path / "killed") == _made(tmp_path / "whole")
