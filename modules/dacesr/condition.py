"""From what the tagger says of an image to what modulates the network's tokens; no parameters anywhere.

DACESR's released code (commit 0e98c32) resizes its condition (B,145,512) to (B*145,N,d) and keeps the first B of that:
sample b is conditioned on token b of **sample 0**, and the 512 features of that token are stretched over the N raster
positions, the same for every channel. ``official`` computes just that, from B rows of 512 numbers, without the tensor
(3.4 GiB at batch 8 and 64x64). ``per_sample`` stretches every sample's own token 0, the mean of the image; the two are
equal at batch 1, and so in all testing. ``spatial`` is ours: what the paper's figure suggests.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.errors import InputError
from srbench.naming import unknown_name

Mode = Literal["per_sample", "spatial", "official"]


def check_mode(mode: str, embedding: str) -> None:
    """Refuses a mode that does not exist, or that the embedding does not allow.

    Raises:
        InputError: it says which there are.
    """
    if mode not in get_args(Mode):
        raise unknown_name("condition mode", mode, get_args(Mode), where="model.init_args.condition")
    if mode == "spatial" and embedding == "logits":
        raise InputError(
            "logits say nothing of places in the image",
            where="model.init_args.condition",
            remedy="use condition per_sample, or embedding representation",
        )


def token_condition(embedding: Tensor, places: Tensor, dim: int, mode: Mode = "per_sample") -> Tensor:
    """What modulates the tokens of an image, or of a tile of it.

    Args:
        embedding: a representation (B,1+s*s,C), the mean token first, or logits (B,T).
        places: (B,2,h,w), see :func:`whole_places`; only ``spatial`` looks at their values.
        dim: channels d of the network's tokens.
        mode: ``per_sample`` and ``official`` stretch numbers over the raster, whatever its size: a tile gets all of
            them, as the released code has it. ``spatial`` gives every token what lies at its place of the image.
            Logits are stretched sample by sample in either mode, as the authors' ablation did.

    Returns:
        (B,h*w,1), for ``spatial`` (B,h*w,d).
    """
    tokens = places.shape[-2] * places.shape[-1]
    if embedding.dim() == 2:
        return stretched(embedding, tokens)
    if mode == "spatial":
        return spatial_map(embedding[:, 1:], places, dim)
    chosen = embedding.flatten(0, 1)[: len(embedding)] if mode == "official" else embedding[:, 0]
    return stretched(chosen, tokens)


def stretched(values: Tensor, count: int) -> Tensor:
    """Numbers (B,C) linearly interpolated (``align_corners=False``) to ``count`` positions: (B,count,1).

    Through the two-dimensional operator, as the released code, whose rounding of places differs from the 1-D one's.
    """
    column = values[:, None, :, None]
    return F.interpolate(column, (count, 1), mode="bilinear", align_corners=False).squeeze(1)


def spatial_map(raster: Tensor, places: Tensor, dim: int) -> Tensor:
    """The raster of tokens, seen at the places of pixels.

    The C features are averaged in ``dim`` neighbouring groups (adaptive average pooling; without parameters there is no
    better-founded way from 512 to d), then each pixel takes them bilinearly from the raster, as an interpolation of
    the whole raster to the whole image would.

    Args:
        raster: (B,s*s,C) tokens, row by row.
        places: (B,2,h,w): x and y.
        dim: channels d.

    Returns:
        (B,h*w,d).
    """
    side = round(raster.shape[1] ** 0.5)
    features = F.adaptive_avg_pool1d(raster, dim).transpose(1, 2).unflatten(2, (side, side))
    grid = places.permute(0, 2, 3, 1).to(features.dtype)
    seen = F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen.flatten(2).transpose(1, 2)


def whole_places(image: Tensor) -> Tensor:
    """Where the pixels of whole images (B,3,h,w) lie: (B,2,h,w), x and y of their centres, edges at -1 and 1.

    >>> whole_places(torch.zeros(1, 3, 1, 2))[0, 0].tolist()
    [[-0.5, 0.5]]
    """
    axes = [(2 * torch.arange(n, dtype=torch.float32, device=image.device) + 1) / n - 1 for n in image.shape[-2:]]
    y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y]).expand(len(image), -1, -1, -1)


def window_places(top: Tensor, left: Tensor, patch: tuple[int, int], whole: tuple[int, int]) -> Tensor:
    """Where the pixels of patches lie in the images they were cut out of.

    Args:
        top: (B,) rows of the patches' corners.
        left: (B,) columns.
        patch: height and width of the patches.
        whole: height and width of the images.

    Returns:
        (B,2,h,w) as :func:`whole_places`.
    """
    ys = (2 * (top[:, None] + torch.arange(patch[0], device=top.device)) + 1) / whole[0] - 1
    xs = (2 * (left[:, None] + torch.arange(patch[1], device=left.device)) + 1) / whole[1] - 1
    return torch.stack([xs[:, None, :].expand(-1, *patch), ys[:, :, None].expand(-1, *patch)], 1)
