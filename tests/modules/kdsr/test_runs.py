"""Whole runs of KDSR's stages by the command line: in a row, stopped and resumed, tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbench.cli import main
from srbench.records import find_records

from ...training_runs import CPU, differing, enter_workplace, fit_pairs, last  # noqa: TID252

SMALL = [f"--model.init_args.{size}" for size in ("features=4", "blocks=1", "encoder_blocks=1")]
SMALL += ["--data.init_args.patch_size", "32", "--data.init_args.degradation.init_args.crop", "80"]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter_workplace(tmp_path, monkeypatch, side=72)


def fit(config: str, folder: str, steps: int, *more: str, status: int = 0) -> None:
    fit_pairs(config, folder, steps, *SMALL, *more, status=status)


def test_the_stages_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    fit("methods/kdsr/2_student.yaml", "two", 1, status=2)
    assert "run srbench fit --config methods/kdsr/1_teacher.yaml" in capsys.readouterr().err
    fit("methods/kdsr/1_teacher.yaml", "one", 1)
    assert last("one")["marks"] == []
    taught = ["--model.init_args.pretrained", "one/checkpoints/last.ckpt"]
    fit("methods/kdsr/2_student.yaml", "two", 1, *taught)
    assert last("two")["marks"] == []
    assert not any("teacher" in name for name in last("two")["state_dict"])
    given = ["--model.init_args.weights", "two/checkpoints/last.ckpt"]
    fit("methods/kdsr/3_gan.yaml", "three", 1, *taught, *given, "--model.init_args.allow_random_backbones", "true")
    test = ["test", "--config", "methods/kdsr/test.yaml", *SMALL[:3], "--data", "ImagePairs", "--data.test_gt", "gt"]
    weights = ["--model.init_args.weights", "three/checkpoints/last.ckpt"]
    assert main([*test, *weights, *CPU, "--benchmark.out", "records"]) == 0


def test_rows_of_a_teacher_are_an_oracles() -> None:
    fit("methods/kdsr/1_teacher.yaml", "one", 1)
    test = ["test", "--config", "methods/kdsr/1_teacher.yaml", *SMALL[:3], "--ckpt_path", "one/checkpoints/last.ckpt"]
    data = ["--data", "ImagePairs", "--data.test_gt", "gt", "--data.degradation", "null"]
    assert main([*test, *data, *CPU, "--benchmark.out", "records"]) == 0
    [(_, record)] = find_records([Path("records")])
    assert record.marks == ("oracle",)


def test_a_resumed_student_equals_one_that_never_stopped() -> None:
    untaught = ["--model.init_args.pretrained", "null", "--model.init_args.allow_random_backbones", "true"]
    fit("methods/kdsr/2_student.yaml", "straight", 4, *untaught)
    fit("methods/kdsr/2_student.yaml", "broken", 2, *untaught)
    assert differing(last("straight"), last("broken"))
    fit("methods/kdsr/2_student.yaml", "broken", 4, *untaught, "--ckpt_path", "last")
    assert not differing(last("straight"), last("broken"))
    assert last("straight")["marks"] == ["random_backbones"]
