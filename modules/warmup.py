"""A learning rate that rises over the first steps and falls at milestones (BasicSR's warm-up and MultiStepLR)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import torch
from torch.optim.lr_scheduler import LambdaLR


class WarmupMultiStepLR(LambdaLR):
    """In step n (from 1) of the first ``warmup`` the rate is n / warmup of the full one; each milestone multiplies it.

    BasicSR's own scheduler never arrives at the full rate: it stays where its last step of warm-up left it, at
    (warmup - 1) / warmup, 2 % lower for DAPE's 50.

    Args:
        optimizer: its rates are the full ones.
        warmup: steps of the rise; 0 for none.
        milestones: steps after which the rate is multiplied by ``gamma``.
        gamma: the factor.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        warmup: int = 0,
        milestones: Sequence[int] = (),
        gamma: float = 0.5,
    ) -> None:
        self.warmup = warmup
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, lambda done: self.factor(done))

    def factor(self, done: int) -> float:
        """By what the full rate is multiplied after ``done`` steps."""
        return min(1.0, (done + 1) / max(self.warmup, 1)) * self.gamma ** bisect_right(self.milestones, done)
