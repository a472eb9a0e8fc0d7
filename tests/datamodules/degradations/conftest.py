"""What the tests of the operators share: a photograph of odd sides."""

from __future__ import annotations

import pytest
import torch
from skimage import data
from torch import Tensor


@pytest.fixture(scope="session")
def photo() -> Tensor:
    """(3,91,118) float32 in [0,1], whole 8-bit levels: part of scikit-image's astronaut."""
    pixels = data.astronaut()[80:171, 170:288].copy()
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() / 255
