"""E_img: the features of the good image that R degrades and that FAR compares with CLIP's."""

from __future__ import annotations

from torch import Tensor, nn

from srbench.modules.nets.residual_block import ResidualBlock


class ImageEncoder(nn.Module):
    """A convolution and residual blocks at the image's resolution (HR-aware, section 5.1: six blocks, 64 channels).

    444,928 parameters with the paper's values.

    Args:
        features: channels.
        blocks: residual blocks.
    """

    def __init__(self, features: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.features = features
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))

    def forward(self, image: Tensor) -> Tensor:
        """The features e_im (B,features,H,W) of images (B,3,H,W) in [0,1]."""
        return self.body(self.conv_first(image))
