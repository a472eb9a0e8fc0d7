"""The canvas an image is made on: large enough for the base model, with sides that its UNet can halve three times.

StableSR's rule: lq whose sr would have a side below 512 is enlarged until that has 512, the canvas is filled up
by reflection at the right and the bottom, and sr is cut out and made smaller again.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.nets.stable_diffusion.families import FACTOR, MULTIPLE

SMALLEST = 64
"""Side in pixels below which the autoencoder and the UNet have nothing to work on."""


class Canvas(NamedTuple):
    """How an image lies on its canvas.

    Attributes:
        lq: (1,3,h',w') in [0,1], enlarged and filled up; a canvas pixel is ``scale`` times smaller.
        inner: height and width of sr on the canvas, before it is made smaller.
        size: height and width of sr in the end.
    """

    lq: Tensor
    inner: tuple[int, int]
    size: tuple[int, int]

    def cut(self, image: Tensor) -> Tensor:
        """The part of a canvas ``image`` (1,C,H,W) that is not filling."""
        return image[..., : self.inner[0], : self.inner[1]]

    def sized(self, inner: Tensor) -> Tensor:
        """That part in the size that sr has in the end."""
        if self.inner == self.size:
            return inner
        return F.interpolate(inner, size=self.size, mode="bicubic", antialias=True, align_corners=False)


def lay(lq: Tensor, scale: int, *, short_side: int, multiple: int = MULTIPLE, name: str = "lq") -> Canvas:
    """Lays ``lq`` (1,3,h,w) in [0,1] on a canvas.

    Args:
        lq: the image.
        scale: magnification; must divide ``multiple``.
        short_side: pixels that the shorter side of sr has at least.
        multiple: of sides of the canvas, in pixels of sr.
        name: the image's, for messages.

    Raises:
        InputError: sr would be below 64 pixels on a side.
    """
    height, width = lq.shape[-2:]
    size = (height * scale, width * scale)
    if min(size) < SMALLEST:
        raise InputError(
            f"an image of {size[0]}x{size[1]} is too small for a latent diffusion model",
            where=name,
            remedy=f"give lq of at least {-(-SMALLEST // scale)} pixels on each side",
        )
    if min(size) < short_side:
        wanted = -(-short_side // scale)
        shape = tuple(-(-side * wanted // min(height, width)) for side in (height, width))
        lq = F.interpolate(lq, size=shape, mode="bicubic", align_corners=False).clamp(0.0, 1.0)
    height, width = lq.shape[-2:]
    unit = multiple // scale
    # By repeating reflections: a side may be shorter than what is to be filled.
    lq = _filled(lq, -height % unit, -width % unit)
    return Canvas(lq, (height * scale, width * scale), size)


def _filled(lq: Tensor, below: int, right: int) -> Tensor:
    while below or right:
        down, across = min(below, lq.shape[-2] - 1), min(right, lq.shape[-1] - 1)
        lq = F.pad(lq, (0, across, 0, down), mode="reflect")
        below, right = below - down, right - across
    return lq


def enlarged(lq: Tensor, scale: int) -> Tensor:
    """``lq`` (B,3,h,w) in [0,1] magnified bicubically to (B,3,s*h,s*w), in [-1,1] as the autoencoder takes it."""
    size = (lq.shape[-2] * scale, lq.shape[-1] * scale)
    return F.interpolate(lq, size=size, mode="bicubic", align_corners=False).clamp(0.0, 1.0) * 2.0 - 1.0


def trainable(image: Tensor) -> Tensor:
    """``image`` (B,3,H,W), when it can be encoded.

    Raises:
        InputError: a side is below 64 pixels or not divisible by 8.
    """
    height, width = image.shape[-2:]
    if min(height, width) < SMALLEST or height % FACTOR or width % FACTOR:
        raise InputError(
            f"training images of {height}x{width} cannot be encoded",
            where="data.init_args.patch_size",
            remedy="use 64 or more, divisible by 8; published models train on 512",
        )
    return image
