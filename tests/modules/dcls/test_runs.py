"""Whole runs of DCLS by the command line: stopped and resumed, tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbench.cli import main

from ...training_runs import CPU, differing, enter_workplace, fit_pairs, last  # noqa: TID252

SMALL = [f"--model.init_args.{size}" for size in ("features=16", "blocks=1", "groups=1", "latent=4")]
SMALL += ["--data.init_args.patch_size", "96"]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter_workplace(tmp_path, monkeypatch, side=112)


def fit(config: str, folder: str, steps: int, *more: str, status: int = 0) -> None:
    fit_pairs(config, folder, steps, *SMALL, *more, status=status)


def test_a_resumed_run_equals_one_that_never_stopped() -> None:
    fit("methods/dcls/1_isotropic.yaml", "straight", 3)
    fit("methods/dcls/1_isotropic.yaml", "broken", 1)
    assert differing(last("straight"), last("broken"))
    fit("methods/dcls/1_isotropic.yaml", "broken", 3, "--ckpt_path", "last")
    assert not differing(last("straight"), last("broken"))
    test = ["test", "--config", "methods/dcls/test.yaml", *SMALL[:4], "--data", "ImagePairs", "--data.test_gt", "gt"]
    weights = ["--model.init_args.weights", "straight/checkpoints/last.ckpt"]
    assert main([*test, *weights, *CPU, "--benchmark.out", "records"]) == 0


def test_a_patch_smaller_than_the_kernel_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    fit("methods/dcls/1_isotropic.yaml", "run", 1, "--data.init_args.patch_size", "64", status=2)
    assert "a patch of 16 lq pixels cannot show a kernel of 21; use 84 or more" in capsys.readouterr().err
