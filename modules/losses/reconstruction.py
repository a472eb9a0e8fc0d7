"""L_rec, the distance of a reconstructed lq from the true one: L1 and LPIPS, as LWay and HR-aware train with.

HR-aware (arXiv 2411.16175) defers its L_rec to LWay (Chen et al., CVPR 2024), which names both terms, and in the second
step multiplies them by a map W of where the target has detail. Neither publishes weights or the net of LPIPS; the
defaults are ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.losses.lpips_distance import LPIPSDistance, Net


class Reconstruction(NamedTuple):
    """Both terms with their weights, scalars; ``l_lpips`` is None where its weight is 0."""

    l1: Tensor
    lpips: Tensor | None

    @property
    def total(self) -> Tensor:
        """L_rec."""
        return self.l1 if self.lpips is None else self.l1 + self.lpips


class ReconstructionLoss(nn.Module):
    """``l1_weight`` * L1 + ``lpips_weight`` * LPIPS.

    Args:
        l1_weight: of the mean absolute error.
        lpips_weight: of LPIPS; 0 leaves its network out.
        hf_weight: multiply both, pixel by pixel, by LWay's W of the target (:func:`wavelet_weight`).
        net: of LPIPS.

    Raises:
        InputError: a weight is negative, or both are 0.
    """

    def __init__(
        self, *, l1_weight: float = 1.0, lpips_weight: float = 1.0, hf_weight: bool = False, net: Net = "vgg"
    ) -> None:
        super().__init__()
        if min(l1_weight, lpips_weight) < 0 or not l1_weight + lpips_weight:
            raise InputError(
                f"weights {l1_weight:g} and {lpips_weight:g} of L1 and LPIPS leave nothing to learn",
                where="model.init_args.l1_weight",
                remedy="use weights of 0 or more, one of them above 0",
            )
        self.l1_weight = l1_weight
        self.lpips_weight = lpips_weight
        self.hf_weight = hf_weight
        self.perceptual = LPIPSDistance(net, spatial=hf_weight) if lpips_weight else None

    @property
    def backbone(self) -> str | None:
        """The catalogue's name of the weights that :meth:`load` wants; None where LPIPS is left out."""
        return None if self.perceptual is None else self.perceptual.backbone

    def load(self, path: Path | None) -> None:
        """Fills LPIPS; see :meth:`~srbench.modules.losses.lpips_distance.LPIPSDistance.load`."""
        if self.perceptual is not None:
            self.perceptual.load(path)

    def forward(self, made: Tensor, wanted: Tensor) -> Reconstruction:
        """The terms between the reconstruction and the true lq, both (B,3,h,w), the first not clamped."""
        weight = wavelet_weight(wanted) if self.hf_weight else None
        error = (made - wanted).abs()
        l1 = self.l1_weight * (error if weight is None else weight * error).mean()
        if self.perceptual is None:
            return Reconstruction(l1, None)
        distance = self.perceptual(made, wanted)
        return Reconstruction(l1, self.lpips_weight * (distance if weight is None else weight * distance).mean())


def wavelet_weight(image: Tensor) -> Tensor:
    """LWay's W: where an image has detail, (B,1,h,w) in [0,1], without gradient.

    One level of the Haar transform, the L2 norm over its three detail bands (and the colours), stretched from the
    least to the greatest value of each image to [0,1], enlarged to the image's size by repetition. Which wavelet and
    which enlargement is not published. An image without any detail is weighted evenly, by 1. Of odd sides the last row
    and column are doubled for the transform.

    Args:
        image: (B,C,h,w).
    """
    with torch.no_grad():
        height, width = image.shape[-2:]
        even = F.pad(image, (0, width % 2, 0, height % 2), mode="replicate")
        a, b = even[..., ::2, ::2], even[..., ::2, 1::2]
        c, d = even[..., 1::2, ::2], even[..., 1::2, 1::2]
        bands = torch.cat([a + b - c - d, a - b + c - d, a - b - c + d], 1) / 2
        detail = bands.square().sum(1, keepdim=True).sqrt()
        least, most = detail.amin((2, 3), keepdim=True), detail.amax((2, 3), keepdim=True)
        span = most - least
        weight = torch.where(span > 0, (detail - least) / span.clamp_min(torch.finfo(span.dtype).tiny), 1.0)
        return F.interpolate(weight, scale_factor=2, mode="nearest")[..., :height, :width]
