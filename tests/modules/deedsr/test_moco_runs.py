"""Whole runs of stage 1 from the shipped trial: resumed, validated, analyzed, in bfloat16, in two processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main
from srbench.findings import read_csv
from srbench.modules.deedsr.learner import DegradationLearner, load_learner

from ...training_runs import differing, last  # noqa: TID252

CONFIGS = ["--config", "methods/deedsr/1_learner.yaml", "--config", "trials/deedsr/1_learner.yaml"]
SMALL = [
    *("--data.init_args.gt", "gt", "--data.init_args.samples_per_epoch", "12", "--data.init_args.patch_size", "64"),
    *("--model.init_args.channels", "8", "--model.init_args.queue", "16"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1"),
]

Run = Callable[..., str]


def _arguments(folder: str, steps: int, *more: str) -> list[str]:
    run = ["--trainer.default_root_dir", folder, "--trainer.max_steps", str(steps)]
    return ["fit", *CONFIGS, *SMALL, *run, *more]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``srbench fit`` of the shipped trial in this process; returns what it printed to stderr."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Path("gt").mkdir()
    Path("held").mkdir()
    for i in range(4):
        rough = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((112, 96), Image.Resampling.BICUBIC).save(f"gt/{i}.png")
    Image.open("gt/0.png").save("held/0.png")

    def command(folder: str, steps: int, *more: str, status: int = 0) -> str:
        capsys.readouterr()
        returned = main(_arguments(folder, steps, *more))
        printed = capsys.readouterr()
        assert returned == status, printed.err + printed.out
        return printed.err

    return command


@pytest.mark.parametrize("pairs", ["batch", "sample"])
def test_a_resumed_run_equals_one_that_never_stopped(fit: Run, pairs: str) -> None:
    more = ["--model.init_args.pairs", pairs]
    fit("straight", 5, *more)
    fit("broken", 2, *more)  # in the middle of an epoch, and of the queue's first round
    fit("broken", 5, *more, "--ckpt_path", "last")
    straight = last("straight")
    assert not differing(straight, last("broken"))
    state = straight["state_dict"]
    assert (state["queue.place"], state["draws"]) == (4, 5)
    assert not torch.equal(state["net.conv1.weight"], state["key_net.conv1.weight"])
    assert straight["marks"] == []  # nothing in it is random that should not be


def test_stage_2_takes_the_encoder_from_the_run(fit: Run) -> None:
    fit("run", 1)
    learner, state = DegradationLearner("small"), last("run")["state_dict"]
    load_learner(learner, "run/checkpoints/last.ckpt")
    assert all(torch.equal(v, state[f"net.{k}"]) for k, v in learner.state_dict().items())


def test_its_vectors_are_analyzed(fit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    fit("run", 1)
    given = ["--hr", "gt", "--images", "4", "--side", "96", "--steps", "5", "--ckpt_path", "run/checkpoints/last.ckpt"]
    sizes = ["--model.init_args.channels", "8", "--model.init_args.queue", "16"]
    assert main(["analyze", "degradation-space", *CONFIGS, *sizes, *given]) == 0, capsys.readouterr().err
    assert "12 vectors of 32 numbers" in capsys.readouterr().out
    [row] = read_csv(Path("runs/analyze/degradation-space/separation.csv"))
    assert (row["method"], row["marks"], row["images"]) == ("DeeDSR-small", "", "4")


def test_log_and_validation(fit: Run) -> None:
    fit("run", 2, "--data.init_args.val_gt", "held", "--trainer.val_check_interval", "1")
    with Path("run/logs/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for column, low, high in (("losses/l_moco", 0, 9), ("losses/top1", 0, 1), ("metrics/held/cosine", -1, 1)):
        values = [float(row[column]) for row in rows if row[column]]
        assert len(values) == 2
        assert all(low <= value <= high for value in values)


def test_mixed_precision_trains(fit: Run) -> None:
    """Of quadrants large enough: on 1x1 maps torch gives bfloat16 weights of stride 2 random gradients (CPU, 2.15)."""
    large = ["--data.init_args.patch_size", "256", "--data.init_args.degradation.init_args.crop", "256"]
    fit("run", 2, "--trainer.precision", "bf16-mixed", *large)
    state = last("run")["state_dict"]
    assert all(v.dtype in (torch.float32, torch.int64) and bool(torch.isfinite(v).all()) for v in state.values())
    torch.testing.assert_close(state["queue.keys"].norm(dim=1), torch.ones(16))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--data.init_args.batch_size", "3"], "a queue of 16 keys holds no whole number of batches of 3"),
        (["--model.init_args.weights", "gone.ckpt"], "gone.ckpt"),
        (["--model.init_args.tempreature", "1"], "did you mean 'temperature'"),
    ],
)
def test_bad_input_gets_one_line(fit: Run, wrong: list[str], said: str) -> None:
    error = fit("run", 1, *wrong, status=2)
    assert said in error
    assert error.partition("srbench: error: ")[2].count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("fit")
def test_two_processes_share_a_queue_and_resume_bit_for_bit() -> None:
    both = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.init_args.batch_size", "2"]
    for folder, steps, more in (("straight", 5, []), ("broken", 2, []), ("broken", 5, ["--ckpt_path", "last"])):
        command = [sys.executable, "-m", "srbench.cli", *_arguments(folder, steps, *both, *more)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=500)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert int(last(folder)["state_dict"]["queue.place"]) == steps * 4 % 16  # 4 keys a step: 2 of each process
    assert not differing(last("straight"), last("broken"))
    keys = last("straight")["state_dict"]["queue.keys"]
    assert len(keys.unique(dim=0)) == 16
