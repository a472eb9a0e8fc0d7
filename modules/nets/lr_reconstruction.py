"""The network that both LWay and HR-aware pre-train: lq again, from lq's degradation and the good image (Eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.degradation_encoder import DegradationEncoder
from srbench.modules.nets.modulated_reconstructor import EntryKind, Reconstructor, ReconstructorEntry
from srbench.naming import unknown_name

ReconSpace = Literal["lr", "hr"]
Preset = Literal["paper", "small"]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the parts.

    Attributes:
        features: channels of every part.
        deg_blocks: residual blocks of E_deg.
        img_blocks: of E_img, which HR-aware alone has.
        r_blocks: of R.
        embedding: length of the vector that E_deg makes.
    """

    features: int = 64
    deg_blocks: int = 16
    img_blocks: int = 6
    r_blocks: int = 4
    embedding: int = 512


PRESETS: dict[str, Sizes] = {
    "paper": Sizes(),
    "small": Sizes(features=16, deg_blocks=2, img_blocks=2, r_blocks=2, embedding=64),
}
"""``paper``: HR-aware, section 5.1, and DegAE's code for R; ``small`` is for trials on a CPU."""


class LRReconstruction(nn.Module):
    """X' = R(s * E_deg(X), E_img(Y)), HR-aware's Eq. 4; without E_img and s it is LWay's (Eq. 2).

    Args:
        e_deg: the degradation encoder.
        r: the reconstructor; takes what ``e_img`` gives, or RGB without one.
        e_img: the image encoder; None hands the image itself on.
        r_entry: from gt's size to lq's, for ``space`` lr alone.
        space: ``lr`` works at lq's size: E_deg sees lq, R makes lq. ``hr`` works at gt's size, as LWay does: lq is
            enlarged by the bicubic filter first, and R makes the enlarged lq.

    Raises:
        InputError: another space, or an entry that does not go with it.
    """

    def __init__(
        self,
        e_deg: DegradationEncoder,
        r: Reconstructor,
        *,
        e_img: nn.Module | None = None,
        r_entry: ReconstructorEntry | None = None,
        space: ReconSpace = "lr",
    ) -> None:
        super().__init__()
        if space not in ("lr", "hr") or (space == "lr") != (r_entry is not None):
            raise InputError(
                f"space {space!r} {'with' if r_entry is not None else 'without'} an entry of R is impossible",
                where="model.init_args.recon_space",
                remedy="use lr, with an entry, or hr, without",
            )
        self.e_deg = e_deg
        self.e_img = e_img
        self.r_entry = r_entry
        self.r = r
        self.space = space

    def parts(self) -> dict[str, nn.Module]:
        """The parts that are there, by the names ``e_deg``, ``e_img``, ``r_entry`` and ``r``."""
        return dict(self.named_children())

    def target(self, lq: Tensor, image: Tensor) -> Tensor:
        """What is to be made again: ``lq`` (B,3,h,w) in [0,1], in the space ``hr`` at the size of ``image``."""
        return lq if self.space == "lr" else enlarged(lq, image)

    def image_features(self, image: Tensor) -> Tensor:
        """e_im: E_img's features (B,C,H,W) of the good image (B,3,H,W), or that image itself."""
        return image if self.e_img is None else self.e_img(image)

    def forward(
        self,
        target: Tensor,
        features: Tensor,
        s: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The reconstruction, as large as ``target``, not clamped.

        Args:
            target: what :meth:`target` gives; E_deg sees it.
            features: what :meth:`image_features` gives.
            s: the controller, (B,embedding); None leaves the embedding as it is.
            generator: draws R's noise; None leaves it out.

        Raises:
            InputError: the images are too small for E_deg.
        """
        embedding = self.e_deg(target)
        if s is not None:
            embedding = s * embedding
        return self.r(features if self.r_entry is None else self.r_entry(features), embedding, generator)


def enlarged(lq: Tensor, image: Tensor) -> Tensor:
    """``lq`` in [0,1] by the bicubic filter at the size of ``image``, clamped to [0,1]; where it has it, itself."""
    size = (image.shape[-2], image.shape[-1])
    if tuple(lq.shape[-2:]) == size:
        return lq
    return F.interpolate(lq, size, mode="bicubic", align_corners=False).clamp(0, 1)


def lr_reconstruction(
    sizes: Sizes,
    *,
    e_img: nn.Module | None = None,
    space: ReconSpace = "lr",
    entry: EntryKind = "unshuffle",
    scale: int = 4,
    demodulate: bool = True,
) -> LRReconstruction:
    """The network with parts of the given sizes.

    Args:
        sizes: of E_deg and R; ``e_img`` has its own.
        e_img: the image encoder, of ``sizes.features`` channels; None feeds R with RGB.
        space: see :class:`LRReconstruction`.
        entry: kind of R's entry, for ``space`` lr.
        scale: from lq to gt.
        demodulate: see :class:`~srbench.modules.nets.modulated_reconstructor.ModulatedConv`.
    """
    channels = 3 if e_img is None else sizes.features
    return LRReconstruction(
        DegradationEncoder(sizes.features, sizes.deg_blocks, sizes.embedding),
        Reconstructor(channels, sizes.features, sizes.r_blocks, sizes.embedding, demodulate=demodulate),
        e_img=e_img,
        r_entry=ReconstructorEntry(channels, scale, entry) if space == "lr" else None,
        space=space,
    )


def sizes_of(preset: str) -> Sizes:
    """The sizes of that name.

    Raises:
        InputError: there are none.
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS, where="model.init_args.preset")
    return PRESETS[preset]
