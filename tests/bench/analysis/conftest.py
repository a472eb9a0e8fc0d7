"""Small models whose attribution and activations can be told by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srbench.cli import main
from srbench.module import SRModule

from . import semantic_set as mini


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


@pytest.fixture
def laid(tmp_path: Path) -> mini.Miniature:
    """An annotated set of two images."""
    return mini.lay(tmp_path)


@pytest.fixture
def analyze(laid: mini.Miniature, tmp_path: Path) -> Callable[..., list[dict[str, str]]]:
    """Runs ``srbench analyze semantic`` on it; the rows that it wrote."""

    def call(*arguments: str, status: int = 0) -> list[dict[str, str]]:
        out = str(tmp_path / "out")
        given = ["--annotations", laid.instances, "--panoptic", laid.panoptic, "--side", str(mini.SIDE), "--out", out]
        assert main(["analyze", "semantic", *given, *arguments]) == status
        return list(csv.DictReader((tmp_path / "out" / "semantic.csv").open())) if not status else []

    return call
