"""The data modules of published sets, on miniatures: what they test on, train on and refuse."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from srbench import datamodules
from srbench.catalog import config_names, exported, read_config
from srbench.cli import main
from srbench.datamodules import AIM2019, DIV2KRK, NTIRE2020, Classical, DASRLevels, RealSR, RealWorld, StableSRSets
from srbench.datamodules.layout_check import files_fingerprint
from srbench.datamodules.layout_scan import scan
from srbench.datamodules.published import SETS
from srbench.datamodules.published_sets import PublishedSets
from srbench.errors import InputError
from srbench.records import find_records
from srbench.sampling import Draw

MODULES = [
    name
    for name in exported("datamodules")
    if isinstance(getattr(datamodules, name), type) and issubclass(getattr(datamodules, name), PublishedSets)
]
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def test_every_declared_set_has_one_data_module() -> None:
    offered = [name for module in MODULES for name in getattr(datamodules, module).layouts]
    classical = [name for name in SETS if SETS[name].lq_made]
    assert sorted(offered + classical) == sorted(SETS)


def test_every_data_module_has_one_config() -> None:
    configured = [read_config(name)["data"]["class_path"].rpartition(".")[2] for name in config_names("data")]
    assert {module: configured.count(module) for module in MODULES} == dict.fromkeys(MODULES, 1)


@pytest.mark.parametrize("module", MODULES)
def test_its_sets_are_tested_on(miniatures: ModuleType, tmp_path: Path, module: str) -> None:
    kind = getattr(datamodules, module)
    layouts = [layout for layout in kind.layouts.values() if not (layout.training or layout.on_request)]
    for layout in layouts:
        miniatures.make(layout, tmp_path, count=3)
    held = kind(root=str(tmp_path), allow_partial=True).test_sets
    assert [s.name for s in held] == [layout.name for layout in layouts]
    for test_set in held:
        layout = SETS[test_set.name]
        sample = test_set[1]
        height, width = sample["lq"].shape[1:]
        assert test_set.info.has_gt == bool(layout.gt) == ("gt" in sample)
        if layout.gt:
            assert sample["gt"].shape == (3, 4 * height, 4 * width)
            shrunk = torch.nn.functional.interpolate(sample["gt"][None], (height, width), mode="area")[0]
            assert float((shrunk - sample["lq"]).abs().mean()) < 0.1  # the pair shows one thing
        assert test_set.info.notes == (f"3 of {layout.counts[4]} images",)
        assert layout.licence == test_set.info.licence
        assert layout.source in test_set.info.source


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_realsr_at_every_scale(miniatures: ModuleType, tmp_path: Path, scale: int) -> None:
    for name in ("RealSR-Canon", "RealSR-Nikon"):
        miniatures.make(SETS[name], tmp_path, scale)
    canon, nikon = RealSR(root=str(tmp_path), scale=scale).test_sets
    assert (canon.name, len(canon), nikon.name, len(nikon)) == ("RealSR-Canon", 50, "RealSR-Nikon", 50)
    assert canon.names[:2] == ["Canon_001", "Canon_002"]
    assert canon[0]["notes"] == ()
    assert canon[1]["notes"] == (f"gt cropped to a multiple of {scale}",)  # one row too high on disk
    assert canon[1]["gt"].shape == (3, 9 * scale, 8 * scale)
    assert canon.info.notes == ()


@pytest.mark.parametrize("name", ["RealSR-Canon", "DIV2KRK", "AIM2019-val", "RealSRSet"])
def test_check_prints_the_fingerprint_of_the_test_set(miniatures: ModuleType, tmp_path: Path, name: str) -> None:
    miniatures.make(SETS[name], tmp_path)
    [module] = [m for m in MODULES if name in getattr(datamodules, m).layouts]
    [held] = getattr(datamodules, module)(root=str(tmp_path), sets=[name]).test_sets
    assert held.info.fingerprint == files_fingerprint(scan(SETS[name], tmp_path, 4))


def test_classical_sets_are_declared_with_the_same_fingerprint(shared: Path) -> None:
    [held] = Classical(root=str(shared / "data"), sets=["Set14"]).test_sets
    assert held.info.fingerprint == files_fingerprint(scan(SETS["Set14"], shared / "data", 4))


def test_the_real_realsrset(shared: Path) -> None:
    [twenty] = RealWorld(root=str(shared / "data"), sets=["RealSRSet"]).test_sets
    [all_of_it] = RealWorld(root=str(shared / "data"), sets=["RealSRSet25"]).test_sets
    assert (len(twenty), len(all_of_it)) == (20, 25)
    assert set(twenty.names) < set(all_of_it.names)
    assert twenty[twenty.names.index("dog")]["lq"].shape == (3, 320, 320)


# -------------------------------------------------------------------------------------------------------- center crops


def test_the_center_of_a_pair(miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["RealSR-Canon"], tmp_path, side=11)
    whole = RealSR(root=str(tmp_path), sets=["RealSR-Canon"]).test_sets[0]
    [middle] = RealSR(root=str(tmp_path), sets=["RealSR-Canon"], center_crop=4).test_sets
    assert middle.name == "RealSR-Canon-center4"
    assert middle.info.fingerprint != whole.info.fingerprint
    for index in (0, 1):  # 11 x 11 and 12 x 11
        top, left = (4, 3) if index else (3, 3)
        part, full = middle[index], whole[index]
        assert torch.equal(part["lq"], full["lq"][:, top : top + 4, left : left + 4])
        assert torch.equal(part["gt"], full["gt"][:, 4 * top : 4 * top + 16, 4 * left : 4 * left + 16])


def test_a_center_larger_than_the_image(miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["RealSR-Canon"], tmp_path)
    with pytest.raises(InputError, match=r"Canon_001_LR4.png: 8 x 8 hold no 128 x 128 centre; set a smaller"):
        RealSR(root=str(tmp_path), center_crop=128).setup("test")


def test_the_center_of_an_image_without_gt(miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["RealSRSet"], tmp_path)
    [held] = RealWorld(root=str(tmp_path), center_crop=4).test_sets
    assert held[0]["lq"].shape == (3, 4, 4)
    assert "gt" not in held[0]


# ----------------------------------------------------------------------------------------------------------- training


def test_paired_training_images(miniatures: ModuleType, tmp_path: Path) -> None:
    for name in ("RealSR-Canon-train", "RealSR-Nikon-train"):
        miniatures.make(SETS[name], tmp_path)
    both = RealSR(root=str(tmp_path), patch_size=16).training_set()
    assert len(both) == 6
    assert {pair.name for pair in both.pairs} >= {"RealSR-Canon-train-Canon_001", "RealSR-Nikon-train-Nikon_003"}
    sample = both[Draw(epoch=0, slot=0, index=1)]  # its gt is one row too high
    assert (sample["lq"].shape, sample["gt"].shape) == ((3, 4, 4), (3, 16, 16))
    one = RealSR(root=str(tmp_path), patch_size=16, train_sets=["RealSR-Nikon-train"]).training_set()
    assert [pair.name for pair in one.pairs] == ["Nikon_001", "Nikon_002", "Nikon_003"]


def test_training_needs_no_test_set(miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["RealSR-Canon-train"], tmp_path)
    data = RealSR(root=str(tmp_path), patch_size=16)
    data.setup("fit")
    assert data.val_sets == []
    miniatures.make(SETS["RealSR-Canon"], tmp_path)
    data = RealSR(root=str(tmp_path), patch_size=16)
    data.setup("fit")
    assert [s.name for s in data.val_sets] == ["RealSR-Canon"]
    with pytest.raises(InputError, match=r"RealSR-Nikon .* is not here"):
        RealSR(root=str(tmp_path), patch_size=16, sets=["RealSR-Nikon"]).setup("fit")


def test_unpaired_domains(miniatures: ModuleType, tmp_path: Path) -> None:
    for name in ("AIM2019-source", "AIM2019-target"):
        miniatures.make(SETS[name], tmp_path, side=32)
    clean = AIM2019(root=str(tmp_path), patch_size=16).training_set()
    assert {pair.gt.parent.name for pair in clean.pairs if pair.gt} == {"train-clean-images"}
    assert clean[Draw(epoch=0, slot=0, index=0)]["lq"].shape == (3, 4, 4)
    noisy = AIM2019(root=str(tmp_path), patch_size=16, train_sets=["AIM2019-source"]).training_set()
    assert {pair.gt.parent.name for pair in noisy.pairs if pair.gt} == {"train-noisy-images"}
    [alone] = AIM2019(root=str(tmp_path), sets=["AIM2019-source"]).test_sets
    assert (alone.info.has_gt, len(alone)) == (False, 3)


def test_the_clean_domain_cannot_be_tested_on() -> None:
    with pytest.raises(InputError, match="unknown set 'AIM2019-target'"):
        AIM2019(sets=["AIM2019-target"])
    with pytest.raises(InputError, match="unknown set 'AIM2019-val'"):
        AIM2019(train_sets=["AIM2019-val"])


def test_what_cannot_be_trained_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="DIV2KRK holds test sets only"):
        DIV2KRK(root=str(tmp_path)).setup("fit")
    with pytest.raises(InputError, match=r"RealSR-Canon-train \(x4\) is not here"):
        RealSR(root=str(tmp_path)).setup("fit")


# ---------------------------------------------------------------------------------------------------------- bad input


def test_a_missing_set_names_the_tree_and_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        RealSR(root=str(tmp_path)).setup("test")
    line = str(caught.value)
    assert "\n" not in line
    for part in (
        str(tmp_path),
        "RealSR(V3)/Canon/Test/4/ with 50 images",
        "Canon_001_LR4.png",
        "csjcai",
        "init_args.root",
    ):
        assert part in line


@pytest.mark.parametrize("allow_partial", [False, True])
def test_the_wrong_version_is_refused_even_in_part(miniatures: ModuleType, tmp_path: Path, allow_partial: bool) -> None:
    folder = miniatures.make(SETS["RealSR-Canon"], tmp_path, count=3) / "Canon/Test/4"
    for i in (1, 2, 3):
        (folder / f"Canon_00{i}_LR4.png").write_bytes((folder / f"Canon_00{i}_HR.png").read_bytes())
    with pytest.raises(InputError, match="version 1 or 2 of RealSR"):
        RealSR(root=str(tmp_path), allow_partial=allow_partial).setup("test")


def test_a_set_that_lacks_images(miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["AIM2019-val"], tmp_path, count=98)
    with pytest.raises(InputError, match=r"0899.png: the gt is missing; .*srbench data check AIM2019-val"):
        AIM2019(root=str(tmp_path)).setup("test")
    [held] = AIM2019(root=str(tmp_path), allow_partial=True).test_sets
    assert held.info.notes == ("98 of 100 images",)


@pytest.mark.parametrize("allow_partial", [False, True])
def test_an_extra_file_and_two_of_one_stem_are_refused(
    miniatures: ModuleType, tmp_path: Path, allow_partial: bool
) -> None:
    folder = miniatures.make(SETS["AIM2019-val"], tmp_path) / "valid-gt-clean"
    (folder / "0901.png").write_bytes((folder / "0801.png").read_bytes())
    data = {"root": str(tmp_path), "allow_partial": allow_partial}
    with pytest.raises(InputError, match=r"0901.png: AIM2019-val has no such image; remove it"):
        AIM2019(**data).setup("test")
    (folder / "0901.png").rename(folder / "0801.jpg")
    with pytest.raises(InputError, match=r"0801.jpg and 0801.png have the same name but for the ending"):
        AIM2019(**data).setup("test")


def test_sizes_that_do_not_divide_and_crops_of_another_size(miniatures: ModuleType, tmp_path: Path) -> None:
    home = miniatures.make(SETS["NTIRE2020-track1-val"], tmp_path)
    Image.new("RGB", (30, 31)).save(home / "track1-valid-gt/0802.png")
    with pytest.raises(InputError, match=r"0802.png: gt is 31 x 30, not 4 times its lq of 9 x 8"):
        NTIRE2020(root=str(tmp_path)).setup("test")
    home = miniatures.make(SETS["RealSR-crop128"], tmp_path, count=2)
    Image.new("RGB", (64, 64)).save(home / "test_LR/im_0001.png")
    with pytest.raises(InputError, match="lq is 64 x 64, the published one 128 x 128"):
        StableSRSets(root=str(tmp_path), allow_partial=True).setup("test")


def test_a_misspelt_set_and_a_scale_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'RealSR-Canon'"):
        RealSR(sets=["RealSR-Cannon"])
    with pytest.raises(InputError, match="DASR-Level-I exists for x4, not x2"):
        DASRLevels(root=str(tmp_path), scale=2).setup("test")


# ------------------------------------------------------------------------------------------------------- the whole way


@pytest.mark.parametrize(("module", "name"), [("DIV2KRK", "DIV2KRK"), ("DASRLevels", "DASR-Level-II")])
def test_bicubic_is_scored_on_a_whole_miniature(
    miniatures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    miniatures.make(SETS[name], tmp_path / "sets", side=12)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_DATA", str(tmp_path / "sets"))
    assert main(["test", "--model", "Bicubic", "--data", module, *QUIET, "--benchmark.out", "out"]) == 0
    [(_, record)] = find_records([Path("out")])
    assert (record.test_set, record.n, record.lq_origin) == (name, 100, "files")
    assert record.testset_fingerprint == files_fingerprint(scan(SETS[name], tmp_path / "sets", 4))
    mean = record.metrics["psnr_y219"].mean
    assert mean is not None
    assert 15 < mean < 60
