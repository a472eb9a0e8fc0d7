"""CasSR from the shell, as the configs have it: two stages with references made in between, then a stamped record."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import skimage
from PIL import Image

from srbench.cli import main
from srbench.datamodules.published import SETS
from srbench.records import find_records
from srbench.weights import read_checkpoint

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def stage(name: str) -> list[str]:
    return ["--config", f"methods/cassr/{name}.yaml", "--config", f"trials/cassr/{name}.yaml"]


REAL = ("RealSR-Canon", "RealSR-Nikon", "DRealSR")


def pairs(folder: Path) -> None:
    """Two pairs of 96 and 24 pixels, cut out of photographs."""
    for name in ("astronaut", "chelsea"):
        with Image.open(Path(skimage.__file__).parent / "data" / f"{name}.png") as photograph:
            cut = photograph.crop((120, 120, 216, 216))
        for kind, side in (("gt", 96), ("lq", 24)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cut.resize((side, side), Image.Resampling.BICUBIC).save(folder / kind / f"{name}.png")


def test_two_stages_in_a_row_and_records_of_the_papers_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, miniatures: ModuleType
) -> None:
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
    assert sorted(path.name for path in Path("pairs/ref_x4").glob("*.png")) == ["astronaut.png", "chelsea.png"]

    folders = [f"--data.init_args.train_{kind}" for kind in ("gt", "lq", "ref")]
    triples = [
        part for flag, name in zip(folders, ("gt", "lq", "ref_x4"), strict=True) for part in (flag, f"pairs/{name}")
    ]
    assert main(["fit", *stage("2_cassr"), *triples, "--trainer.max_steps", "2", *QUIET]) == 0
    held = read_checkpoint("runs/cassr/2_cassr/checkpoints/last.ckpt")
    assert {name.split(".")[0] for name in held["state_dict"]} == {"controlnet", "attentions"}

    for name in REAL:
        miniatures.make(SETS[name], Path("sets"), count=2, side=16)
    sets = ["--data.init_args.root", "sets", "--data.init_args.allow_partial", "true", "--benchmark.out", "out"]
    for data in ("data/realsr.yaml", "data/drealsr.yaml"):
        assert main(["test", *stage("test"), "--config", data, *sets, *QUIET]) == 0
    records = [record for _, record in find_records([Path("out")])]
    assert sorted(record.test_set for record in records) == sorted(REAL)
    for record in records:
        assert (record.method, record.n, record.marks) == ("CasSR", 2, ("random_backbones",))
