"""SquashedImages: whole photographs at one square size, the aspect lost on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodules import SquashedImages
from srbench.datamodules.degradations import RealESRGAN
from srbench.errors import InputError
from srbench.sampling import Draw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, shape in (("tall", (120, 64)), ("wide", (72, 200)), ("small", (40, 40)), ("right", (96, 96))):
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def _data(folder: Path, **more: Any) -> SquashedImages:
    settings = {"side": 96, "patch_size": 96, "degradation": RealESRGAN(crop=96, sharpen="none"), "augment": False}
    return SquashedImages(gt=str(folder), **{**settings, **more})


@pytest.mark.parametrize("cached", [False, True])
def test_the_whole_photograph_is_the_patch(folder: Path, tmp_path: Path, cached: bool) -> None:
    training = _data(folder, cache=str(tmp_path / "cache") if cached else None).training_set()
    assert [pair.name for pair in training.pairs] == ["right", "small", "tall", "wide"]
    for index, pair in enumerate(training.pairs):
        sample = training[Draw(index, 0, index, 0)]
        assert pair.gt is not None
        expected = Image.open(pair.gt).resize((96, 96), Image.Resampling.LANCZOS)
        wanted = torch.from_numpy(np.array(expected)).permute(2, 0, 1).float() / 255
        torch.testing.assert_close(sample["gt"], wanted)
        assert sample["lq"].shape == (3, 24, 24)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"side": 64}, "a patch of 96 does not fit into 64 x 64"), ({"sub_size": 96}, "not cut into squares")],
)
def test_impossible_settings(folder: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        _data(folder, **settings)
