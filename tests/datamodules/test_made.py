"""MadeSet: a made set as test sets, each file as the manifest has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from srbench.datamodules import MadeSet
from srbench.datamodules.making import manifest
from srbench.datamodules.making.item import make_items
from srbench.datamodules.making.plan import draw_plan
from srbench.datamodules.making.sets import find
from srbench.datasets import collate
from srbench.errors import InputError
from srbench.images import to_uint8


def made(tmp_path: Path, name: str = "div2k_levels", side: int = 97, crops: int | None = None, seed: int = 0) -> Path:
    (tmp_path / "Some/HR").mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate((data.astronaut(), data.coffee())):
        Image.fromarray(picture).resize((side + 3, side)).save(tmp_path / "Some/HR" / f"img{index}.png")
    plan = draw_plan(find(name), tmp_path / "Some/HR", seed=seed, crops=crops)
    out = tmp_path / f"out{seed}"
    notes = [item.note for source in plan.sources for item in make_items(plan, source, out, {})]
    manifest.write(out, manifest.header(plan), notes)
    return out


def test_a_set_per_part_named_with_its_seed(tmp_path: Path) -> None:
    out = made(tmp_path)
    sets = MadeSet(root=str(out)).test_sets
    assert [s.name for s in sets] == [f"some_level{n}@srbench-seed0" for n in (1, 2, 3)]
    assert [s.names for s in sets] == [["img0", "img1"]] * 3
    assert len({s.info.fingerprint for s in sets}) == 3
    for number, held in enumerate(sets, 1):
        sample = held[1]
        assert sample["lq"].shape == (3, 24, 25)
        assert sample["gt"].shape == (3, 96, 100)
        assert np.array_equal(to_uint8(sample["lq"]), np.asarray(Image.open(out / f"level{number}/img1.png")))
        assert "degradation" not in sample


def test_what_records_say(tmp_path: Path) -> None:
    info = MadeSet(root=str(made(tmp_path)), licence="CC0").test_sets[0].info
    assert (info.scale, info.count, info.has_gt, info.licence) == (4, 2, True, "CC0")
    assert info.lq_origin == "srbench data make div2k_levels, seed 0"
    assert "DASR" in info.source
    assert "not the authors' files" in info.notes[0]


def test_another_seed_is_another_set(tmp_path: Path) -> None:
    first, second = (MadeSet(root=str(made(tmp_path, seed=seed))).test_sets[0] for seed in (0, 1))
    assert (first.name, second.name) == ("some_level1@srbench-seed0", "some_level1@srbench-seed1")
    assert first.info.fingerprint != second.info.fingerprint


def test_parts_are_chosen_in_order(tmp_path: Path) -> None:
    out = str(made(tmp_path))
    chosen = MadeSet(root=out, parts=["level3", "level1"]).test_sets
    assert [s.name for s in chosen] == ["some_level3@srbench-seed0", "some_level1@srbench-seed0"]
    with pytest.raises(InputError, match=r"unknown part 'level4'; did you mean 'level"):
        MadeSet(root=out, parts=["level4"]).setup("test")


def test_recipes_and_words_travel_with_the_batch(tmp_path: Path) -> None:
    out = made(tmp_path, "deedsr_v2", side=520, crops=2)
    [held] = MadeSet(root=str(out), carry_degradation=True).test_sets
    notes = [image["parts"]["lq"] for image in manifest.read(out)["images"]]
    batch = collate([held[0], held[1]])
    assert [d["steps"] for d in batch["degradation"]] == [note["recipe"]["steps"] for note in notes]
    assert [d["words"] for d in batch["degradation"]] == [note["words"] for note in notes]
    assert batch["lq"].shape == (2, 3, 128, 128)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest.json: there is no manifest here; give the --out folder"):
        MadeSet(root=str(tmp_path)).setup("test")
    with pytest.raises(InputError, match=r"set data.init_args.root"):
        MadeSet().setup("test")


def test_another_scale_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"made for scale 4, not 2; set data.init_args.scale to 4"):
        MadeSet(root=str(made(tmp_path)), scale=2).setup("test")


def test_files_that_are_gone_or_changed_are_named(tmp_path: Path) -> None:
    out = made(tmp_path)
    path = out / "level2/img1.png"
    held = path.read_bytes()
    path.write_bytes(held[:-1] + b"x")
    with pytest.raises(InputError, match=r"level2/img1.png: it is not the file that the manifest notes; run the same"):
        MadeSet(root=str(out)).setup("test")
    assert MadeSet(root=str(out), parts=["level1"]).test_sets
    path.unlink()
    with pytest.raises(InputError, match=r"level2/img1.png: the manifest notes this file and it is not there"):
        MadeSet(root=str(out)).setup("test")
    path.write_bytes(held)
    (out / "gt/img0.png").write_bytes((out / "gt/img1.png").read_bytes())
    with pytest.raises(InputError, match=r"gt/img0.png: it is not the file"):
        MadeSet(root=str(out)).setup("test")


def test_a_manifest_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    out = made(tmp_path)
    path = out / "manifest.json"
    path.write_text(path.read_text().replace('"gt/img0.png"', '"../Some/HR/img0.png"'))
    with pytest.raises(InputError, match=r"leads out of the folder"):
        MadeSet(root=str(out)).setup("test")
