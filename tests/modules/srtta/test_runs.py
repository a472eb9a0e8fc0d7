"""SRTTA from the command line: what a record says, resuming image by image, and variants that carry what they learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main
from srbench.modules.srtta.net import DegradationClassifier
from srbench.records import find_records, read_rows

CONFIGS = ["--config", "methods/srtta/test.yaml", "--config", "trials/srtta/test.yaml"]
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.init_args.test_gt", "gt"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder: three gt images, two clean lq, a network's and a classifier's weights."""
    monkeypatch.chdir(tmp_path)
    for name, size, count in (("gt", (64, 52), 3), ("clean", (16, 14), 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            pixels = np.random.default_rng(i).integers(256, size=(8, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(tmp_path / name / f"{i}.png")
    net = DegradationClassifier("small")
    torch.nn.init.zeros_(net.classifier.weight)
    net.classifier.bias.data = torch.tensor([1.0, 1.0, -1.0])
    torch.save(net.state_dict(), "classifier.pt")
    return tmp_path


def srtta(out: str, *more: str, status: int = 0) -> dict[str, Any]:
    given = ["--model.init_args.classifier", "classifier.pt", "--model.init_args.clean_lq", "clean"]
    command = ["test", *CONFIGS, "--config", "data/image_pairs.yaml", *given, "--benchmark.out", out]
    # A random network hardly shows what its body learns, unless that is much.
    command += [*QUIET, "--model.init_args.optimizer.init_args.lr", "0.1", "--seed_everything", "0", *more]
    assert main(command) == status
    found = find_records([Path(out)])
    return {row.name: row.values for path, _ in found for row in read_rows(path)}


@pytest.mark.usefixtures("folder")
def test_a_run_that_was_cut_off_goes_on_to_the_same_record() -> None:
    whole = srtta("whole")
    assert len(whole) == 3
    assert srtta("cut", "--trainer.limit_test_batches", "1") == {}
    assert srtta("cut") == whole
    [(_, record)] = find_records([Path("cut")])
    assert record.method == "SRResNet-SRTTA"
    assert record.marks == ("random_backbones",)  # the network's weights, of which there are none
    known = srtta("known", "--model.init_args.known", "[blur, noise]")
    assert known == whole
    clean = srtta("clean_ones", "--model.init_args.known", "[]")
    assert all(clean[name] != whole[name] for name in whole)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("reset", ["domain", "lifelong"])
def test_what_is_carried_is_learned_in_one_run(reset: str, capsys: pytest.CaptureFixture[str]) -> None:
    carries = ["--model.init_args.reset", reset]
    whole, fresh = srtta("whole", *carries), srtta("fresh")
    names = sorted(whole)
    assert whole[names[0]] == fresh[names[0]]
    assert whole[names[1]] != fresh[names[1]]
    assert srtta("cut", *carries, "--trainer.limit_test_batches", "1") == {}
    capsys.readouterr()
    assert srtta("cut", *carries, status=2) == {}
    assert "--benchmark.force true" in capsys.readouterr().err
    assert srtta("cut", *carries, "--benchmark.force", "true") == whole
