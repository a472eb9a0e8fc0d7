"""Whole runs of both stages by the command line: in a row, stopped and resumed, averaged, in two processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from srbench.cli import main
from srbench.records import find_records
from srbench.weights import read_checkpoint

from ...training_runs import QUIET, differing, last, same  # noqa: TID252

NET = {
    "class_path": "srbench.modules.rrdb.net.RRDBNet",
    "init_args": {"features": 8, "blocks": 1, "growth": 4},
}
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1.0e-3, "betas": [0.9, 0.99]}}
HALVED = {"class_path": "torch.optim.lr_scheduler.MultiStepLR", "init_args": {"milestones": [3], "gamma": 0.5}}
EMA = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": 0.9}}
GAN = {
    "discriminator": {
        "class_path": "srbench.modules.nets.unet_discriminator.UNetDiscriminator",
        "init_args": {"features": 4},
    },
    "perceptual": {
        "class_path": "srbench.modules.losses.perceptual.PerceptualLoss",
        "init_args": {"layers": {"conv1_2": 1.0}},
    },
    "previous": "1.yaml",
    "weights": "one/checkpoints/last.ckpt",
}
TRIAL = ["--model.init_args.allow_random_backbones", "true"]
ALONE = [*TRIAL, "--model.init_args.previous", "null", "--model.init_args.weights", "null"]

WHOLE = ("current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "marks")
"""What a checkpoint of a run with an average holds beside its tensors."""

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with images, the two configs, and no outside weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    (tmp_path / "gt").mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        y, x = np.mgrid[:48, :56] / 9
        image = np.stack([np.sin(a * x + b * y) for a, b in rng.uniform(-2, 2, (3, 2))], -1) * 90 + 128
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "gt" / f"{i}.png")
    for name, model, more in (("1", "PixelSR", {}), ("2", "GANSR", GAN)):
        arguments = {"net": NET, "optimizer": ADAM, "scheduler": HALVED, **more}
        config = {
            "model": {"class_path": f"srbench.modules.{model}", "init_args": arguments},
            "data": {"init_args": {"batch_size": 2, "patch_size": 32}},
            "trainer": {"callbacks": [EMA]},
        }
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))


DATA = ["--data", "ImagePairs", "--data.train_gt", "gt", "--data.samples_per_epoch", "8"]


def _arguments(stage: str, folder: str, steps: int, *more: str) -> list[str]:
    run = ["--trainer.default_root_dir", folder, "--trainer.max_steps", str(steps)]
    return ["fit", "--config", f"{stage}.yaml", *DATA, *QUIET, *run, *more]


@pytest.fixture
def fit(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``srbench fit`` in this process; returns what it printed to stderr."""

    def command(stage: str, folder: str, steps: int, *more: str, status: int = 0) -> str:
        capsys.readouterr()
        returned = main(_arguments(stage, folder, steps, *more))
        printed = capsys.readouterr()
        assert returned == status, printed.err + printed.out
        return printed.err

    return command


def test_a_resumed_gan_run_equals_one_that_never_stopped(fit: Run) -> None:
    fit("2", "straight", 6, *ALONE)
    fit("2", "broken", 2, *ALONE)
    fit("2", "broken", 6, *TRIAL, "--ckpt_path", "last")  # neither the stage before nor its weights are needed again
    straight = last("straight")
    assert straight["global_step"] == 6
    assert len(straight["optimizer_states"]) == 2
    assert not differing(straight, last("broken"), *WHOLE)


def test_the_average_is_what_is_tested_and_the_learning_goes_on_from_the_last_step(fit: Run) -> None:
    fit("2", "run", 3, *ALONE)
    saved = last("run")
    averaged, current = saved["state_dict"], saved["current_model_state"]
    assert averaged.keys() == current.keys()
    assert not same(averaged["net.conv_last.weight"], current["net.conv_last.weight"])
    assert {name.split(".")[0] for name in averaged} == {"net", "discriminator"}


def test_stages_follow_each_other_and_a_random_backbone_marks_all_that_comes_of_it(
    fit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = fit("2", "two", 2, *TRIAL, status=2)
    assert "one/checkpoints/last.ckpt" in refused
    assert "run srbench fit --config 1.yaml" in refused
    fit("1", "one", 2)
    assert "vgg19-dcbb9e9d.pth" in fit("2", "two", 2, status=2)
    fit("2", "two", 2, *TRIAL)
    assert last("one")["marks"] == []
    assert last("two")["marks"] == ["random_backbones"]
    test = ["--data", "ImagePairs", "--data.test_gt", "gt", *QUIET[:4]]
    given = ["--model", "RRDB", "--model.features", "8", "--model.blocks", "1", "--model.growth", "4"]
    for i, model in enumerate(
        (
            ["--ckpt_path", "one/checkpoints/last.ckpt"],
            ["--ckpt_path", "two/checkpoints/last.ckpt"],
            [*given, "--model.weights", "two/checkpoints/last.ckpt"],
        )
    ):
        assert main(["test", *model, *test, "--benchmark.out", f"records{i}"]) == 0, capsys.readouterr().err
    records = [find_records([Path(f"records{i}")])[0][1] for i in range(3)]
    assert [record.marks for record in records] == [(), ("random_backbones",), ("random_backbones",)]
    assert [record.stage for record in records] == ["pixel", "gan", None]
    assert records[1].metrics["psnr_y219"].mean == records[2].metrics["psnr_y219"].mean  # the same averaged weights


def test_a_discriminator_that_diverges_stops_the_run(fit: Run) -> None:
    fit("2", "run", 1, *ALONE)
    kept = Path("run/checkpoints/last.ckpt").read_bytes()
    wild = ["--model.init_args.discriminator_optimizer.class_path", "torch.optim.SGD"]
    wild += ["--model.init_args.discriminator_optimizer.init_args.lr", "1e38"]
    said = fit("2", "run", 9, *ALONE, *wild, "--checkpoint.every_n_train_steps", "1", status=2)
    assert "discriminator." in said or "loss l_" in said
    assert "training stops" in said
    assert "--model.init_args.gradient_clip_val" in said
    found = list(Path("run").rglob("last.ckpt"))  # the earlier run's may have been moved aside
    assert kept in [path.read_bytes() for path in found]
    assert all(tensor.isfinite().all() for path in found for tensor in read_checkpoint(path)["state_dict"].values())


def test_every_loss_is_in_the_log(fit: Run) -> None:
    fit("2", "run", 2, *ALONE)
    with Path("run/logs/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ("l_g_pix", "l_g_percep", "l_g_gan", "l_d_real", "l_d_fake", "out_d_real", "out_d_fake")
    assert all(row[f"losses/{name}"] for row in rows for name in names)
    assert [row["step"] for row in rows] == ["0", "1"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--model.init_args.net.class_path", "srbench.modules.rrdb.net.RRDBNett"], "did you mean"),
        (["--model.init_args.discriminator.init_args.featurs", "8"], "did you mean 'features'"),
        (["--model.init_args.sharpen", "[pixel]"], "expected 'pix' or 'percep' or 'gan'"),
        (["--data.init_args.patch_size", "36"], "patch_size divisible by 8"),
        (["--model.init_args.net.init_args.scale", "3"], "RRDB has no x3"),
    ],
)
def test_bad_input_gets_one_line(fit: Run, wrong: list[str], said: str) -> None:
    error = fit("2", "run", 1, *ALONE, *wrong, status=2)
    assert said in error
    assert error.partition("srbench: error: ")[2].count("\n") == 1


# ------------------------------------------------------------------------------------------------------- two processes


def _in_processes(count: int, stage: str, folder: str, steps: int, *more: str) -> dict[str, Any]:
    processes = ["--trainer.devices", str(count), "--trainer.strategy", "ddp"] if count > 1 else []
    batch = ["--data.init_args.batch_size", str(2 // count)]
    command = [sys.executable, "-m", "srbench.cli", *_arguments(stage, folder, steps, *batch, *processes, *more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return last(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "more"), [("1", []), ("2", ALONE)])
def test_two_processes_learn_what_one_learns(stage: str, more: list[str]) -> None:
    sgd = ["--model.init_args.optimizer.class_path", "torch.optim.SGD"]
    sgd += ["--model.init_args.optimizer.init_args", "{lr: 0.05}"]
    one, two = (_in_processes(n, stage, f"run{n}", 3, *more, *sgd) for n in (1, 2))
    for key in ("state_dict", "current_model_state"):
        for name, value in one[key].items():
            torch.testing.assert_close(two[key][name], value, atol=2e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "more", "again"), [("1", [], []), ("2", ALONE, TRIAL)])
def test_two_processes_resume_bit_for_bit(stage: str, more: list[str], again: list[str]) -> None:
    straight = _in_processes(2, stage, "straight", 5, *more)
    _in_processes(2, stage, "broken", 2, *more)
    assert not differing(straight, _in_processes(2, stage, "broken", 5, *again, "--ckpt_path", "last"), *WHOLE)
