from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodules import Classical
from srbench.datamodules.classical import SETS
from srbench.errors import InputError


def image(path: Path, height: int, width: int, mode: str = "RGB", seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def tree(root: Path, name: str = "Set5", count: int = 5, lq: str | None = "LRbicx4", suffix: str = "x4") -> Path:
    for i in range(count):
        image(root / name / "HR" / f"im{i}.png", 16, 24, seed=i)
        if lq is not None:
            image(root / name / lq / f"im{i}{suffix}.png", 4, 6, seed=i)
    return root


@pytest.mark.parametrize("suffix", ["x4", "", "_x4"])
@pytest.mark.parametrize("lq", ["LRbicx4", "LR_bicubic/X4"])
def test_layouts_and_names(tmp_path: Path, lq: str, suffix: str) -> None:
    (held,) = Classical(root=str(tree(tmp_path, lq=lq, suffix=suffix)), sets=["Set5"]).test_sets
    assert held.names == [f"im{i}" for i in range(5)]
    assert held.info.lq_origin == "files"
    assert held[2]["lq"].shape == (3, 4, 6)
    assert held[2]["gt"].shape == (3, 16, 24)


def test_lq_is_made_where_there_is_no_folder(tmp_path: Path) -> None:
    root = str(tree(tmp_path, lq=None))
    (made,) = Classical(root=root).test_sets
    assert made.info.lq_origin == "matlab_bicubic"
    assert made[0]["lq"].shape == (3, 4, 6)
    with pytest.raises(InputError, match=r"Set5/LRbicx4 or Set5/LR_bicubic/X4"):
        Classical(root=root, lq="files").setup("test")


def test_lq_is_made_on_demand_though_there_are_files(tmp_path: Path) -> None:
    root = str(tree(tmp_path))
    (made,), (read,) = Classical(root=root, lq="synthesise").test_sets, Classical(root=root).test_sets
    assert made.info.fingerprint != read.info.fingerprint
    assert not torch.equal(made[0]["lq"], read[0]["lq"])


def test_without_names_the_sets_that_are_there_are_taken(tmp_path: Path) -> None:
    tree(tree(tmp_path, "Set14", 14), "Set5")
    tree(tmp_path, "B100", 100, lq=None)
    assert [s.name for s in Classical(root=str(tmp_path)).test_sets] == ["Set5", "Set14", "BSD100"]
    with pytest.raises(InputError, match="none of the classical test sets lies here"):
        Classical(root=str(tmp_path / "nowhere")).setup("test")


def test_the_order_is_the_one_asked_for(tmp_path: Path) -> None:
    tree(tree(tmp_path, "Set14", 14), "Set5")
    data = Classical(root=str(tmp_path), sets=["Set14", "Set5"])
    assert [s.name for s in data.test_sets] == ["Set14", "Set5"]


def test_div2k_as_it_is_downloaded(tmp_path: Path) -> None:
    for i in range(801, 901):
        image(tmp_path / f"DIV2K/DIV2K_valid_HR/0{i}.png", 8, 8, seed=i)
        image(tmp_path / f"DIV2K/DIV2K_valid_LR_bicubic/X4/0{i}x4.png", 2, 2, seed=i)
    (held,) = Classical(root=str(tmp_path), sets=["DIV2K-val"]).test_sets
    assert (held.info.count, held.info.lq_origin) == (100, "files")
    assert held.names[0] == "0801"


def test_a_missing_set_names_the_tree_and_the_source(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Classical(root=str(tmp_path), sets=["Urban100"]).setup("test")
    line = str(caught.value)
    assert line.startswith(str(tmp_path))
    for part in ("Urban100/HR", "100 images", "Urban100/LRbicx4", "SelfExSR", "data.init_args.root"):
        assert part in line
    assert "\n" not in line


def test_a_misspelt_set_gets_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown test set 'Set-5'; did you mean 'Set5'"):
        Classical(sets=["Set-5"])


def test_a_set_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Set5 is there twice"):
        Classical(root=str(tree(tmp_path)), sets=["Set5", "Set5"]).setup("test")


def test_a_wrong_count_is_refused_or_noted(tmp_path: Path) -> None:
    root = str(tree(tmp_path, count=3))
    with pytest.raises(InputError, match="holds 3 images, the published set has 5"):
        Classical(root=root, sets=["Set5"]).setup("test")
    (held,) = Classical(root=root, sets=["Set5"], allow_partial=True).test_sets
    assert held.info.notes == ("3 of 5 images",)


def test_a_missing_partner_is_named(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "Set5/LRbicx4/im3x4.png").unlink()
    with pytest.raises(InputError, match=r"HR/im3.png: there is no lq for it"):
        Classical(root=str(root)).setup("test")
    image(root / "Set5/LRbicx4/im3.png", 4, 6)
    image(root / "Set5/LRbicx4/im9x4.png", 4, 6)
    with pytest.raises(InputError, match=r"LRbicx4/im9x4.png: no image in .* belongs to this one"):
        Classical(root=str(root)).setup("test")


def test_gt_that_is_no_multiple_of_lq(tmp_path: Path) -> None:
    root = tree(tmp_path)
    image(root / "Set5/HR/im1.png", 17, 26)
    with pytest.raises(InputError, match=r"im1.png: gt is 17 x 26, not 4 times its lq of 4 x 6 \(im1x4.png\)"):
        Classical(root=str(root)).setup("test")
    sample = Classical(root=str(root), crop_gt=True).test_sets[0][1]
    assert sample["gt"].shape == (3, 16, 24)


def test_training_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds test sets only"):
        Classical(root=str(tree(tmp_path))).setup("fit")


def test_every_set_states_its_facts() -> None:
    assert list(SETS) == ["Set5", "Set14", "BSD100", "Urban100", "Manga109", "DIV2K-val"]
    for spec in SETS.values():
        assert spec.count > 0
        assert spec.source
        assert spec.licence


# ------------------------------------------------------------------------------------------------- the published files


@pytest.mark.parametrize(("name", "step"), [("Set5", 1), ("Set14", 4), ("BSD100", 20)])
def test_made_lq_is_the_published_lq_pixel_for_pixel(shared: Path, name: str, step: int) -> None:
    root = str(shared / "data")
    (read,) = Classical(root=root, sets=[name], lq="files").test_sets
    (made,) = Classical(root=root, sets=[name], lq="synthesise").test_sets
    assert read.names == made.names
    for index in range(0, len(read), step):
        assert torch.equal(read[index]["lq"], made[index]["lq"])


def test_the_grey_image_of_set14_is_noted(shared: Path) -> None:
    (held,) = Classical(root=str(shared / "data"), sets=["Set14"]).test_sets
    assert [held[i]["notes"] for i in (1, 2)] == [(), ("grey image made RGB",)]
    assert held[2]["gt"].shape[0] == 3
