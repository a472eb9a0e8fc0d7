"""The frozen autoencoder as a method uses it: in tiles, in half precision, its latents kept for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.stable_diffusion.autoencoder import decoded, drawn, moments
from srbench.modules.nets.stable_diffusion.families import make_vae
from srbench.modules.nets.stable_diffusion.latent_store import LatentStore
from srbench.modules.nets.stable_diffusion.precision import Failed, cast, guarded


class Codec(Frozen):
    """Stable Diffusion's autoencoder.

    Args:
        size: ``full`` or ``tiny``.
        tile: side in pixels of what is encoded or decoded at once; None takes the whole.
        overlap: of neighbouring tiles.
        store: where latents of training images are kept; None keeps none.

    Attributes:
        format: number format that it computes in; float32 until :meth:`use`.
    """

    def __init__(self, size: str, tile: int | None = None, overlap: int = 0, store: LatentStore | None = None) -> None:
        super().__init__(make_vae(size))
        self.tile, self.overlap, self.store = tile, overlap, store
        self.format = torch.float32

    def use(self, format: torch.dtype) -> None:
        """Computes in ``format`` from now on."""
        self.format = format
        cast(self.net, format)

    def encode(self, image: Tensor, generator: torch.Generator, failed: Failed) -> Tensor:
        """Scaled latents (1,4,H/8,W/8) of ``image`` (1,3,H,W) in [-1,1], drawn by ``generator``.

        Args:
            image: sides divisible by 8.
            generator: on the CPU.
            failed: told what had to be computed again in float32, because it was not finite.
        """

        def make() -> Tensor:
            return moments(self.net, image, tile=self.tile, overlap=self.overlap)

        return drawn(guarded(make, self.net, self.format, "encoded", failed), [generator])

    def decode(self, latents: Tensor, failed: Failed) -> Tensor:
        """The image (1,3,8h,8w), about [-1,1], of scaled ``latents`` (1,4,h,w); see :meth:`encode`."""

        def make() -> Tensor:
            return decoded(self.net, latents, tile=self.tile, overlap=self.overlap)

        return guarded(make, self.net, self.format, "decoded", failed)

    @torch.no_grad()
    def training_latents(self, image: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Scaled latents (B,4,H/8,W/8) of ``image`` (B,3,H,W) in [-1,1], untiled, each drawn by its own generator."""
        if self.store is None:
            return drawn(moments(self.net, image), generators)
        return drawn(self.store.moments(self.net, image), generators)
