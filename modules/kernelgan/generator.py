"""The deep linear generator, and the one kernel that its layers amount to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

STEP = 2
"""The generator shrinks by 2; x4 is shrinking twice."""


class LinearGenerator(nn.Module):
    """Convolutions without bias, activation or padding, the last of stride 2: 150,656 parameters at the defaults.

    arXiv 1909.06581, section 4.1 and figure 3. A chain of linear layers learns what a single one learns badly; what it
    computes is still one convolution, so that is what is computed: layers of 64 channels meet each other as small
    kernels and never an image. The result differs from the chain's only by rounding.

    Args:
        channels: of the hidden layers.
        sizes: sides of the convolutions, odd, two or more.
        gain: of the Xavier normal initialisation.
    """

    def __init__(self, channels: int = 64, sizes: Sequence[int] = (7, 5, 3, 1, 1, 1), gain: float = 0.1) -> None:
        super().__init__()
        widths = [1, *[channels] * (len(sizes) - 1), 1]
        strides = [1] * (len(sizes) - 1) + [STEP]
        self.layers = nn.Sequential(
            *(
                nn.Conv2d(inputs, outputs, side, stride=stride, bias=False)
                for (inputs, outputs), side, stride in zip(pairwise(widths), sizes, strides, strict=True)
            )
        )
        for weight in self.layers.parameters():
            nn.init.xavier_normal_(weight, gain)

    def kernel(self) -> Tensor:
        """The kernel (k,k) that all layers amount to, differentiable; ``conv2d`` correlates with it.

        Composed from the last layer towards the first, which keeps one output channel throughout. The stride belongs to
        the last layer, which is 1x1 as published; with a larger one the composition is the same.
        """
        first, *rest = reversed(list(self.layers.parameters()))
        whole: Tensor = first
        for weight in rest:
            # whole (1,c,n,n) reads the c outputs of weight (c,d,m,m): the full convolution of both, (1,d,n+m-1,n+m-1).
            whole = F.conv_transpose2d(whole, weight)
        return whole[0, 0]

    def forward(self, images: Tensor) -> Tensor:
        """Shrinks (B,C,h,w), every channel by itself, to (B,C,(h-k)//2+1,(w-k)//2+1)."""
        return self.applied(self.kernel(), images)

    def applied(self, kernel: Tensor, images: Tensor) -> Tensor:
        """As :meth:`forward`, with what :meth:`kernel` gave before."""
        return correlated(images, kernel, STEP)


def correlated(images: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """Every channel of (B,C,h,w) correlated with (k,k) where the kernel lies inside, every ``stride``-th result."""
    planes = images.reshape(-1, 1, *images.shape[-2:])
    made = F.conv2d(planes, kernel[None, None].to(images), stride=stride)
    return made.reshape(*images.shape[:-2], *made.shape[-2:])
