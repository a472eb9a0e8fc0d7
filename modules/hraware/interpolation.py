"""How well lq is made again of images between the true one and the enlarged lq itself (Eq. 12, Figs. 2b and 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from srbench.modules.hraware.pretrain import HRAwarePretrain
from srbench.modules.losses.lpips_distance import LPIPSDistance
from srbench.modules.nets.lr_reconstruction import enlarged


class Reconstructed(NamedTuple):
    """One reconstruction.

    Attributes:
        i: share of the enlarged lq in the image that lq is made again of.
        psnr: of the reconstruction against its target, RGB, in dB.
        lpips: between them.
    """

    i: float
    psnr: float
    lpips: float


@torch.no_grad()
def reconstructions(
    stage: HRAwarePretrain, lq: Tensor, gt: Tensor, ratios: Sequence[float], distance: LPIPSDistance
) -> list[Reconstructed]:
    """R(s E_deg(lq), E_img(Y_i)) against its target for every ratio, with Y_i = i * lq enlarged + (1 - i) * gt.

    The controller's n is 0. The reconstruction is clamped to [0,1] before it is compared.

    Args:
        stage: with its frozen networks, in evaluation mode.
        lq: (1,3,h,w) in [0,1].
        gt: (1,3,s*h,s*w) in [0,1].
        ratios: values of i in [0,1].
        distance: LPIPS, loaded.
    """
    up = enlarged(lq, gt)
    target = stage.net.target(lq, gt)
    found = []
    for i in ratios:
        image = i * up + (1 - i) * gt
        s = None if stage.controller is None else stage.controller(up, image)
        made = stage.net(target, stage.net.image_features(image), s).clamp(0, 1)
        error = (made - target).square().mean().clamp_min(1e-12)
        found.append(Reconstructed(i, float(-10 * torch.log10(error)), float(distance(made, target).mean())))
    return found


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that fits the points best.

    >>> slope([(0.0, 1.0), (0.5, 2.0), (1.0, 3.0)])
    2.0
    """
    middle = sum(x for x, _ in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * y for x, y in points) / spread
