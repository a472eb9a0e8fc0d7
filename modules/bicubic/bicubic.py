"""Bicubic upsampling, without parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from srbench.datamodules.degradations.imresize import Border, imresize
from srbench.modules.fixed import FixedSR


class Cubic(nn.Module):
    """MATLAB's ``imresize(lq, scale)`` on pixels in [0,1].

    Args:
        scale: magnification.
        border: ``symmetric`` (MATLAB since about 2012) or ``replicate`` (before); 3 lq pixels at the border differ.
        eight_bit: take lq for the 8-bit image that it is and round after each of the two passes, as MATLAB does.
    """

    def __init__(self, scale: int, border: Border, eight_bit: bool) -> None:
        super().__init__()
        self.scale = scale
        self.border: Border = border
        self.eight_bit = eight_bit

    def forward(self, lq: Tensor) -> Tensor:
        """(B,3,h,w) in [0,1] to (B,3,scale*h,scale*w) in [0,1]."""
        if self.eight_bit:
            pixels = lq.mul(255.0).round().clamp(0.0, 255.0).to(torch.uint8)
            return imresize(pixels, self.scale, border=self.border).to(lq.dtype) / 255.0
        return imresize(lq, self.scale, border=self.border).clamp(0.0, 1.0)


class Bicubic(FixedSR):
    """Bicubic interpolation, pixel for pixel MATLAB's ``imresize`` of 8-bit images.

    Args:
        border: ``symmetric`` (MATLAB since about 2012) or ``replicate`` (before).
        eight_bit: round to 8 bits after each of the two passes, as MATLAB does for 8-bit images; False computes in
            floating point, as MATLAB does after ``im2double`` (0.0015 dB more on Set5).
        kwargs: see :class:`~srbench.module.SRModule`.
    """

    def __init__(self, *, border: Border = "symmetric", eight_bit: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.net = Cubic(self.scale, border, eight_bit)

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w) in [0,1]."""
        return self.net(lq)
