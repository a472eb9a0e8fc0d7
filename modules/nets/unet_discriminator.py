"""The U-Net discriminator with spectral normalisation of Real-ESRGAN, in the key layout of its published files."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from srbench.errors import InputError


class UNetDiscriminator(nn.Module):
    """Judges every pixel: three steps down, three up, skips between (arXiv 2107.10833, figure 6).

    Real-ESRGAN's ``UNetDiscriminatorSN`` and KAIR's ``Discriminator_UNet``: 4,376,897 parameters at 64 features.
    Spectral normalisation keeps the names of published files (``weight_orig``, ``weight_u``, ``weight_v``).

    Args:
        features: channels at full resolution, doubled at each step down.
        skip: add what came before a step down after the matching step up.
    """

    def __init__(self, features: int = 64, skip: bool = True) -> None:
        super().__init__()
        self.skip = skip
        self.conv0 = nn.Conv2d(3, features, 3, padding=1)
        self.conv1 = _down(features, features * 2)
        self.conv2 = _down(features * 2, features * 4)
        self.conv3 = _down(features * 4, features * 8)
        self.conv4 = _same(features * 8, features * 4)
        self.conv5 = _same(features * 4, features * 2)
        self.conv6 = _same(features * 2, features)
        self.conv7 = _same(features, features)
        self.conv8 = _same(features, features)
        self.conv9 = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """One logit per pixel, (B,1,H,W), of images (B,3,H,W) in [0,1].

        Raises:
            InputError: the sides are no multiples of 8.
        """
        height, width = image.shape[-2:]
        if height % 8 or width % 8:
            raise InputError(
                f"the U-Net discriminator cannot judge {width}x{height} pixels",
                where="data.init_args.patch_size",
                remedy="use a patch_size divisible by 8",
            )
        levels = [_leaky(self.conv0(image))]
        for conv in (self.conv1, self.conv2, self.conv3):
            levels.append(_leaky(conv(levels[-1])))
        x = levels.pop()
        for conv in (self.conv4, self.conv5, self.conv6):
            x = _leaky(conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)))
            same_size = levels.pop()
            x = x + same_size if self.skip else x
        return self.conv9(_leaky(self.conv8(_leaky(self.conv7(x)))))


def _down(inputs: int, outputs: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False))


def _same(inputs: int, outputs: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)
