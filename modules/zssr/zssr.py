"""ZSSR: a small network that learns one image from itself, and then enlarges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.per_image import PerImageSR
from srbench.modules.zssr.geometry import Shrink, shrinker
from srbench.modules.zssr.kernel_files import kernel_file, kernels_sha256, read_kernel
from srbench.modules.zssr.learning import Task, learn
from srbench.modules.zssr.net import ZSSRNet
from srbench.modules.zssr.rate import RATES, RateRule
from srbench.modules.zssr.restoring import restored
from srbench.modules.zssr.setting import Setting, setting
from srbench.tiling import tiled


class ZSSR(PerImageSR):
    """Zero-shot super-resolution (Shocher et al., CVPR 2018): learns from the image alone, while it is tested.

    The image is shrunk further, and a network learns to undo that: from the son, enlarged by bicubic interpolation, to
    the father, a crop of the image; then it is applied to the image itself. Numbers are those of the released code.

    An image smaller than ``crop`` is its own father, whole. Where learning diverges the weights of the best
    reconstruction are used; where even they give no finite image, bicubic interpolation: both are remarked.

    Args:
        kernel: how lq was made, where that was not MATLAB's bicubic: a file (.mat, .npy, .csv, .png) or a folder with a
            file per image, see :func:`~srbench.modules.zssr.kernel_files.kernel_file`.
        align_kernel: move kernels until their centre of mass is in the middle of the pixels that become one, so that
            sr lies where gt does; False takes them as they are: lq pixel i has their middle (index side // 2) on gt's
            pixel s*i.
        real: lq are photographs of unknown degradation; see :func:`~srbench.modules.zssr.setting.setting`.
        gradual: number of scales on the way, evenly spaced from 1 to ``scale``; what is made at one is a father at the
            next. 1 goes there in one jump, 6 is the released code's number for x2 (about 0.3 dB better, six times as
            slow).
        crop: side of fathers, in pixels.
        iterations: most steps at each scale.
        rate: first learning rate and when it falls; learning ends with it.
        augment: turn, mirror and warp fathers; None: unless the kernel is known.
        noise: standard deviation of noise in sons, of the range [0,1]; None: 0, and 0.0125 where ``real``.
        ensemble: median over eight turned and mirrored versions; None: unless the kernel is known.
        back_projections: see :func:`~srbench.modules.zssr.restoring.restored`; None: 10, 2 where the kernel is known, 0
            where ``real``.
        features: channels of the network.
        depth: convolutions of the network.
        kwargs: see :class:`~srbench.module.SRModule`; ``tile`` bounds the memory of the network's pass over the whole
            image and changes nothing else, ``tile_overlap`` is not needed, ``weights`` are refused.

    Raises:
        InputError: an argument is out of range, ``weights`` were given, or a kernel with gradual scales.
    """

    unhashed: ClassVar[tuple[str, ...]] = ("weights", "kernel")

    def __init__(
        self,
        *,
        kernel: str | None = None,
        align_kernel: bool = True,
        real: bool = False,
        gradual: int = 1,
        crop: int = 128,
        iterations: int = 3000,
        rate: RateRule = RATES,
        augment: bool | None = None,
        noise: float | None = None,
        ensemble: bool | None = None,
        back_projections: int | None = None,
        features: int = 64,
        depth: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        least = {"gradual": 1, "crop": 8, "iterations": 0, "features": 1, "depth": 2, "scale": 2}
        given = {"gradual": gradual, "crop": crop, "iterations": iterations, "features": features, "depth": depth}
        _check_least({**given, "scale": self.scale}, least)
        _check_least({"noise": noise or 0.0, "back_projections": back_projections or 0}, {})
        self._refuse(kernel, gradual)
        self.kernel = kernel
        self.align_kernel = align_kernel
        self.real = real
        self.gradual = gradual
        self.crop = crop
        self.iterations = iterations
        self.rate = rate
        self.augment = augment
        self.noise = noise
        self.ensemble = ensemble
        self.back_projections = back_projections
        self.features = features
        self.depth = depth
        self.net = self._network()

    def _network(self) -> ZSSRNet:
        return ZSSRNet(self.scale, features=self.features, depth=self.depth)

    def _refuse(self, kernel: str | None, gradual: int) -> None:
        if self.weights is not None:
            raise InputError(
                "ZSSR learns from the image, there are no weights to start from",
                where="model.init_args.weights",
                remedy="leave it out",
            )
        if kernel is not None and gradual > 1:
            raise InputError(
                f"a kernel is known for x{self.scale} alone, not for the {gradual - 1} scales before",
                where="model.init_args.gradual",
                remedy="use gradual 1 with a kernel",
            )

    def prepare(self) -> None:
        """Hashes the kernels into the configuration: other kernels are another run, wherever they lie."""
        super().prepare()
        if self.kernel is not None and "kernels" not in self.files:
            self.rests_on("kernels", sha256=kernels_sha256(self.kernel))

    @property
    def scales(self) -> list[float]:
        """The total magnifications that are learned one after the other; the last is ``scale``."""
        steps = [1 + (self.scale - 1) * i / self.gradual for i in range(1, self.gradual)]
        return [*steps, self.scale]

    def setting(self, *, known: bool) -> Setting:
        """How images are learned and restored, their kernel being ``known`` or not."""
        return setting(
            known=known,
            real=self.real,
            augment=self.augment,
            noise=self.noise,
            ensemble=self.ensemble,
            back_projections=self.back_projections,
        )

    def learn(self, lq: Tensor, name: str, generator: torch.Generator) -> Tensor:
        """As the base says.

        Raises:
            InputError: the image is smaller than 2 pixels of a son, or its kernel is missing or none.
        """
        if self.kernel is None:
            return self._learn(lq, name, generator, self.scales, {})
        return self.learn_known(
            lq, name, generator, {self.scale: read_kernel(kernel_file(self.kernel, name, self.scale))}
        )

    def learn_known(self, lq: Tensor, name: str, generator: torch.Generator, kernels: Mapping[int, Tensor]) -> Tensor:
        """Learns from one image whose kernels are known and restores it; for methods that estimate kernels.

        Args:
            lq: (1,3,h,w) in [0,1], free of inference mode.
            name: the image's.
            generator: on the CPU.
            kernels: (k,k) by total magnification, learned in rising order, e.g. ``{2: k2, 4: k4}``; what is made at one
                is a father at the next. Where their centre of mass lies does not matter while ``align_kernel`` is True.

        Returns:
            Sr (1,3,s*h,s*w) in [0,1].

        Raises:
            InputError: there is no kernel for ``scale``, one for a larger or for no scale, or one that is no kernel.
        """
        scales = sorted(kernels)
        if not scales or scales[-1] != self.scale or scales[0] < 2:
            raise InputError(
                f"kernels for x{', x'.join(map(str, scales)) or '-'} do not lead to x{self.scale}",
                where=name,
                remedy="give one for every step, the last for model.init_args.scale",
            )
        return self._learn(lq, name, generator, scales, kernels)

    def _learn(
        self,
        lq: Tensor,
        name: str,
        generator: torch.Generator,
        scales: Sequence[float],
        kernels: Mapping[int, Tensor],
    ) -> Tensor:
        _check_size(lq, name, self.scale)
        chosen = self.setting(known=bool(kernels))
        net = self._network().to(lq.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        net.draw(generator)
        sources = [lq]
        for scale in scales:
            shrink = shrinker(scale, kernels.get(int(scale)), align=self.align_kernel)
            self._fit(net, Task(sources, scale, shrink, self.crop, chosen.how, chosen.noise), name, generator)
            sources.append(self._enlarged(net, lq, scale, shrink, chosen, name))
        return sources[-1]

    def _fit(self, net: ZSSRNet, task: Task, name: str, generator: torch.Generator) -> None:
        shown = f"{name} x{task.scale:.3g}"
        went = learn(net, self._pass(net, 1), task, self.rate, self.shown(range(self.iterations), shown), generator)
        if went.diverged is not None:
            text = (
                f"learning x{task.scale:.3g} diverged at iteration {went.iterations}, weights of {went.diverged} used"
            )
            self.remark(name, text)

    @torch.no_grad()
    def _enlarged(self, net: ZSSRNet, lq: Tensor, scale: float, shrink: Shrink, chosen: Setting, name: str) -> Tensor:
        made = restored(
            lq,
            self._pass(net, scale),
            scale,
            shrink,
            ensemble=chosen.ensemble,
            back_projections=chosen.back_projections,
        )
        if bool(made.isfinite().all()):
            return made
        self.remark(name, f"no finite image came out at x{scale:.3g}, bicubic interpolation was used")
        return restored(lq, lambda image: image, scale, shrink, ensemble=False, back_projections=0)

    def _pass(self, net: ZSSRNet, scale: float) -> Callable[[Tensor], Tensor]:
        """The network over an image of any size, in tiles of ``tile`` lq pixels."""
        tile = None if self.tile is None else max(1, round(self.tile * scale))

        def correct(image: Tensor) -> Tensor:
            fitting = image.contiguous(memory_format=torch.channels_last)
            return tiled(net.correct, fitting, scale=1, tile=tile, overlap=2 * net.reach)

        return correct


def _check_least(given: Mapping[str, float], least: Mapping[str, int]) -> None:
    for name, value in given.items():
        if value < least.get(name, 0):
            raise InputError(
                f"{name} {value} is impossible",
                where=f"model.init_args.{name}",
                remedy=f"use {least.get(name, 0)} or more",
            )


def _check_size(lq: Tensor, name: str, scale: int) -> None:
    height, width = lq.shape[-2:]
    if min(height, width) < 2 * scale:
        raise InputError(
            f"an image of {width}x{height} pixels is too small to learn x{scale} from",
            where=name,
            remedy=f"use images of {2 * scale} pixels or more on each side",
        )
