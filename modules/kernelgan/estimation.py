"""The game of the linear generator and the patch discriminator on one image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.modules.kernelgan.constraints import Constraints
from srbench.modules.kernelgan.crops import Crops
from srbench.modules.kernelgan.discriminator import PatchJudge
from srbench.modules.kernelgan.generator import LinearGenerator
from srbench.modules.kernelgan.kernels import Kernel, bicubic_kernel, finished
from srbench.modules.kernelgan.settings import Search

_FLAT = 1.5 / 255
"""An image whose levels differ by no more than one of 255 holds rounding and nothing else."""

Progress = Callable[[range], Iterable[int]]


class Estimate(NamedTuple):
    """What was learnt of one image.

    Attributes:
        kernel: (k,k) of sum 1, ready for use; the bicubic one where ``fault`` says something.
        raw: as the generator had it at the end; None where nothing was learnt.
        fault: why there is no estimate; None where there is one.
    """

    kernel: Kernel
    raw: Kernel | None
    fault: str | None = None


def built(search: Search) -> tuple[LinearGenerator, PatchJudge]:
    """Both networks, with weights from torch's global generator."""
    judge = PatchJudge(search.judge_channels, search.judge_size, search.judge_blocks, search.gain)
    return LinearGenerator(search.channels, search.sizes, search.gain), judge


def estimate(image: Tensor, search: Search, generator: torch.Generator, progress: Progress = iter) -> Estimate:
    """Learns the kernel that relates the image's patches to those of the image shrunk by 2.

    Args:
        image: (1,3,h,w) in [0,1].
        search: the numbers.
        generator: on the CPU; every random number comes from it.
        progress: goes through the iterations and may show how far they are.

    Returns:
        The kernel, or the bicubic one where the image is too small or flat, or the game diverged.
    """
    if fault := _unfit(image, search):
        return Estimate(bicubic_kernel(search.kernel_size, 2), None, fault)
    raw = _played(image, search, generator, progress)
    kernel = finished(raw, keep=search.keep, keep_ratio=search.keep_ratio)
    if kernel is None:
        fault = "KernelGAN diverged: enlarged with the bicubic kernel"
        return Estimate(bicubic_kernel(search.kernel_size, 2), raw, fault)
    return Estimate(kernel, raw)


def _unfit(image: Tensor, search: Search) -> str | None:
    height, width = image.shape[-2:]
    if min(height, width) < search.crop:
        return f"{width}x{height} is below KernelGAN's crops of {search.crop}: enlarged with the bicubic kernel"
    if not torch.isfinite(image).all():
        return "lq is not finite: enlarged with the bicubic kernel"
    if image.amax() - image.amin() < _FLAT or (image.amax((2, 3)) - image.amin((2, 3))).max() < _FLAT:
        return "lq is constant: enlarged with the bicubic kernel"
    return None


def _played(image: Tensor, search: Search, generator: torch.Generator, progress: Progress) -> Kernel:
    """The generator's kernel after all iterations; not finite as soon as it is not."""
    game = _Game(search, generator, image.device)
    crops = Crops(_inner(image, search) * 2.0 - 1.0, search.crop, search.shrunk, search.steepest)
    pairs = crops.drawn(search.iterations, generator)
    for iteration, (large, small) in zip(progress(range(1, search.iterations + 1)), pairs, strict=True):
        if not game.step(iteration, large, small):
            break
    return np.asarray(game.net.kernel().detach().cpu().double().numpy())


def _inner(image: Tensor, search: Search) -> Tensor:
    """The image without its border, where it stays large enough."""
    cut = 0 if search.real else search.border
    if cut == 0 or min(image.shape[-2:]) - 2 * cut < search.crop:
        return image
    return image[..., cut:-cut, cut:-cut]


class _Game:
    """The two networks, their optimisers and the constraints' schedule."""

    def __init__(self, search: Search, generator: torch.Generator, device: torch.device) -> None:
        self._search = search
        self._generator = generator
        net, judge = _drawn(search, generator)
        self.net, self._judge = net.to(device).train(), judge.to(device).train()
        self._constraints = Constraints(search, device)
        self._optimizers = [
            torch.optim.Adam(net.parameters(), lr=search.lr, betas=search.betas) for net in (self.net, self._judge)
        ]
        self._schedulers = [
            torch.optim.lr_scheduler.StepLR(one, search.lr_every, search.lr_factor) for one in self._optimizers
        ]

    def step(self, iteration: int, large: Tensor, small: Tensor) -> bool:
        """One step of the generator, then one of the discriminator; whether all is finite."""
        kernel = self.net.kernel()
        shrunk = self.net.applied(kernel, large)
        judged = self._judge(shrunk)
        terms = self._constraints.loss(kernel, shrunk, large)
        loss = terms.loss + F.l1_loss(judged, torch.ones_like(judged))
        self._optimizers[0].zero_grad()
        loss.backward()
        self._optimizers[0].step()
        judges = self._judge_loss(small, shrunk.detach())
        self._optimizers[1].zero_grad()  # the generator's loss went through the discriminator too
        judges.backward()
        self._optimizers[1].step()
        for scheduler in self._schedulers:
            scheduler.step()
        self._constraints.schedule.after(iteration, float(terms.bicubic))
        return math.isfinite(float(loss.detach()) + float(judges.detach()))

    def _judge_loss(self, small: Tensor, shrunk: Tensor) -> Tensor:
        own = small if self._search.real else small + 2.0 * self._noise(small)
        real, fake = self._judge(own), self._judge(shrunk + self._noise(shrunk))
        return 0.5 * (F.l1_loss(real, torch.ones_like(real)) + F.l1_loss(fake, torch.zeros_like(fake)))

    def _noise(self, like: Tensor) -> Tensor:
        return self._search.noise * torch.randn(like.shape, generator=self._generator).to(like)


def _drawn(search: Search, generator: torch.Generator) -> tuple[LinearGenerator, PatchJudge]:
    """Networks whose weights come from ``generator``; torch's own is left as it was."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return built(search)
