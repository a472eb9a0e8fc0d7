"""What FAR and the controller should do after a short pre-training, with CLIP and LPIPS as published."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from srbench import weight_files
from srbench.cli import main
from srbench.modules.hraware.interpolation import slope

STEPS = 300
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(autouse=True)
def _needs_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = [name for name in ("clip_rn50", "vgg16", "alexnet") if weight_files.locate(name) is None]
    if absent:
        pytest.skip(f"srbench weights fetch {' '.join(absent)}")
    monkeypatch.chdir(tmp_path)


def _pretrained(shared: Path, out: str, *more: str) -> str:
    """The checkpoint of the trial's pre-training on real backbones; BSD100 is held out."""
    stage = ["--config", "methods/hraware/1_pretrain.yaml", "--config", "data/hr_images.yaml"]
    trial = ["--config", "trials/hraware/1_pretrain.yaml", "--model.init_args.allow_random_backbones", "false"]
    data = [
        "--data.init_args.gt",
        str(shared / "data/BSDS400"),
        "--data.init_args.val_gt",
        str(shared / "data/BSD100/HR"),
    ]
    length = ["--trainer.max_steps", str(STEPS), "--trainer.val_check_interval", str(STEPS)]
    one_epoch = ["--data.init_args.samples_per_epoch", str(4 * STEPS), "--trainer.num_sanity_val_steps", "0"]
    assert (
        main(["fit", *stage, *trial, *data, *length, *one_epoch, *QUIET, "--trainer.default_root_dir", out, *more]) == 0
    )
    return f"{out}/checkpoints/last.ckpt"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_far_tells_good_images_from_degraded_ones(shared: Path) -> None:
    """On held-out images, and better than constants do (Fig. 8)."""
    _pretrained(shared, "run")
    seen = _rows(Path("run/logs/version_0/metrics.csv"))
    [far] = [row for row in seen if any(row[name] for name in row if name.endswith("/far_clean"))]
    clean, degraded, constant = (
        next(float(far[name]) for name in far if name.endswith(f"/far_{kind}"))
        for kind in ("clean", "degraded", "constant")
    )
    assert degraded > clean
    assert clean < constant


@pytest.mark.slow
def test_without_the_controller_an_image_like_its_lq_reconstructs_better(shared: Path) -> None:
    """Fig. 7, of two networks without FAR: PSNR rises more with the share of the enlarged lq where there is no s."""
    off = ["--model.init_args.use_far", "false", "--trainer.limit_val_batches", "0", "--model.init_args.use_s"]
    given = {kind: _pretrained(shared, kind, *off, kind) for kind in ("true", "false")}
    labels = [token for kind, path in given.items() for token in ("--checkpoint", f"{kind}={path}")]
    images = ["--gt", str(shared / "data/BSD100/HR"), "--lq", str(shared / "data/BSD100/LRbicx4")]
    assert main(["analyze", "reconstruction-interpolation", *labels, *images, "--points", "5", "--out", "fig7"]) == 0
    rows = _rows(Path("fig7/means.csv"))
    slopes = {k: slope([(float(r["i"]), float(r["psnr"])) for r in rows if r["checkpoint"] == k]) for k in given}
    assert slopes["false"] >= slopes["true"]
