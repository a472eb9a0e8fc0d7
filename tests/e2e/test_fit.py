"""``srbench fit``: goes on after a stop as if it had never stopped; the present configuration wins."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import srbench.modules.pixel as pixel
from srbench.errors import InputError
from srbench.images import file_sha256
from srbench.records import find_records
from srbench.weights import read_checkpoint

from ..training_runs import differing, last, same  # noqa: TID252
from .conftest import Run


@pytest.fixture
def dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes training draw from torch's generator in every step, as networks with dropout do."""
    original: Callable[..., Any] = pixel.PixelSR.training_step

    def step(self: Any, batch: Any, batch_idx: int) -> Any:
        batch = {**batch, "lq": batch["lq"] + 0.05 * torch.rand_like(batch["lq"])}
        return original(self, batch, batch_idx)

    monkeypatch.setattr(pixel.PixelSR, "training_step", step)


def _fit(run: Run, training: list[str], folder: str, steps: int, *more: str) -> Any:
    arguments = ["--trainer.max_steps", str(steps), "--trainer.default_root_dir", folder, *more]
    return run("fit", *training, *arguments)


@pytest.mark.usefixtures("dropout")
@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("stop", [4, 6, 9])  # in the first epoch, at its end, in the second
def test_a_resumed_run_equals_one_that_never_stopped(
    run: Run, training: list[str], folder: Path, stop: int, workers: str
) -> None:
    test = ["--data.test_gt", str(folder / "test"), "--data.num_workers", workers]
    schedule = ["--model.scheduler", "torch.optim.lr_scheduler.CosineAnnealingLR", "--model.scheduler.T_max", "15"]
    _fit(run, training, "straight", 15, *test, *schedule)
    _fit(run, training, "broken", stop, *test, *schedule)
    _fit(run, training, "broken", 15, *test, *schedule, "--ckpt_path", "last")
    straight, broken = last("straight"), last("broken")
    assert straight["global_step"] == 15
    assert not differing(straight, broken, "optimizer_states", "lr_schedulers")
    assert same(straight["srbench"]["generators"], broken["srbench"]["generators"])


def test_weights_change_and_the_checkpoint_is_tested(run: Run, training: list[str], tests: list[str]) -> None:
    _fit(run, training, "run", 3)
    assert Path("run/config.yaml").is_file()
    assert Path("run/checkpoints/last.ckpt").is_file()
    # The checkpoint remembers features and blocks: nothing needs to be said again.
    remembered = run("test", *tests, "--ckpt_path", "run/checkpoints/last.ckpt", "--benchmark.out", "a")
    assert "SRResNet on six x4" in remembered.out
    fresh = run("test", *training[:6], *tests, "--benchmark.out", "b").out
    assert remembered.out.split("psnr_y219 ")[1][:7] != fresh.split("psnr_y219 ")[1][:7]


def test_another_checkpoint_is_another_record(run: Run, training: list[str], tests: list[str]) -> None:
    for steps in (2, 4):
        _fit(run, training, f"run{steps}", steps)
        run("test", *tests, "--ckpt_path", f"run{steps}/checkpoints/last.ckpt", "--benchmark.out", "a")
    records = [record for _, record in find_records([Path("a")])]
    assert sorted(r.weights_sha256 or "" for r in records) == sorted(
        file_sha256(f"run{steps}/checkpoints/last.ckpt") for steps in (2, 4)
    )
    assert len({r.metrics["psnr_y219"].mean for r in records}) == 2


def test_losses_and_metrics_are_logged(run: Run, training: list[str], folder: Path) -> None:
    _fit(run, training, "run", 6, "--data.test_gt", str(folder / "test"), "--trainer.log_every_n_steps", "1")
    with Path("run/logs/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len([r for r in rows if r["losses/l_pix"]]) == 6
    assert len([r for r in rows if r["metrics/test/psnr_y219"]]) == 1


def test_a_second_run_in_the_same_folder_loses_nothing(run: Run, training: list[str]) -> None:
    every = ["--trainer.log_every_n_steps", "1"]
    _fit(run, training, "run", 2, *every)
    first = Path("run/checkpoints/last.ckpt").read_bytes()
    _fit(run, training, "run", 3, *every)
    assert Path("run/checkpoints.1/last.ckpt").read_bytes() == first
    assert read_checkpoint("run/checkpoints/last.ckpt")["global_step"] == 3, "what the next stage's config names"
    _fit(run, training, "run", 4, *every, "--ckpt_path", "last")
    assert not Path("run/checkpoints.2").exists(), "a run that goes on has no earlier one"
    assert [path.name for path in Path("run/checkpoints").iterdir()] == ["last.ckpt"]
    assert Path("run/config.1.yaml").is_file()
    assert Path("run/logs/version_1/metrics.csv").is_file()


def _optimizer(rate: float, *more: str) -> list[str]:
    return ["--model.optimizer", "torch.optim.Adam", "--model.optimizer.lr", str(rate), *more]


def test_the_command_line_beats_what_the_checkpoint_remembers(run: Run, training: list[str]) -> None:
    milestones = ["--model.scheduler", "torch.optim.lr_scheduler.MultiStepLR", "--model.scheduler.milestones"]
    _fit(run, training, "run", 4, *_optimizer(1e-3), *milestones, "[2]")
    [group] = last("run")["optimizer_states"][0]["param_groups"]
    assert group["lr"] == pytest.approx(1e-4)
    again = ["--ckpt_path", "last"]
    _fit(run, training, "run", 6, *_optimizer(2e-3), *milestones, "[2, 6]", "--model.scheduler.gamma", "0.5", *again)
    held = last("run")
    [group] = held["optimizer_states"][0]["param_groups"]
    # The rate stands where the schedule had brought it (a tenth), times the new start, times the new step at 6.
    assert group["lr"] == pytest.approx(2e-4 * 0.5)
    assert held["lr_schedulers"][0]["gamma"] == 0.5


def test_what_nobody_changed_comes_from_the_checkpoint(run: Run, training: list[str]) -> None:
    _fit(run, training, "run", 2, *_optimizer(1e-3, "--model.optimizer.weight_decay", "0.5"))
    without = training[:2] + training[6:]  # neither features nor blocks nor optimiser
    _fit(run, without, "run", 3, "--ckpt_path", "last")
    [group] = last("run")["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["weight_decay"]) == (1e-3, 0.5)


def test_nan_in_training_stops_and_keeps_the_checkpoint(
    run: Run, training: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _fit(run, training, "run", 2)
    kept = Path("run/checkpoints/last.ckpt").read_bytes()
    original: Callable[..., Any] = pixel.PixelSR.training_step
    monkeypatch.setattr(pixel.PixelSR, "training_step", lambda *a: original(*a) * float("nan"))
    every = ["--checkpoint.every_n_train_steps", "1"]
    ran = run("fit", *training, "--trainer.max_steps", "9", "--trainer.default_root_dir", "run", *every, status=2)
    assert "the loss is nan at step" in ran.err
    assert "gradient_clip_val" in ran.err
    assert Path("run/checkpoints/last.ckpt").read_bytes() == kept
    assert not Path("run/checkpoints/last-v1.ckpt").exists()


def test_a_module_that_cannot_train_says_so(run: Run, training: list[str]) -> None:
    ran = run("fit", "--model", "Bicubic", *training[6:], "--trainer.max_steps", "2", status=2)
    assert "Bicubic" in ran.err
    assert ran.err.count("\n") == 1


def test_data_without_training_images_says_so(run: Run, tests: list[str]) -> None:
    ran = run("fit", "--model", "SRResNet", *tests, "--trainer.max_steps", "2", status=2)
    assert "train" in ran.err
    assert isinstance(InputError("x"), ValueError)
