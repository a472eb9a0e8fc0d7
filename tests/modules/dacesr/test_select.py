"""Degradation selection: scores, groups, and lists that a run can learn from."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodules.degradations import FromList, RealESRGAN, Recipe, read_list
from srbench.datamodules.degradations.steps import MatlabResize
from srbench.errors import InputError
from srbench.modules.dacesr import select, select_command
from srbench.modules.nets import ram

pytest.importorskip("timm")

pytestmark = pytest.mark.filterwarnings("ignore:the preset small has random weights")


# --------------------------------------------------------------------------------------------------------- groups


def test_quantiles_take_the_same_number_from_both_ends() -> None:
    scores = [0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.2, 0.4]
    assert select.groups(scores) == ([1, 5], [6, 2])
    assert select.groups(scores, quantile=0.5) == ([1, 5, 3, 0], [7, 4, 6, 2])
    assert select.groups(scores, quantile=0.01) == ([1], [2])


def test_equal_scores_are_told_apart_by_their_place() -> None:
    assert select.groups([0.5] * 4) == ([0], [3])


def test_the_papers_thresholds_are_strict() -> None:
    scores = [0.710, 0.711, 0.297, 0.296, 0.5]
    assert select.groups(scores, thresholds=select.PAPER_THRESHOLDS) == ([1], [3])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"quantile": 0.0}, "makes no two groups"),
        ({"quantile": 0.6}, "makes no two groups"),
        ({"thresholds": (0.2, 0.7)}, "thresholds 0.2 and 0.7 are impossible"),
        ({"thresholds": (0.95, 0.3)}, r"0 degradations score above 0\.95 and 1 below 0\.3.*from 0\.100 to 0\.900"),
    ],
)
def test_impossible_groups(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        select.groups([0.9, 0.1, 0.5], **arguments)


# --------------------------------------------------------------------------------------------------------- scores


class Reader(torch.nn.Module):
    """Tells tag i where the i-th of four columns of an image is bright."""

    preset = ram.PRESETS["small"]

    def prepared(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def representation(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2)).unflatten(-1, (4, -1)).mean(-1)

    def logits(self, columns: torch.Tensor) -> torch.Tensor:
        return columns - 0.5

    def tags(self, logits: torch.Tensor) -> list[frozenset[int]]:
        return ram.tag_sets(logits, torch.full((4,), 0.5))


def _columns(*bright: int) -> torch.Tensor:
    image = torch.zeros(3, 32, 32)
    for column in bright:
        image[..., 8 * column : 8 * column + 8] = 1
    return image


def test_a_score_is_the_mean_similarity_over_the_images() -> None:
    images = torch.stack([_columns(0, 1), _columns(2), _columns()])
    reader: Any = Reader()
    reference = [frozenset({0, 1}), frozenset({1, 2}), frozenset({3})]
    recipe = Recipe((MatlabResize(0.25, eight_bit=False),))  # leaves every column what it was
    [(index, score)] = select.similarities([recipe], images, reference, reader, batch=2)
    assert index == 0
    assert score == pytest.approx((1 + 0.5 + 0) / 3)


def test_what_is_known_is_not_scored_again() -> None:
    recipe = Recipe((MatlabResize(0.25, eight_bit=False),))
    reader: Any = Reader()
    images = _columns(0)[None]
    found = select.similarities([recipe] * 3, images, [frozenset({0})], reader, skip={0, 2}.__contains__)
    assert [index for index, _ in found] == [1]


def test_draws_depend_on_seed_and_place_alone() -> None:
    degradation = RealESRGAN(crop=64)
    few, many = (select.draw_recipes(degradation, n, 96, 7) for n in (2, 4))
    assert few == many[:2]
    assert len({json.dumps(r.as_dict()) for r in many}) == 4
    assert select.draw_recipes(degradation, 1, 96, 8) != few[:1]


# -------------------------------------------------------------------------------------------------------- command


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "none"))
    rng = np.random.default_rng(0)
    (tmp_path / "hr").mkdir()
    for i in range(3):
        y, x = np.mgrid[:70, :90] / 9
        image = np.stack([np.sin(a * x + b * y) for a, b in rng.uniform(-2, 2, (3, 2))], -1) * 90 + 128
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "hr" / f"{i}.png")
    return str(tmp_path / "hr")


def _given(hr: str, out: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    parser.add_argument("--device", default="cpu")
    select_command.arguments(parser)
    small = ["--images", "2", "--count", "6", "--side", "96", "--preset", "small", "--allow-random-backbones"]
    return parser.parse_args(["--hr", hr, "--out", str(out), *small, *more])


class Counted:
    """Remembers what progress was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))


def _run(given: argparse.Namespace, count: Callable[[int, int], None] | None = None) -> Any:
    return select_command.run(given, count or Counted())


def test_it_writes_scores_and_two_lists_that_train(photographs: str, tmp_path: Path) -> None:
    found = _run(_given(photographs, tmp_path / "out"))
    rows = found.files["scores.csv"]
    assert [row["rank"] for row in rows] == list(range(6))
    assert sorted(row["index"] for row in rows) == list(range(6))
    scores = [row["similarity"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert [row["group"] for row in rows] == ["mild", "mild", "", "", "severe", "severe"]
    assert any("random_backbones" in line for line in found.lines)
    for name, expected in (("mild", scores[:2]), ("severe", scores[4:])):
        (tmp_path / f"{name}.json").write_text(found.files[f"{name}.json"])
        held = read_list(tmp_path / f"{name}.json")
        assert (held.side, held.scale, held.scores) == (96, 4, tuple(expected))
        assert held.source["group"] == name
    degradation = FromList(path=str(tmp_path / "severe.json"))
    assert degradation.marks == ("random_backbones",)
    assert degradation.crop == 96
    gt = torch.rand(3, 96, 96)
    lq, _ = degradation(gt, degradation.draw(np.random.default_rng(0), 96, 96))
    assert lq.shape == (3, 24, 24)


def test_it_goes_on_where_it_stopped(photographs: str, tmp_path: Path) -> None:
    whole = _run(_given(photographs, tmp_path / "whole")).files

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    given, count = _given(photographs, tmp_path / "out"), Counted()
    with pytest.raises(KeyboardInterrupt):
        _run(given, stop)
    with (tmp_path / "out" / "scores.journal").open("a") as journal:
        journal.write("3 0.12")  # cut by a kill
    assert _run(given, count).files == whole
    assert count.calls == [(3, 6), (4, 6), (5, 6), (6, 6)]


def test_another_share_needs_no_scoring(photographs: str, tmp_path: Path) -> None:
    _run(_given(photographs, tmp_path / "out"))
    count = Counted()
    found = _run(_given(photographs, tmp_path / "out", "--quantile", "0.5"), count)
    assert count.calls == [(6, 6)]
    assert [row["group"] for row in found.files["scores.csv"]] == ["mild"] * 3 + ["severe"] * 3


@pytest.mark.parametrize(
    "more",
    [
        ["--seed", "1"],
        ["--count", "7"],
        ["--images", "3"],
        ["--side", "112"],
        ["--degradation", "degradations/stablesr_light.yaml"],
    ],
)
def test_a_folder_of_another_selection_is_left_alone(photographs: str, tmp_path: Path, more: list[str]) -> None:
    _run(_given(photographs, tmp_path / "out"))
    before = (tmp_path / "out" / "scores.journal").read_bytes()
    with pytest.raises(InputError, match="scores of other degradations, photographs or networks"):
        _run(_given(photographs, tmp_path / "out", *more))
    assert (tmp_path / "out" / "scores.journal").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--count", "1"], "--count: 1 is impossible"),
        (["--images", "4"], "3 images, not 4"),
        (["--quantile", "0.9"], "makes no two groups"),
        (["--degradation", "data/photos.yaml"], "names no data.init_args.degradation"),
        (["--degradation", "degradations/realesrgam.yaml"], "did you mean 'degradations/realesrgan.yaml'"),
        (["--paper-thresholds", "--thresholds", "0.7", "0.3"], "two kinds of thresholds"),
        (["--encoder", "gone.pth"], "gone.pth: there is no such file"),
    ],
)
def test_bad_input(photographs: str, tmp_path: Path, more: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        _run(_given(photographs, tmp_path / "out", *more))


def test_absent_weights_are_refused_in_the_commands_words(photographs: str, tmp_path: Path) -> None:
    given = _given(photographs, tmp_path / "out", "--preset", "swin_large")
    given.allow_random_backbones = False
    with pytest.raises(InputError, match="srbench weights fetch ram, or give --allow-random-backbones") as caught:
        _run(given)
    assert "init_args" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_table_is_data(photographs: str, tmp_path: Path) -> None:
    rows = _run(_given(photographs, tmp_path / "out")).files["scores.csv"]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writerows(rows)
    assert text.getvalue().count("\n") == 6
