"""Whole runs of stage 1 by the command line: the trial, stopped and resumed, validated, and refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main

from ...training_runs import QUIET, differing, last  # noqa: TID252

pytest.importorskip("timm")
pytest.importorskip("lpips")
pytestmark = pytest.mark.filterwarnings("ignore:.*a random network stands in")

Run = Callable[..., str]

CONFIGS = {
    "hraware": [
        *("--config", "methods/hraware/1_pretrain.yaml", "--config", "trials/hraware/1_pretrain.yaml"),
        *("--model.init_args.far_encoder", "edsr"),  # CLIP is built in tests/configs
    ],
    "lway": [
        *("--config", "methods/lway/1_pretrain.yaml", "--model.init_args.preset", "small"),
        *("--model.init_args.allow_random_backbones", "true", "--data.init_args.batch_size", "2"),
    ],
}
DATA = ["--config", "data/hr_images.yaml", "--data.init_args.gt", "gt", "--data.init_args.samples_per_epoch", "8"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``srbench COMMAND`` on a stage in a folder with photographs and no outside weights; gives stderr."""
    monkeypatch.chdir(tmp_path)
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    for folder, count in (("gt", 3), ("val", 1)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            rough = np.random.default_rng(i + len(folder)).integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(rough).resize((192, 176), Image.Resampling.BICUBIC).save(tmp_path / folder / f"{i}.png")

    def command(name: str, stage: str, *more: str, status: int = 0) -> str:
        capsys.readouterr()
        returned = main([name, *CONFIGS[stage], *DATA, *QUIET, *more])
        printed = capsys.readouterr()
        assert returned == status, printed.err + printed.out
        return printed.err

    return command


def _steps(folder: str, count: int) -> list[str]:
    small = ["--data.init_args.batch_size", "2"]
    return [*small, "--trainer.default_root_dir", folder, "--trainer.max_steps", str(count)]


@pytest.mark.parametrize("stage", ["hraware", "lway"])
def test_a_resumed_run_equals_one_that_never_stopped(run: Run, stage: str) -> None:
    run("fit", stage, *_steps("straight", 4))
    run("fit", stage, *_steps("broken", 2))
    run("fit", stage, *_steps("broken", 4), "--ckpt_path", "last")
    straight, broken = last("straight"), last("broken")
    keys = ["current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "marks"]
    assert not differing(straight, broken, *keys, *(["far_weight"] if stage == "hraware" else []))
    assert straight["global_step"] == 4
    assert straight["marks"] == ["random_backbones"]


def test_the_average_is_kept_with_units_and_lambda(run: Run) -> None:
    run("fit", "hraware", *_steps("run", 2))
    saved = last("run")
    averaged, current = saved["state_dict"], saved["current_model_state"]
    assert not torch.equal(averaged["net.r.conv_last.weight"], current["net.r.conv_last.weight"])
    assert torch.equal(averaged["far.units"], current["far.units"])
    assert bool((averaged["far.units"] > 0).all())
    assert saved["far_weight"] > 0


def test_held_out_images_are_validated_in_fit_and_by_itself(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("fit", "hraware", *_steps("run", 2), "--data.init_args.val_gt", "val", "--trainer.val_check_interval", "2")
    with Path("run/logs/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {k: float(row[k]) for row in rows for k in row if k.startswith("metrics/") and row[k]}
    assert set(found) == {f"metrics/val/{n}" for n in ("l_rec", "far_clean", "far_degraded", "far_constant")}
    assert all(value > 0 for value in found.values())
    given = ["--data.init_args.val_gt", "val", "--ckpt_path", "run/checkpoints/last.ckpt"]
    run("validate", "hraware", *given, "--trainer.default_root_dir", "other")


def test_a_run_without_weights_is_refused_and_a_test_of_it_too(run: Run) -> None:
    needs = run("fit", "lway", "--model.init_args.allow_random_backbones", "false", *_steps("run", 2), status=2)
    assert "srbench weights fetch vgg16" in needs
    assert not Path("run/checkpoints").exists()


def test_a_patch_below_22_pixels_is_one_line(run: Run) -> None:
    said = run("fit", "hraware", *_steps("run", 2), "--data.init_args.patch_size", "80", status=2)
    line = said.partition("srbench: error: ")[2]
    assert "20x20 is too small for the degradation encoder" in line
    assert line.count("\n") == 1


def test_a_checkpoint_with_other_options_is_refused(run: Run) -> None:
    run("fit", "lway", *_steps("run", 1))
    more = ["--model.init_args.recon_space", "lr", "--data.init_args.patch_size", "96", "--ckpt_path", "last"]
    assert "another network" in run("fit", "lway", *_steps("run", 2), *more, status=2)
