"""The fully convolutional discriminator: is the patch around each pixel one of the image's own?"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn.utils import spectral_norm


class PatchJudge(nn.Module):
    """One convolution as large as a patch, then 1x1 convolutions: no pixel of the map sees beyond its own 7x7 patch.

    arXiv 1909.06581, section 4.1 and figure 4: spectral normalisation, batch normalisation, ReLU and a final sigmoid.

    Args:
        channels: of the hidden layers.
        size: side of a patch.
        blocks: 1x1 convolutions with batch normalisation.
        gain: of the Xavier normal initialisation.
    """

    def __init__(self, channels: int = 64, size: int = 7, blocks: int = 5, gain: float = 0.1) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, channels, size, gain)]
        for _ in range(blocks):
            layers += [_conv(channels, channels, 1, gain), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, _conv(channels, 1, 1, gain), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,h,w) in [-1,1] to a map (B,1,h-size+1,w-size+1) in [0,1]; 1 is a patch of the image itself."""
        return cast(Tensor, self.layers(images))


def _conv(inputs: int, outputs: int, side: int, gain: float) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, side)
    nn.init.xavier_normal_(conv.weight, gain)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return spectral_norm(conv)
