"""A photograph shrunk by 2 with a known kernel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor
from torch.nn import functional as F

from srbench.modules.kernelgan.generator import correlated


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    """A Gaussian of 13x13 with deviations 2.4 and 1.0 pixels, turned, in the middle of the x2 grid."""
    grid = np.arange(13) - 6.5
    cos, sin = math.cos(0.6), math.sin(0.6)
    along = cos * grid[None] + sin * grid[:, None]
    across = cos * grid[:, None] - sin * grid[None]
    kernel = np.exp(-0.5 * ((along / 2.4) ** 2 + across**2))
    return np.asarray(kernel / kernel.sum())


@pytest.fixture(scope="session")
def lq(truth: np.ndarray) -> Tensor:
    """The astronaut (1,3,256,256), of 8 bits."""
    gt = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].double() / 255
    shrunk = correlated(F.pad(gt, (6,) * 4, mode="reflect"), torch.from_numpy(truth), 2)
    return (shrunk.clamp(0, 1) * 255).round().float() / 255
