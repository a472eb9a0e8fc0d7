"""CasSR from the shell, as the configs have it: two stages with references made in between, then a stamped record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srbench.cli import main
from srbench.records import find_records
from srbench.weights import read_checkpoint

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def stage(name: str) -> list[str]:
    return ["--config", f"methods/cassr/{name}.yaml", "--config", f"trials/cassr/{name}.yaml"]


def pairs(folder: Path) -> None:
    """Two pairs of 96 and 24 pixels."""
    for i in range(2):
        rough = Image.fromarray(np.random.default_rng(i).integers(0, 256, (12, 12, 3), dtype=np.uint8))
        for kind, side in (("gt", 96), ("lq", 24)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            rough.resize((side, side), Image.Resampling.BICUBIC).save(folder / kind / f"{i}.png")


def test_two_stages_in_a_row_and_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pairs(Path("pairs"))
    first = "runs/cassr/1_activation/checkpoints/last.ckpt"
    degraded = ["--data.init_args.gt", "pairs/gt", "--data.init_args.degradation.init_args.crop", "128"]
    fit = ["fit", *stage("1_activation"), *degraded, *QUIET]
    assert main([*fit, "--trainer.max_steps", "2"]) == 0
    assert main([*fit, "--trainer.max_steps", "3", "--ckpt_path", first]) == 0
    assert read_checkpoint(first)["global_step"] == 3

    images = ["--config", "data/images.yaml", "--data.init_args.root", "pairs/lq", "--data.init_args.name", "ref"]
    made = ["--ckpt_path", first, "--benchmark.out", "pairs"]
    assert main(["predict", *stage("1_activation"), *images, *made, *QUIET]) == 0
    assert sorted(path.name for path in Path("pairs/ref_x4").glob("*.png")) == ["0.png", "1.png"]

    folders = [f"--data.init_args.train_{kind}" for kind in ("gt", "lq", "ref")]
    triples = [
        part for flag, name in zip(folders, ("gt", "lq", "ref_x4"), strict=True) for part in (flag, f"pairs/{name}")
    ]
    assert main(["fit", *stage("2_cassr"), *triples, "--trainer.max_steps", "2", *QUIET]) == 0
    held = read_checkpoint("runs/cassr/2_cassr/checkpoints/last.ckpt")
    assert {name.split(".")[0] for name in held["state_dict"]} == {"controlnet", "attentions"}

    data = [
        "--data",
        "ImagePairs",
        "--data.test_gt",
        "pairs/gt",
        "--data.test_lq",
        "pairs/lq",
        "--data.test_name",
        "mini",
    ]
    assert main(["test", *stage("test"), *data, *QUIET, "--benchmark.out", "out"]) == 0
    [(_, record)] = find_records([Path("out")])
    assert (record.method, record.n, record.marks) == ("CasSR", 2, ("random_backbones",))
