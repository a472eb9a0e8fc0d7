"""``srbench test``: every image once, on disk at once, and never twice."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from srbench.evaluation import Evaluation
from srbench.records import ImageRow, find_records, read_rows
from srbench.scoring import Scorer

from .conftest import TINY, Run


def _records(out: str | Path) -> list[Any]:
    return find_records([Path(out)])


def test_a_method_is_scored_and_ranked(run: Run, tests: list[str]) -> None:
    ran = run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a")
    assert "Bicubic on six x4 (y219_crop4, n=6)" in ran.out
    [(path, record)] = _records("runs/a")
    rows = read_rows(path)
    assert [r.name for r in rows] == [f"im{i}" for i in range(6)]
    mean = sum(r.values["psnr_y219"] for r in rows) / 6
    assert record.metrics["psnr_y219"].mean == pytest.approx(mean, abs=1e-12)
    assert record.cost.params == 0
    assert record.cost.ms_per_image is not None
    assert record.cost.ms_per_image > 0
    run("test", *TINY, *tests, "--benchmark.out", "runs/a")
    board = run("leaderboard", "--records", "runs/a", "--csv", "-").out
    table = list(csv.DictReader(io.StringIO(board)))
    # A network on random weights is shown and never ranked.
    assert [(r["rank"], r["method"]) for r in table] == [("1", "Bicubic"), ("", "SRResNet [random backbones]")]
    assert float(table[0]["psnr_y219"]) == pytest.approx(mean, abs=1e-3)


def test_random_weights_are_marked_and_told_apart(run: Run, tests: list[str], tmp_path: Path) -> None:
    import torch

    from srbench.modules import SRResNet

    for seed in ("1", "2"):
        ran = run("test", *TINY, *tests, "--seed_everything", seed, "--benchmark.out", "runs/a")
        assert "SRResNet runs on random weights: its rows are marked and never ranked" in ran.out
    records = [record for _, record in _records("runs/a")]
    assert len(records) == 2  # other weights are another run
    assert all(record.marks == ("random_backbones",) for record in records)
    torch.save({"params": SRResNet(features=8, blocks=1).net.state_dict()}, tmp_path / "a.pth")
    run("test", *TINY, *tests, "--model.weights", "a.pth", "--benchmark.out", "runs/b")
    assert _records("runs/b")[0][1].marks == ()


def test_records_hold_no_path_host_or_user(run: Run, tests: list[str], tmp_path: Path) -> None:
    import getpass
    import platform

    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a", "--benchmark.save_images", "1")
    [(path, _)] = _records("runs/a")
    text = path.read_text() + (path.parent / "per_image.csv").read_text()
    assert str(tmp_path) not in text
    assert platform.node() not in text.split('"')
    assert getpass.getuser() not in text.split('"')
    assert [p.name for p in (path.parent / "images").iterdir()] == ["im0.png"]
    assert sorted(p.name for p in Path("runs/a/reference/six_x4").iterdir()) == ["im0_gt.png", "im0_lq.png"]


def test_a_second_run_scores_nothing_again(run: Run, tests: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a"]
    run(*command)
    [(path, _)] = _records("runs/a")
    before = path.read_bytes()
    monkeypatch.setattr(Scorer, "score", lambda *_: pytest.fail("scored again"))
    assert "6 of 6 images scored already" in _all(run(*command))
    assert path.read_bytes() == before
    monkeypatch.undo()


def test_force_scores_again(run: Run, tests: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a"]
    run(*command)
    scored: list[str] = []
    original = Evaluation.add

    def counts(self: Evaluation, row: ImageRow) -> None:
        scored.append(row.name)
        original(self, row)

    monkeypatch.setattr(Evaluation, "add", counts)
    run(*command, "--benchmark.force", "true")
    assert len(scored) == 6


def test_a_killed_run_goes_on_where_it_stopped(run: Run, tests: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ["test", *TINY, *tests, "--benchmark.out", "runs/whole"]
    run(*whole)
    original, done = Evaluation.add, []

    def dies(self: Evaluation, row: ImageRow) -> None:
        original(self, row)
        done.append(row.name)
        if len(done) == 3:
            raise RuntimeError("killed")

    broken = ["test", *TINY, *tests, "--benchmark.out", "runs/broken"]
    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "add", dies)
        with pytest.raises(RuntimeError, match="killed"):
            run(*broken)
    assert not _records("runs/broken")
    resumed: list[str] = []

    def counts(self: Evaluation, row: ImageRow) -> None:
        resumed.append(row.name)
        original(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "add", counts)
        assert "3 of 6 images scored already" in _all(run(*broken))
    assert sorted(done + resumed) == [f"im{i}" for i in range(6)]
    [(a, _)], [(b, _)] = _records("runs/whole"), _records("runs/broken")
    assert [(r.name, r.values) for r in read_rows(a)] == [(r.name, r.values) for r in read_rows(b)]
    assert not list(b.parent.glob(".journal*"))


def test_an_incomplete_run_writes_no_record(run: Run, tests: list[str]) -> None:
    ran = run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a", "--trainer.limit_test_batches", "2")
    assert "2 of 6 images scored; run the same command again" in ran.out
    assert not _records("runs/a")
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a")
    assert _records("runs/a")[0][1].n == 6


def test_score_of_the_predicted_images_equals_the_test(run: Run, tests: list[str], folder: Path) -> None:
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a")
    run("predict", "--model", "Bicubic", *tests, "--benchmark.out", "runs/p")
    run(
        "score",
        "runs/p/six_x4",
        "--ref",
        str(folder / "test"),
        "--out",
        "runs/s",
        "--method",
        "B",
        "--set",
        "six",
        "--scale",
        "4",
    )
    [(a, _)], [(b, _)] = _records("runs/a"), _records("runs/s")
    assert [r.values for r in read_rows(a)] == [r.values for r in read_rows(b)]


def test_finished_images_can_have_a_row(run: Run, tests: list[str]) -> None:
    run("predict", "--model", "Bicubic", *tests, "--benchmark.out", "runs/p")
    folder = ["--model", "ImageFolder", "--model.root", "runs/p/six_x4", "--model.name", "Theirs"]
    run("test", *folder, *tests, "--benchmark.out", "runs/a")
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a")
    found = {record.method: record.metrics["psnr_y219"].mean for _, record in _records("runs/a")}
    assert found["Theirs"] == found["Bicubic"]


def test_validate_prints_the_means_a_test_records(run: Run, tests: list[str]) -> None:
    ran = run("validate", "--model", "Bicubic", *tests)
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a")
    mean = _records("runs/a")[0][1].metrics["psnr_y219"].mean
    assert "metrics/six/psnr_y219" in ran.out
    assert f"{mean:.4f}"[:6] in ran.out


def test_tiles_are_recorded_and_close_to_the_whole(run: Run, tests: list[str]) -> None:
    run("test", *TINY, *tests, "--benchmark.out", "runs/a")
    run("test", *TINY, *tests, "--benchmark.out", "runs/b", "--model.tile", "6", "--model.tile_overlap", "12")
    [(_, a)], [(_, b)] = _records("runs/a"), _records("runs/b")
    assert (a.cost.tile, b.cost.tile) == (None, 6)
    assert a.fingerprint != b.fingerprint
    assert a.metrics["psnr_y219"].mean == pytest.approx(b.metrics["psnr_y219"].mean, abs=0.02)


def test_the_config_is_saved_and_a_second_run_does_not_abort(run: Run, tests: list[str]) -> None:
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a")
    first = Path("runs/a/config.yaml").read_text()
    assert "class_path: srbench.modules" in first
    run("test", *TINY, *tests, "--benchmark.out", "runs/a")
    assert Path("runs/a/config.1.yaml").read_text() == first
    assert "SRResNet" in Path("runs/a/config.yaml").read_text()


def test_grey_images_become_rgb_and_the_record_says_so(run: Run, tests: list[str], folder: Path) -> None:
    from PIL import Image

    file = folder / "test" / "im2.png"
    with Image.open(file) as image:
        image.convert("L").save(file)
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "runs/a")
    [(path, record)] = _records("runs/a")
    assert any("im2" in note and "grey" in note for note in record.notes)
    assert json.loads(path.read_text())["n"] == 6


def _all(ran: Any) -> str:
    return ran.out + ran.err


NOISY = """
import torch
from srbench.modules.fixed import FixedSR


class Noisy(FixedSR):
    \"\"\"Repeated pixels with drawn noise.\"\"\"

    stochastic = True
    needs_weights = False

    def __init__(self, scale: int = 4):
        super().__init__(scale=scale)
        self.net = torch.nn.Identity()

    def upscale(self, lq):
        return lq.repeat_interleave(4, -1).repeat_interleave(4, -2)

    def restore(self, batch):
        sr = self.upscale(batch["lq"])
        noise = [torch.randn(sr.shape[1:], generator=self.generator(name)) for name in batch["name"]]
        return (sr + 0.1 * torch.stack(noise)).clamp(0, 1)
"""


def test_draws_of_a_stochastic_method_are_scored_apart_and_shown_as_one(
    run: Run, tests: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noisy_method.py").write_text(NOISY)
    monkeypatch.syspath_prepend(str(tmp_path))
    command = ["test", "--model", "noisy_method.Noisy", *tests, "--benchmark.out", "runs/a", "--benchmark.repeats"]
    ran = run(*command, "2")
    assert "Noisy on six x4, 2 draws: psnr_y219" in ran.out
    first = {record.draw: record.metrics["psnr_y219"].mean for _, record in _records("runs/a")}
    assert set(first) == {0, 1}
    assert first[0] != first[1]
    run(*command, "3")
    again = {record.draw: record.metrics["psnr_y219"].mean for _, record in _records("runs/a")}
    assert {0: again[0], 1: again[1]} == first, "a draw depends on seed, name and number alone"
    assert len(again) == 3
    [row] = csv.DictReader(io.StringIO(run("leaderboard", "--records", "runs/a", "--csv", "-").out))
    assert float(row["psnr_y219"]) == pytest.approx(sum(filter(None, again.values())) / 3, abs=1e-3)
    refused = run("test", "--model", "Bicubic", *tests, "--benchmark.repeats", "2", status=2).err
    assert "Bicubic draws nothing: every repeat is the same" in refused
