"""EDSR's network under the name that configs know it by; it lies with the shared nets, as HR-aware looks through it."""

from srbench.modules.nets.edsr import RGB_MEAN, EDSRNet, ResidualBlock, from_authors, upsampler

__all__ = ["RGB_MEAN", "EDSRNet", "ResidualBlock", "from_authors", "upsampler"]
