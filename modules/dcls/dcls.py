"""DCLS's training: L1 of sr, and L1 of the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.contracts import Batch
from srbench.datamodules.degradations import imresize
from srbench.datamodules.degradations.filtering import filter2d
from srbench.datamodules.degradations.kernels import Kernel
from srbench.datamodules.degradations.perturbed_blur import PerturbedBlur
from srbench.datamodules.degradations.steps import Blur, step_from_dict
from srbench.errors import InputError
from srbench.modules.dcls.least_squares import reformulated
from srbench.modules.dcls.net import DCLSNet
from srbench.modules.pixel import PixelSR
from srbench.modules.whole_image import refuse_tiles


class DCLS(PixelSR):
    """DCLS: its restorer learns by L1 of sr, its estimator by L1 of the kernel alone.

    The kernel to learn lies at lq's size: what turns the shrunk gt into the shrunk blurred gt, see
    :func:`~srbench.modules.dcls.least_squares.reformulated`. It is made of gt and its blur, so training needs
    ``data.init_args.carry_degradation`` and a degradation that blurs once and shrinks bicubically.

    Args:
        side: of the kernel: 21 (setting 1, isotropic), 31 (setting 2, anisotropic x4), 11 (setting 2, x2).
        features: channels.
        blocks: in a group.
        groups: of the restorer.
        latent: numbers that the estimator's filters are made of.
        kernel_weight: of the kernel's loss (released: 1); 0 leaves the estimator as it is.
        scale: 2, 3 or 4.
        kwargs: see :class:`~srbench.modules.pixel.PixelSR`; ``tile`` is refused.

    Raises:
        InputError: ``tile`` is given, or a side or scale that there is not.
    """

    def __init__(
        self,
        *,
        side: int = 21,
        features: int = 64,
        blocks: int = 10,
        groups: int = 5,
        latent: int = 256,
        kernel_weight: float = 1.0,
        scale: int = 4,
        **kwargs: Any,
    ) -> None:
        refuse_tiles(kwargs.get("tile"), "DCLS", "it reads one kernel from the whole image and deblurs it by FFT")
        super().__init__(DCLSNet(scale, side, features, blocks, groups, latent), scale=scale, **kwargs)
        self.side = side
        self.kernel_weight = kernel_weight
        self._kernel: Tensor | None = None

    def generate(self, batch: Batch) -> Tensor:
        """Sr of a training batch; keeps the kernel for the step."""
        assert isinstance(self.net, DCLSNet)
        sr, self._kernel = self.net.both(batch["lq"])
        return sr

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L1 of sr plus L1 of the kernel (Eq. 8); logged as ``losses/l_pix`` and ``losses/l_kernel``.

        Raises:
            InputError: the batch does not know its blur, or was not degraded as this method takes it.
        """
        loss = super().training_step(batch, batch_idx)
        kernel, self._kernel = self._kernel, None
        if not self.kernel_weight:
            return loss
        assert kernel is not None
        of_kernel = self.kernel_weight * F.l1_loss(kernel, self.kernels(batch))
        self.log("losses/l_kernel", of_kernel, prog_bar=True, batch_size=len(batch["name"]))
        return loss + of_kernel

    @torch.no_grad()
    def kernels(self, batch: Batch) -> Tensor:
        """The kernels that the estimator shall find, (B,1,side,side).

        Raises:
            InputError: as :meth:`training_step`.
        """
        if min(batch["lq"].shape[-2:]) < self.side:
            raise InputError(
                f"a patch of {batch['lq'].shape[-1]} lq pixels cannot show a kernel of {self.side}",
                where="data.init_args.patch_size",
                remedy=f"use {self.side * self.scale} or more",
            )
        if "degradation" not in batch:
            raise InputError(
                "DCLS learns the blur of lq, and this data does not say it",
                where="data.init_args.carry_degradation",
                remedy="set it to true, with data.init_args.degradation GaussianBlur",
            )
        made = [self._shrunk(gt, blur_of(r)) for gt, r in zip(batch["gt"], batch["degradation"], strict=True)]
        blurred, sharp = (torch.stack(images) for images in zip(*made, strict=True))
        return reformulated(blurred, sharp, self.side)

    def _shrunk(self, gt: Tensor, taps: Kernel) -> tuple[Tensor, Tensor]:
        blurred = filter2d(gt, torch.from_numpy(taps).to(gt))
        return imresize(blurred, 1 / self.scale), imresize(gt, 1 / self.scale)


def blur_of(recipe: Mapping[str, Any]) -> Kernel:
    """The kernel of an image that was blurred once and shrunk bicubically.

    Raises:
        InputError: it was degraded otherwise.
    """
    steps = [step_from_dict(step) for step in recipe.get("steps") or ()]
    first = steps[0] if steps else None
    if isinstance(first, (Blur, PerturbedBlur)):
        rest = [step.name for step in steps[1:]]
        if [name for name in rest if name not in ("clamp", "round")] == ["matlab_resize"]:
            return first.taps() if isinstance(first, PerturbedBlur) else first.kernel.build()
    raise InputError(
        "DCLS learns of images that were blurred once and shrunk bicubically, and this one was degraded otherwise",
        where="data.init_args.degradation",
        remedy="use GaussianBlur",
    )
