"""``srbench score``, as its users call it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srbench.errors import InputError
from srbench.images import write_png
from srbench.records import find_records, read_rows
from srbench.score_command import run


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 28, 3), dtype=np.uint8)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    for i, name in enumerate(("img_0", "=1+1")):
        write_png(tmp_path / "sr" / f"{name}_x4.png", noise(i))
        write_png(tmp_path / "gt" / f"{name}.png", noise(i) // 2 + noise(9) // 2)
        write_png(tmp_path / "lq" / f"{name}x4.png", noise(i)[::4, ::4])
    return str(tmp_path / "sr"), str(tmp_path / "gt")


def test_prints_a_table(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    sr, gt = pair
    assert run([sr, "--ref", gt]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "protocol y219_crop4 version 1, 2 images"
    assert lines[1].split() == ["metric", "mean", "n", "95", "%", "interval"]
    name, mean, n, low, _, high = lines[2].split()
    assert (name, n) == ("psnr_y219", "2")
    assert float(low) <= float(mean) <= float(high)
    assert lines[-1] == "4 computed, 0 remembered"


def test_scores_per_image_go_to_a_file_with_formulas_quoted(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sr, gt = pair
    target = tmp_path / "scores" / "a.csv"
    assert run([sr, "--ref", gt, "--protocol", "rgb_crop4", "--csv", str(target)]) == 0
    table = list(csv.reader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert table[0] == ["name", "psnr_rgb", "ssim_rgb", "ms", "notes"]
    assert sorted(row[0] for row in table[1:]) == ["'=1+1", "img_0"]
    mean = float(capsys.readouterr().out.splitlines()[2].split()[1])
    assert np.mean([float(row[1]) for row in table[1:]]) == pytest.approx(mean, abs=5.1e-5)


def test_on_standard_output_the_csv_is_alone(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    sr, gt = pair
    assert run([sr, "--ref", gt, "--csv", "-"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("name,psnr_y219,ssim_y219,ms,notes\n")
    assert len(out.splitlines()) == 3
    assert "psnr_y219" in err


RECORD = ["--method", "Mine", "--set", "Pair", "--scale", "4"]


def test_writes_a_record_for_the_leaderboard(pair: tuple[str, str], tmp_path: Path) -> None:
    sr, gt = pair
    out = tmp_path / "out"
    assert run([sr, "--ref", gt, "--out", str(out), *RECORD]) == 0
    [(path, record)] = find_records([out])
    assert (record.method, record.test_set, record.scale, record.n) == ("Mine", "Pair", 4, 2)
    assert (record.protocol, record.protocol_version) == ("y219_crop4", 1)
    assert list(record.metrics) == ["psnr_y219", "ssim_y219"]
    assert record.lq_origin == "unknown"
    rows = read_rows(path)
    assert [row.name for row in rows] == ["=1+1", "img_0"]
    assert record.metrics["psnr_y219"].mean == pytest.approx(np.mean([row.values["psnr_y219"] for row in rows]))


def test_the_same_images_give_the_same_record_and_others_another(pair: tuple[str, str], tmp_path: Path) -> None:
    sr, gt = pair
    arguments = [sr, "--ref", gt, "--out", str(tmp_path / "out"), *RECORD]
    run(arguments)
    run(arguments)
    assert len(find_records([tmp_path / "out"])) == 1
    write_png(Path(sr) / "img_0_x4.png", noise(5))
    run(arguments)
    assert len(find_records([tmp_path / "out"])) == 2


def test_with_lq_the_row_ranks_with_tests_of_the_same_set(pair: tuple[str, str], tmp_path: Path) -> None:
    from srbench.datasets import FileTestSet
    from srbench.images import list_images
    from srbench.pairing import pair as paired
    from srbench.pairs import Pair

    sr, gt = pair
    halves = paired(list_images(tmp_path / "lq"), list_images(gt))
    run([sr, "--ref", gt, "--lq", str(tmp_path / "lq"), "--out", str(tmp_path / "out"), *RECORD])
    [(_, record)] = find_records([tmp_path / "out"])
    test_set = FileTestSet("Pair", [Pair(g.stem, gt=g, lq=lq) for lq, g in halves], scale=4)
    assert record.testset_fingerprint == test_set.info.fingerprint
    assert record.lq_origin == test_set.info.lq_origin == "files"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--protocoll", "x"], "unknown argument '--protocoll'; did you mean '--protocol'"),
        (["--ref=x", "--cvs=-"], "unknown argument '--cvs'; did you mean '--csv'"),
        (["--protocol", "y219"], "unknown protocol 'y219'; did you mean"),
        ([], "every metric needs a reference; add --ref GT_DIR"),
        (["--ref", "x", "--device", "cuda:99"], "cuda:99: the device cannot be used"),
        (["--ref", "x", "--device", "gpu"], "gpu: the device cannot be used"),
        (["--ref", "x", "--metrics", "psnr_y129"], "unknown metric 'psnr_y129'; did you mean 'psnr_y219'"),
        (["--ref", "x", "--metrics", "psnr_rgb,psnr_rgb"], "'psnr_rgb' is listed twice"),
        (["--ref", "x", "--metrics", "all", "psnr_rgb"], "'all' stands for every metric; name some metrics, or `all`"),
        (["--ref", "x", "--metrics", ","], "no metric is named"),
        (["--out", "o", "--scale", "4", "--method", "a/b", "--set", "s"], "cannot be used as a method name"),
        (["--out", "o", "--scale", "4", "--method", "m", "--set", ".."], "cannot be used as a test set name"),
        (["--out", "o", "--scale", "4", "--method", "m", "--set", "s", "--lq", "l"], "add --ref GT_DIR"),
    ],
)
def test_refused_before_anything_is_read(arguments: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        run(["nowhere", *arguments])
    assert words in str(caught.value)


def test_missing_folders_are_named(pair: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file") as caught:
        run([str(tmp_path / "no"), "--ref", pair[1]])
    assert caught.value.where == str(tmp_path / "no")


def test_the_pixel_limit_is_an_option(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="over the limit of 100"):
        run([pair[0], "--ref", pair[1], "--pixel-limit", "100"])


@pytest.mark.parametrize("arguments", [["--scale", "0"], ["--scale", "x"], ["--pixel-limit", "-1"]])
def test_numbers_are_checked(pair: tuple[str, str], arguments: list[str]) -> None:
    with pytest.raises(InputError, match=arguments[0]):
        run([pair[0], "--ref", pair[1], *arguments])


def test_metrics_of_ones_own_make_rows_of_their_own(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sr, gt = pair
    assert run([sr, "--ref", gt, "--metrics", "ssim_rgb,psnr_y219", "--out", str(tmp_path / "out")]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["ssim_rgb", "psnr_y219"]
    [(_, record)] = find_records([tmp_path / "out"])
    assert record.protocol.startswith("y219_crop4-")
    assert (record.method, record.test_set, record.scale) == ("sr", tmp_path.name, 1)
    assert "their scale was not given" in record.notes[0]


def test_a_second_run_computes_nothing(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sr, gt = pair
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    run([sr, "--ref", gt])
    first = capsys.readouterr().out.splitlines()
    monkeypatch.setattr("srbench.folders.read_image", None)  # not even decoded
    run([sr, "--ref", gt])
    second = capsys.readouterr().out.splitlines()
    assert (first[-1], second[-1]) == ("4 computed, 0 remembered", "0 computed, 4 remembered")
    assert first[:-1] == second[:-1]


def test_every_metric_has_a_line_with_its_value_or_the_reason(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from srbench.metrics import names

    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "none"))
    sr, gt = pair
    assert run([sr, "--ref", gt, "--metrics", "all"]) == 0
    out = capsys.readouterr().out.splitlines()
    lines = {line.split()[0]: line for line in out[2:-2]}
    assert set(lines) == set(names())
    missing = [name for name, line in lines.items() if "unavailable: " in line]
    assert {"lpips_alex", "fid_tf", "ntire2026"} <= set(missing)
    assert not {"psnr_rgb", "ssim_yiq"} & set(missing)
    assert f"{len(missing)} of {len(names())} metrics are missing: " in out[-2]
    assert "alexnet" in out[-2].partition("; srbench weights fetch ")[2].split()
    assert "unavailable: alexnet" in lines["lpips_alex"]
    with pytest.raises(InputError, match="metrics cannot be computed here"):
        run([sr, "--ref", gt, "--metrics", "psnr_rgb", "lpips_alex", "--strict"])


def test_a_protocol_of_which_nothing_can_be_computed_is_told_and_recorded(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    sr, gt = pair
    arguments = [sr, "--ref", gt, "--metrics", "lpips_alex", "dists"]
    assert run([*arguments, "--out", str(tmp_path / "out"), *RECORD]) == 0
    out = capsys.readouterr().out
    assert "2 of 2 metrics are missing: lpips_alex, dists; srbench weights fetch alexnet vgg16" in out
    [(_, record)] = find_records([tmp_path / "out"])
    assert record.metrics["dists"].mean is None
    assert (record.metrics["dists"].missing or "").startswith("unavailable: vgg16")
    with pytest.raises(InputError, match="2 of 2 metrics cannot be computed here"):
        run([*arguments, "--strict"])
    with pytest.raises(InputError, match="every metric that can be computed here needs a reference"):
        run([sr, "--metrics", "psnr_rgb", "musiq"])


def test_a_killed_run_loses_the_batch_in_flight_alone(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from srbench.scoring import Scorer

    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path / "cache"))
    score_all = Scorer.score_all
    calls: list[Any] = []

    def dies(self: Scorer, items: Any) -> Any:
        if calls:
            raise KeyboardInterrupt
        calls.append(items)
        return score_all(self, items)

    sr, gt = pair
    monkeypatch.setattr(Scorer, "score_all", dies)
    with pytest.raises(KeyboardInterrupt):
        run([sr, "--ref", gt])
    monkeypatch.setattr(Scorer, "score_all", score_all)
    run([sr, "--ref", gt])
    assert capsys.readouterr().out.splitlines()[-1] == "2 computed, 2 remembered"
