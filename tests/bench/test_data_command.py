"""``srbench data list`` and ``check`` on miniatures: what is printed, and the exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from srbench.cli import main, usage
from srbench.datamodules.layout_check import files_fingerprint
from srbench.datamodules.layout_scan import scan
from srbench.datamodules.published import SETS


@pytest.fixture(autouse=True)
def _no_sets_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SRBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def data(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    capsys.readouterr()
    returned = main(["data", *arguments])
    said = capsys.readouterr()
    assert returned == status, said
    return said.err if status == 2 else said.out


def row(out: str, name: str) -> str:
    [line] = [line for line in out.splitlines() if line.split() and line.split()[0] == name]
    return line


# --------------------------------------------------------------------------------------------------------------- list


def test_every_set_is_listed_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    out = data(capsys, "list")
    assert "sets in data (there is no such folder)" in out
    for name in SETS:
        assert "missing" in row(out, name)
    assert "50 at x2 x3 x4" in row(out, "RealSR-Canon")
    assert "83 at x2, 84 at x3, 93 at x4" in row(out, "DRealSR")
    assert "? at x2 x3 x4" in row(out, "RealSR-Canon-train")
    assert "S-Lab License 1.0" in row(out, "DIV2K-val-3k")


def test_what_is_on_disk(capsys: pytest.CaptureFixture[str], miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["RealSR-Canon"], tmp_path / "data")
    miniatures.make(SETS["RealSR-Canon"], tmp_path / "data", 2, count=49)
    miniatures.make(SETS["AIM2019-source"], tmp_path / "data")
    out = data(capsys, "list")
    assert "x2 partial (49), x4 found" in row(out, "RealSR-Canon")
    assert "missing" in row(out, "RealSR-Nikon")
    assert "found" in row(out, "AIM2019-source")
    assert row(out, "AIM2019-source").split()[1] == "train"


@pytest.mark.parametrize("how", ["option", "variable"])
def test_where_it_looks(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    miniatures: ModuleType,
    tmp_path: Path,
    how: str,
) -> None:
    miniatures.make(SETS["RealSRSet"], tmp_path / "sets")
    if how == "variable":
        monkeypatch.setenv("SRBENCH_DATA", "sets")
    out = data(capsys, "list", *(["--root", "sets"] if how == "option" else []))
    assert "sets in sets\n" in out
    assert "found" in row(out, "RealSRSet")


def test_the_list_as_json(capsys: pytest.CaptureFixture[str], miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["Set5"], tmp_path / "data", 4)
    rows = {entry["name"]: entry for entry in json.loads(data(capsys, "list", "--json"))}
    assert list(rows) == list(SETS)
    assert rows["Set5"]["on_disk"] == {"x2": "lq made", "x3": "lq made", "x4": "found", "x8": "lq made"}
    assert rows["Set5"]["found"]["x4"] == 5
    assert rows["DRealSR"]["images"] == {"x2": 83, "x3": 84, "x4": 93}
    assert rows["COCO-val512"]["caveats"]
    assert all(entry["source"] and entry["citation"] and entry["licence"] for entry in rows.values())


# -------------------------------------------------------------------------------------------------------------- check


def test_a_whole_set_prints_its_fingerprint(
    capsys: pytest.CaptureFixture[str], miniatures: ModuleType, tmp_path: Path
) -> None:
    miniatures.make(SETS["AIM2019-val"], tmp_path / "data")
    out = data(capsys, "check", "AIM2019-val")
    assert "AIM2019-val x4: whole, 100 images in data/AIM2019" in out
    assert f"fingerprint {files_fingerprint(scan(SETS['AIM2019-val'], tmp_path / 'data', 4))}" in out
    assert "note: the test images 0901 to 1000 have no public gt" in out


def test_everything_that_is_wrong_is_said(
    capsys: pytest.CaptureFixture[str], miniatures: ModuleType, tmp_path: Path
) -> None:
    home = miniatures.make(SETS["AIM2019-val"], tmp_path / "data")
    gt, lq = home / "valid-gt-clean", home / "valid-input-noisy"
    (gt / "0901.png").write_bytes((gt / "0801.png").read_bytes())
    (lq / "0802.png").unlink()
    Image.open(lq / "0803.png").save(lq / "0803.jpg")
    Image.open(lq / "0804.png").convert("L").save(lq / "0804.png")
    (lq / "0805.png").write_bytes((lq / "0805.png").read_bytes()[:-20])
    Image.new("RGB", (33, 32)).save(gt / "0806.png")
    (lq / "0807.png").rename(lq / "0807.png.crdownload")
    out = data(capsys, "check", "AIM2019-val", status=1)
    lines = [line.removeprefix("AIM2019-val x4: ") for line in out.splitlines()]
    said = {line.split(": ")[0]: line for line in lines[:-1]}
    assert set(said) == {"extra", "missing", "twice", "colour", "unreadable", "size", "partial"}
    for kind, file in {
        "extra": "valid-gt-clean/0901.png", "twice": "0803.jpg and 0803.png", "colour": "0804.png",
        "unreadable": "valid-input-noisy/0805.png", "size": "valid-gt-clean/0806.png", "partial": "0807.png.crdownload",
    }.items():  # fmt: skip
        assert file in said[kind]
        assert ";" in said[kind], "no remedy"
    assert sum("the lq is missing" in line for line in lines) == 2
    assert lines[-1] == "not whole: 8 problems, 98 images complete"
    assert "fingerprint" not in out


def test_another_version_of_realsr(capsys: pytest.CaptureFixture[str], miniatures: ModuleType, tmp_path: Path) -> None:
    folder = miniatures.make(SETS["RealSR-Nikon"], tmp_path / "data", 3) / "Nikon/Test/3"
    for i in range(1, 51):
        (folder / f"Nikon_{i:03d}_LR3.png").write_bytes((folder / f"Nikon_{i:03d}_HR.png").read_bytes())
    out = data(capsys, "check", "RealSR-Nikon", status=1)
    assert "RealSR-Nikon x3: version: " in out
    assert "this is version 1 or 2 of RealSR" in out
    assert "https://github.com/csjcai/RealSR (Version 3)" in out


def test_a_set_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    out = data(capsys, "check", "RealSR-Canon", status=1)
    assert "RealSR(V3)/Canon/Test/4/ with 50 images, such as Canon_001_HR.png" in out
    assert "Canon_001_LR4.png" in out
    assert "get it from https://github.com/csjcai/RealSR" in out
    assert "Cai et al." in out


def test_every_scale_on_disk_or_the_one_asked_for(
    capsys: pytest.CaptureFixture[str], miniatures: ModuleType, tmp_path: Path
) -> None:
    miniatures.make(SETS["DIV2KRK"], tmp_path / "data", 4)
    miniatures.make(SETS["DIV2KRK"], tmp_path / "data", 2)
    gt = tmp_path / "data/DIV2KRK/gt"
    for i in range(1, 101):  # gt of x2 overwrote that of x4
        with Image.open(gt / f"img_{i}_gt.png") as image:
            image.resize((32, 2 * image.height)).save(gt / f"img_{i}_gt.png")
    assert "DIV2KRK x4: whole" in data(capsys, "check", "DIV2KRK", "--scale", "4")
    out = data(capsys, "check", "DIV2KRK", status=1)
    assert "DIV2KRK x2: not whole: 100 problems" in out
    assert "DIV2KRK x4: whole" in out


def test_several_sets_at_once(capsys: pytest.CaptureFixture[str], miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["RealSRSet25"], tmp_path / "data")
    out = data(capsys, "check", "RealSRSet", "RealSRSet25")
    assert "RealSRSet: whole, 20 images" in out
    assert "RealSRSet25: whole, 25 images" in out
    data(capsys, "check", "RealSRSet", "RealWorld38", status=1)


def test_lq_that_is_made_has_no_fingerprint_yet(
    capsys: pytest.CaptureFixture[str], miniatures: ModuleType, tmp_path: Path
) -> None:
    home = miniatures.make(SETS["Set5"], tmp_path / "data")
    assert "fingerprint 4" not in data(capsys, "check", "Set5", "--scale", "2")
    assert "Set5 x2: lq is made" in data(capsys, "check", "Set5", "--scale", "2")
    assert data(capsys, "check", "Set5").count("whole") == 1
    (home / "LRbicx4").rename(home / "elsewhere")
    assert "lq is made" in data(capsys, "check", "Set5")


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chek"], "unknown command 'chek'; did you mean 'check'?"),
        (["check", "RealSR-Cannon"], "unknown set 'RealSR-Cannon'; did you mean 'RealSR-Canon'?"),
        (["check"], "SET"),
        (["check", "RealSRSet", "--rot", "x"], "did you mean '--root'?"),
        (["check", "RealSRSet", "--root", "nowhere"], "nowhere: there is no such folder"),
        (["check", "DIV2KRK", "--scale", "3"], "DIV2KRK exists for x2 and x4, not x3"),
        (["list", "--root", "nowhere"], "nowhere: there is no such folder"),
        (["list", "--jason"], "did you mean '--json'?"),
        (["make"], "srbench data make"),
    ],
)
def test_bad_input(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    line = data(capsys, *arguments, status=2)
    assert line.startswith("srbench: error: ")
    assert said in line
    assert len(line.splitlines()) == 1


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "list    every published set" in data(capsys)
    assert "$SRBENCH_DATA" in data(capsys, "--help")
    assert "data " in usage()
    for command in ("list", "check", "make"):
        with pytest.raises(SystemExit):
            main(["data", command, "--help"])
        assert f"srbench data {command}" in capsys.readouterr().out


def test_list_and_check_import_no_torch(miniatures: ModuleType, tmp_path: Path) -> None:
    miniatures.make(SETS["RealSRSet"], tmp_path / "data")
    code = (
        "import sys; from srbench.cli import main; main(['data', 'list']); main(['data', 'check', 'RealSRSet']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'lightning')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "RealSRSet: whole" in done.stdout
