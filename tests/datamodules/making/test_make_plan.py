"""What is made is settled by seed and names alone, and what cannot be made is refused before it is begun."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from srbench.datamodules.making.plan import DIV2K_VAL, Plan, Source, draw_plan, generator, windows
from srbench.datamodules.making.sets import find
from srbench.errors import InputError

Photographs = Callable[..., Path]


def plan(name: str = "deedsr_val", seed: int = 0, crops: int | None = 5) -> Plan:
    return Plan(find(name), seed, "div2k", (), crops)


def test_a_draw_is_a_function_of_seed_set_image_crop_and_purpose() -> None:
    drawn = {
        generator(plan("deedsr_val", 0), "0801", 0, "lq").random(),
        generator(plan("deedsr_v2", 0), "0801", 0, "lq").random(),
        generator(plan("deedsr_val", 1), "0801", 0, "lq").random(),
        generator(plan("deedsr_val", 0), "0802", 0, "lq").random(),
        generator(plan("deedsr_val", 0), "0801", 1, "lq").random(),
        generator(plan("deedsr_val", 0), "0801", None, "lq").random(),
        generator(plan("deedsr_val", 0), "0801", 0, "window").random(),
    }
    assert len(drawn) == 7


def test_the_stream_is_the_one_that_is_promised() -> None:
    words = hashlib.sha256(b"7\0deedsr_val\0img\x003\0lq").digest()
    expected = np.random.default_rng(int.from_bytes(words, "big")).random(4)
    assert np.array_equal(generator(plan(seed=7), "img", 3, "lq").random(4), expected)


def test_crops_lie_within_the_image_and_spread_over_it() -> None:
    source = Source("img", Path("img.png"), 200)
    found = list(windows(plan(), source, 600, 700))
    assert [w.item for w in found[:2]] == ["img_0000", "img_0001"]
    assert {(w.height, w.width) for w in found} == {(512, 512)}
    assert min(w.top for w in found) >= 0
    assert max(w.top for w in found) <= 88
    assert max(w.left for w in found) <= 188
    assert len({w.top for w in found}) > 60
    assert max(w.left for w in found) > 150


def test_a_crop_that_fills_the_image_is_the_image() -> None:
    (window,) = windows(plan(), Source("img", Path("img.png"), 1), 512, 512)
    assert (window.top, window.left) == (0, 0)


def test_a_whole_image_is_cropped_to_a_multiple_of_the_scale() -> None:
    (window,) = windows(plan("div2k_levels"), Source("img", Path("img.png"), None), 97, 102)
    assert window == ("img", None, 0, 0, 96, 100)


def test_crops_are_dealt_out_evenly(photographs: Photographs) -> None:
    hr = photographs(3, 520, 530)
    assert [s.crops for s in draw_plan(find("deedsr_val"), hr, seed=0, crops=8).sources] == [3, 3, 2]
    few = draw_plan(find("deedsr_val"), hr, seed=0, crops=2)
    assert [(s.stem, s.crops) for s in few.sources] == [("img0", 1), ("img1", 1)]
    assert draw_plan(find("deedsr_val"), hr, seed=0).total == 3000
    assert draw_plan(find("deedsr_levels"), hr, seed=0).total == 1000
    assert draw_plan(find("div2k_levels"), hr, seed=0).total == 3


def test_names_in_records(photographs: Photographs) -> None:
    spec = find("div2k_levels")
    made = draw_plan(spec, photographs(1), seed=3)
    assert [made.record_name(part) for part in spec.parts] == [
        "some_level1@srbench-seed3", "some_level2@srbench-seed3", "some_level3@srbench-seed3",
    ]  # fmt: skip
    named = draw_plan(spec, photographs(1), seed=0, title="Urban100")
    assert named.record_name(spec.parts[0]) == "urban100_level1@srbench-seed0"
    val = find("deedsr_val")
    assert Plan(val, 0, "div2k", (), 3000).record_name(val.parts[0]) == "deedsr_div2k_val@srbench-seed0"
    assert Plan(val, 0, "div2k", (), 30).record_name(val.parts[0]) == "deedsr_div2k_val_30crops@srbench-seed0"


def test_div2k_is_recognised_by_exactly_its_hundred_names(photographs: Photographs) -> None:
    hr = photographs(1, 97, 97, "DIV2K_valid_HR")
    for name in DIV2K_VAL:
        (hr / f"{name}.png").write_bytes((hr / "img0.png").read_bytes())
    assert draw_plan(find("div2k_levels"), hr, seed=0).title == "div2k_valid_hr"
    (hr / "img0.png").unlink()
    assert draw_plan(find("div2k_levels"), hr, seed=0).title == "div2k"
    (hr / "0850.png").unlink()
    assert draw_plan(find("div2k_levels"), hr, seed=0).title == "div2k_valid_hr"


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("deedsr_val", {}, r"img0.png: 97 x 102 is smaller than a crop of 512; leave the image out"),
        ("deedsr_val", {"crops": 0}, r"--crops: 0 crops are impossible"),
        ("div2k_levels", {"crops": 3}, r"--crops: div2k_levels takes whole images"),
        ("div2k_levels", {"seed": -1}, r"--seed: seed -1 is impossible"),
        ("div2k_levels", {"title": "a@b"}, r"--title: 'a@b' cannot name images"),
        ("div2k_levels", {"title": "a/b"}, r"cannot be used as a name"),
    ],
)
def test_what_cannot_be_made_is_refused(
    photographs: Photographs, name: str, options: dict[str, object], line: str
) -> None:
    with pytest.raises(InputError, match=line):
        draw_plan(find(name), photographs(), **{"seed": 0, **options})  # type: ignore[arg-type]


def test_an_image_that_its_kernels_would_reach_across_is_named(photographs: Photographs) -> None:
    hr = photographs(1)
    photographs(1, 20, 20, "small")
    (hr / "tiny.png").write_bytes((hr.parents[1] / "small" / "img0.png").read_bytes())
    with pytest.raises(InputError, match=r"tiny.png: an image of 20 pixels is too small.*; leave the image out"):
        draw_plan(find("div2k_levels"), hr, seed=0)


def test_folders_and_names_that_are_unfit(tmp_path: Path, photographs: Photographs) -> None:
    with pytest.raises(InputError, match="cannot list the folder"):
        draw_plan(find("div2k_levels"), tmp_path / "nowhere", seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images in the folder"):
        draw_plan(find("div2k_levels"), tmp_path / "empty", seed=0)
    hr = photographs(1)
    (hr / "img0.bmp").write_bytes((hr / "img0.png").read_bytes())
    with pytest.raises(InputError, match=r"img0.bmp and img0.png have the same name"):
        draw_plan(find("div2k_levels"), hr, seed=0)
    (hr / "img0.bmp").unlink()
    (hr / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"text.png: not a PNG"):
        draw_plan(find("div2k_levels"), hr, seed=0)
