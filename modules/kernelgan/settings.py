"""Search: every number of the estimation, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass

from srbench.errors import InputError

_WHERE = "model.init_args.search"


@dataclass(frozen=True)
class Search:
    """How the kernel of an image is searched.

    Defaults are those of the released implementation; the paper (arXiv 1909.06581, sections 4 and 5) says the same
    where it gives a number. Images are taken to [-1,1] inside, which is the unit of the losses.

    Attributes:
        iterations: steps of the generator and of the discriminator.
        crop: side of the generator's input in pixels; no image below it can be estimated.
        channels: of the generator's hidden layers.
        sizes: sides of its convolutions, odd; the kernel has ``1 + sum(side - 1)`` pixels a side, 13.
        gain: of the Xavier normal initialisation of both networks, as released; the paper does not say it.
        judge_channels: of the discriminator's hidden layers.
        judge_size: side of the patches that it judges.
        judge_blocks: of its 1x1 convolutions with normalisation.
        lr: learning rate of both.
        betas: of Adam, both.
        lr_every: iterations after which it falls.
        lr_factor: to this fraction.
        noise: standard deviation of the Gaussian noise on what the discriminator sees: 1/255 of [0,1] on the image's
            crops, and as much in [-1,1] on the generator's.
        real: the image has its own noise already: none is added to its crops.
        steepest: only gradients above this quantile count where crops are drawn, all of them alike.
        border: pixels that are cut off every side of an image that is not ``real`` and large enough: where lq was made
            by shrinking, its border is of other statistics.
        bicubic: weight of the likeness to bicubic shrinking at the start.
        bicubic_sum: compare every channel with the sum of the three shrunk channels, as the released code does (its
            bicubic kernel is spread over input channels), so that the generator starts towards three times the kernel.
            ``bicubic_near`` only makes sense with it: of one channel alone, making nothing has a loss of about 0.4.
        bicubic_near: the generator is near enough once that loss is below this ...
        bicubic_patience: ... for this many iterations together.
        bicubic_every: from then on the weight falls after each so many iterations ...
        bicubic_factor: ... to this fraction of itself ...
        bicubic_least: ... but not below this.
        total: weight of ``|1 - sum(k)|``.
        boundary: weight of what lies far from the centre.
        boundary_scale: factor of the mask of that term.
        settled: once the bicubic weight is below this, the next two come in.
        centre: weight of the distance of the centre of mass from the centre, from then on.
        sparsity: weight of the mean of ``|k|^sparsity_power``, from then on.
        sparsity_power: the exponent (the paper prints 1/2).
        keep: afterwards ``keep_ratio`` times the entry behind the ``keep`` largest is taken off all, down to 0.
        keep_ratio: see ``keep``.

    Raises:
        InputError: a number is out of range.
    """

    iterations: int = 3000
    crop: int = 64
    channels: int = 64
    sizes: tuple[int, ...] = (7, 5, 3, 1, 1, 1)
    gain: float = 0.1
    judge_channels: int = 64
    judge_size: int = 7
    judge_blocks: int = 5
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    lr_every: int = 750
    lr_factor: float = 0.1
    noise: float = 1 / 255
    real: bool = False
    steepest: float = 0.97
    border: int = 10
    bicubic: float = 5.0
    bicubic_near: float = 0.4
    bicubic_sum: bool = True
    bicubic_patience: int = 3
    bicubic_every: int = 200
    bicubic_factor: float = 0.01
    bicubic_least: float = 5e-6
    total: float = 0.5
    boundary: float = 0.5
    boundary_scale: float = 30.0
    settled: float = 5e-3
    centre: float = 1.0
    sparsity: float = 5.0
    sparsity_power: float = 0.2
    keep: int = 40
    keep_ratio: float = 0.75

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is impossible", where=_WHERE, remedy="use 1 or more")
        for name in _WEIGHTS:
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"{name} {getattr(self, name)} is impossible", where=_WHERE, remedy="use 0 or more")
        if len(self.sizes) < 2 or any(side < 1 or side % 2 == 0 for side in self.sizes) or self.kernel_size < 9:
            raise InputError(
                f"convolutions of {list(self.sizes)} make no kernel",
                where=f"{_WHERE}.sizes",
                remedy="use two or more odd sides that make a kernel of 9 or more, e.g. [7, 5, 3, 1, 1, 1]",
            )
        if self.crop % 2 or self.shrunk < self.judge_size:
            raise InputError(
                f"crops of {self.crop} leave nothing to judge after a kernel of {self.kernel_size}",
                where=f"{_WHERE}.crop",
                remedy=f"use an even side of {self.kernel_size + 2 * self.judge_size - 1} or more",
            )
        if not (0 < self.keep_ratio <= 1 and self.keep <= self.kernel_size**2):
            raise InputError(
                f"{self.keep_ratio} of the {self.keep}th largest entry is no threshold",
                where=_WHERE,
                remedy=f"use a keep up to {self.kernel_size**2} and a keep_ratio in (0,1]",
            )

    @property
    def kernel_size(self) -> int:
        """Side of the kernel in pixels."""
        return 1 + sum(side - 1 for side in self.sizes)

    @property
    def shrunk(self) -> int:
        """Side of what the generator makes of a crop, and of what the discriminator sees of the image."""
        return (self.crop - self.kernel_size) // 2 + 1


_COUNTS = (
    "iterations", "crop", "channels", "judge_channels", "judge_size", "judge_blocks", "lr_every", "bicubic_patience",
    "bicubic_every", "keep",
)  # fmt: skip
_WEIGHTS = (
    "gain", "lr", "lr_factor", "noise", "steepest", "bicubic", "bicubic_near", "bicubic_factor",
    "bicubic_least", "total", "boundary", "boundary_scale", "settled", "centre", "sparsity", "sparsity_power",
)  # fmt: skip
