"""KernelGAN: estimates an image's kernel, and lets another method enlarge the image with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.kernelgan.estimation import Estimate, built, estimate
from srbench.modules.kernelgan.kernels import Kernel, bicubic_kernel, twice
from srbench.modules.kernelgan.settings import Search
from srbench.modules.per_image import PerImageSR


@runtime_checkable
class TakesKernels(Protocol):
    """A method that can be told how an image was shrunk."""

    def learn_known(self, lq: Tensor, name: str, generator: torch.Generator, kernels: Mapping[int, Tensor]) -> Tensor:
        """Restores (1,3,h,w) with the kernels (k,k) of sum 1 by total magnification, such as 2 and 4."""
        ...


class KernelGAN(PerImageSR):
    """Blind x2 and x4: the kernel from KernelGAN, the pixels from ``upscaler``.

    The kernel shrinks by 2; for x4 the upscaler also gets what shrinking by it twice amounts to. An image below
    ``search.crop`` pixels a side, a constant one and one on which the game diverges are enlarged with the bicubic
    kernel, and the record says so.

    Args:
        upscaler: takes known kernels, such as :class:`srbench.modules.zssr.ZSSR`, and has the same scale. None only
            estimates: ``srbench analyze kernel`` works, restoring is refused.
        search: the numbers of the estimation.
        kwargs: see :class:`~srbench.module.SRModule`.

    Raises:
        InputError: the scale is neither 2 nor 4, or the upscaler takes no kernels or has another scale.
    """

    def __init__(self, *, upscaler: SRModule | None = None, search: Search | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.search = Search() if search is None else search
        if self.scale not in (2, 4):
            raise InputError(
                f"KernelGAN has no kernel for x{self.scale}", where="model.init_args.scale", remedy="use 2 or 4"
            )
        if upscaler is not None:
            _check(upscaler, self.scale)
        self.upscaler = upscaler
        networks = built(self.search)  # only described: every image starts from networks of its own
        self.networks = nn.ModuleDict(dict(zip(("generator", "discriminator"), networks, strict=True)))

    def parts(self) -> dict[str, nn.Module]:
        """The two networks of the estimation and, as ``net`` and others, those of the upscaler."""
        theirs = {} if self.upscaler is None else self.upscaler.parts()
        return {**theirs, **dict(self.networks.items())}

    def prepare(self) -> None:
        """Loads the upscaler's weights, where it has any; its marks become this module's."""
        super().prepare()
        if self.upscaler is not None:
            self.upscaler.prepare()
            self.stamp(*self.upscaler.marks)

    def learn(self, lq: Tensor, name: str, generator: torch.Generator) -> Tensor:
        """Estimates the kernel of (1,3,h,w) in [0,1] and has it enlarged; see the base class.

        Raises:
            InputError: there is no upscaler.
        """
        upscaler = self.upscaler
        if upscaler is None:
            raise InputError(
                "KernelGAN without an upscaler makes no sr",
                where="model.init_args.upscaler",
                remedy="give srbench.modules.zssr.ZSSR, or use srbench analyze kernel",
            )
        found = self.estimate(lq, name, generator)
        if found.fault is not None:
            self.remark(name, found.fault)
        kernels = {scale: torch.from_numpy(one).float().to(lq.device) for scale, one in self.kernels(found).items()}
        assert isinstance(upscaler, TakesKernels)
        upscaler._remarks = self._remarks  # what it says of the image belongs into the same record
        return upscaler.learn_known(lq, name, generator, kernels)

    def estimate(self, lq: Tensor, name: str, generator: torch.Generator) -> Estimate:
        """The x2 kernel of (1,3,h,w) in [0,1], on the image's device; shows how far it is."""
        with torch.inference_mode(False), torch.enable_grad():
            return estimate(lq.clone(), self.search, generator, partial(self.shown, name=f"{name} kernel"))

    def kernels(self, found: Estimate) -> dict[int, Kernel]:
        """The kernels of an estimate by total magnification: 2, and up to this module's scale.

        (13,13) and (25,25) at the defaults, float64 of sum 1; where there is no estimate, the bicubic ones.
        """
        kernels = {2: found.kernel}
        if self.scale == 4:
            k = len(found.kernel)
            kernels[4] = twice(found.kernel) if found.fault is None else bicubic_kernel(2 * k - 1, 4)
        return kernels


def _check(upscaler: SRModule, scale: int) -> None:
    if not isinstance(upscaler, TakesKernels):
        raise InputError(
            f"{type(upscaler).__name__} takes no kernels",
            where="model.init_args.upscaler",
            remedy="give a method that does, such as srbench.modules.zssr.ZSSR",
        )
    if upscaler.scale != scale:
        raise InputError(
            f"its upscaler is for x{upscaler.scale}, KernelGAN for x{scale}",
            where="model.init_args.upscaler.init_args.scale",
            remedy=f"set both to {scale}",
        )
