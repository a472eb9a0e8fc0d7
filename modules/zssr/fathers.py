"""What ZSSR learns from: fathers, cut from the image turned, mirrored or warped; and the sons made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from srbench.modules.zssr.geometry import Shrink, enlarge


@dataclass(frozen=True)
class Augmentation:
    """How fathers are drawn; what the shares leave to 1 is warped.

    Attributes:
        plain: share of fathers cut from the image as it is.
        turned: share that is turned by multiples of 90 degrees and mirrored, each of the eight ways alike.
        zoom: smallest and largest scale of a warp.
        shear: standard deviation of a warp's two shears.
    """

    plain: float = 0.05
    turned: float = 0.45
    zoom: tuple[float, float] = (0.5, 1.0)
    shear: float = 0.1


NONE = Augmentation(plain=1.0, turned=0.0)
"""Crops alone: what a kernel that is not symmetric allows."""


def draw_father(sources: Sequence[Tensor], crop: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Cuts one father.

    Args:
        sources: (1,3,h,w) in [0,1] each: the image and, with gradual scales, what was made of it so far; one of them
            is taken, each as likely.
        crop: side of the father; an image that is smaller is taken whole along that side.
        how: see :class:`Augmentation`.
        generator: on the CPU.

    Returns:
        (1,3,min(crop,h),min(crop,w)), for turned ones the sides may be exchanged; on the device of ``sources``.
    """
    image = sources[_below(len(sources), generator)]
    kind = _uniform(generator)
    if kind < how.plain:
        return _cut(image, crop, generator)
    if kind < how.plain + how.turned:
        return turned(_cut(image, crop, generator), _below(8, generator))
    return _warped(image, crop, how, generator)


def turned(image: Tensor, way: int) -> Tensor:
    """One of the eight ways to turn and mirror (...,H,W): ``way % 4`` quarter turns, mirrored first from 4 on."""
    return torch.rot90(image.flip(-1) if way >= 4 else image, way % 4, (-2, -1))


def turned_back(image: Tensor, way: int) -> Tensor:
    """Undoes :func:`turned`."""
    upright = torch.rot90(image, -(way % 4), (-2, -1))
    return upright.flip(-1) if way >= 4 else upright


def draw_pair(
    father: Tensor, scale: float, shrink: Shrink, noise: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The network's input for a father and what it should make of it.

    Args:
        father: (1,3,h,w).
        scale: of the task.
        shrink: makes the son.
        noise: standard deviation of what is added to the son, of the range [0,1].
        generator: on the CPU.

    Returns:
        The son enlarged to the father's size, and the father; (1,3,h,w) both.
    """
    son = shrink(father)
    if noise > 0:
        son = (son + noise * torch.randn(son.shape, generator=generator).to(son)).clamp(0, 1)
    return enlarge(son, scale, (father.shape[-2], father.shape[-1])), father


def _cut(image: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    height, width = (min(crop, side) for side in image.shape[-2:])
    top = _below(image.shape[-2] - height + 1, generator)
    left = _below(image.shape[-1] - width + 1, generator)
    return image[..., top : top + height, left : left + width]


def _warped(image: Tensor, crop: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """A crop of the image after a random zoom, shear, mirroring and turn by any angle about the crop's middle.

    The middle is drawn so that the crop, unturned, lies within the image; what reaches beyond is mirrored. Bicubic with
    a = -0.75 and no antialiasing, as OpenCV's warp, which the released code calls: zooming out sharpens.
    """
    low, high = how.zoom
    zoom = low + (high - low) * _uniform(generator)
    shears = how.shear * torch.randn(2, generator=generator, dtype=torch.float64)
    angle = 2 * math.pi * _uniform(generator)
    mirror = -1.0 if _below(2, generator) else 1.0
    height, width = image.shape[-2:]
    sides = (min(crop, height), min(crop, width))
    middle = [_middle(side, cut / zoom, generator) for side, cut in zip((height, width), sides, strict=True)]
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    shear = torch.tensor([[1.0, float(shears[0])], [float(shears[1]), 1.0]], dtype=torch.float64)
    matrix = rotation @ shear @ torch.diag(torch.tensor([mirror, 1.0], dtype=torch.float64)) / zoom
    return _sampled(image, matrix, (middle[0], middle[1]), sides)


def _middle(side: int, reads: float, generator: torch.Generator) -> float:
    """Where along one axis the middle of a crop lies that reads ``reads`` of ``side`` pixels."""
    slack = max(0.0, side - reads)
    return (side - 1) / 2 + slack * (_uniform(generator) - 0.5)


def _sampled(image: Tensor, matrix: Tensor, middle: tuple[float, float], sides: tuple[int, int]) -> Tensor:
    """Reads (1,3,*sides) where ``matrix`` (2,2), of (x,y) offsets in pixels, leads from ``middle`` (row, column)."""
    y, x = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2 for side in sides)
    offsets = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1) @ matrix.T
    place = offsets + torch.tensor([middle[1], middle[0]], dtype=torch.float64)
    span = torch.tensor([image.shape[-1], image.shape[-2]], dtype=torch.float64)
    grid = ((2 * place + 1) / span - 1)[None].to(image)
    read = F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return read.clamp(0, 1)


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
