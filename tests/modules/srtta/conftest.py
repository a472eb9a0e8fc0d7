"""A small EDSR, photographs of noise and clean lq, for everything that adapts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from srbench.modules import SRTTA
from srbench.modules.srtta.settings import Learning

from .small_edsr import Make, SmallEDSR


@pytest.fixture
def clean(tmp_path: Path) -> str:
    """A folder of two clean lq images."""
    folder = tmp_path / "clean"
    folder.mkdir()
    y, x = np.mgrid[:20, :24]
    for i, name in enumerate(("a", "b")):
        waves = np.stack([np.sin(x / 3 + i), np.cos(y / 4), np.sin((x - y) / 5)], -1)
        Image.fromarray((waves * 90 + 128).astype(np.uint8)).save(folder / f"{name}.png")
    return str(folder)


@pytest.fixture
def small() -> Learning:
    return Learning(iterations=3, batch=2, patch=16)


@pytest.fixture
def make(clean: str, small: Learning, tmp_path: Path) -> Make:
    """SRTTA on the small EDSR; what was done to the images is known."""

    def made(**changed: Any) -> SRTTA:
        given: dict[str, Any] = {
            "scale": 2,
            "known": ["blur", "noise", "jpeg"],
            "clean_lq": clean,
            "learning": small,
            **changed,
        }
        if "model" not in given:
            torch.save(SmallEDSR().net.state_dict(), tmp_path / "small_edsr.pth")
            given.setdefault("weights", str(tmp_path / "small_edsr.pth"))
        module = SRTTA(given.pop("model", None) or SmallEDSR(), **given)
        module.prepare()
        return module

    return made


@pytest.fixture
def photo() -> Tensor:
    """(1,3,26,30) on the grid of 8 bits."""
    levels = torch.randint(256, (1, 3, 26, 30), generator=torch.Generator().manual_seed(0))
    return levels / 255
