"""The PatchGAN discriminator with spectral normalisation, in KAIR's key layout."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from srbench.errors import InputError


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches, 70x70 of them at three steps (pix2pix); BSRGAN's paper trains with it.

    KAIR's ``Discriminator_PatchGAN`` with ``norm_type: spectral``: 2,764,737 parameters at 64 features, three steps.

    Args:
        features: channels after the first step, doubled at each further one up to 512.
        steps: convolutions of stride 2.
    """

    def __init__(self, features: int = 64, steps: int = 3) -> None:
        super().__init__()
        if steps < 1:
            raise InputError(f"{steps} steps are impossible", where="PatchDiscriminator.steps", remedy="use 1 or more")
        widths = [3, *(min(features * 2**i, 512) for i in range(steps + 1))]
        self.model = nn.Sequential()
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            activation = (nn.LeakyReLU(0.2),) if i == 0 else (nn.Identity(), nn.LeakyReLU(0.2))
            block = nn.Sequential(_conv(inputs, outputs, 2 if i < steps else 1), *activation)
            self.model.add_module(f"child{i}", block)
        self.model.add_module(f"child{steps + 1}", nn.Sequential(_conv(widths[-1], 1, 1)))

    def forward(self, image: Tensor) -> Tensor:
        """One logit per patch, (B,1,h',w'), of images (B,3,H,W) in [0,1]."""
        logits: Tensor = self.model(image)
        return logits


def _conv(inputs: int, outputs: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=2)
    with torch.no_grad():
        nn.init.normal_(conv.weight, std=0.02)
    return spectral_norm(conv)
