"""PixelSR and GANSR: both stages, for a network given by its class path."""

from __future__ import annotations

from typing import Any

from torch import nn

from srbench.modules import gan, pixel
from srbench.naming import safe_name


class PixelSR(pixel.PixelSR):
    """Any network, trained by L1: SRResNet, EDSR, RRDB, SwinIR, Mamba, or one of your own.

    Args:
        net: maps lq (B,3,h,w) in [0,1] to sr, not clamped; e.g. ``srbench.modules.rrdb.net.RRDBNet``.
        name: the row's name; None takes the network's class.
        kwargs: see :class:`srbench.modules.pixel.PixelSR`.
    """

    stage = "pixel"

    def __init__(self, net: nn.Module, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(net, **kwargs)
        self.name = safe_name(name or type(net).__name__, kind="method name")

    @property
    def method(self) -> str:
        """``name``, else the network's class."""
        return self.name


class GANSR(gan.AdversarialSR):
    """Any network, trained by L1, perceptual and adversarial losses, starting from its pixel stage.

    Args:
        net: as :class:`PixelSR` takes it.
        discriminator: maps images (B,3,H,W) in [0,1] to logits of any shape.
        name: the row's name; None takes the network's class and ``-GAN``.
        kwargs: see :class:`srbench.modules.gan.AdversarialSR`.
    """

    stage = "gan"

    def __init__(self, net: nn.Module, discriminator: nn.Module, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(net, discriminator, **kwargs)
        self.name = safe_name(name or f"{type(net).__name__}-GAN", kind="method name")

    @property
    def method(self) -> str:
        """``name``, else the network's class and ``-GAN``."""
        return self.name
