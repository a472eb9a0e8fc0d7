"""The steps a recipe is made of: each one operator with every parameter it needs, JSON-able, applied to one image.

An image is (3,H,W) float32, nominally in [0,1], on any device. A step never looks at a global generator: noise comes
from a ``torch.Generator`` of the image's device that the step's own seed starts, so a CPU gives the same pixels in
every worker and process (a GPU's generator is another one: its fields differ from a CPU's).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from srbench.datamodules.degradations.filtering import filter2d, usm_sharpen
from srbench.datamodules.degradations.imresize import Border, imresize
from srbench.datamodules.degradations.jpeg import diff_jpeg, real_jpeg
from srbench.datamodules.degradations.kernels import KernelSpec
from srbench.datamodules.degradations.noise import add_gaussian, add_poisson
from srbench.datamodules.degradations.resizing import resize
from srbench.errors import InputError
from srbench.naming import unknown_name


class Step(ABC):
    """One operator with its parameters; a frozen dataclass of JSON-able fields.

    Attributes:
        name: what the step is called in a recipe's dictionary.
        on_target: whether gt itself is changed too (sharpening, where the sharpened image is the target).
    """

    name: ClassVar[str]
    on_target: bool = False

    @abstractmethod
    def apply(self, image: Tensor) -> Tensor:
        """(3,H,W) float32 to (3,h,w) float32 on the same device."""

    def as_dict(self) -> dict[str, Any]:
        """``{"step": name, parameter: value, ...}``."""
        return {"step": self.name, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Usm(Step):
    """Unsharp masking as Real-ESRGAN has it (:func:`~srbench.datamodules.degradations.filtering.usm_sharpen`).

    Attributes:
        on_target: the sharpened image is also the training target.
        radius: side of the Gaussian, made odd; its sigma follows by OpenCV's rule.
        weight: how much of the residual is added.
        threshold: of 255; smaller residuals are left alone.
    """

    name: ClassVar[str] = "usm"
    on_target: bool = False
    radius: int = 50
    weight: float = 0.5
    threshold: float = 10.0

    def apply(self, image: Tensor) -> Tensor:
        """The sharpened image."""
        return usm_sharpen(image, radius=self.radius, weight=self.weight, threshold=self.threshold)


@dataclass(frozen=True)
class Blur(Step):
    """Correlation with a kernel, the border reflected; also what a sinc filter is."""

    name: ClassVar[str] = "blur"
    kernel: KernelSpec

    def apply(self, image: Tensor) -> Tensor:
        """The filtered image."""
        return filter2d(image, self.kernel.build())


@dataclass(frozen=True)
class Resize(Step):
    """To ``height`` x ``width``; see :func:`~srbench.datamodules.degradations.resizing.resize`.

    Attributes:
        height: of the result.
        width: of the result.
        mode: ``area``, ``coverage``, ``bilinear`` or ``bicubic``.
        scale: the factor that gave these sides, where upstream finds source pixels by it and not by the sides.
    """

    name: ClassVar[str] = "resize"
    height: int
    width: int
    mode: str
    scale: float | None = None

    def apply(self, image: Tensor) -> Tensor:
        """The resized image; bicubic may leave [0,1]."""
        return resize(image, self.height, self.width, self.mode, scale=self.scale)


@dataclass(frozen=True)
class MatlabResize(Step):
    """MATLAB's antialiased bicubic ``imresize`` by ``scale``.

    Attributes:
        scale: output side over input side.
        eight_bit: the image is rounded to 8 bits before and MATLAB's uint8 arithmetic is followed bit for bit.
        border: see :func:`~srbench.datamodules.degradations.imresize.imresize`.
    """

    name: ClassVar[str] = "matlab_resize"
    scale: float
    eight_bit: bool = True
    border: Border = "symmetric"

    def apply(self, image: Tensor) -> Tensor:
        """The resized image."""
        if not self.eight_bit:
            return imresize(image, self.scale, border=self.border)
        small = imresize(_levels(image).to(torch.uint8), self.scale, border=self.border)
        return small.to(image.dtype).div_(255)


@dataclass(frozen=True)
class Decimate(Step):
    """BSRGAN's nearest shrinking: a Gaussian shifted by ``(factor - 1) / 2`` pixels, then every ``factor``-th pixel.

    Attributes:
        factor: pixels kept are 0, factor, 2*factor, ...
        sigma: of the Gaussian.
        size: its side.
    """

    name: ClassVar[str] = "decimate"
    factor: int
    sigma: float
    size: int = 25

    def apply(self, image: Tensor) -> Tensor:
        """(3,ceil(H/factor),ceil(W/factor))."""
        blurred = filter2d(image, shifted_gaussian(self.size, self.sigma, (self.factor - 1) / 2))
        return blurred[:, :: self.factor, :: self.factor].contiguous()


@dataclass(frozen=True)
class GaussianNoise(Step):
    """Additive Gaussian noise, clipped to [0,1].

    Attributes:
        sigma: of 255.
        grey: one field for the three channels.
        seed: of the field.
    """

    name: ClassVar[str] = "gaussian_noise"
    sigma: float
    grey: bool
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The noisy image in [0,1]."""
        return add_gaussian(image, self.sigma, grey=self.grey, generator=_generator(image, self.seed))


@dataclass(frozen=True)
class CorrelatedNoise(Step):
    """Gaussian noise whose channels are correlated (BSRGAN), clipped to [0,1].

    Attributes:
        mixing: 3x3 rows; three independent unit fields times it are the noise of R, G and B in units of [0,1].
        seed: of the fields.
    """

    name: ClassVar[str] = "correlated_noise"
    mixing: tuple[tuple[float, ...], ...]
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The noisy image in [0,1]."""
        units = torch.randn(image.shape, generator=_generator(image, self.seed), device=image.device)
        matrix = torch.tensor(self.mixing, dtype=image.dtype).to(image.device, non_blocking=True)
        return (image + (matrix @ units.flatten(1)).view_as(image)).clamp_(0, 1)


@dataclass(frozen=True)
class PoissonNoise(Step):
    """Poisson noise as Real-ESRGAN defines it, clipped to [0,1].

    Attributes:
        scale: of the noise; 1 is the image's own shot noise.
        grey: one field for the three channels.
        seed: of the field.
    """

    name: ClassVar[str] = "poisson_noise"
    scale: float
    grey: bool
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The noisy image in [0,1]."""
        return add_poisson(image, self.scale, grey=self.grey, generator=_generator(image, self.seed))


@dataclass(frozen=True)
class Jpeg(Step):
    """JPEG of a quality from 1 to 100, after clamping to [0,1].

    Attributes:
        quality: a fraction is allowed for DiffJPEG; libjpeg takes the whole part.
        differentiable: DiffJPEG on the image's device; otherwise libjpeg, which works on the CPU.
    """

    name: ClassVar[str] = "jpeg"
    quality: float
    differentiable: bool = True

    def apply(self, image: Tensor) -> Tensor:
        """The compressed image in [0,1]."""
        image = image.clamp(0, 1)
        return diff_jpeg(image, self.quality) if self.differentiable else real_jpeg(image, int(self.quality))


@dataclass(frozen=True)
class Clamp(Step):
    """To [0,1]."""

    name: ClassVar[str] = "clamp"

    def apply(self, image: Tensor) -> Tensor:
        """The clamped image."""
        return image.clamp(0, 1)


@dataclass(frozen=True)
class Round(Step):
    """To 8 bits: times 255, rounded half to even, clamped, over 255."""

    name: ClassVar[str] = "round"

    def apply(self, image: Tensor) -> Tensor:
        """The image on the grid of 8 bits, still float32."""
        return _levels(image).div_(255)


STEPS: dict[str, type[Step]] = {
    step.name: step
    for step in (
        Usm, Blur, Resize, MatlabResize, Decimate, GaussianNoise, CorrelatedNoise, PoissonNoise, Jpeg, Clamp, Round,
    )
}  # fmt: skip
"""Every kind of step by its name in a recipe's dictionary."""


def step_from_dict(given: dict[str, Any]) -> Step:
    """The step that :meth:`Step.as_dict` wrote.

    Raises:
        InputError: nobody knows such a step, or its parameters are others.
    """
    values = dict(given)
    name = str(values.pop("step", ""))
    kind = STEPS.get(name)
    if kind is None:
        raise unknown_name("degradation step", name, STEPS)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise InputError(f"the step {name} has no parameter {unknown[0]}", remedy=f"it has {', '.join(sorted(known))}")
    if "kernel" in values:
        values["kernel"] = KernelSpec(**values["kernel"])
    if "mixing" in values:
        values["mixing"] = tuple(tuple(float(v) for v in row) for row in values["mixing"])
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"the step {name} is incomplete ({error})", remedy="write the recipe again") from error


@lru_cache(maxsize=64)
def shifted_gaussian(size: int, sigma: float, shift: float) -> np.ndarray:
    """(size,size) float64, sums to 1: a Gaussian moved towards the end by ``shift`` pixels.

    As BSRGAN's ``shift_pixel``: the centred samples are read between the pixels by linear interpolation, positions
    beyond the edge at the edge.
    """
    at = np.arange(size, dtype=np.float64)
    line = np.exp(-((at - (size - 1) / 2) ** 2) / (2 * sigma**2))
    moved = np.interp(np.clip(at - shift, 0, size - 1), at, line)
    kernel = np.outer(moved, moved)
    return kernel / kernel.sum()


def _levels(image: Tensor) -> Tensor:
    """A fresh (3,H,W) of whole numbers from 0 to 255."""
    return image.mul(255).round_().clamp_(0, 255)


def _generator(image: Tensor, seed: int) -> torch.Generator:
    return torch.Generator(image.device).manual_seed(seed)
