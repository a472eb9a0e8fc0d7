"""One item: its pixels against the degradation run by hand, its notes against the files, what is kept and refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodules.degradations import DASR, DeeDSR, Recipe
from srbench.datamodules.making import manifest
from srbench.datamodules.making.item import files_of, intact, make_items
from srbench.datamodules.making.plan import Plan, draw_plan
from srbench.datamodules.making.sets import find
from srbench.errors import InputError
from srbench.images import to_tensor, to_uint8

MakeHere = Callable[..., tuple[Plan, Path]]
Photographs = Callable[..., Path]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def rng(*words: object) -> np.random.Generator:
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def test_levels_are_the_degradation_of_the_cropped_image(make_here: MakeHere, tmp_path: Path) -> None:
    _, out = make_here("div2k_levels", seed=5)
    for name in ("img0", "img1"):
        gt = pixels(out / "gt" / f"{name}.png")
        assert gt.shape == (96, 100, 3)
        assert np.array_equal(gt, pixels(tmp_path / "Some/HR" / f"{name}.png")[:96, :100])
        for part, level in (("level1", "weak"), ("level2", "standard"), ("level3", "severe")):
            degradation = DASR(level=level, sharpen="none", crop=None)  # type: ignore[arg-type]
            recipe = degradation.draw(rng(5, "div2k_levels", name, "", part), 96, 100)
            assert {step["step"] for step in recipe.as_dict()["steps"]}.isdisjoint({"usm"})
            lq = to_uint8(degradation(to_tensor(gt), recipe)[0])
            assert np.array_equal(pixels(out / part / f"{name}.png"), lq)
            assert lq.shape == (24, 25, 3)


def test_crops_are_degraded_each_by_itself(make_here: MakeHere, photographs: Photographs) -> None:
    hr = photographs(2, 520, 600)
    _, out = make_here("deedsr_v2", hr=hr, crops=3)
    assert sorted(p.name for p in (out / "gt").iterdir()) == ["img0_0000.png", "img0_0001.png", "img1_0000.png"]
    degradation = DeeDSR()
    for image in manifest.read(out)["images"]:
        at = image["window"]
        source = pixels(hr / image["source"]["file"])
        gt = source[at["top"] : at["top"] + 512, at["left"] : at["left"] + 512]
        assert np.array_equal(gt, pixels(out / image["gt"]["file"]))
        stem = Path(image["source"]["file"]).stem
        recipe = degradation.draw(rng(0, "deedsr_v2", stem, at["crop"], "lq"), 512, 512)
        note = image["parts"]["lq"]
        assert Recipe.from_dict(note["recipe"]) == recipe
        assert np.array_equal(pixels(out / note["file"]), to_uint8(degradation(to_tensor(gt), recipe)[0]))
        assert (out / note["text"]["file"]).read_text() == note["words"] + "\n"


def test_real_esrgan_sharpens_lq_alone(make_here: MakeHere, photographs: Photographs) -> None:
    hr = photographs(1, 120, 120)
    _, out = make_here("cassr_div2k", hr=hr)
    [image] = manifest.read(out)["images"]
    assert np.array_equal(pixels(out / image["gt"]["file"]), pixels(hr / "img0.png"))
    first = image["parts"]["lq"]["recipe"]["steps"][0]
    assert (first["step"], first["on_target"]) == ("usm", False)


def test_a_recipe_from_the_manifest_makes_the_file_again(make_here: MakeHere) -> None:
    _, out = make_here("div2k_levels")
    for image in manifest.read(out)["images"]:
        gt = to_tensor(pixels(out / image["gt"]["file"]))
        for note in image["parts"].values():
            assert np.array_equal(to_uint8(Recipe.from_dict(note["recipe"]).apply(gt).lq), pixels(out / note["file"]))


def test_notes_are_of_the_files(make_here: MakeHere) -> None:
    plan, out = make_here("div2k_levels")
    held = manifest.read(out)
    for image, source in zip(held["images"], plan.sources, strict=True):
        assert image["source"] == {
            "file": source.path.name,
            "sha256": hashlib.sha256(source.path.read_bytes()).hexdigest(),
        }
        assert len(list(files_of(image))) == 4
        for note in files_of(image):
            data = (out / note["file"]).read_bytes()
            assert (note["bytes"], note["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_the_manifest_says_what_decides_the_pixels(make_here: MakeHere) -> None:
    _, out = make_here("div2k_levels", seed=4)
    held = manifest.read(out)
    assert (held["set"], held["seed"], held["title"], held["scale"]) == ("div2k_levels", 4, "some", 4)
    assert held["made_with"]["torch"] == torch.__version__
    assert "top left to a multiple" in held["rule"]
    assert list(held["parts"]) == ["level1", "level2", "level3"]
    weak = held["parts"]["level1"]
    assert weak["record"] == "some_level1@srbench-seed4"
    assert weak["degradation"]["class"] == "DASR"
    arguments = weak["degradation"]["arguments"]
    assert (arguments["level"], arguments["sharpen"], arguments["crop"]) == ("weak", "none", None)
    assert (arguments["real_jpeg"], arguments["per_batch"]) == (False, False)
    assert arguments["weak"]["jpeg"] == [90.0, 95.0]
    assert arguments["severe"]["second"]["noise"]["poisson"] == [0.05, 2.5]
    assert str(out) not in (out / "manifest.json").read_text()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(make_here: MakeHere) -> None:
    _, first = make_here(out="a")
    _, again = make_here(out="b")
    _, other = make_here(out="c", seed=1)
    assert (first / "manifest.json").read_bytes() == (again / "manifest.json").read_bytes()
    for part in ("level1", "level2", "level3"):
        for file in (first / part).iterdir():
            assert file.read_bytes() == (again / part / file.name).read_bytes()
            assert file.read_bytes() != (other / part / file.name).read_bytes()


def test_an_image_depends_on_its_name_and_not_on_its_neighbours(make_here: MakeHere, tmp_path: Path) -> None:
    _, out = make_here()
    (tmp_path / "Some/HR/img0.png").unlink()
    _, less = make_here(out="less", hr=tmp_path / "Some/HR")
    assert (less / "level3/img1.png").read_bytes() == (out / "level3/img1.png").read_bytes()


def test_whole_items_are_kept_and_broken_ones_made_again(make_here: MakeHere) -> None:
    plan, out = make_here()
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    notes = {image["name"]: image for image in manifest.read(out)["images"]}
    (out / "level2/img0.png").write_bytes(b"damaged")
    (out / "gt/img1.png").unlink()
    assert not intact(notes["img0"], out)
    for source in plan.sources:
        [(note, kept)] = make_items(plan, source, out, {source.stem: notes[source.stem]})
        assert not kept
        assert json.loads(json.dumps(note)) == notes[source.stem]
        [(note, kept)] = make_items(plan, source, out, {source.stem: notes[source.stem]})
        assert kept
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before


def test_only_the_crops_that_are_missing_are_made(make_here: MakeHere, photographs: Photographs) -> None:
    plan, out = make_here("deedsr_val", hr=photographs(1, 520, 520), crops=3)
    notes = {image["name"]: image for image in manifest.read(out)["images"]}
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    del notes["img0_0001"]
    made = list(make_items(plan, plan.sources[0], out, notes))
    assert [(item.note["name"], item.kept) for item in made] == [
        ("img0_0000", True), ("img0_0001", False), ("img0_0002", True),
    ]  # fmt: skip
    changed = {path.name for path, then in times.items() if path.stat().st_mtime_ns != then}
    assert changed == {"img0_0001.png"}


def test_another_source_under_the_same_name_is_refused(make_here: MakeHere, photographs: Photographs) -> None:
    plan, out = make_here()
    notes = {image["name"]: image for image in manifest.read(out)["images"]}
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    photographs(1, 200, 200)
    with pytest.raises(InputError, match=r"img0.png: the image is not the one that a part of the set was made of"):
        list(make_items(plan, plan.sources[0], out, {"img0": notes["img0"]}))
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before


def test_a_damaged_source_is_named(make_here: MakeHere, photographs: Photographs, tmp_path: Path) -> None:
    hr = photographs(1)
    data = (hr / "img0.png").read_bytes()
    (hr / "img0.png").write_bytes(data[: len(data) // 2])
    plan = draw_plan(find("div2k_levels"), hr, seed=0)  # its header is whole
    with pytest.raises(InputError, match=r"img0.png: the image is truncated"):
        list(make_items(plan, plan.sources[0], tmp_path / "out", {}))
