"""Whole runs of DASR's stages by the command line: in a row, stopped and resumed, tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbench.cli import main

from ...training_runs import CPU, differing, enter_workplace, fit_pairs, last  # noqa: TID252

SMALL = [f"--model.init_args.{size}" for size in ("features=4", "blocks=1", "experts=2")]
SMALL += ["--data.init_args.patch_size", "32", "--data.init_args.degradation.init_args.crop", "80"]
ALONE = ["--model.init_args.allow_random_backbones", "true", "--model.init_args.previous", "null"]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter_workplace(tmp_path, monkeypatch, side=72)


def fit(config: str, folder: str, steps: int, *more: str, status: int = 0) -> None:
    fit_pairs(config, folder, steps, *SMALL, *more, status=status)


def test_a_resumed_run_equals_one_that_never_stopped() -> None:
    fit("methods/dasr/1_pixel.yaml", "straight", 4)
    fit("methods/dasr/1_pixel.yaml", "broken", 2)
    assert differing(last("straight"), last("broken"))
    fit("methods/dasr/1_pixel.yaml", "broken", 4, "--ckpt_path", "last")
    assert not differing(last("straight"), last("broken"))
    assert last("straight")["marks"] == []


def test_the_adversarial_stage_starts_from_the_first_and_is_tested(capsys: pytest.CaptureFixture[str]) -> None:
    fit("methods/dasr/2_gan.yaml", "two", 1, "--model.init_args.allow_random_backbones", "true", status=2)
    assert "run srbench fit --config methods/dasr/1_pixel.yaml" in capsys.readouterr().err
    fit("methods/dasr/1_pixel.yaml", "one", 1)
    given = ["--model.init_args.weights", "one/checkpoints/last.ckpt"]
    fit("methods/dasr/2_gan.yaml", "two", 1, *ALONE, *given)
    made = last("two")
    assert made["marks"] == ["random_backbones"]  # of VGG19
    assert {name.split(".")[0] for name in made["state_dict"]} == {"net", "discriminator"}
    test = ["test", "--config", "methods/dasr/test.yaml", *SMALL[:3], "--data", "ImagePairs", "--data.test_gt", "gt"]
    weights = ["--model.init_args.weights", "two/checkpoints/last.ckpt"]
    assert main([*test, *weights, *CPU, "--benchmark.out", "records"]) == 0


def test_data_without_recipes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    fit("methods/dasr/1_pixel.yaml", "run", 1, "--data.init_args.carry_degradation", "false", status=2)
    assert "DASR learns how lq was made, and this data does not say" in capsys.readouterr().err
