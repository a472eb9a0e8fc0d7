"""Every declared set, on a miniature with its names and numbers; and everything that can be wrong with one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import run
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srbench.datamodules.layout import Layout, default_root
from srbench.datamodules.layout_check import files_fingerprint, pixels, sizes
from srbench.datamodules.layout_scan import Scan, scan
from srbench.datamodules.published import SETS
from srbench.errors import InputError

COUNTS = {
    "DASR-Level-I": 100, "DASR-Level-II": 100, "DASR-Level-III": 100, "DIV2K-val-3k": 3000, "RealSR-Canon": 50,
    "RealSR-Nikon": 50, "RealSR-crop128": 100, "DRealSR": 93, "DRealSR-crop128": 93, "AIM2019-val": 100,
    "NTIRE2020-track1-val": 100, "RealWorld38": 38, "RealSRSet": 20, "RealSRSet25": 25, "DPED-iPhone": 113,
    "DPED-crop128": 113, "RealLR200": 200, "DIV2KRK": 100, "NTIRE2018-mild": 100, "NTIRE2018-difficult": 100,
    "NTIRE2018-wild": 100, "COCO-val512": 5000, "DIV2K-val": 100,
}  # fmt: skip


def problems(found: Scan) -> list[tuple[str, str, str]]:
    return [(p.kind, p.where.name, p.what) for p in found.problems]


def test_the_sets_have_the_published_numbers() -> None:
    assert {name: SETS[name].counts[4] for name in COUNTS} == COUNTS
    assert sum(name.startswith("DIV2K-C-") for name in SETS) == 8
    assert sum(name.startswith("DIV2K-MC-") for name in SETS) == 4
    assert {n: dict(SETS[n].counts) for n in ("RealSR-Canon", "DRealSR", "DIV2KRK")} == {
        "RealSR-Canon": {2: 50, 3: 50, 4: 50},
        "DRealSR": {2: 83, 3: 84, 4: 93},
        "DIV2KRK": {2: 100, 4: 100},
    }


@pytest.mark.parametrize("layout", SETS.values(), ids=lambda layout: layout.name)
def test_a_set_states_its_facts(layout: Layout) -> None:
    assert layout.source
    assert layout.licence
    assert layout.citation
    assert all(layout.expected(scale) for scale in layout.scales)


@pytest.mark.parametrize("layout", SETS.values(), ids=lambda layout: layout.name)
def test_a_whole_miniature_is_found_and_is_no_other_set(miniatures: ModuleType, tmp_path: Path, layout: Layout) -> None:
    scale = layout.scales[-1]
    miniatures.make(layout, tmp_path, scale)
    found = scan(layout, tmp_path, scale)
    assert found.problems == ()
    assert found.state == "found"
    assert [files.name for files in found.files] == sorted(
        miniatures.ids(layout, scale), key=lambda n: (len(n), n) if layout.name == "DIV2KRK" else n
    )
    assert all((f.gt is not None) == bool(layout.gt) and (f.lq is not None) == bool(layout.lq) for f in found.files)
    shown = replace(found, files=found.files[:5])
    assert [*sizes(shown), *pixels(shown)] == []
    others = {n for n, other in SETS.items() if scale in other.counts and scan(other, tmp_path, scale).state == "found"}
    beside = {"RealSRSet25": {"RealSRSet"}} | {f"NTIRE2018-{k}": {"DIV2K-val"} for k in ("mild", "difficult", "wild")}
    assert others - {layout.name} == beside.get(layout.name, set())


@pytest.mark.parametrize("layout", [lay for lay in SETS.values() if lay.gt and lay.lq], ids=lambda layout: layout.name)
def test_every_naming_of_folders_and_files_is_taken(miniatures: ModuleType, tmp_path: Path, layout: Layout) -> None:
    scale = layout.scales[-1]
    ways: list[dict[str, Any]] = [{"home": home} for home in layout.homes]
    ways += [{"gt": gt} for gt in layout.gt if layout.gt != layout.lq]
    ways += [{"lq": lq} for lq in layout.lq if layout.gt != layout.lq]
    ways += [{"spelling": i} for i in range(len(layout.spellings))]
    for number, way in enumerate(ways):
        root = tmp_path / str(number)
        miniatures.make(layout, root / "data", scale, count=2, **way)
        found = scan(layout, root / "data", scale)
        assert len(found.files) == 2, way
        assert {problem.kind for problem in found.problems} <= {"missing", "count"}


def test_the_root_may_be_the_set_itself(miniatures: ModuleType, tmp_path: Path) -> None:
    home = miniatures.make(SETS["RealSRSet"], tmp_path)
    assert scan(SETS["RealSRSet"], home, 4).state == "found"
    assert scan(SETS["RealSRSet"], tmp_path / "elsewhere", 4).state == "missing"


def test_where_sets_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRBENCH_DATA", raising=False)
    assert default_root() == Path("data")
    monkeypatch.setenv("SRBENCH_DATA", "/elsewhere")
    assert default_root() == Path("/elsewhere")
    assert default_root("here") == Path("here")


def test_a_scale_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="DIV2KRK exists for x2 and x4, not x3"):
        scan(SETS["DIV2KRK"], tmp_path, 3)


def test_declarations_contradicting_themselves() -> None:
    with pytest.raises(ValueError, match="has 2 names"):
        replace(SETS["DIV2KRK"], names=("1", "2"))
    with pytest.raises(ValueError, match="neither gt nor lq"):
        replace(SETS["DIV2KRK"], gt=(), lq=())


def test_it_needs_no_torch() -> None:
    code = (
        "import sys, srbench.datamodules.published, srbench.datamodules.layout_check; sys.exit('torch' in sys.modules)"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------------ what is wrong

REALSR = SETS["RealSR-Canon"]


@pytest.fixture
def canon(miniatures: ModuleType, tmp_path: Path) -> Path:
    """The folder of RealSR's Canon test pairs at x4."""
    return miniatures.make(REALSR, tmp_path) / "Canon/Test/4"


def again(folder: Path) -> Scan:
    return scan(REALSR, folder.parents[3], 4)


def test_a_partial_download(canon: Path) -> None:
    (canon / "Canon_007_LR4.png").unlink()
    assert problems(again(canon)) == [("missing", "Canon_007_LR4.png", "the lq is missing")]
    (canon / "Canon_007_HR.png").rename(canon / "Canon_007_HR.png.part")
    kinds = problems(again(canon))
    assert kinds[0] == ("partial", "Canon_007_HR.png.part", "a download that did not end")
    assert kinds[1][2] == "it holds 49 images, the published set has 50"
    assert again(canon).state == "partial"


def test_a_missing_image_of_known_names_is_named(miniatures: ModuleType, tmp_path: Path) -> None:
    layout = SETS["AIM2019-val"]
    home = miniatures.make(layout, tmp_path)
    for part in ("valid-gt-clean", "valid-input-noisy"):
        (home / part / "0850.png").unlink()
    assert problems(scan(layout, tmp_path, 4)) == [
        ("missing", "0850.png", "the gt is missing"),
        ("missing", "0850.png", "the lq is missing"),
    ]


def test_a_missing_folder(miniatures: ModuleType, tmp_path: Path) -> None:
    layout = SETS["DIV2KRK"]
    home = miniatures.make(layout, tmp_path)
    (home / "lr_x4").rename(home / "LR")
    found = scan(layout, tmp_path, 4)
    assert problems(found) == [("missing", "lr_x4", "the folder is missing")]
    assert found.files == ()


def test_gt_of_another_scale_alone_is_not_this_scale(miniatures: ModuleType, tmp_path: Path) -> None:
    layout = SETS["DIV2KRK"]
    home = miniatures.make(layout, tmp_path)
    assert (scan(layout, tmp_path, 4).state, scan(layout, tmp_path, 2).state) == ("found", "missing")
    (home / "lr_x4").rename(home / "lr_x2")
    assert scan(layout, tmp_path, 4).state == "missing"


def test_shared_gt_alone_is_no_set(miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["DIV2K-val"], tmp_path, home="DIV2K", gt="DIV2K_valid_HR")
    for name in ("DASR-Level-I", "NTIRE2018-wild"):
        assert scan(SETS[name], tmp_path, 4).state == "missing"


@pytest.mark.parametrize("name", ["Canon_051_HR.png", "Nikon_001_HR.png", "notes.jpg"])
def test_an_extra_file(canon: Path, name: str) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(canon / name)
    assert problems(again(canon)) == [("extra", name, "RealSR-Canon has no such image")]
    (canon / "Canon_004_LR4.png").unlink()  # now nobody can say which of the two gt without lq is the extra one
    kinds = {(kind, where) for kind, where, _ in problems(again(canon))}
    unpaired = {("missing", "Canon_004_LR4.png")}
    assert kinds == unpaired | {("missing", "Canon_051_LR4.png") if name.startswith("Canon") else ("extra", name)}


def test_one_pair_too_many(canon: Path) -> None:
    for end in ("HR", "LR4"):
        (canon / f"Canon_099_{end}.png").write_bytes((canon / f"Canon_001_{end}.png").read_bytes())
    assert problems(again(canon)) == [("count", "4", "it holds 51 images, the published set has 50")]


def test_an_extra_image_beside_known_names(miniatures: ModuleType, tmp_path: Path) -> None:
    layout = SETS["AIM2019-val"]
    home = miniatures.make(layout, tmp_path)
    (home / "valid-gt-clean/0901.png").write_bytes((home / "valid-gt-clean/0900.png").read_bytes())
    assert problems(scan(layout, tmp_path, 4)) == [("extra", "0901.png", "AIM2019-val has no such image")]


def test_what_is_no_image_is_left_alone(canon: Path) -> None:
    (canon / "readme.txt").write_text("hello")
    (canon / ".DS_Store").write_text("")
    (canon / "._Canon_001_HR.png").write_text("")
    assert again(canon).problems == ()


def test_two_files_with_one_stem(canon: Path) -> None:
    Image.open(canon / "Canon_003_HR.png").save(canon / "Canon_003_HR.jpg")
    [(kind, where, what)] = problems(again(canon))
    assert (kind, where) == ("twice", "4")
    assert "Canon_003_HR.jpg and Canon_003_HR.png" in what


def test_versions_one_and_two_of_realsr(canon: Path) -> None:
    for i in range(1, 51):
        (canon / f"Canon_{i:03d}_LR4.png").write_bytes((canon / f"Canon_{i:03d}_HR.png").read_bytes())
    kind, where, what = problems(again(canon))[0]
    assert (kind, where) == ("version", "Canon_001_LR4.png")
    assert "version 1 or 2" in what


def test_gt_larger_than_the_rule_allows(canon: Path) -> None:
    found = again(canon)
    assert list(sizes(found)) == []  # Canon_002's gt is one row too high, and is cropped
    for height, said in ((36 + 3, None), (36 + 4, "gt is 40 x 32, not 4 times its lq of 9 x 8"), (35, "gt is 35 x 32")):
        Image.new("RGB", (32, height)).save(canon / "Canon_002_HR.png")
        assert [p.what.startswith(said or "") for p in sizes(found)] == ([] if said is None else [True])


def test_sides_that_do_not_divide(miniatures: ModuleType, tmp_path: Path) -> None:
    layout = SETS["AIM2019-val"]
    home = miniatures.make(layout, tmp_path)
    Image.new("RGB", (33, 32)).save(home / "valid-gt-clean/0801.png")
    [problem] = sizes(scan(layout, tmp_path, 4))
    assert problem.where.name == "0801.png"
    assert "gt is 32 x 33, not 4 times its lq of 8 x 8" in problem.what


def test_a_crop_of_another_size(miniatures: ModuleType, tmp_path: Path) -> None:
    layout = SETS["RealSR-crop128"]
    home = miniatures.make(layout, tmp_path, count=2)
    Image.new("RGB", (64, 64)).save(home / "test_LR/im_0001.png")
    [problem] = sizes(scan(layout, tmp_path, 4))
    assert problem.what == "lq is 64 x 64, the published one 128 x 128"


def _broken(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))


SPOILT: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a broken PNG": (_broken, "unreadable", "truncated or damaged"),
    "half a PNG": (lambda p: p.write_bytes(p.read_bytes()[:-40]), "unreadable", "truncated or damaged"),
    "an empty file": (lambda p: p.write_bytes(b""), "unreadable", "the file is empty"),
    "a page": (lambda p: p.write_text("<html>quota exceeded"), "unreadable", "not a PNG"),
    "grey": (lambda p: Image.open(p).convert("L").save(p), "colour", "it is not RGB (grey image made RGB)"),
    "palette": (lambda p: Image.open(p).convert("P").save(p), "colour", "it is not RGB (palette image made RGB)"),
    "opaque alpha": (
        lambda p: Image.open(p).convert("RGBA").save(p),
        "colour",
        "it is not RGB (opaque alpha channel dropped)",
    ),
    "transparent": (lambda p: Image.new("RGBA", (8, 8)).save(p), "unreadable", "transparency"),
    "16 bits": (lambda p: Image.fromarray(np.full((8, 8), 999, np.uint16)).save(p), "unreadable", "16 bits"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_an_image_that_cannot_be_used(canon: Path, spoilt: str) -> None:
    spoil, kind, said = SPOILT[spoilt]
    spoil(canon / "Canon_009_LR4.png")
    seen: list[Path] = []
    [problem] = pixels(again(canon), seen.append)
    assert (problem.kind, problem.where.name) == (kind, "Canon_009_LR4.png")
    assert said in problem.what
    assert problem.remedy
    assert len(seen) == 100


def test_grey_is_no_fault_where_the_set_has_some(miniatures: ModuleType, tmp_path: Path) -> None:
    home = miniatures.make(SETS["RealWorld38"], tmp_path)
    file = home / "LR" / "im_0001.png"
    Image.open(file).convert("L").save(file)
    assert list(pixels(scan(SETS["RealWorld38"], tmp_path, 4))) == []


def test_the_fingerprint_knows_names_and_bytes_and_no_place(miniatures: ModuleType, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    miniatures.make(SETS["RealSRSet"], one)
    place = miniatures.make(SETS["RealSRSet"], two, lq="")
    first = files_fingerprint(scan(SETS["RealSRSet"], one, 4))
    assert first == files_fingerprint(scan(SETS["RealSRSet"], two, 4))
    (place / "dog.png").write_bytes((place / "frog.png").read_bytes())
    assert first != files_fingerprint(scan(SETS["RealSRSet"], two, 4))


# ------------------------------------------------------------------------------------------------------ the real files


def test_the_real_realsrset_is_whole(shared: Path) -> None:
    for name, count in (("RealSRSet", 20), ("RealSRSet25", 25)):
        found = scan(SETS[name], shared / "data", 4)
        assert (found.state, len(found.files)) == ("found", count)
        assert [*sizes(found), *pixels(found)] == []


@pytest.mark.parametrize("name", ["Set5", "Set14", "BSD100"])
def test_the_real_classical_sets_are_found(shared: Path, name: str) -> None:
    found = scan(SETS[name], shared / "data", 4)
    assert (found.state, len(found.files)) == ("found", SETS[name].counts[4])
    assert [*sizes(found), *pixels(found)] == []
