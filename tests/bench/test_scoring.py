"""Scoring: one function for the callback and the command; means, intervals, missing metrics."""

from __future__ import annotations

import dataclasses
import math
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from srbench import metrics
from srbench.errors import InputError, MetricUnavailable
from srbench.images import luma_y219, write_png
from srbench.metrics import Metric
from srbench.metrics.psnr import psnr
from srbench.protocol import MetricSpec, Protocol, load_protocol
from srbench.records import ImageRow
from srbench.scoring import Scorer, interval, score_folders, summarise


def noise(seed: int, height: int = 24, width: int = 28) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def protocol(*specs: tuple[str, int], crop: str = "full") -> Protocol:
    return Protocol("trial", 1, crop, tuple(MetricSpec(*spec) for spec in specs))


def rows(values: list[float], metric: str = "psnr_y219") -> list[ImageRow]:
    return [ImageRow(f"img_{i:03}", {metric: value}) for i, value in enumerate(values)]


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of the kinds that the first set lacks."""

    def absent(device: str) -> metrics.ImageMetric:
        raise MetricUnavailable("no weights; see srbench weights fetch")

    def sharpness(device: str) -> metrics.ImageMetric:
        return lambda sr, gt: float(sr.std())

    def never(device: str) -> metrics.ImageMetric:
        raise AssertionError("a set-level metric is not built for single images")

    mine = [
        Metric("absent", "no_reference", False, "nowhere", "", absent, ("w.pth",)),
        Metric("sharpness", "no_reference", True, "here", "", sharpness),
        Metric("fid", "set_level", False, "here", "", never),
    ]
    known = metrics._all() | {metric.name: metric for metric in mine}
    monkeypatch.setattr(metrics, "_all", lambda: known)


# ------------------------------------------------------------------------------------------------------- one image


def test_values_come_in_the_protocols_order_with_its_crops() -> None:
    sr, gt = noise(1), noise(2)
    values = Scorer(protocol(("psnr_rgb", 0), ("psnr_y219", 4))).score("a", sr, gt)
    assert list(values) == ["psnr_rgb", "psnr_y219"]
    assert values["psnr_rgb"] == psnr(sr, gt)
    assert values["psnr_y219"] == psnr(luma_y219(sr[4:-4, 4:-4]), luma_y219(gt[4:-4, 4:-4]))


def test_the_centre_is_cut_out_before_the_border() -> None:
    sr, gt = noise(1), noise(2)
    values = Scorer(protocol(("psnr_rgb", 2), crop="center16")).score("a", sr, gt)
    assert values["psnr_rgb"] == psnr(sr[6:-6, 8:-8], gt[6:-6, 8:-8])


def test_sizes_that_differ_name_the_image() -> None:
    with pytest.raises(InputError, match=r"^img_7: sr is 28x24 and gt 28x20; "):
        Scorer(load_protocol("y219_crop4")).score("img_7", noise(1), noise(2, 20))


def test_images_too_small_name_the_image() -> None:
    with pytest.raises(InputError, match=r"^img_7: 8x8 pixels are smaller than SSIM"):
        Scorer(load_protocol("y219_crop4")).score("img_7", noise(1, 16, 16), noise(2, 16, 16))
    with pytest.raises(InputError, match=r"^img_7: 28x24 pixels hold no 32x32 centre"):
        Scorer(protocol(("psnr_rgb", 0), crop="center32")).score("img_7", noise(1), noise(2))


@pytest.mark.usefixtures("extra")
def test_without_a_reference_the_others_are_scored() -> None:
    scorer = Scorer(protocol(("psnr_rgb", 0), ("sharpness", 0)))
    values = scorer.score("a", noise(1), None)
    assert values == {"sharpness": noise(1).std()}
    results = summarise([ImageRow("a", values)], scorer)
    assert (results["psnr_rgb"].mean, results["psnr_rgb"].missing) == (None, "no ground truth")
    assert results["sharpness"].missing is None


@pytest.mark.usefixtures("extra")
def test_a_metric_that_cannot_run_is_missing_with_the_reason() -> None:
    scorer = Scorer(protocol(("psnr_rgb", 0), ("absent", 0), ("fid", 0)))
    assert scorer.missing["absent"] == "no weights; see srbench weights fetch"
    assert "whole set" in scorer.missing["fid"]
    values = scorer.score("a", noise(1), noise(2))
    assert list(values) == ["psnr_rgb"]
    result = summarise([ImageRow("a", values)], scorer)["absent"]
    assert (result.mean, result.n, result.missing) == (None, 0, "no weights; see srbench weights fetch")
    assert (result.higher_is_better, result.library, result.weights) == (False, "nowhere", ("w.pth",))


# ------------------------------------------------------------------------------------------------------ many images


def test_means_are_of_images_and_do_not_depend_on_their_order() -> None:
    scorer = Scorer(protocol(("psnr_y219", 0)))
    values = [float(v) for v in np.random.default_rng(3).normal(28, 3, 40)]
    scored = rows(values)
    result = summarise(scored, scorer)["psnr_y219"]
    assert (result.mean, result.n) == (math.fsum(values) / 40, 40)
    for seed in range(3):
        shuffled = list(scored)
        random.Random(seed).shuffle(shuffled)
        assert summarise(shuffled, scorer)["psnr_y219"] == result


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(4).normal(28, 3, 400)
    low, high = interval(list(values))
    assert low is not None
    assert high is not None
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_the_draw_is_fixed_for_ever() -> None:
    """Leaderboards of different machines and years must agree, so the number itself is pinned."""
    low, high = interval([math.sqrt(i) for i in range(12)])
    assert low == pytest.approx(1.594098262145754, abs=1e-12)
    assert high == pytest.approx(2.646760372754871, abs=1e-12)


def test_large_sets_are_drawn_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [float(v) for v in np.random.default_rng(5).normal(0, 1, 30)]
    whole = interval(values)
    monkeypatch.setattr("srbench.scoring._CHUNK", 3000)
    assert interval(values) == whole


@pytest.mark.parametrize("values", [[], [30.0], [30.0, math.inf], [30.0, math.nan]])
def test_no_interval_where_there_is_none(values: list[float]) -> None:
    assert interval(values) == (None, None)


def test_infinite_values_stay_infinite() -> None:
    result = summarise(rows([30.0, math.inf]), Scorer(protocol(("psnr_y219", 0))))["psnr_y219"]
    assert (result.mean, result.n, result.ci_low) == (math.inf, 2, None)


def test_no_rows_at_all() -> None:
    result = summarise([], Scorer(protocol(("psnr_y219", 0))))["psnr_y219"]
    assert (result.mean, result.n, result.missing) == (None, 0, "no image was scored")


# ---------------------------------------------------------------------------------------------------------- folders


def folders(tmp_path: Path, count: int = 3) -> tuple[Path, Path]:
    for i in range(count):
        write_png(tmp_path / "sr" / f"img_{i}x4.png", noise(i))
        write_png(tmp_path / "gt" / f"img_{i}.png", noise(100 + i))
    return tmp_path / "sr", tmp_path / "gt"


def test_folders_give_the_same_numbers_as_arrays(tmp_path: Path) -> None:
    scorer = Scorer(load_protocol("y219_crop4"))
    seen: list[str] = []
    found = score_folders(*folders(tmp_path), scorer, progress=lambda row: seen.append(row.name))
    assert [row.name for row in found] == seen == ["img_0", "img_1", "img_2"]
    assert [row.values for row in found] == [scorer.score("", noise(i), noise(100 + i)) for i in range(3)]


def test_notes_on_reading_reach_the_rows(tmp_path: Path) -> None:
    from PIL import Image

    sr, gt = folders(tmp_path, 1)
    Image.fromarray(noise(0)[..., 0]).save(gt / "img_0.png")
    Image.fromarray(noise(0)).quantize(8).save(sr / "img_0x4.png")
    row = score_folders(sr, gt, Scorer(load_protocol("rgb_crop4")))[0]
    assert row.notes == ("grey image made RGB", "sr: palette image made RGB")


def test_gt_is_cropped_to_a_multiple_of_a_given_scale_alone(tmp_path: Path) -> None:
    sr, gt = folders(tmp_path, 1)
    write_png(gt / "img_0.png", np.pad(noise(100), ((0, 3), (0, 1), (0, 0))))
    scorer = Scorer(load_protocol("y219_crop4"))
    with pytest.raises(InputError, match=r"^img_0: sr is 28x24 and gt 29x27"):
        score_folders(sr, gt, scorer)
    with pytest.raises(InputError, match=r"^img_0: sr is 28x24 and gt 29x27"):
        score_folders(sr, gt, scorer, scale=5)
    row = score_folders(sr, gt, scorer, scale=4)[0]
    assert row.values == scorer.score("", noise(0), noise(100))
    assert row.notes == ("gt cropped to a multiple of 4",)


def test_a_bad_file_in_a_folder_is_named(tmp_path: Path) -> None:
    sr, gt = folders(tmp_path)
    (sr / "img_1x4.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"img_1x4\.png: not a PNG"):
        score_folders(sr, gt, Scorer(load_protocol("y219_crop4")))


def test_bicubic_of_set5(shared: Path, tmp_path: Path) -> None:
    """The field's most printed number, through files and all; y219 28.43, whole 28.438, RGB 26.695."""
    import torch

    from srbench.datamodules.degradations import imresize
    from srbench.images import list_images, read_image

    for path in list_images(shared / "data" / "Set5" / "LRbicx4"):
        planes = torch.from_numpy(read_image(path).pixels).permute(2, 0, 1)
        write_png(tmp_path / path.name, imresize(planes, 4).permute(1, 2, 0).contiguous().numpy())
    for name, expected in {"y219_crop4": 28.430, "y219_crop0": 28.438, "rgb_crop4": 26.695}.items():
        scorer = Scorer(load_protocol(name))
        result = summarise(score_folders(tmp_path, shared / "data" / "Set5" / "HR", scorer), scorer)
        first = next(iter(result.values()))
        assert first.mean == pytest.approx(expected, abs=0.01)
        assert first.n == 5


# --------------------------------------------------------------------------------------------------------- metrics


def test_unknown_metrics_suggest_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown metric 'psnr_y129'; did you mean 'psnr_y219'"):
        metrics.find("psnr_y129")


def test_two_metrics_of_one_name_are_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    from srbench.metrics import psnr as family

    doubled = dataclasses.replace(family.METRICS[0], source="again")
    monkeypatch.setattr(family, "METRICS", (*family.METRICS, doubled))
    with pytest.raises(RuntimeError, match="two metrics are called psnr_y219"):
        metrics._all.__wrapped__()


def test_neither_scoring_nor_the_list_of_metrics_imports_torch() -> None:
    code = (
        "import sys, numpy as np; from srbench import metrics; from srbench.scoring import Scorer;"
        "from srbench.protocol import load_protocol; metrics.names(); a = np.zeros((32, 32, 3), np.uint8);"
        "Scorer(load_protocol('y219_crop4')).score('a', a, a); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
