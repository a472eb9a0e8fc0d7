"""Signs that an adaptation goes wrong though its losses fall and the average that is kept hides it."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from srbench.module import SRModule
from srbench.modules.weight_average import WeightAverage

COLLAPSED = 20.0
"""PSNR in dB below which the adapted network no longer makes the given one's images; ours."""


class Drift:
    """How far the network that learns, without its average, is from the given one: the PSNR between their sr.

    Attributes:
        last: the last PSNR in dB; None where none was taken.
    """

    def __init__(self) -> None:
        self.last: float | None = None

    def given(self, module: SRModule, averaged: WeightAverage | None, lq: Tensor) -> Tensor | None:
        """What the network that was given makes of ``lq``; None at steps that loggers do not write."""
        every: int = module.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if averaged is None or every < 1 or (module.global_step + 1) % every:
            return None
        with torch.no_grad(), averaged.as_given():
            return module.upscale(lq)

    def seen(self, sr: Tensor, given: Tensor) -> float:
        """The PSNR in dB over all channels of images in [0,1], 100 for equal ones; kept as ``last``."""
        error = (sr.detach().float() - given.float()).square().mean().clamp_min(1e-10)
        self.last = float(-10 * torch.log10(error))
        return self.last

    def warn(self) -> None:
        """Says on the terminal that the network collapsed, if it did."""
        if self.last is not None and self.last < COLLAPSED:
            rank_zero_warn(
                f"the adapted network collapsed: without its average its sr is {self.last:.1f} dB from the given "
                "network's (adapt/psnr_to_base), whatever its losses say; lower the rate or --trainer.max_steps"
            )


def warn_of_blindness(made: Tensor, target: Tensor) -> None:
    """Warns where a first stage makes lq again no better than lq's mean colour does: L_rec then says nothing of sr.

    Args:
        made: the reconstruction (B,3,h,w).
        target: what it should be.
    """
    with torch.no_grad():
        flat = target.mean((2, 3), keepdim=True)
        found, least = ((image - target).abs().mean() for image in (made, flat))
    if found >= least:
        rank_zero_warn(
            f"the first stage makes lq again no better than lq's mean colour does (L1 {float(found):.3f} and "
            f"{float(least):.3f}): its loss says nothing of sr; train it longer, or with an average of less memory"
        )
