"""The methods on a latent diffusion model in processes of their own: several, sharded, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from srbench.records import find_records, read_rows
from srbench.weights import read_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
TINY = [
    *("--model.init_args.size", "tiny", "--model.init_args.allow_random_backbones", "true"),
    *("--model.init_args.short_side", "64", "--model.init_args.steps", "2"),
]
PAIRS = ["--data.train_gt", "gt", "--data.train_lq", "lq", "--data.patch_size", "64"]
TRIPLES = ["--data", "Triples", *PAIRS, "--data.train_ref", "ref"]
METHODS = {
    "deedsr": ["--model", "DeeDSR", "--data", "ImagePairs", *PAIRS],
    "cassr": ["--model", "CasSR", *TRIPLES],
    "cassr_without_skips": ["--model", "CasSR", *TRIPLES, "--model.init_args.add_to_skips", "none"],
    "cassr_features_after": [
        *("--model", "CasSR", *TRIPLES, "--model.init_args.add_to_skips", "none"),
        *("--model.init_args.features", "after", "--model.init_args.zero_init", "false"),
    ],
}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Four gt of 96 pixels with lq and other references, in a folder."""
    rng = np.random.default_rng(0)
    for kind, side in (("gt", 96), ("lq", 24), ("ref", 96)):
        (tmp_path / kind).mkdir()
        for i in range(4):
            rough = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            rough.resize((side, side), Image.Resampling.BICUBIC).save(tmp_path / kind / f"{i}.png")
    return tmp_path


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE), "PYTHONHASHSEED": "0", **more}


def _srbench(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "srbench.cli", *arguments, *QUIET],
        cwd=folder, env=_environment(**environment), capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_train_as_one_does(photographs: Path, name: str) -> None:
    """DDP on gloo: no parameter is left without a gradient, and the sum of the halves is the whole."""
    states: list[dict[str, Tensor]] = []
    optimizer = ["--model.init_args.optimizer", "torch.optim.SGD", "--model.init_args.optimizer.init_args.lr", "0.05"]
    for count in (1, 2):
        strategy = ["--trainer.devices", str(count), *(["--trainer.strategy", "ddp"] if count > 1 else [])]
        sizes = ["--data.batch_size", str(4 // count), "--data.samples_per_epoch", "16", "--trainer.max_steps", "3"]
        folder = ["--trainer.default_root_dir", f"run{count}"]
        done = _srbench(photographs, "fit", *METHODS[name], *TINY, *optimizer, *sizes, *strategy, *folder)
        assert done.returncode == 0, done.stdout + done.stderr
        states.append(read_checkpoint(photographs / f"run{count}/checkpoints/last.ckpt")["state_dict"])
    one, two = states
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=1e-5, rtol=1e-4)


def test_a_sharded_unet_trains_as_a_whole_one(tmp_path: Path) -> None:
    """FSDP (``fully_shard``) on gloo, frozen weights sharded with those that train."""
    command = [sys.executable, str(HERE / "sharded_latent.py")]
    subprocess.run([*command, str(tmp_path / "one.pt")], env=_environment(), timeout=800, check=True)
    meeting = {"WORLD_SIZE": "2", "MEETING": str(tmp_path / "meeting")}
    both = [
        subprocess.Popen([*command, str(tmp_path / "two.pt")], env=_environment(RANK=str(rank), **meeting))
        for rank in range(2)
    ]
    try:
        assert [process.wait(800) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    assert 0.45 < two["share"] < 0.6
    assert one["state"].keys() == two["state"].keys()
    assert not torch.equal(one["state"]["share"], torch.full((1, 4, 1, 1), 0.1))
    for key, value in one["state"].items():
        torch.testing.assert_close(two["state"][key], value, atol=2e-6, rtol=1e-5)


KILLED = """
import os, signal
from srbench.modules import DeeDSR

class Killed(DeeDSR):
    def restore(self, batch):
        if os.environ.get("KILLED_AT") in batch["name"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().restore(batch)
"""


def test_a_run_that_was_killed_goes_on_at_the_next_image_with_the_same_noise(photographs: Path) -> None:
    (photographs / "killed_method.py").write_text(KILLED)
    data = ["--data", "ImagePairs", "--data.test_gt", "gt", "--data.test_lq", "lq", "--data.test_name", "four"]
    given = ["test", "--model", "killed_method.Killed", "--model.init_args.eta", "1.0", *TINY, *data]
    paths = f"{HERE}{os.pathsep}{photographs}"

    def test(out: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return _srbench(photographs, *given, "--benchmark.out", out, PYTHONPATH=paths, **environment)

    whole = test("whole")
    assert whole.returncode == 0, whole.stderr
    assert test("killed", KILLED_AT="2").returncode == -signal.SIGKILL
    assert not find_records([photographs / "killed"])
    again = test("killed")
    assert again.returncode == 0, again.stderr
    assert "2 of 4 images scored already" in again.stdout + again.stderr
    rows = []
    for out in ("whole", "killed"):
        [(path, _)] = find_records([photographs / out])
        rows.append({row.name: row.values for row in read_rows(path)})
    assert rows[0] == rows[1]
    assert len(rows[0]) == 4
