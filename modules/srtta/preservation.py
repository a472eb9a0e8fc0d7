"""Adaptive parameter preservation: which weights matter for clean images and go back after every step (section 3.3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.images import fingerprint, list_images, read_image, to_tensor

Importance = Literal["all", "last"]

EPS = 1e-3
"""Added to squares under Charbonnier's root, as released: not itself squared."""


def charbonnier(found: Tensor, wanted: Tensor, eps: float = EPS) -> Tensor:
    """The mean of ``sqrt((found - wanted)^2 + eps)``."""
    return torch.sqrt((found - wanted) ** 2 + eps).mean()


def clean_images(folder: str | None) -> list[Path]:
    """The images that importance is taken from, by name.

    Raises:
        InputError: there is no folder, or it is empty.
    """
    if folder is None or not Path(folder).is_dir() or not (files := list_images(folder)):
        raise InputError(
            "the weights that matter are found on clean lq images, and there are none",
            where=folder or "model.init_args.clean_lq",
            remedy="give a folder of them, such as Set5's bicubic lq of this scale, by --model.init_args.clean_lq, or "
            "preserve nothing by --model.init_args.preserved 0",
        )
    return sorted(files)


def clean_sha256(folder: str | None) -> str:
    """Hash of the clean images, by name and content."""
    return fingerprint([(file.name, file) for file in clean_images(folder)])


def importance(
    upscale: Callable[[Tensor], Tensor],
    body: Mapping[str, nn.Parameter],
    images: Sequence[Path],
    how: Importance = "all",
    levels: float = 255.0,
) -> dict[str, Tensor]:
    """Squared gradients of the self-consistency of sr on clean images.

    The loss is Charbonnier's, between sr of the image and the mean over sr of its eight turned and mirrored versions.

    Args:
        upscale: (1,3,h,w) in [0,1] to sr, differentiable by ``body``.
        body: parameters by name, requiring gradients.
        images: files.
        how: ``all`` is the mean over the images (paper, Eq. 9), ``last`` the last image alone (released).
        levels: the loss is taken on pixels times this; the release's are 0..255.

    Returns:
        Non-negative tensors by name.
    """
    chosen = images if how == "all" else images[-1:]
    total = {name: torch.zeros_like(parameter) for name, parameter in body.items()}
    device = next(iter(body.values())).device
    for file in chosen:
        lq = to_tensor(read_image(file).pixels)[None].to(device)
        loss = consistency(upscale, lq, levels)
        gradients = torch.autograd.grad(loss, list(body.values()), allow_unused=True)
        for name, gradient in zip(body, gradients, strict=True):
            if gradient is not None:
                total[name] += gradient.square() / len(chosen)
    return total


def consistency(upscale: Callable[[Tensor], Tensor], lq: Tensor, levels: float = 255.0) -> Tensor:
    """Charbonnier's distance between sr of (1,3,h,w) and the mean over its eight versions."""
    made = []
    with torch.no_grad():
        for horizontal, vertical, turned in itertools.product((False, True), repeat=3):
            if horizontal or vertical or turned:
                made.append(_back(upscale(_there(lq, horizontal, vertical, turned)), horizontal, vertical, turned))
    plain = upscale(lq)
    wanted = torch.cat([*made, plain]).mean(0, keepdim=True).detach()
    return charbonnier(plain * levels, wanted * levels)


def masks(importance: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """True for the most important ``ratio`` of each tensor, rounded down; by name, of the tensors' shapes."""
    found = {}
    for name, values in importance.items():
        mask = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
        mask[values.flatten().topk(int(values.numel() * ratio)).indices] = True
        found[name] = mask.view(values.shape)
    return found


def _there(image: Tensor, horizontal: bool, vertical: bool, turned: bool) -> Tensor:
    axes = [axis for axis, flip in ((-1, horizontal), (-2, vertical)) if flip]
    image = image.flip(axes) if axes else image
    return image.transpose(-1, -2).contiguous() if turned else image


def _back(image: Tensor, horizontal: bool, vertical: bool, turned: bool) -> Tensor:
    image = image.transpose(-1, -2) if turned else image
    axes = [axis for axis, flip in ((-1, horizontal), (-2, vertical)) if flip]
    return image.flip(axes) if axes else image
