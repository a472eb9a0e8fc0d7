"""Text similarity with taggers whose answers are known, the ranking into classes, and the command on a small tagger."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor

from srbench.cli import main
from srbench.datamodules.degradations import RealESRGAN, Recipe, apply_recipe
from srbench.errors import InputError
from srbench.images import write_png
from srbench.modules.dacesr.similarity_chart import chart
from srbench.modules.dacesr.text_similarity import (
    RANDOM,
    Case,
    Similarity,
    Tags,
    class_means,
    classes,
    level_means,
    measure,
    random_cases,
    single_cases,
)
from srbench.modules.dacesr.text_similarity_command import mean_rows, similarities_of

UNTOUCHED = Recipe(())


def bright(images: Tensor) -> list[frozenset[int]]:
    """Tag k of an image: its mean lies above k/10."""
    return [frozenset(k for k in range(10) if float(image.mean()) > k / 10) for image in images]


def detailed(images: Tensor) -> list[frozenset[int]]:
    """Tag k of an image: its neighbours differ by more than k/1000 on average."""
    steps = [float((image[..., 1:] - image[..., :-1]).abs().mean()) for image in images]
    return [frozenset(k for k in range(500) if step > k / 1000) for step in steps]


@pytest.fixture
def images() -> Tensor:
    return torch.rand((3, 3, 64, 64), generator=torch.Generator().manual_seed(0)) ** torch.tensor([1.0, 2, 3]).view(
        3, 1, 1, 1
    )


# --------------------------------------------------------------------------------------------------------- measuring


def test_single_cases_are_figure_2s() -> None:
    cases = single_cases(64)
    levels = {kind: [case.level for case in cases if case.type == kind] for kind in ("blur", "noise", "jpeg")}
    assert levels == {
        "blur": ["0.5", "1.5", "2.5", "3"],
        "noise": ["5", "10", "20", "30"],
        "jpeg": ["90", "70", "50", "30"],
    }
    image = torch.rand(3, 64, 64)
    assert all(apply_recipe(image, case.recipe).lq.shape == (3, 16, 16) for case in cases)
    noise = next(case for case in single_cases(64, scale=1, seed=3) if case.type == "noise")
    twin = next(case for case in single_cases(64, scale=1, seed=3) if case.type == "noise")
    torch.testing.assert_close(apply_recipe(image, noise.recipe).lq, apply_recipe(image, twin.recipe).lq)


def test_similarity_is_jaccard_of_lq_and_what_the_reference_says(images: Tensor) -> None:
    reference = [frozenset({0, 1}), frozenset({0}), frozenset()]
    taggers: dict[str, Tags] = {
        "all": lambda lq: [frozenset({0, 1, 2, 3})] * len(lq),
        "none": lambda lq: [frozenset()] * len(lq),
    }
    [found] = list(measure([Case("blur", "1", UNTOUCHED)], images, ["a", "b", "c"], reference, taggers))
    assert found == [
        Similarity("all", "blur", "1", "a", 0.5),
        Similarity("all", "blur", "1", "b", 0.25),
        Similarity("all", "blur", "1", "c", 0.0),
        Similarity("none", "blur", "1", "a", 0.0),
        Similarity("none", "blur", "1", "b", 0.0),
        Similarity("none", "blur", "1", "c", 1.0),
    ]
    assert level_means(found) == {("all", "blur", "1"): 0.25, ("none", "blur", "1"): pytest.approx(1 / 3)}


def test_taggers_see_lq_enlarged_to_gt(images: Tensor) -> None:
    seen: list[torch.Size] = []

    def tagger(lq: Tensor) -> list[frozenset[int]]:
        seen.append(lq.shape)
        return [frozenset()] * len(lq)

    list(measure(single_cases(64)[:2], images, "abc", [frozenset()] * 3, {"t": tagger}))
    assert seen == [images.shape] * 2


def test_untouched_images_are_told_the_same_of_and_blur_costs_more_and_more(images: Tensor) -> None:
    cases = [Case("none", "0", UNTOUCHED), *single_cases(64, scale=1)]
    seen: list[tuple[int, int]] = []
    found = similarities_of(cases, images, ["a", "b", "c"], {"RAM": detailed}, lambda *at: seen.append(at))
    means = level_means(found)
    assert means["RAM", "none", "0"] == 1.0
    blur = [means["RAM", "blur", level] for level in ("0.5", "1.5", "2.5", "3")]
    assert blur == sorted(blur, reverse=True)
    assert 0 < blur[-1] < blur[0] < 1
    assert seen == [(done, 13) for done in range(1, 14)]


def test_the_reference_is_the_first_taggers_word_for_all(images: Tensor) -> None:
    found = similarities_of(
        [Case("none", "0", UNTOUCHED)], images, "abc", {"RAM": bright, "x": detailed}, lambda *at: None
    )
    means = level_means(found)
    assert means["RAM", "none", "0"] == 1.0
    assert means["x", "none", "0"] < 1.0


# ----------------------------------------------------------------------------------------------------------- classes


def test_a_thousand_scores_are_cut_as_the_authors_cut_them() -> None:
    scores = np.random.default_rng(0).permutation(1000) / 1000
    found = classes(list(scores))
    assert [len(some) for some in found] == [200, 300, 300, 200]
    ranks = [sorted(999 - round(scores[i] * 1000) for i in some) for some in found]
    assert ranks == [list(range(200)), list(range(200, 500)), list(range(500, 800)), list(range(800, 1000))]


def test_class_means_follow_one_taggers_ranking() -> None:
    first = [0.9, 0.1, 0.5, 0.7, 0.3, 0.8, 0.2, 0.6, 0.4, 0.0]
    other = [0.5 + 0.1 * i / 10 for i in range(10)]
    rows = class_means({"RAM": first, "x": other}, "RAM")
    means = {(row["tagger"], row["level"]): (row["n"], row["mean"]) for row in rows}
    assert means["RAM", "class1"] == (2, pytest.approx(0.85))
    assert means["RAM", "class2"] == (3, pytest.approx(0.6))
    assert means["RAM", "class3"] == (3, pytest.approx(0.3))
    assert means["RAM", "class4"] == (2, pytest.approx(0.05))
    assert means["x", "class1"] == (2, pytest.approx((other[0] + other[5]) / 2))
    assert class_means({"RAM": first, "x": other}, "x")[0]["mean"] == pytest.approx((first[9] + first[8]) / 2)


def test_unfit_rankings() -> None:
    with pytest.raises(InputError, match="3 degradations make no four classes"):
        classes([0.1, 0.2, 0.3])
    assert [len(some) for some in classes([0.5] * 5)] == [1, 1, 2, 1]
    with pytest.raises(InputError, match="unknown tagger 'RAN'; did you mean 'RAM'"):
        class_means({"RAM": [0.1] * 5}, "RAN")


def test_random_degradations_become_classes_and_single_ones_levels(images: Tensor) -> None:
    cases = [*single_cases(80), *random_cases(RealESRGAN(scale=4), 5, 80, 0)]
    images = torch.nn.functional.interpolate(images, (80, 80))
    assert [case.level for case in cases if case.type == RANDOM] == ["0", "1", "2", "3", "4"]
    found = similarities_of(cases, images, ["a", "b", "c"], {"RAM": detailed, "x": bright}, lambda *at: None)
    rows = mean_rows(found, "RAM")
    assert len(rows) == 2 * 12 + 2 * 4
    ram = [row["mean"] for row in rows if row["tagger"] == "RAM" and row["type"] == RANDOM]
    assert ram == sorted(ram, reverse=True)
    assert [row["n"] for row in rows if row["type"] == RANDOM] == [1, 1, 2, 1] * 2
    assert {row["n"] for row in rows if row["type"] != RANDOM} == {3}


# ------------------------------------------------------------------------------------------------------------- chart


def test_the_chart_has_a_panel_per_type_and_a_line_per_tagger() -> None:
    rows = [
        {"tagger": tagger, "type": kind, "level": level, "mean": mean}
        for tagger in ("RAM", "a<b")
        for kind, level, mean in (("blur", "0.5", 0.9), ("blur", "3", 0.5), ("noise", "5", 0.8), ("noise", "30", 0.6))
    ]
    svg = chart(rows, "Text & more")
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert len(lines) == 4
    heights = [[float(point.split(",")[1]) for point in line.attrib["points"].split()] for line in lines]
    assert heights[0][0] == pytest.approx(58)  # .9 is the highest grid line, .5 the lowest
    assert heights[0][1] == pytest.approx(58 + 230)
    assert heights[2][0] == pytest.approx(58 + 230 / 4, abs=0.06)
    texts = [element.text for element in root.iter(f"{space}text")]
    assert {"Text & more", "RAM", "a<b", "blur", "noise", "0.5", "30"} <= set(texts)


def test_a_chart_of_one_value_can_be_drawn() -> None:
    for mean in (0.0, 0.5, 1.0):
        svg = chart([{"tagger": "RAM", "type": "blur", "level": "1", "mean": mean}], "t")
        [point] = re.findall(r'points="([\d.]+),([\d.]+)"', svg)
        assert 58 <= float(point[1]) <= 288


# ----------------------------------------------------------------------------------------------------------- command


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_finished_scores_are_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, other = np.linspace(0.9, 0.1, 10), np.linspace(0.7, 0.5, 10)
    wide = "\tRAM\tDAPE\n" + "".join(
        f"{i}\t{a:.6f}\t{b:.6f}\n" for i, (a, b) in enumerate(zip(first, other, strict=True))
    )
    (tmp_path / "wide.txt").write_text(wide)
    scored = "rank,index,similarity,kind,group\n" + "".join(f"{9 - i},{9 - i},{(9 - i) / 10},,\n" for i in range(10))
    (tmp_path / "scores.csv").write_text(scored)
    argv = ["--scores", str(tmp_path / "wide.txt"), "--scores", f"REE={tmp_path / 'scores.csv'}"]
    assert main(["analyze", "text-similarity", *argv, "--out", str(tmp_path / "out")]) == 0
    rows = _rows(tmp_path / "out" / "means.csv")
    means = {(row["tagger"], row["level"]): float(row["mean"]) for row in rows}
    assert means["RAM", "class1"] == pytest.approx(first[:2].mean(), abs=1e-6)
    assert means["DAPE", "class4"] == pytest.approx(other[8:].mean(), abs=1e-6)
    assert means["REE", "class1"] == pytest.approx(0.05)  # sorted by index: 0 and 1 are the first two
    assert "random  class1  0.8556" in capsys.readouterr().out
    assert not (tmp_path / "out" / "similarity.csv").exists()
    ElementTree.parse(tmp_path / "out" / "similarity.svg")


def _refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    assert main(["analyze", "text-similarity", *argv]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("srbench: error: ")]
    assert ";" in line
    return line


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("RAM\n" + "0.5\n" * 6)
    (tmp_path / "b.csv").write_text("DAPE\n" + "0.5\n" * 5)
    (tmp_path / "c.csv").write_text("RAM\n" + "high\n" * 6)
    (tmp_path / "d.csv").write_text("RAM\n" + "1.5\n" * 6)
    tables = {name: str(tmp_path / f"{name}.csv") for name in "abcd"}
    assert "(RAM 6, DAPE 5)" in _refused(capsys, "--scores", tables["a"], "--scores", tables["b"])
    assert "'high' in column 'RAM' is no number" in _refused(capsys, "--scores", tables["c"])
    assert "1.5 in column 'RAM' is no similarity" in _refused(capsys, "--scores", tables["d"])
    assert "no column 'index'" in _refused(capsys, "--scores", f"x={tables['a']}")
    assert "unknown tagger 'DAPE'" in _refused(capsys, "--scores", tables["a"], "--rank-by", "DAPE")
    assert "no photographs are given" in _refused(capsys)
    base = ["--hr", str(tmp_path)]
    assert "'dape' names no tagger" in _refused(capsys, *base, "--tagger", "dape")
    assert "one label" in _refused(capsys, *base, "--tagger", "RAM=dape")
    assert "make no four classes" in _refused(capsys, *base, "--count", "3")
    assert "no tagger 'DAPE'" in _refused(capsys, *base, "--count", "9", "--rank-by", "DAPE")
    assert "--side" in _refused(capsys, *base, "--side", "3")
    assert "no images in the folder" in _refused(capsys, *base)
    assert "no device" in _refused(capsys, *base, "--device", "cuba")


def test_a_small_tagger_from_images_to_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        write_png(tmp_path / "hr" / f"{name}.png", rng.integers(0, 256, (40, 48, 3), dtype=np.uint8))
    argv = ["--hr", str(tmp_path / "hr"), "--images", "2", "--side", "80", "--count", "5", "--preset", "small"]
    where = ["--out", str(tmp_path / "out")]
    assert "nobody has published weights" in _refused(capsys, *argv, *where)
    assert not (tmp_path / "out").exists()
    assert main(["analyze", "text-similarity", *argv, *where, "--allow-random-backbones"]) == 0
    said = capsys.readouterr()
    assert "marked random_backbones" in said.out
    assert "17 of 17 steps" in said.err
    assert len(_rows(tmp_path / "out" / "similarity.csv")) == 17 * 2
    means = _rows(tmp_path / "out" / "means.csv")
    assert len(means) == 16
    assert all(0 <= float(row["mean"]) <= 1 for row in means)
    assert "random_backbones" in (tmp_path / "out" / "similarity.svg").read_text()


def test_a_column_per_tagger_is_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    for path, scores in ((one, (0.9, 0.8, 0.7, 0.6)), (other, (0.5, 0.6, 0.7, 0.8))):
        path.write_text("index,similarity\n" + "".join(f"{i},{score}\n" for i, score in enumerate(scores)))
    given = ["--scores", f"RAM={one}", "--scores", f"a longer name={other}", "--out", str(tmp_path / "out")]
    assert main(["analyze", "text-similarity", *given]) == 0
    head, first, *_, last = capsys.readouterr().out.splitlines()[:5]
    assert head.split() == ["type", "level", "RAM", "a", "longer", "name"]
    assert first == "random  class1  0.9000  0.5000"
    assert last == "random  class4  0.6000  0.8000"


def test_an_image_too_small_for_the_degradations_is_told_of_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--hr", ".", "--side", "40", "--preset", "small", "--allow-random-backbones"]
    assert main(["analyze", "select-degradations", *given]) == 2
    says = "--side 40: an image of 40 pixels is too small for this degradation; give a larger one\n"
    assert capsys.readouterr().err.endswith(says)
