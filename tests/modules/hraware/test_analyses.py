"""Figs. 7 and 8: lq made again of mixtures, and FAR of good and degraded images, by the command."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.cli import main
from srbench.modules.hraware import HRAwarePretrain
from srbench.modules.hraware.far_histogram_command import exceeds
from srbench.modules.hraware.interpolation import reconstructions, slope
from srbench.modules.hraware.trained import trained_stage
from srbench.modules.losses.lpips_distance import LPIPSDistance
from srbench.modules.nets.lr_reconstruction import enlarged

pytest.importorskip("lpips")
pytestmark = pytest.mark.filterwarnings("ignore:.*a random network stands in")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pairs and checkpoints of stage 1 with and without s."""
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:128, :144]
    for number in range(2):
        gt = np.stack([np.sin(x / 3 + number), np.cos(y / 4), np.sin((x - y) / 5)], -1) * 90 + 128
        for kind, step in (("gt", 1), ("lq", 4)):
            Path(kind).mkdir(exist_ok=True)
            Image.fromarray(gt[::step, ::step].astype(np.uint8)).save(f"{kind}/{number}.png")
    for name, options in (("s", {"use_far": False}), ("none", {"use_far": False, "use_s": False}), ("far", {})):
        _checkpoint(f"{name}.ckpt", **options)
    return tmp_path


def _checkpoint(path: str, **options: Any) -> None:
    chosen = {"preset": "small", "far_encoder": "edsr", **options}
    torch.manual_seed(0)
    stage = HRAwarePretrain(**chosen)
    if stage.far is not None:
        with torch.no_grad():
            stage.far_constant.mean.fill_(0.5)
    head = {"pytorch-lightning_version": "2.6.6", "marks": ["random_backbones"], "state_dict": stage.state_dict()}
    torch.save({**head, "hyper_parameters": {"_class_path": "srbench.modules.HRAwarePretrain", **chosen}}, path)


def _rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_stage_is_built_as_its_checkpoint_remembers(place: Path) -> None:
    stage = trained_stage("none.ckpt", allow_random_backbones=True)
    assert stage.controller is None
    assert stage.far is None
    assert stage.marks == ("random_backbones",)
    assert not stage.training
    far = trained_stage("far.ckpt", allow_random_backbones=True)
    assert far.far is not None
    assert bool((far.far_constant.mean == 0.5).all())


def test_at_the_ends_the_image_is_gt_and_the_enlarged_lq() -> None:
    stage = trained_stage("s.ckpt", allow_random_backbones=True)
    distance = LPIPSDistance("alex")
    distance.load(None)
    gt = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    lq = torch.nn.functional.avg_pool2d(gt, 4)
    first, last = reconstructions(stage, lq, gt, [0.0, 1.0], distance)
    up = enlarged(lq, gt)
    assert stage.controller is not None
    with torch.no_grad():
        for one, image in ((first, gt), (last, up)):
            s = stage.controller(up, image)
            made = stage.net(lq, stage.net.image_features(image), s).clamp(0, 1)
            assert one.psnr == pytest.approx(float(-10 * torch.log10((made - lq).square().mean())), abs=1e-4)
            assert one.lpips == pytest.approx(float(distance(made, lq)), abs=1e-6)
    assert first != last
    assert slope([(0, 3.0), (1, 1.0)]) == -2.0


def test_interpolation_writes_tables_and_a_picture(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nets = ["--checkpoint", "with s=s.ckpt", "--checkpoint", "without=none.ckpt", "--allow-random-backbones"]
    given = ["--gt", "gt", "--lq", "lq", "--points", "3", "--crop", "32", "--out", "out"]
    assert main(["analyze", "reconstruction-interpolation", *nets, *given]) == 0
    rows = _rows("out/reconstructions.csv")
    assert len(rows) == 2 * 2 * 3
    means = _rows("out/means.csv")
    assert [(row["checkpoint"], row["i"], row["n"]) for row in means][:2] == [
        ("with s", "0.0", "2"),
        ("with s", "0.5", "2"),
    ]
    mine = [float(row["psnr"]) for row in rows if (row["checkpoint"], row["i"]) == ("without", "1.0")]
    assert float(means[-1]["psnr"]) == pytest.approx(sum(mine) / 2)
    assert "random_backbones" in Path("out/interpolation.svg").read_text()
    assert "without: over i, PSNR changes by" in capsys.readouterr().out


def test_a_histogram_of_far_has_every_image_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--checkpoint", "far.ckpt", "--clean", "gt", "--degraded", "low=lq", "--crop", "96", "--bins", "4"]
    assert main(["analyze", "far-histogram", *given, "--allow-random-backbones", "--out", "out"]) == 0
    rows = _rows("out/far.csv")
    assert [(row["set"], row["image"]) for row in rows] == [("clean", "0"), ("clean", "1"), ("low", "0"), ("low", "1")]
    assert all(float(row["far"]) > 0 and float(row["constant"]) > 0 for row in rows)
    table = _rows("out/histogram.csv")
    assert [sum(int(row["count"]) for row in table if row["set"] == name) for name in ("clean", "low")] == [2, 2]
    assert "without e_im, clean:" in capsys.readouterr().out
    assert Path("out/histogram.svg").is_file()
    assert exceeds([2.0, 2.0], [2.0, 1.0]) == 0.75


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["reconstruction-interpolation"], "nothing is given"),
        (["reconstruction-interpolation", "--checkpoint", "a=s.ckpt"], "folders of gt and lq are needed"),
        (["reconstruction-interpolation", "--points", "1"], "--points"),
        (["far-histogram", "--checkpoint", "far.ckpt", "--clean", "gt"], "nothing is given"),
        (["far-histogram", "--clean", "gt"], "--checkpoint: it is needed"),
        (["far-histogram", "--checkpoint", "far.ckpt", "--clean", "gt", "--degraded", "clean=lq"], "the good images'"),
        (["far-histogram", "--checkpoint", "s.ckpt", "--clean", "gt", "--degraded", "a=lq"], "trained without FAR"),
        (["far-histogram", "--checkpoint", "lq/0.png", "--clean", "gt", "--degraded", "a=lq"], "lq/0.png"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", *arguments, "--allow-random-backbones"]) == 2
    assert says in capsys.readouterr().err


def test_an_image_without_partner_or_too_small_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nets = ["analyze", "reconstruction-interpolation", "--checkpoint", "a=s.ckpt", "--allow-random-backbones"]
    assert main([*nets, "--gt", "gt", "--lq", "lq", "--crop", "33"]) == 2
    assert "holds no middle of 33" in capsys.readouterr().err
    (place / "lq" / "1.png").unlink()
    assert main([*nets, "--gt", "gt", "--lq", "lq"]) == 2
    assert "1.png: it has no lq of its name" in capsys.readouterr().err
