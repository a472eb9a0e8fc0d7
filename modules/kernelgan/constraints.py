"""What a kernel should look like, as losses, and when each of them counts (arXiv 1909.06581, section 4.3).

The paper prints sums over the entries, the released settings are weights of means; the means are taken. The paper says
that the boundary mask grows exponentially from the centre and names sparsity's exponent 1/2; the released values are a
mask that is 0 inside and ``30 (1 - exp(-r^2/2k^2))`` on the two outer rings, and the exponent 0.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.modules.kernelgan.generator import STEP, correlated
from srbench.modules.kernelgan.kernels import bicubic_kernel, middle
from srbench.modules.kernelgan.settings import Search


@dataclass(frozen=True)
class Weights:
    """Of the five terms; see :class:`~srbench.modules.kernelgan.settings.Search`."""

    bicubic: float
    total: float
    boundary: float
    centre: float = 0.0
    sparsity: float = 0.0


class Schedule:
    """The weights of each iteration: bicubic at first, then ever less of it, then centre and sparsity.

    Args:
        search: the numbers.

    Attributes:
        weights: of the next iteration.
        near: whether the generator has once been like bicubic shrinking for long enough.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._together = 0
        self.near = False
        self.weights = Weights(search.bicubic, search.total, search.boundary)

    def after(self, iteration: int, bicubic_loss: float) -> None:
        """Takes note of a finished iteration.

        Args:
            iteration: counted from 1.
            bicubic_loss: of its crop.
        """
        search = self._search
        if not self.near:
            self._together = self._together + 1 if bicubic_loss < search.bicubic_near else 0
            self.near = self._together >= search.bicubic_patience
            return
        if iteration % search.bicubic_every:
            return
        bicubic = max(self.weights.bicubic * search.bicubic_factor, search.bicubic_least)
        self.weights = replace(self.weights, bicubic=bicubic)
        if bicubic < search.settled:
            self.weights = replace(self.weights, centre=search.centre, sparsity=search.sparsity)


def total_loss(kernel: Tensor) -> Tensor:
    """``|1 - sum(k)|``."""
    return (1.0 - kernel.sum()).abs()


def boundary_loss(kernel: Tensor, mask: Tensor) -> Tensor:
    """The mean of ``|k mask|``."""
    return (kernel * mask).abs().mean()


def boundary_mask(size: int, scale: float = 30.0) -> Tensor:
    """0 but for the outer rings, two of 13 pixels, where it grows with the distance from the centre; (size,size)."""
    distance = torch.arange(size, dtype=torch.float32) - size // 2
    squares = distance[:, None] ** 2 + distance[None, :] ** 2
    rings = torch.maximum(distance.abs()[:, None], distance.abs()[None, :])
    mask = scale * (1.0 - torch.exp(-squares / (2.0 * size**2)))
    return torch.where(rings > (size + 3) // 4, mask, torch.zeros_like(mask))


def centre_loss(kernel: Tensor) -> Tensor:
    """The mean square distance, over rows and columns, of the centre of mass from where x2 has its middle."""
    grid = torch.arange(kernel.shape[0], dtype=kernel.dtype, device=kernel.device)
    mass = torch.stack((kernel.sum(1) @ grid, kernel.sum(0) @ grid)) / kernel.sum()
    return (mass - middle(kernel.shape[0], STEP)).square().mean()


def sparsity_loss(kernel: Tensor, power: float) -> Tensor:
    """The mean of ``|k|^power``; entries below 1e-12 count as that, where the slope has no bound."""
    return kernel.abs().clamp_min(1e-12).pow(power).mean()


class Terms(NamedTuple):
    """What :meth:`Constraints.loss` makes of one crop.

    Attributes:
        loss: the weighted sum.
        bicubic: mean square difference to what bicubic shrinking makes, without weight.
    """

    loss: Tensor
    bicubic: Tensor


class Constraints:
    """The five terms with their schedule.

    Args:
        search: the numbers.
        device: of kernel and images.
    """

    def __init__(self, search: Search, device: torch.device) -> None:
        self._search = search
        self._mask = boundary_mask(search.kernel_size, search.boundary_scale).to(device)
        self._bicubic = torch.from_numpy(bicubic_kernel(search.kernel_size, STEP)).to(device, torch.float32)
        self.schedule = Schedule(search)

    def loss(self, kernel: Tensor, shrunk: Tensor, images: Tensor) -> Terms:
        """The weighted sum of all terms, and what the schedule wants to know.

        Args:
            kernel: (k,k), the generator's.
            shrunk: (B,C,h',w') that it made of ``images``.
            images: (B,C,h,w) in [-1,1].
        """
        weights = self.schedule.weights
        target = correlated(images, self._bicubic, STEP)
        if self._search.bicubic_sum:
            target = target.sum(1, keepdim=True).expand_as(shrunk)
        bicubic = F.mse_loss(shrunk, target)
        loss = (
            weights.bicubic * bicubic
            + weights.total * total_loss(kernel)
            + weights.boundary * boundary_loss(kernel, self._mask)
        )
        if weights.centre:
            loss = loss + weights.centre * centre_loss(kernel)
        if weights.sparsity:
            loss = loss + weights.sparsity * sparsity_loss(kernel, self._search.sparsity_power)
        return Terms(loss, bicubic.detach())
