"""``srbench analyze``: what there is, on which model, what it writes; all in process."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from srbench import analysis, analyze_command
from srbench.analysis.subject import load_subject, remarks
from srbench.cli import main
from srbench.errors import InputError
from srbench.images import read_image, write_png
from srbench.modules import SRResNet

TINY = ["--model", "SRResNet", "--model.init_args.features", "8", "--model.init_args.blocks", "1"]
BICUBIC = ["--model", "Bicubic", "--model.init_args.eight_bit", "false"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    y, x = np.mgrid[:20, :24]
    planes = [127 + 100 * np.sin(x / (2 + c) + y / 3) for c in range(3)]
    write_png(tmp_path / "lq.png", np.stack(planes, -1).astype(np.uint8))
    return tmp_path / "lq.png"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    assert main(["analyze", *argv]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("srbench: error: ")]
    assert len(lines) == 1
    assert ";" in lines[0]
    return lines[0]


# --------------------------------------------------------------------------------------------------------- discovery


def test_every_analysis_has_what_it_takes() -> None:
    known = analysis.analyses()
    assert list(known) == sorted(known)
    assert {"lam", "activation", "text-similarity"} <= set(known)
    for name, entry in known.items():
        module = analysis.analysis_module(name)
        assert entry.summary
        assert callable(module.arguments)
        assert callable(module.run)


def test_analyses_join_by_a_literal_from_both_rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = "raise ImportError('read, not run')\nANALYSIS = {'name': %r, 'summary': 's', 'model': %r}\n"
    for room, names in {"analysis": ["one"], "modules": ["method/two", "method/__init__"]}.items():
        for name in names:
            file = tmp_path / room / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(held % (file.stem.strip("_"), room == "analysis"))
    (tmp_path / "modules" / "none.py").write_text('"""Has no ANALYSIS = of its own."""\n')
    monkeypatch.setattr(analysis, "room_folder", lambda room: tmp_path / room)
    find = analysis.analyses.__wrapped__
    assert find() == {
        "init": ("init", "s", "srbench.modules.method", False),
        "one": ("one", "s", "srbench.analysis.one", True),
        "two": ("two", "s", "srbench.modules.method.two", False),
    }
    (tmp_path / "modules" / "again.py").write_text(held % ("one", False))
    with pytest.raises(ImportError, match=r"srbench.analysis.one and srbench.modules.again both analyze one"):
        find()


def test_the_page_names_them_all_and_imports_no_torch(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([], ["--help"], ["help"]):
        assert main(["analyze", *argv]) == 0
        page = capsys.readouterr().out
        assert all(f"  {name} " in page for name in analysis.analyses())
    code = (
        "import sys; from srbench.cli import main\n"
        "assert main(['analyze']) == 0 and main(['analyze', 'lamm']) == 2\n"
        "for name in ('lam', 'activation'):\n"
        "    try: main(['analyze', name, '--help'])\n"
        "    except SystemExit: pass\n"
        "assert main(['analyze', 'lam', '--image', 'a.png', '--at', '0,0', '--config', 'methods/nowhere.yaml']) == 2\n"
        "assert not {'torch', 'lightning'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# --------------------------------------------------------------------------------------------------------------- lam


def test_lam_writes_map_figures_and_picture(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["lam", *BICUBIC, "--image", str(image), "--at", "30,26", "--fold", "20", "--out", str(tmp_path / "out")]
    assert main(["analyze", *argv]) == 0
    said = capsys.readouterr()
    rows = _rows(tmp_path / "out" / "map.csv")
    assert [(int(r["x"]), int(r["y"])) for r in rows] == [(x, y) for y in range(20) for x in range(24)]
    values = np.array([float(r["value"]) for r in rows]).reshape(20, 24)
    assert values.max() == 1.0
    touched = np.argwhere(values > 0)
    # sr rows 26..42, columns 30..46 are made from lq rows 6..10 and columns 7..11 and two taps to either side.
    assert touched.min(0).tolist() >= [4, 5]
    assert touched.max(0).tolist() <= [13, 14]
    [figures] = _rows(tmp_path / "out" / "lam.csv")
    assert float(figures["sum"]) == pytest.approx(float(figures["growth"]), rel=0.1)
    assert float(figures["sum"]) == pytest.approx(sum(float(r["attribution"]) for r in rows))
    assert f"diffusion index {float(figures['diffusion_index']):.3f} (Bicubic" in said.out
    assert figures["method"] == "Bicubic"
    assert "20 of 20 steps" in said.err
    assert read_image(tmp_path / "out" / "lam.png").pixels.shape == (80, 5 * 96 + 4 * 4, 3)
    assert "marked" not in said.out


def test_lam_of_random_weights_says_so(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--image", str(image), "--at", "30,26", "--fold", "2", "--out", str(tmp_path / "out")]
    assert main(["analyze", "lam", *TINY, *argv]) == 0
    assert "marked random_weights" in capsys.readouterr().out
    assert _rows(tmp_path / "out" / "lam.csv")[0]["marks"] == "random_weights"


def test_lam_refuses_in_one_line(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--image", str(image), "--at", "3,3"]
    out = ["--out", str(tmp_path / "out")]
    assert "no gradient" in _refused(capsys, "lam", "--model", "Bicubic", *at, *out)
    assert "is no place" in _refused(capsys, "lam", *BICUBIC, "--image", str(image), "--at", "3;3", *out)
    assert "does not lie in sr of 96x80" in _refused(capsys, "lam", *BICUBIC, *at, "--window", "90", *out)
    assert "too small for kernels" in _refused(capsys, "lam", *BICUBIC, *at, "--kernel", "91", *out)
    assert "nowhere.png" in _refused(capsys, "lam", *BICUBIC, "--image", "nowhere.png", "--at", "3,3", *out)
    assert "no model class" in _refused(capsys, "lam", *at, *out)
    assert "did you mean 'lam'?" in _refused(capsys, "lamm", *at)
    assert "did you mean '--window'?" in _refused(capsys, "lam", *BICUBIC, *at, "--windw", "3")
    assert "did you mean 'Bicubic'?" in _refused(capsys, "lam", "--model", "Bicubik", *at)
    assert "no device 'cuba'" in _refused(capsys, "lam", *BICUBIC, *at, "--device", "cuba")
    assert not (tmp_path / "out").exists()


# -------------------------------------------------------------------------------------------------------- activation


def test_activation_writes_a_row_and_a_picture_per_image(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "more" / "flat.png"
    write_png(other, np.full((10, 12, 3), 90, np.uint8))
    argv = [*TINY, "--images", str(image), str(other.parent), "--layer", "net.conv_first"]
    assert main(["analyze", "activation", *argv, "--out", str(tmp_path / "out")]) == 0
    rows = _rows(tmp_path / "out" / "activation.csv")
    assert [(r["image"], r["shape"], r["runs"]) for r in rows] == [("lq", "1x8x20x24", "1"), ("flat", "1x8x10x12", "1")]
    for row in rows:
        assert float(row["min"]) <= float(row["mean"]) <= float(row["max"])
    assert read_image(tmp_path / "out" / "activation_lq.png").pixels.shape == (200, 484, 3)
    assert "2 maps" in capsys.readouterr().out


def test_activation_values_are_the_layers_mean(image: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = SRResNet(features=8, blocks=1)
    torch.save({"params": net.net.state_dict()}, tmp_path / "w.pth")
    argv = [*TINY, "--model.init_args.weights", str(tmp_path / "w.pth"), "--images", str(image)]
    assert main(["analyze", "activation", *argv, "--layer", "net.conv_first", "--out", str(tmp_path / "out")]) == 0
    [row] = _rows(tmp_path / "out" / "activation.csv")
    lq = torch.from_numpy(read_image(image).pixels.copy()).permute(2, 0, 1)[None] / 255
    expected = net.net.conv_first(lq)[0].mean(0).detach()
    assert float(row["max"]) == pytest.approx(float(expected.max()), rel=1e-4)
    assert float(row["std"]) == pytest.approx(float(expected.std(correction=0)), rel=1e-4)


def test_activation_refuses_in_one_line(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["activation", *TINY, "--images", str(image), "--out", str(tmp_path / "out")]
    assert "did you mean 'net.conv_first'?" in _refused(capsys, *base, "--layer", "net.conv_frist")
    assert "is no raster" in _refused(capsys, *base, "--layer", "net.conv_first", "--tokens", "4")
    assert "show nothing" in _refused(capsys, *base, "--layer", "net.conv_first", "--most", "0")
    empty = tmp_path / "empty"
    empty.mkdir()
    argv = ["activation", *TINY, "--images", str(empty), "--layer", "net.conv_first"]
    assert "no images in the folder" in _refused(capsys, *argv)
    assert not (tmp_path / "out").exists()


# ----------------------------------------------------------------------------------------------------------- subject


def test_the_subject_has_its_weights_and_rests(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = SRResNet(features=8, blocks=1)
    torch.save({"params": net.net.state_dict()}, tmp_path / "w.pth")
    model = load_subject([], [*TINY, "--model.init_args.weights", str(tmp_path / "w.pth")])
    torch.testing.assert_close(model.net.state_dict(), net.net.state_dict())  # type: ignore[union-attr]
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert remarks(model) == []


def test_a_checkpoint_brings_its_tensors_and_marks(
    tmp_path: Path, checkpoint: Callable[[SRResNet, dict[str, object]], Path]
) -> None:
    torch.manual_seed(2)
    net = SRResNet(features=8, blocks=1)
    path = checkpoint(net, {"marks": ["oracle"]})
    model = load_subject([], TINY, checkpoint=str(path))
    torch.testing.assert_close(model.state_dict(), net.state_dict())
    assert remarks(model) == ["marked oracle: records of this model are not ranked"]
    wide = ["--model", "SRResNet", "--model.init_args.features", "16", "--model.init_args.blocks", "1"]
    with pytest.raises(InputError, match="conv_first"):
        load_subject([], wide, checkpoint=str(path))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[SRResNet, dict[str, object]], Path]:
    def write(net: SRResNet, more: dict[str, object]) -> Path:
        held = {"state_dict": net.state_dict(), "pytorch-lightning_version": "2.6.1", "hyper_parameters": {}, **more}
        torch.save(held, tmp_path / "a.ckpt")
        return tmp_path / "a.ckpt"

    return write


def test_run_is_what_the_command_calls(capsys: pytest.CaptureFixture[str]) -> None:
    assert analyze_command.run([]) == 0
    assert capsys.readouterr().out.startswith("usage: srbench analyze NAME")
