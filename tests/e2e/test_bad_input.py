"""Whatever is wrong with what the user gives: one line that names it and the remedy, and nothing is lost."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datasets import TrainingSet
from srbench.modules import SRResNet
from srbench.records import find_records
from srbench.sampling import Draw
from srbench.weights import read_checkpoint

from .conftest import QUIET, TINY, Run, photograph

SIXTEEN_BITS = np.full((16, 16), 4096, dtype=np.uint16)


def refused(run: Run, *arguments: str, status: int = 2) -> str:
    """The one line that a command says before it ends."""
    ran = run(*arguments, status=status)
    [line] = [line for line in ran.err.splitlines() if line.startswith("srbench: error: ")]
    assert "Traceback" not in ran.err + ran.out
    assert ";" in line, f"no remedy: {line}"
    return line


def image_faults() -> dict[str, tuple[Callable[[Path], Any], str]]:
    """Name of the file -> how to make it, and what is said of it."""
    picture = Image.fromarray(photograph(7))
    return {
        "garbage.png": (lambda p: p.write_bytes(b"no image"), "not a PNG"),
        "empty.png": (lambda p: p.write_bytes(b""), "the file is empty"),
        "cmyk.jpg": (lambda p: picture.convert("CMYK").save(p), "CMYK"),
        "deep.png": (lambda p: Image.fromarray(SIXTEEN_BITS).save(p), "16 bits"),
        "tiny.png": (lambda p: Image.fromarray(photograph(0, 3, 3)).save(p), "too small for scale 4"),
    }


@pytest.mark.parametrize("name", image_faults())
def test_an_unfit_image_is_named(run: Run, tests: list[str], folder: Path, name: str) -> None:
    make, said = image_faults()[name]
    make(folder / "test" / name)
    line = refused(run, "test", "--model", "Bicubic", *tests, "--benchmark.out", "out")
    assert name in line
    assert said in line


def test_what_was_scored_before_a_broken_image_is_kept(run: Run, tests: list[str], folder: Path) -> None:
    whole = (folder / "test" / "im4.png").read_bytes()
    command = ["test", "--model", "Bicubic", *tests, "--benchmark.out", "out"]
    (folder / "test" / "im4.png").write_bytes(whole[: len(whole) // 2])
    assert "im4.png" in refused(run, *command)
    assert not find_records([Path("out")])
    (folder / "test" / "im4.png").write_bytes(whole)
    run(*command)
    assert find_records([Path("out")])[0][1].n == 6


def test_an_image_over_the_pixel_limit(run: Run, tests: list[str]) -> None:
    line = refused(run, "test", "--model", "Bicubic", *tests, "--data.pixel_limit", "100")
    assert "over the limit of 100" in line
    assert "im0.png" in line


def test_gt_that_is_no_multiple_of_its_lq(run: Run, folder: Path) -> None:
    lq = folder / "lq"
    lq.mkdir()
    for i in range(6):
        Image.fromarray(photograph(i, 12, 15)).save(lq / f"im{i}.png")
    pairs = ["--data", "ImagePairs", "--data.test_gt", str(folder / "test"), "--data.test_lq", str(lq), *QUIET]
    assert "not 4 times its lq" in refused(run, "test", "--model", "Bicubic", *pairs)
    (lq / "im3.png").unlink()
    assert "im3" in refused(run, "test", "--model", "Bicubic", *pairs)


def test_folders_without_images(run: Run, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    for place, said in (("void", "no images in the folder"), ("absent", "cannot list the folder")):
        data = ["--data", "ImagePairs", "--data.test_gt", place, *QUIET]
        line = refused(run, "test", "--model", "Bicubic", *data)
        assert place in line
        assert said in line


def test_names_that_are_no_names(run: Run, tests: list[str], folder: Path) -> None:
    (folder / "test" / "im0.png").rename(folder / "test" / "a<b>.png")
    assert "a<b>" in refused(run, "test", "--model", "Bicubic", *tests)
    (folder / "test" / "a<b>.png").rename(folder / "test" / "im0.png")
    for name in ("../x", "a/b", ".."):
        assert name in refused(run, "test", "--model", "Bicubic", *tests, "--benchmark.method", name)


def test_names_that_spreadsheets_and_pages_would_run(run: Run, tests: list[str], folder: Path) -> None:
    (folder / "test" / "im0.png").rename(folder / "test" / "=1+1.png")
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", "out", "--benchmark.method", "=SUM(A1) [b](c) &lt;")
    [(path, _)] = find_records([Path("out")])
    assert "'=1+1" in (path.parent / "per_image.csv").read_text()
    assert "'=SUM(A1)" in run("leaderboard", "--records", "out", "--csv", "-").out
    assert r"\[b\]" in run("leaderboard", "--records", "out", "--md", "-").out
    run("leaderboard", "--records", "out", "--html", "page.html")
    assert "&amp;lt;" in Path("page.html").read_text()


# ----------------------------------------------------------------------------------------------------- checkpoints


class Trap:
    """A pickle that would leave a file behind if it were executed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def _weights(**settings: Any) -> dict[str, torch.Tensor]:
    return SRResNet(**{"features": 8, "blocks": 1, **settings}).net.state_dict()


def weight_faults() -> dict[str, tuple[Callable[[Path], Any], str]]:
    spoilt = {name: t.clone() for name, t in _weights().items()}
    spoilt["conv_last.bias"][0] = float("nan")
    whole = pickle.dumps({"params": [0] * 1000})
    return {
        "trap.pth": (lambda p: torch.save({"params": Trap()}, p), "nothing in it was executed"),
        "nan.pth": (lambda p: torch.save({"params": spoilt}, p), "hold NaN"),
        "other.pth": (lambda p: torch.save(_weights(features=16), p), "another network"),
        "cut.pth": (lambda p: p.write_bytes(whole[:50]), "checkpoint"),
        "empty.pth": (lambda p: p.write_bytes(b""), "not a readable checkpoint"),
        "plain.pth": (lambda p: torch.save({"a": 1}, p), "no tensors by name"),
        "text.safetensors": (lambda p: p.write_text("hello"), "not a readable checkpoint"),
    }


@pytest.mark.parametrize("name", weight_faults())
def test_unfit_weights_are_named(run: Run, tests: list[str], name: str) -> None:
    make, said = weight_faults()[name]
    make(Path(name))
    line = refused(run, "test", *TINY, *tests, "--model.weights", name)
    assert name in line
    assert said in line or name == "cut.pth"
    assert not Path("sprung").exists()


@pytest.mark.parametrize("name", ["trap.pth", "plain.pth", "empty.pth", "nan.pth"])
def test_files_that_are_no_checkpoints_of_a_run(run: Run, tests: list[str], name: str) -> None:
    weight_faults()[name][0](Path(name))
    assert name in refused(run, "test", *TINY, *tests, "--ckpt_path", name)
    assert not Path("sprung").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ckpt_path", "nonsense"], "no such file"),
        (["--ckpt_path", "best"], "no such file"),
        (["--ckpt_path"], "needs a value"),
        (["--ckpt_path", "last"], "there is no last checkpoint"),
        (["--model.weights", "absent.pth"], "no such file"),
    ],
)
def test_checkpoints_that_are_not_there(run: Run, tests: list[str], arguments: list[str], said: str) -> None:
    assert said in refused(run, "test", *TINY, *tests, *arguments)


def _fit(run: Run, training: list[str], steps: int, *more: str, status: int = 0) -> Any:
    limits = ["--trainer.max_steps", str(steps), "--trainer.default_root_dir", "run"]
    return run("fit", *training, *limits, *more, status=status)


def test_the_checkpoint_of_another_network(run: Run, training: list[str], tests: list[str]) -> None:
    _fit(run, training, 1)
    path = "run/checkpoints/last.ckpt"
    for model in (["--model", "EDSR"], ["--model", "SRResNet", "--model.features", "16"]):
        line = refused(run, "test", *model, *tests, "--ckpt_path", path)
        assert path in line
        assert "another network" in line


def test_a_checkpoint_of_a_diverged_run(run: Run, training: list[str], tests: list[str]) -> None:
    _fit(run, training, 1)
    held = read_checkpoint("run/checkpoints/last.ckpt")
    held["state_dict"]["net.conv_last.bias"][0] = float("inf")
    torch.save(held, "spoilt.ckpt")
    assert "hold NaN or infinity" in refused(run, "test", *tests, "--ckpt_path", "spoilt.ckpt")


def test_weights_that_became_nan_are_not_saved(run: Run, training: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _fit(run, training, 1)
    kept = Path("run/checkpoints/last.ckpt").read_bytes()

    original: Callable[..., Any] = SRResNet.optimizer_step

    def spoil(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        next(self.parameters()).data[0] = float("nan")

    monkeypatch.setattr(SRResNet, "optimizer_step", spoil)
    every = ["--checkpoint.every_n_train_steps", "1", "--ckpt_path", "last"]
    line = refused(run, "fit", *training, "--trainer.max_steps", "2", "--trainer.default_root_dir", "run", *every)
    assert "holds NaN or infinity at step 2" in line
    assert Path("run/checkpoints/last.ckpt").read_bytes() == kept


# ------------------------------------------------------------------------------------------------------------ disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB; needs the right to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user cannot mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_costs_no_checkpoint(run: Run, training: list[str], small_disk: Path) -> None:
    where = ["--trainer.default_root_dir", str(small_disk / "run")]
    run("fit", *training, "--trainer.max_steps", "2", *where)
    path = small_disk / "run" / "checkpoints" / "last.ckpt"
    kept = path.read_bytes()
    (small_disk / "fill").write_bytes(bytes(300 * 1024 - len(kept)))
    line = refused(run, "fit", *training, "--trainer.max_steps", "4", *where, "--ckpt_path", "last")
    assert "No space left" in line
    assert path.read_bytes() == kept
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk_costs_no_scores(run: Run, tests: list[str], small_disk: Path) -> None:
    run("test", "--model", "Bicubic", *tests, "--benchmark.out", str(small_disk / "out"))
    [(path, _)] = find_records([small_disk / "out"])
    kept = path.read_bytes()
    free = os.statvfs(small_disk)
    (small_disk / "fill").write_bytes(bytes(free.f_bavail * free.f_bsize))
    line = refused(run, "test", *TINY, *tests, "--benchmark.out", str(small_disk / "out"))
    assert "No space left" in line
    assert path.read_bytes() == kept


def test_a_folder_that_cannot_be_written(run: Run, training: list[str], tests: list[str]) -> None:
    Path("file").write_text("in the way")
    for place in ("file", "file/inner"):
        assert "file" in refused(run, "test", "--model", "Bicubic", *tests, "--benchmark.out", place)
        assert "file" in refused(run, "fit", *training, "--trainer.max_steps", "1", "--trainer.default_root_dir", place)
    assert Path("file").read_text() == "in the way"


def test_a_read_only_disk(run: Run, training: list[str], tests: list[str], small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    out = str(small_disk / "out")
    assert "read-only" in refused(run, "test", "--model", "Bicubic", *tests, "--benchmark.out", out)
    limits = ["--trainer.max_steps", "1", "--trainer.default_root_dir", out]
    assert "read-only" in refused(run, "fit", *training, *limits)


# ---------------------------------------------------------------------------------------------------------- workers


def test_a_dead_worker(run: Run, training: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TrainingSet.__getitem__

    def dying(self: TrainingSet, draw: Draw) -> Any:
        assert torch.utils.data.get_worker_info() is not None
        return os.kill(os.getpid(), signal.SIGKILL) if draw.slot > 2 else whole(self, draw)

    monkeypatch.setattr(TrainingSet, "__getitem__", dying)
    line = refused(run, "fit", *training, "--data.num_workers", "1", "--trainer.max_steps", "9")
    assert "data.init_args.num_workers: a worker of the data loader died" in line
    assert "fewer workers" in line


# ----------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data.batch_size", "four"], "data.batch_size: expected int, got 'four'"),
        (["--data.num_workers", "-1"], "data.init_args.num_workers: -1 is impossible"),
        (["--model.scale", "x"], "model.scale: expected int, got 'x'"),
        (["--model.tile", "0"], "tile 0 with overlap 32 is impossible"),
        (["--model.features", "-1"], "negative dimension -1"),
        (["--trainer.max_epochs=three"], "trainer.max_epochs: expected int or null, got 'three'"),
        (["--trainer.accelerator", "gpuu"], "gpuu"),
        (["--trainer.strategy", "dddp"], "dddp"),
        (["--trainer.devices", "zero"], "devices"),
        (["--benchmark.threads", "0"], "0 threads are impossible"),
        (["--benchmark.save_images", "-2"], "-2 images"),
        (["--seed_everything", "-4"], "seed_everything"),
        (["--data.scale", "3"], "the test set is x3, the method x4"),
        (["stray"], "stray: it belongs to no key"),
        (["data/photos.yaml"], "did you mean '--config data/photos.yaml'?"),
        (["--checkpoint.mode", "min"], "only srbench fit writes checkpoints"),
    ],
)
def test_values_of_the_wrong_kind(run: Run, tests: list[str], arguments: list[str], said: str) -> None:
    assert said in refused(run, "test", *TINY, *tests, *arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "must be a mapping"),
        ("1: 2", "the key 1 is no word"),
        ("model: 3", "'model: 3' is no mapping"),
        ("trainer: 7", "'trainer: 7' is no mapping"),
        ("model: {class_path: 3}", "model.class_path 3 is no name"),
        ("model: {class_path: SRResNet, init_args: [1]}", "is no mapping"),
        ("trainer: {max_steps: {a: 1}}", "trainer.max_steps: expected int"),
    ],
)
def test_configs_that_are_none(run: Run, tests: list[str], text: str, said: str) -> None:
    Path("bad.yaml").write_text(text)
    line = refused(run, "test", *TINY, *tests, "--config", "bad.yaml")
    assert said in line
    assert "bad.yaml" in line or "trainer.max_steps" in line


def test_a_model_and_data_are_asked_for(run: Run, tests: list[str]) -> None:
    assert "no model class is given; add --model CLASS" in refused(run, "test", *tests)
    assert "no data class is given; add --data CLASS" in refused(run, "test", *TINY)
    assert "model" in refused(run, "fit")


@pytest.mark.slow
def test_several_processes_say_it_once(tests: list[str], folder: Path, tmp_path: Path) -> None:
    """The image that is broken lies in one process's share; the other one waits for it and is silent."""
    (folder / "test" / "im5.png").write_bytes((folder / "test" / "im5.png").read_bytes()[:200])
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--benchmark.out", "out"]
    command = [sys.executable, "-m", "srbench.cli", "test", *TINY, *tests, *two]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert text.count("srbench: error: ") == 1
    assert "im5.png" in text
    assert "Traceback" not in text
