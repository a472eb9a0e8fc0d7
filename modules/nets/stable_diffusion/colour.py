"""Colour correction of a diffusion model's image by the image it was made from.

AdaIN (Huang and Belongie, arXiv 1703.06868; StableSR's paper uses it) and the wavelet correction of StableSR's released
code (``scripts/wavelet_color_fix.py`` at commit 398ee93).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.errors import InputError

Colour = Literal["none", "adain", "wavelet"]
LEVELS = 5
"""Levels of the wavelet correction."""

_EPSILON = 1e-5


def corrected(sr: Tensor, like: Tensor, colour: str) -> Tensor:
    """``sr`` (B,3,H,W) with the colours of ``like`` (B,3,H,W); ``none`` returns it as it is.

    Raises:
        InputError: there is no such correction.
    """
    if colour == "none":
        return sr
    if colour == "adain":
        return adain(sr, like)
    if colour == "wavelet":
        return wavelet(sr, like)
    raise InputError(
        f"there is no colour correction '{colour}'", where="model.init_args.colour", remedy="use none, adain or wavelet"
    )


def adain(sr: Tensor, like: Tensor) -> Tensor:
    """``sr`` with the mean and standard deviation of ``like`` in each channel of each image (unbiased, eps 1e-5)."""
    mean, deviation = _statistics(sr)
    wanted_mean, wanted_deviation = _statistics(like)
    return (sr - mean) / deviation * wanted_deviation + wanted_mean


def wavelet(sr: Tensor, like: Tensor, levels: int = LEVELS) -> Tensor:
    """The high frequencies of ``sr`` and the low ones of ``like``."""
    return sr - low_frequencies(sr, levels) + low_frequencies(like, levels)


def low_frequencies(image: Tensor, levels: int = LEVELS) -> Tensor:
    """``image`` (B,C,H,W) blurred ``levels`` times by [1 2 1]x[1 2 1]/16 with holes of 1, 2, 4, ...; edges repeated."""
    line = torch.tensor([0.25, 0.5, 0.25], dtype=image.dtype, device=image.device)
    channels = image.shape[-3]
    kernel = torch.outer(line, line).expand(channels, 1, 3, 3)
    for level in range(levels):
        hole = 2**level
        padded = F.pad(image, (hole,) * 4, mode="replicate")
        image = F.conv2d(padded, kernel, groups=channels, dilation=hole)
    return image


def _statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(image, dim=(-2, -1), keepdim=True)
    return mean, (variance + _EPSILON).sqrt()
