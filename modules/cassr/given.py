"""What CasSR's stages predict the noise from, for a whole canvas or a window of it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from srbench.modules.nets.stable_diffusion import FACTOR, Window


class Given(NamedTuple):
    """The conditions of some images.

    Attributes:
        text: embeddings (B,77,C).
        opposite: embedding (1,77,C) of the negative prompt.
        images: RGB (B,3,8h,8w) in [0,1] each, for a ControlNet; none leaves the UNet alone.
        hints: for the tuners of the skips, made once of a whole image.
    """

    text: Tensor
    opposite: Tensor
    images: tuple[Tensor, ...] = ()
    hints: list[Tensor] | None = None

    def cropped(self, window: Window) -> Given:
        """Those of a window in latent cells: its pixels, and its part of the hints, which have seen the whole image."""
        images = tuple(window.scaled(FACTOR).of(image) for image in self.images)
        return self._replace(images=images, hints=None if self.hints is None else _windows(self.hints, window))

    def unprompted(self, *, images: bool = True) -> Given:
        """Those of the other side of classifier-free guidance, with or without what the images say."""
        text = self.opposite.expand(len(self.text), -1, -1)
        return self._replace(text=text) if images else self._replace(text=text, images=(), hints=None)


def _windows(hints: list[Tensor], window: Window) -> list[Tensor]:
    # Canvas and windows are divisible by 8 cells, so every hint's window begins and ends on one of its own.
    shrunk = [hints[0].shape[-1] // hint.shape[-1] for hint in hints]
    return [Window(*(edge // by for edge in window)).of(hint) for hint, by in zip(hints, shrunk, strict=True)]
