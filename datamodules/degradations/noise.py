"""Gaussian and Poisson noise as Real-ESRGAN adds them, in grey or in colour.

Arithmetic of BasicSR's torch path (``add_gaussian_noise_pt``, ``add_poisson_noise_pt``), one image at a time. The
random field is drawn from an explicit generator of the image's device, or given.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from srbench.datamodules.degradations.poisson import draw_counts
from srbench.errors import InputError

# Luma as torchvision's rgb_to_grayscale has it.
_GREY = (0.2989, 0.587, 0.114)


def add_gaussian(
    image: Tensor,
    sigma: float,
    *,
    grey: bool,
    generator: torch.Generator | None = None,
    field: Tensor | None = None,
    clip: bool = True,
    rounds: bool = False,
) -> Tensor:
    """Adds ``field * sigma / 255``.

    Args:
        image: (3,H,W) float32 in [0,1].
        sigma: standard deviation in 8-bit levels, 0 or more.
        grey: one field for all three channels instead of three independent ones.
        generator: of the image's device; draws the field.
        field: standard normal, (1,H,W) if grey, else (3,H,W); instead of the generator.
        clip: clamp to [0,1].
        rounds: round to 8-bit levels.

    Returns:
        (3,H,W), differentiable with respect to the image.

    Raises:
        InputError: a negative sigma, an image or a field of another shape, or neither generator nor field.
    """
    _check(image, "sigma", sigma)
    if field is None:
        field = gaussian_field(image, grey=grey, generator=generator)
    return _finished(torch.add(image, _fitting(field, image, grey), alpha=sigma / 255), clip, rounds)


def gaussian_field(image: Tensor, *, grey: bool, generator: torch.Generator | None) -> Tensor:
    """A standard normal field for this image: (1,H,W) if grey, else (3,H,W).

    Raises:
        InputError: there is no generator.
    """
    shape = (1 if grey else 3, *image.shape[-2:])
    return torch.randn(shape, generator=_given(generator), dtype=image.dtype, device=image.device)


def add_poisson(
    image: Tensor,
    scale: float,
    *,
    grey: bool,
    generator: torch.Generator | None = None,
    field: Tensor | None = None,
    clip: bool = True,
    rounds: bool = False,
) -> Tensor:
    """Adds ``scale`` times the shot noise that the image would have if its brightest level were ``shades`` photons.

    The image is rounded to 8 bits, and ``shades`` is the number of different levels in it (over all three channels),
    rounded up to a power of two. The noise is ``Poisson(image * shades) / shades - image``; if grey, that of the luma.

    Args:
        image: (3,H,W) float32 in [0,1].
        scale: factor on the noise, 0 or more.
        grey: the noise of the luma, alike in all three channels.
        generator: of the image's device; draws the counts.
        field: the counts, (1,H,W) if grey, else (3,H,W); instead of the generator.
        clip: clamp to [0,1].
        rounds: round to 8-bit levels.

    Returns:
        (3,H,W), differentiable with respect to the image (the noise counts as constant).

    Raises:
        InputError: a negative scale, an image or a field of another shape, or neither generator nor field.
    """
    _check(image, "scale", scale)
    with torch.no_grad():
        levels = poisson_levels(image, grey=grey)
        photons = shades(levels)
        counts = poisson_field(levels, photons, generator=generator) if field is None else field
        noise = _fitting(counts, image, grey) / photons - levels / 255
    return _finished(torch.add(image, noise, alpha=scale), clip, rounds)


def poisson_levels(image: Tensor, *, grey: bool) -> Tensor:
    """What is counted: (1,H,W) luma if grey, else (3,H,W), as whole numbers from 0 to 255, floating point."""
    if grey:
        red, green, blue = image.detach()
        image = (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)[None]
    return (image.detach() * 255).round_().clamp_(0, 255)


def shades(levels: Tensor) -> Tensor:
    """How many different levels there are, rounded up to a power of two; a tensor without dimensions, so a GPU's stays.

    >>> shades(torch.tensor([0.0, 3.0, 3.0, 255.0]))
    tensor(4.)
    """
    seen = torch.zeros(256, dtype=torch.bool, device=levels.device)
    seen[levels.flatten().long()] = True
    # Plain indexing by a tensor without dimensions would ask the GPU for its value.
    return _powers(levels.dtype, levels.device).index_select(0, seen.sum(dim=0, keepdim=True))[0]


def poisson_field(levels: Tensor, photons: Tensor, *, generator: torch.Generator | None) -> Tensor:
    """Counts of mean ``levels / 255 * photons``, floating point, in the shape of the levels.

    Raises:
        InputError: there is no generator.
    """
    if levels.device.type == "cpu":
        return draw_counts(levels, int(photons), _given(generator))
    return torch.poisson(levels / 255 * photons, generator=_given(generator))


@lru_cache(maxsize=8)
def _powers(dtype: torch.dtype, device: torch.device) -> Tensor:
    """At n, the smallest power of two not below n; 0 at 0."""
    table = [0.0, *(float(1 << (n - 1).bit_length()) for n in range(1, 257))]
    with torch.inference_mode(False):
        return torch.tensor(table, dtype=dtype, device=device)


def _finished(image: Tensor, clip: bool, rounds: bool) -> Tensor:
    if rounds:
        image = image.mul(255).round()
        return (image.clamp(0, 255) if clip else image) / 255
    return image.clamp(0, 1) if clip else image


def _given(generator: torch.Generator | None) -> torch.Generator:
    if generator is None:
        raise InputError("noise needs a generator or a field", remedy="pass generator=torch.Generator(image.device)")
    return generator


def _fitting(field: Tensor, image: Tensor, grey: bool) -> Tensor:
    shape = (1 if grey else 3, *image.shape[-2:])
    if field.shape != shape:
        raise InputError(f"the noise field of this image is {shape}, not {tuple(field.shape)}")
    return field


def _check(image: Tensor, name: str, value: float) -> None:
    if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point() or not image.numel():
        raise InputError(f"noise is added to a floating-point (3,H,W), not {image.dtype} {tuple(image.shape)}")
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"the noise's {name} is 0 or more, not {value!r}")
