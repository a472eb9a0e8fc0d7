"""The simplest method there can be on a base model, as a user's own module: for the tests of what all have."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.modules.latent import LatentSR
from srbench.modules.nets import stable_diffusion as sd


class PlainLatent(LatentSR):
    """Adds a learned share of lq's latents to x_t, and trains cross-attention to a learned context."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share = nn.Parameter(torch.full((1, 4, 1, 1), 0.1))
        self.context = nn.Parameter(torch.zeros(1, 5, sd.context_width(self.family, self.size)))
        for name, parameter in self.unet.named_parameters():
            parameter.requires_grad_("attn2" in name)

    def conditions(self, lq: Tensor, lq_up: Tensor, z_lr: Tensor) -> Tensor:
        assert lq.shape[-1] * self.scale == lq_up.shape[-1] == z_lr.shape[-1] * 8
        return z_lr

    def cropped(self, conditions: Tensor, window: sd.Window) -> Tensor:
        return window.of(conditions)

    def training_conditions(self, batch: Batch, z_lr: Tensor | None) -> Tensor:
        assert z_lr is not None
        return z_lr

    def without_prompt(self, conditions: Tensor) -> Tensor:
        return torch.zeros_like(conditions)

    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Tensor) -> Tensor:
        context = self.context.expand(len(x_t), -1, -1)
        made = self.unet(x_t + self.share * conditions, t, context).sample
        assert isinstance(made, Tensor)
        return made
