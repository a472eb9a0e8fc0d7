"""Scoring: one function for the callback and the command; means, intervals, missing metrics."""

from __future__ import annotations

import dataclasses
import importlib
import math
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from srbench import metrics, weight_files
from srbench.errors import InputError, MetricUnavailable
from srbench.folders import score_folders
from srbench.images import luma_y219, write_png
from srbench.metrics import DerivedMetric, ImageMetric, ImageScores, SetMetric
from srbench.metrics.psnr import psnr
from srbench.protocol import MetricSpec, Protocol, load_protocol
from srbench.records import ImageRow
from srbench.score_cache import ScoreCache
from srbench.scoring import Item, Scorer
from srbench.summary import interval, oddities, remarks, summarise


def noise(seed: int, height: int = 24, width: int = 28) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def protocol(*specs: tuple[str, int], crop: str = "full") -> Protocol:
    return Protocol("trial", 1, crop, tuple(MetricSpec(*spec) for spec in specs))


def rows(values: list[float], metric: str = "psnr_y219") -> list[ImageRow]:
    return [ImageRow(f"img_{i:03}", {metric: value}) for i, value in enumerate(values)]


class Spread:
    """The distance of mean colours; counts what it is asked."""

    asked = 0

    def describe(self, images: Sequence[np.ndarray]) -> np.ndarray:
        Spread.asked += len(images)
        return np.stack([image.mean((0, 1)) for image in images]).astype(np.float32)

    def distance(self, sr: np.ndarray, gt: np.ndarray) -> float:
        if len(sr) < 2:
            raise InputError("a set of one image has no spread")
        return float(np.abs(sr.mean(0, dtype=np.float64) - gt.mean(0, dtype=np.float64)).sum())


def _sum(values: Mapping[str, float]) -> float:
    return values["psnr_rgb"] + values["sharpness"]


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of the kinds that the first set lacks."""

    def absent(device: str) -> ImageScores:
        raise MetricUnavailable("w.pth (srbench weights fetch w)")

    def sharpness(device: str) -> ImageScores:
        return lambda sr, gt: [float(image.std()) for image in sr]

    mine = [
        ImageMetric("absent", "no_reference", False, "srbench", "", make=absent),
        ImageMetric("homeless", "no_reference", False, "nowhere 1.0", "", make=absent),
        ImageMetric("sharpness", "no_reference", True, "srbench", "", make=sharpness),
        SetMetric("spread", "set_level", False, "srbench", "", make=lambda device: Spread()),
        DerivedMetric("both", "derived", True, "srbench", "", inputs=("psnr_rgb", "sharpness"), combine=_sum),
        DerivedMetric("late", "derived", True, "srbench", "", inputs=("absent",), combine=_sum),
        DerivedMetric("later", "derived", True, "srbench", "", inputs=("late",), combine=_sum),
        DerivedMetric("half", "derived", True, "srbench", "", inputs=("homeless",), combine=_sum),
    ]
    known = metrics._all() | {metric.name: (metric, f"code of {metric.name}") for metric in mine}
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
    scorer = Scorer(protocol(("psnr_rgb", 0), ("absent", 0), ("homeless", 0), ("half", 0)))
    assert list(scorer.missing) == ["homeless", "half"]
    assert scorer.missing["homeless"] == 'unavailable: package nowhere (pip install "srbench[iqa]")'
    assert scorer.missing["half"] == "unavailable: homeless, which it is made of"
    values = scorer.score("a", noise(1), noise(2))
    assert list(values) == ["psnr_rgb"]
    result = summarise([ImageRow("a", values)], scorer)["absent"]
    assert (result.mean, result.n, result.missing) == (None, 0, "unavailable: w.pth (srbench weights fetch w)")
    assert scorer.expected(has_gt=True) == ["psnr_rgb"]


@pytest.mark.usefixtures("extra")
def test_what_turns_out_impossible_takes_along_what_is_made_of_it() -> None:
    scorer = Scorer(protocol(("psnr_rgb", 0), ("absent", 0), ("late", 0), ("later", 0)))
    before = scorer.identity
    assert scorer.missing == {}
    values = scorer.score("a", noise(1), noise(2))
    assert list(values) == ["psnr_rgb"]
    results = summarise([ImageRow("a", values)], scorer)
    assert results["late"].missing == "unavailable: absent, which it is made of"
    assert results["later"].missing == "unavailable: late, which it is made of"
    assert scorer.expected(has_gt=True) == ["psnr_rgb"]
    assert scorer.identity != before


@pytest.mark.usefixtures("extra")
def test_the_summary_names_what_mends_each_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(protocol(("psnr_rgb", 0), ("homeless", 0), ("half", 0)))
    assert scorer.summary() == '2 of 3 metrics are missing: homeless, half; pip install "srbench[iqa]"'
    monkeypatch.setattr(weight_files, "locate", lambda name: Path("alexnet.pth"))
    monkeypatch.setattr(weight_files, "fault", lambda weight, path: "is another file of that name")
    scorer = Scorer(protocol(("lpips_alex", 0), ("homeless", 0)))
    assert (scorer.summary() or "").endswith('; srbench weights check alexnet; pip install "srbench[iqa]"')


@pytest.mark.usefixtures("extra")
def test_a_derived_value_follows_from_the_others_on_the_same_image() -> None:
    scorer = Scorer(protocol(("psnr_rgb", 2), ("sharpness", 0), ("both", 0)))
    values = scorer.score("a", noise(1), noise(2))
    assert values["both"] == values["psnr_rgb"] + values["sharpness"]
    assert list(scorer.score("a", noise(1), None)) == ["sharpness"]
    assert scorer.expected(has_gt=False) == ["sharpness"]


@pytest.mark.usefixtures("extra")
def test_a_set_level_metric_is_one_value_whatever_the_order_and_the_shares() -> None:
    scorer = Scorer(protocol(("spread", 4)))
    items = [Item(f"img_{i}", noise(i), noise(50 + i)) for i in range(6)]
    rows = [
        ImageRow(i.name, s.values, None, (), s.vectors) for i, s in zip(items, scorer.score_all(items), strict=True)
    ]
    result = summarise(rows, scorer)["spread"]
    cut = [
        [image[4:-4, 4:-4].mean((0, 1)).astype(np.float32) for image in (i.sr, i.gt) if image is not None]
        for i in items
    ]
    sr, gt = (np.mean([pair[half] for pair in cut], axis=0, dtype=np.float64) for half in (0, 1))
    assert result.mean == pytest.approx(np.abs(sr - gt).sum(), rel=1e-12)
    assert (result.n, result.ci_low) == (6, None)
    halves = [*scorer.score_all(items[3:]), *scorer.score_all(items[:3])]
    again = [ImageRow(f"img_{i}", {}, None, (), s.vectors) for i, s in zip([3, 4, 5, 0, 1, 2], halves, strict=True)]
    assert summarise(again, scorer)["spread"] == result
    assert remarks({"spread": result}, scorer) == (
        "spread: n=6, images full, border 4; strongly biased under 1000 images, comparable at equal n and crop alone",
    )


@pytest.mark.usefixtures("extra")
def test_the_value_of_a_set_is_remembered_with_its_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ScoreCache(tmp_path / "scores.sqlite")
    items = [Item(str(i), noise(i), noise(9 - i)) for i in range(3)]

    def value() -> float | None:
        scorer = Scorer(protocol(("spread", 0)), cache=cache)
        rows = [ImageRow(i.name, {}, None, (), s.vectors) for i, s in zip(items, scorer.score_all(items), strict=True)]
        return summarise(rows, scorer)["spread"].mean

    first = value()
    monkeypatch.setattr(Spread, "describe", None)
    monkeypatch.setattr(Spread, "distance", None)
    assert value() == first is not None


@pytest.mark.usefixtures("extra")
def test_what_a_set_level_metric_refuses_or_lacks_is_its_reason() -> None:
    scorer = Scorer(protocol(("spread", 0)))
    [one] = scorer.score_all([Item("a", noise(1), noise(2))])
    row = ImageRow("a", {}, None, (), one.vectors)
    assert summarise([row], scorer)["spread"].missing == "a set of one image has no spread"
    assert "of 1 of 2 images are not known" in (summarise([row, ImageRow("b", {})], scorer)["spread"].missing or "")
    assert summarise([ImageRow("a", {})], scorer)["spread"].missing == "no ground truth"
    assert scorer.score_all([Item("a", noise(1), None)])[0].vectors == {}


# ------------------------------------------------------------------------------------------------------------- cache


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of a no-reference metric got, in a file of its own."""
    calls: list[int] = []

    def make(device: str) -> ImageScores:
        def scores(sr: Sequence[np.ndarray], gt: Sequence[np.ndarray] | None) -> list[float]:
            calls.append(len(sr))
            return [float(image.mean()) for image in sr]

        return scores

    mine = ImageMetric("level", "no_reference", True, "srbench", "", make=make)
    known = metrics._all() | {"level": (mine, "its code")}
    monkeypatch.setattr(metrics, "_all", lambda: known)
    return calls


def test_nothing_is_computed_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls, cache = counted(monkeypatch), ScoreCache(tmp_path / "scores.sqlite")
    items = [Item("a", noise(1), noise(2)), Item("b", noise(3), noise(4))]
    first = Scorer(protocol(("psnr_rgb", 0), ("level", 0)), cache=cache)
    scores = first.score_all(items)
    assert (first.computed, first.recalled, calls) == (4, 0, [1, 1])
    again = Scorer(protocol(("ssim_rgb", 0), ("level", 0), ("psnr_rgb", 0)), cache=ScoreCache(cache.path))
    assert again.score_all(items)[1].values["level"] == scores[1].values["level"]
    assert (again.computed, again.recalled, calls) == (2, 4, [1, 1])


def test_another_crop_code_image_or_reference_is_another_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counted(monkeypatch)
    cache = ScoreCache(tmp_path / "scores.sqlite")

    def computed(sr: np.ndarray, gt: np.ndarray, border: int = 0, crop: str = "full") -> int:
        scorer = Scorer(protocol(("psnr_rgb", border), ("level", border), crop=crop), cache=cache)
        scorer.score("a", sr, gt)
        return scorer.computed

    assert computed(noise(1), noise(2)) == 2
    assert computed(noise(1), noise(2)) == 0
    assert computed(noise(1), noise(3)) == 1  # the level of sr is known
    assert computed(noise(4), noise(2)) == 2
    assert computed(noise(1), noise(2), border=2) == 2
    assert computed(noise(1), noise(2), crop="center16") == 2
    assert computed(noise(1).reshape(28, 24, 3), noise(2).reshape(28, 24, 3)) == 2
    changed = metrics._all() | {"level": (metrics._all()["level"][0], "its code, mended")}
    monkeypatch.setattr(metrics, "_all", lambda: changed)
    assert computed(noise(1), noise(2)) == 1


@pytest.mark.parametrize("changed", ["images", "metrics.psnr", "metrics.backends"])
def test_changed_code_is_another_implementation(changed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A release that mends luma or a metric does not recall what the one before computed."""
    before = metrics.implementation("psnr_y219"), metrics.implementation("ssim_y219")
    module = importlib.import_module(f"srbench.{changed}")
    copy = tmp_path / "copy.py"
    copy.write_bytes(Path(str(module.__file__)).read_bytes() + b"# another\n")
    monkeypatch.setattr(module, "__file__", str(copy))
    metrics._all.cache_clear()
    after = metrics.implementation("psnr_y219"), metrics.implementation("ssim_y219")
    monkeypatch.undo()
    metrics._all.cache_clear()
    assert after[0] != before[0]
    assert (after[1] != before[1]) == (changed != "metrics.psnr")
    assert (metrics.implementation("psnr_y219"), metrics.implementation("ssim_y219")) == before


def test_batches_hold_images_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    items = [Item(str(i), noise(i, 24 if i % 3 else 20), None) for i in range(9)]
    scores = Scorer(protocol(("level", 0)), batch=4).score_all(items)
    assert sorted(calls) == [2, 3, 4]
    assert [s.values["level"] for s in scores] == [item.sr.mean() for item in items]


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
    monkeypatch.setattr("srbench.summary._CHUNK", 3000)
    assert interval(values) == whole


@pytest.mark.parametrize("values", [[], [30.0], [30.0, math.inf], [30.0, math.nan]])
def test_no_interval_where_there_is_none(values: list[float]) -> None:
    assert interval(values) == (None, None)


def test_infinite_values_stay_infinite() -> None:
    result = summarise(rows([30.0, math.inf]), Scorer(protocol(("psnr_y219", 0))))["psnr_y219"]
    assert (result.mean, result.n, result.ci_low) == (math.inf, 2, None)


def test_images_that_take_a_mean_away_are_named() -> None:
    def scored(name: str, psnr: float, niqe: float) -> ImageRow:
        return ImageRow(name, {"psnr_rgb": psnr, "psnr_y219": psnr, "niqe": niqe})

    found = oddities([scored("a", math.inf, 4.0), scored("b", 30.0, math.nan), scored("c", 31.0, 5.0)])
    assert found == (
        "psnr_rgb, psnr_y219: infinite on 1 of 3 images (a), and so is the mean",
        "niqe: not a number on 1 of 3 images (b), and so is the mean",
    )
    assert oddities(rows([30.0, 31.0])) == ()
    assert "(img_000, img_001, img_002, ...)" in oddities(rows([math.nan] * 5))[0]


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
