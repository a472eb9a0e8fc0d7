"""Small models whose attribution and activations can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srbench.module import SRModule


class OneConv(SRModule):
    """Nearest-neighbour enlargement of one convolution: a known receptive field."""

    needs_weights = False

    def __init__(self, *, side: int = 3, scale: int = 2) -> None:
        super().__init__(scale=scale)
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 3, side, padding=side // 2)
        self.net = nn.Sequential(conv, nn.UpsamplingNearest2d(scale_factor=scale))

    def upscale(self, lq: Tensor) -> Tensor:
        return self.net(lq)


@pytest.fixture
def one_conv() -> OneConv:
    return OneConv().eval().requires_grad_(False)


@pytest.fixture
def photo() -> Tensor:
    """(3,24,28) in [0,1]: smooth structure, nowhere flat."""
    y, x = np.mgrid[:24, :28]
    planes = [0.5 + 0.4 * np.sin(x / (2 + c) + y / 3) * np.cos(y / (3 + c)) for c in range(3)]
    return torch.from_numpy(np.stack(planes)).float()
