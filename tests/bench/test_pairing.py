"""Which result belongs to which reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.pairing import pair


def paths(folder: str, *names: str) -> list[Path]:
    return [Path(folder, name) for name in names]


def matched(sr: list[str], gt: list[str]) -> dict[str, str]:
    return {g.name: s.name for s, g in pair(paths("sr", *sr), paths("gt", *gt))}


@pytest.mark.parametrize(
    "ending",
    ["", "x4", "_x4", "X4", "-x4", "_sr", "_x4_sr", "_out", "_SwinIR", "x4_EDSR_Lx4_f256b32", "_LR4", "_LR4_x4"],
)
def test_endings_of_results(ending: str) -> None:
    found = matched([f"baby{ending}.png", f"bird{ending}.jpg"], ["baby.png", "bird.png"])
    assert found == {"baby.png": f"baby{ending}.png", "bird.png": f"bird{ending}.jpg"}


def test_endings_of_references() -> None:
    assert matched(["Canon_001_LR4_x4.png"], ["Canon_001_HR.png"]) == {"Canon_001_HR.png": "Canon_001_LR4_x4.png"}
    assert matched(["P1_x1.png"], ["P1_x4.png"]) == {"P1_x4.png": "P1_x1.png"}


def test_one_name_may_begin_another() -> None:
    sr = ["img_1.png", "img_10.png", "img_b_SwinIR.png", "img_SwinIR.png"]
    gt = ["img.png", "img_1.png", "img_10.png", "img_b.png"]
    assert matched(sr, gt) == {
        "img.png": "img_SwinIR.png",
        "img_1.png": "img_1.png",
        "img_10.png": "img_10.png",
        "img_b.png": "img_b_SwinIR.png",
    }


def test_the_order_is_the_references() -> None:
    assert list(matched(["b.png", "a.png"], ["a.png", "b.png"])) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("sr", "gt", "words"),
    [
        (["a.png", "c.png"], ["a.png", "b.png"], "no reference for c.png"),
        (["a.png"], ["a.png", "b.png"], "no result for b.png"),
        (["a.png", "ax4.png"], ["a.png"], "both a.png and ax4.png go with a.png"),
        (["a.png", "a.jpg"], ["a.png"], "sr: a.png and a.jpg have the same name"),
        (["a.png"], ["a.png", "a.jpg"], "gt: a.png and a.jpg have the same name"),
        (["img_10.png"], ["img_1.png"], "no reference for img_10.png"),
        (["img_001.png"], ["img.png"], "no reference for img_001.png"),
        (list("abcde"), ["f"], "no reference for a, b, c and 2 more among f"),
    ],
)
def test_what_does_not_come_out_even_is_refused(sr: list[str], gt: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        matched(sr, gt)
    assert words in str(caught.value)
    assert caught.value.remedy
