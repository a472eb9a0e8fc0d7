"""The README's trial of DACESR: three stages in a row from the shell, then a stamped record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srbench.cli import main
from srbench.records import find_records

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


@pytest.mark.slow
def test_three_stages_in_a_row_and_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    Path("photos").mkdir()
    for i in range(3):
        rough = np.random.default_rng(i).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((192, 160), Image.Resampling.BICUBIC).save(f"photos/{i}.png")
    select = ["analyze", "select-degradations", "--hr", "photos", "--count", "8", "--images", "2", "--side", "128"]
    assert main([*select, "--preset", "small", "--allow-random-backbones"]) == 0
    for stage in ("1_ree", "2_pixel", "3_gan"):
        configs = ["--config", f"methods/dacesr/{stage}.yaml", "--config", f"trials/dacesr/{stage}.yaml"]
        more = ["--data.init_args.samples_per_epoch", "8", "--trainer.max_steps", "2", *QUIET]
        assert main(["fit", *configs, "--data.init_args.gt", "photos", *more]) == 0
        assert Path(f"runs/dacesr/{stage}/checkpoints/last.ckpt").is_file()
    data = ["--data", "ImagePairs", "--data.test_gt", "photos", "--data.test_name", "photos"]
    configs = ["--config", "methods/dacesr/test.yaml", "--config", "trials/dacesr/test.yaml"]
    assert main(["test", *configs, *data, *QUIET, "--benchmark.out", "out"]) == 0
    [(_, record)] = find_records([Path("out")])
    assert record.marks == ("random_backbones",)
    assert record.n == 3
