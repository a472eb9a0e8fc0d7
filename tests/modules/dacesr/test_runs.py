"""Whole runs of stages 2 and 3 from the shipped configs, made small: in a row, in bfloat16, in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main
from srbench.modules.dacesr import DACESRPixel
from srbench.modules.nets import lora
from srbench.modules.nets.ram import attach_low_rank, make_tagger, save_low_rank, tagger_preset
from srbench.records import find_records

from ...training_runs import CPU, QUIET, differing, last  # noqa: TID252

PIXEL, GAN = "methods/dacesr/2_pixel.yaml", "methods/dacesr/3_gan.yaml"
SMALL = [
    *("--model.init_args.preset", "small", "--model.init_args.encoder_size", "small"),
    *("--model.init_args.allow_random_backbones", "true", "--model.init_args.additions", "null"),
]
THIN = ["--model.init_args.discriminator.init_args.features", "4"]
ALONE = ["--model.init_args.previous", "null", "--model.init_args.weights", "null"]
PLAIN = [*ALONE, "--model.init_args.perceptual_weight", "0"]
"""Without VGG19, through whose five random layers the order of sums alone moves a step by a thousandth."""
DATA = [
    *("--config", "data/hr_images.yaml", "--data.init_args.gt", "gt", "--data.init_args.samples_per_epoch", "8"),
    *("--data.init_args.patch_size", "64", "--data.init_args.degradation.init_args.crop", "128"),
]

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    rng = np.random.default_rng(0)
    for folder, side, count in (("gt", 160, 3), ("test", 56, 1)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            y, x = np.mgrid[:side, :side] / 9
            image = np.stack([np.sin(a * x + b * y) for a, b in rng.uniform(-2, 2, (3, 2))], -1) * 90 + 128
            Image.fromarray(image.astype(np.uint8)).save(tmp_path / folder / f"{i}.png")


def _arguments(stage: str, folder: str, steps: int, *more: str) -> list[str]:
    run = ["--trainer.default_root_dir", folder, "--trainer.max_steps", str(steps), "--data.init_args.batch_size", "2"]
    thin = THIN if stage == GAN else []
    return ["fit", "--config", stage, *DATA, *SMALL, *thin, *QUIET, *run, *more]


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


def _net(held: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in held["state_dict"].items() if name.startswith("net.")}


def test_stages_follow_each_other_and_are_tested_whole_and_in_tiles(
    fit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = fit(GAN, "three", 2, status=2)
    assert "runs/dacesr/2_pixel/checkpoints/last.ckpt" in refused
    assert f"run srbench fit --config {PIXEL}" in refused
    fit(PIXEL, "two", 2)
    fit(GAN, "three", 2, "--model.init_args.weights", "two/checkpoints/last.ckpt")
    two, three = last("two"), last("three")
    assert two["marks"] == three["marks"] == ["random_backbones"]
    assert {name.split(".")[0] for name in three["state_dict"]} == {"net", "discriminator"}
    assert all(not torch.equal(three["state_dict"][name], tensor) for name, tensor in _net(two).items())
    test = ["--data", "ImagePairs", "--data.test_gt", "test", *CPU]
    for out, more in (("whole", []), ("tiles", ["--model.init_args.tile", "8", "--model.init_args.tile_overlap", "2"])):
        given = ["--config", "methods/dacesr/test.yaml", *SMALL, *THIN]
        given += ["--model.init_args.weights", "three/checkpoints/last.ckpt", *more]
        assert main(["test", *given, *test, "--benchmark.out", out]) == 0, capsys.readouterr().err
    whole, tiles = (find_records([Path(out)])[0][1] for out in ("whole", "tiles"))
    assert (whole.method, whole.stage, whole.marks) == ("DACESR-small", "gan", ("random_backbones",))
    assert whole.metrics["psnr_y219"].mean != tiles.metrics["psnr_y219"].mean


def test_an_encoder_that_is_random_at_test_time_marks_the_row(fit: Run) -> None:
    fit(PIXEL, "two", 1)
    torch.save({"params": {name.removeprefix("net."): value for name, value in _net(last("two")).items()}}, "plain.pth")
    test = ["--data", "ImagePairs", "--data.test_gt", "test", *CPU, "--model.init_args.weights", "plain.pth"]
    assert (
        main(["test", "--config", "methods/dacesr/test.yaml", *SMALL, *THIN, *test, "--benchmark.out", "records"]) == 0
    )
    [(_, record)] = find_records([Path("records")])
    assert record.marks == ("random_backbones",)


def test_a_network_of_another_condition_is_refused_but_to_start_from_it_at_will(
    fit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(PIXEL, "two", 1, "--model.init_args.modulation", "scale")
    given = ["--model.init_args.weights", "two/checkpoints/last.ckpt"]
    told = "it was trained with modulation scale, and here modulation is both"
    assert told in fit(GAN, "three", 1, *given, status=2)
    test = [
        "test",
        "--config",
        "methods/dacesr/test.yaml",
        *SMALL,
        *THIN,
        "--data",
        "ImagePairs",
        "--data.test_gt",
        "test",
    ]
    assert main([*test, *CPU, *given]) == 2
    assert told in capsys.readouterr().err
    fit(GAN, "three", 1, *given, "--model.init_args.modulation", "scale")
    fit(GAN, "other", 1, *given, "--model.init_args.previous", "null")


def test_stage_1s_additions_condition_the_network(tmp_path: Path) -> None:
    net = attach_low_rank(make_tagger(tagger_preset("small"), None))
    torch.manual_seed(1)
    for _, layer in lora.low_rank_layers(net):
        torch.nn.init.normal_(layer.lora_B)
    save_low_rank(net, tmp_path / "ree.pth")
    images = torch.rand(2, 3, 20, 30)
    embeddings = []
    for additions in (None, str(tmp_path / "ree.pth")):
        module = DACESRPixel(
            preset="small", encoder_size="small", allow_random_backbones=True, additions=additions
        ).eval()
        module.setup("test")
        embeddings.append(module.encoder(images))
    assert torch.allclose(embeddings[1], net.representation(net.prepared(images)), atol=1e-4)
    assert not torch.allclose(embeddings[0], embeddings[1], atol=1e-2)


@pytest.mark.parametrize(
    "more",
    [
        ["--trainer.precision", "bf16-mixed", "--model.init_args.checkpointing", "true"],
        ["--config", "ablations/dacesr/official.yaml", "--model.init_args.official_queue", "4", *SMALL],
        ["--model.init_args.condition", "spatial", "--data.init_args.num_workers", "1"],
    ],
    ids=["bf16", "official", "spatial"],
)
def test_settings_of_training(fit: Run, more: list[str]) -> None:
    fit(GAN, "run", 4, *ALONE, *more)
    held = last("run")
    assert held["global_step"] == 4
    assert all(bool(torch.isfinite(tensor).all()) for tensor in held["state_dict"].values())
    assert all(tensor.dtype == torch.float32 for tensor in held["state_dict"].values())


OFFICIAL = ["--config", "ablations/dacesr/official.yaml", "--model.init_args.official_queue", "4"]
AVERAGED = [
    *("--trainer.callbacks", "lightning.pytorch.callbacks.EMAWeightAveraging", "--trainer.callbacks.decay", "0.9"),
]
KEPT = ("current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "pair_queue")
"""What a resumed run has to bring to the same end beside both networks' averages."""


def test_a_resumed_official_run_equals_one_that_never_stopped(fit: Run) -> None:
    """With the queue full before it stops, so that what comes out of it was put in before."""
    more = [*PLAIN, *OFFICIAL, *AVERAGED, *SMALL]
    fit(GAN, "straight", 5, *more)
    fit(GAN, "broken", 3, *more)
    fit(GAN, "broken", 5, *more, "--ckpt_path", "last")
    straight, broken = last("straight"), last("broken")
    assert {name: tuple(t.shape) for name, t in straight["pair_queue"].items()} == {
        "lq": (1, 4, 3, 16, 16),
        "gt": (1, 4, 3, 64, 64),
    }
    assert len(straight["optimizer_states"]) == len(straight["lr_schedulers"]) == 2
    assert differing(straight, broken, *KEPT) == []
    alone = {key: pairs[:, :2].repeat(2, 1, 1, 1, 1) for key, pairs in straight["pair_queue"].items()}
    torch.save({**straight, "pair_queue": alone}, "two.ckpt")  # as two processes would leave it
    with pytest.warns(UserWarning, match="the queue starts empty: the checkpoint is of another number of processes"):
        fit(GAN, "broken", 6, *more, "--ckpt_path", "two.ckpt")
    test = ["test", "--ckpt_path", "two.ckpt", "--data", "ImagePairs", "--data.test_gt", "test"]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the queue")
        assert main([*test, *CPU, "--benchmark.out", "rec"]) == 0


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
@pytest.mark.parametrize("stage", [PIXEL, GAN])
def test_two_processes_learn_what_one_learns(stage: str) -> None:
    sgd = ["--model.init_args.optimizer.class_path", "torch.optim.SGD", "--model.init_args.drop_path", "0"]
    sgd += ["--model.init_args.optimizer.init_args", "{lr: 0.05}", *(PLAIN if stage == GAN else [])]
    frugal = ["--model.init_args.checkpointing", "true"]
    one, two = (_in_processes(n, stage, f"run{n}", 3, *sgd, *more) for n, more in ((1, []), (2, frugal)))
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], value, atol=2e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [PIXEL, GAN])
def test_two_processes_resume_bit_for_bit(stage: str) -> None:
    alone = ["--model.init_args.drop_path", "0", *(ALONE if stage == GAN else [])]
    straight = _in_processes(2, stage, "straight", 5, *alone)
    _in_processes(2, stage, "broken", 2, *alone)
    broken = _in_processes(2, stage, "broken", 5, *alone, "--ckpt_path", "last")
    assert broken["global_step"] == straight["global_step"] == 5
    assert all(torch.equal(broken["state_dict"][name], value) for name, value in straight["state_dict"].items())
