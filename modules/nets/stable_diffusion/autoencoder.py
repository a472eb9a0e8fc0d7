"""The autoencoder between pixels and latents, in pixel tiles where images are large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from srbench.modules.nets.stable_diffusion.families import FACTOR, SCALING
from srbench.modules.nets.stable_diffusion.tiling import Window, blended


def moments(vae: Any, image: Tensor, *, tile: int | None = None, overlap: int = 0) -> Tensor:
    """Mean and log-variance of the latents of ``image``, before scaling.

    Args:
        vae: diffusers' ``AutoencoderKL``.
        image: (B,3,H,W) in [-1,1], sides divisible by 8.
        tile: side in pixels of the windows that are encoded one by one; None encodes the whole.
        overlap: of neighbouring windows, in pixels.

    Returns:
        (B,8,H/8,W/8) float32.
    """

    def part(window: Window) -> Tensor:
        pixels = window.scaled(FACTOR).of(image)
        return vae.encode(pixels.to(vae.dtype)).latent_dist.parameters

    # Windows are counted in cells, so that every window begins and ends on one.
    height, width = image.shape[-2] // FACTOR, image.shape[-1] // FACTOR
    return blended(part, height, width, tile=None if tile is None else tile // FACTOR, overlap=overlap // FACTOR)


def drawn(held: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Scaled latents (B,4,h,w) drawn from ``held`` = :func:`moments`, each image by its own generator on the CPU."""
    mean, log_variance = held.chunk(2, dim=1)
    deviation = (0.5 * log_variance.clamp(-30.0, 20.0)).exp()
    return SCALING * (mean + deviation * normal(mean, generators))


def normal(like: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal numbers of the shape of ``like`` (B,...), each image's by its own generator on the CPU."""
    one = like.shape[1:]
    return torch.stack([torch.randn(one, generator=g) for g in generators]).to(like.device)


def decoded(vae: Any, latents: Tensor, *, tile: int | None = None, overlap: int = 0) -> Tensor:
    """The images (B,3,8h,8w) of scaled ``latents`` (B,4,h,w), about [-1,1], not clamped; see :func:`moments`."""

    def part(window: Window) -> Tensor:
        return vae.decode((window.of(latents) / SCALING).to(vae.dtype)).sample

    cells = None if tile is None else tile // FACTOR
    height, width = latents.shape[-2:]
    return blended(part, height, width, tile=cells, overlap=overlap // FACTOR, factor=FACTOR)
