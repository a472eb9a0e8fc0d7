"""Adversarial losses, with the labels and means of BasicSR's ``GANLoss``."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError

Kind = Literal["vanilla", "lsgan", "hinge"]


class GANLoss(nn.Module):
    """What a discriminator's logits cost.

    Args:
        kind: ``vanilla``: binary cross-entropy with logits; ``lsgan``: squared distance to the label; ``hinge``: the
            discriminator's logits beyond -1 and 1 cost nothing, the generator wants them high.
        real_label: label of real images; ``hinge`` has none.
        fake_label: label of made images; ``hinge`` has none.
    """

    def __init__(self, kind: Kind = "vanilla", real_label: float = 1.0, fake_label: float = 0.0) -> None:
        super().__init__()
        if kind not in ("vanilla", "lsgan", "hinge"):
            raise InputError(f"'{kind}' is no GAN loss", where="GANLoss.kind", remedy="use vanilla, lsgan or hinge")
        self.kind: Kind = kind
        self.real_label = real_label
        self.fake_label = fake_label

    def for_generator(self, fake: Tensor) -> Tensor:
        """The scalar cost of a generator whose images got the logits ``fake``, whatever their shape."""
        return -fake.mean() if self.kind == "hinge" else self._to_label(fake, self.real_label)

    def for_discriminator(self, logits: Tensor, *, real: bool) -> Tensor:
        """The scalar cost of a discriminator that gave ``logits`` to real or to made images."""
        if self.kind == "hinge":
            return F.relu(1 - logits if real else 1 + logits).mean()
        return self._to_label(logits, self.real_label if real else self.fake_label)

    def _to_label(self, logits: Tensor, label: float) -> Tensor:
        target = torch.full_like(logits, label)
        if self.kind == "vanilla":
            return F.binary_cross_entropy_with_logits(logits, target)
        return F.mse_loss(logits, target)
