"""The two ways in which images reach the tagger: as its authors tag photographs, and as SeeSR and DACESR condition.

They differ: the first resizes 8-bit images with antialiasing, the second tensors, twice and without it. Modern
torchvision antialiases tensors by default, which would move the second by 0.025 on average on noise.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def tagging_input(images: Tensor, side: int = 384) -> Tensor:
    """The authors' own preprocessing: each image rounded to 8 bits, resized by Pillow (bilinear), normalised.

    Args:
        images: (B,3,H,W) RGB in [0,1]; no gradient flows back.
        side: of the result.

    Returns:
        (B,3,side,side) in ImageNet's normalisation, on the images' device.
    """
    levels = images.detach().mul(255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    resized = [np.asarray(Image.fromarray(level).resize((side, side), Image.Resampling.BILINEAR)) for level in levels]
    tensor = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float().div(255)
    return normalised(tensor.to(images.device))


def conditioning_input(images: Tensor, side: int = 384, first: int = 512) -> Tensor:
    """SeeSR's and DACESR's preprocessing: to ``first`` x ``first`` whatever the aspect, to ``side``, normalised.

    Args:
        images: (B,3,H,W) RGB in [0,1]; gradients flow.
        side: of the result.
        first: side of the step between.

    Returns:
        (B,3,side,side) in ImageNet's normalisation. Both resizes are bilinear without antialiasing, which is what
        torchvision up to 0.16, the authors' version, did to tensors.
    """
    for size in (first, side):
        if images.shape[-2:] != (size, size):
            images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=False)
    return normalised(images)


def normalised(images: Tensor) -> Tensor:
    """ImageNet's normalisation of (B,3,H,W)."""
    mean, std = (torch.tensor(values, device=images.device, dtype=images.dtype) for values in (_MEAN, _STD))
    return (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
