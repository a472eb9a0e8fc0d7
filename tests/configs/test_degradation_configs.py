"""Every config of ``degradations/`` trains behind any method, and its ranges can be set one by one."""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from srbench.catalog import config_names, load_stack
from srbench.cli import main
from srbench.weights import read_checkpoint

NAMES = config_names("degradations")
Fit = Callable[..., tuple[int, str, str]]

DATA = ["--config", "data/hr_images.yaml", "--data.init_args.gt", "hr", "--data.init_args.batch_size", "2"]
NET = ["--model", "SRResNet", "--model.init_args.features", "8", "--model.init_args.blocks", "1"]
DEGRADATION = "--data.init_args.degradation.init_args"
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.default_root_dir", "run"]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fit:
    """Runs ``srbench fit`` on two noisy photographs of 120 x 136 in a fresh folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hr").mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(256, size=(120, 136, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "hr" / f"{i}.png")

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        with contextlib.suppress(SystemExit):  # --print_config ends the process
            status = main(["fit", *NET, *DATA, "--data.init_args.patch_size", "112", *arguments, *QUIET])
        return status, *capsys.readouterr()

    return command


def test_every_degradation_of_the_papers_has_one() -> None:
    assert {Path(name).stem for name in NAMES} == {
        "bicubic", "bsrgan", "corruptions", "dacesr", "dasr", "deedsr", "deedsr_levels", "realesrgan", "single",
        "stablesr_light",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_it_trains(fit: Fit, name: str) -> None:
    epoch = ["--data.init_args.samples_per_epoch", "4", "--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1"]
    status, out, err = fit("--config", name, *epoch)
    assert status == 0, err
    assert "2 steps: waiting" in out
    [log] = Path("run").glob("logs/*/metrics.csv")
    rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(log.open())]
    assert all(math.isfinite(row["losses/l_pix"]) and row["time/degrading"] > 0 for row in rows)
    assert read_checkpoint("run/checkpoints/last.ckpt")["global_step"] == 2


@pytest.mark.parametrize("name", NAMES)
def test_it_parses_to_what_it_says(fit: Fit, name: str) -> None:
    status, out, err = fit("--config", name, "--print_config")
    assert status == 0, err
    parsed = yaml.safe_load(out)["data"]["init_args"]
    given = load_stack([name])["data"]["init_args"]
    assert set(given) <= {"degradation", "augment"}, "batch and patch size stand in a method's config"
    for key, value in given["degradation"].get("init_args", {}).items():
        assert parsed["degradation"]["init_args"][key] == value
    assert parsed["degradation"]["init_args"]["scale"] == 4


def test_one_range_of_many_is_set_from_the_command_line(fit: Fit) -> None:
    place = f"{DEGRADATION}.severe.first.noise.sigma"
    status, out, err = fit("--config", "degradations/dacesr.yaml", place, "[2, 3]", "--print_config")
    assert status == 0, err
    severe: Any = yaml.safe_load(out)["data"]["init_args"]["degradation"]["init_args"]["severe"]
    assert severe["first"]["noise"] == {"gaussian": 0.5, "sigma": [2.0, 3.0], "poisson": [0.05, 3.0], "grey": 0.4}
    assert severe["second"]["noise"]["sigma"] == [1.0, 25.0]
    assert severe["first"]["blur"]["sizes"] == [9, 11, 13, 15, 17, 19, 21]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["degradations/dacesr.yaml", f"{DEGRADATION}.severe.first.jpeg", "[95, 30]"], "no range"),
        (["degradations/dasr.yaml", f"{DEGRADATION}.levle", "weak"], "level"),
        (["degradations/realesrgan.yaml", f"{DEGRADATION}.scale", "2"], "same scale"),
        (["degradations/realesrgan.yaml", "--data.init_args.degrade_in", "workers"], "num_workers"),
    ],
)
def test_a_bad_setting_is_one_line(fit: Fit, arguments: list[str], says: str) -> None:
    status, _, err = fit("--config", *arguments, "--trainer.max_steps", "1")
    assert status == 2
    line = err.partition("srbench: error: ")[2]
    assert len(line.splitlines()) == 1
    assert says in line
