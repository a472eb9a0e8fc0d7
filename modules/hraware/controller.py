"""The controller s, by which the quality of an image sets how far the reconstruction degrades it (Eqs. 7 and 8)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.losses.lpips_distance import LPIPSDistance

SMode = Literal["one_minus_hqi", "hqi"]
NEval = Literal[0, "sample"]

BACKBONE = "alexnet"
"""The catalogue's name of the weights below LPIPS-alex."""


class Controller(nn.Module):
    """s = n + (1 - HQI) in pre-training, n + HQI in fine-tuning, n from N(0, I) anew for every sample and step (Eq. 8).

    HQI = 1 - LPIPS(lq enlarged, image) (Eq. 7) is high for an image that stays close to its lq, so for a *poor* one.
    The paper has LPIPS in [0,1]; it is not bounded, so it is clamped. Which LPIPS is not said: AlexNet's here.

    Args:
        mode: ``one_minus_hqi`` or ``hqi``; Table 4 compares them in fine-tuning.
        embedding: length of s.
        n_eval: n where nothing is trained: ``0`` (the paper's Fig. 7 shows one curve), or ``sample``.
        detach: take no gradient through s, so that an image cannot lower the loss by changing its own s.

    Raises:
        InputError: another mode or ``n_eval``.
    """

    def __init__(
        self, mode: SMode = "one_minus_hqi", *, embedding: int = 512, n_eval: NEval = 0, detach: bool = True
    ) -> None:
        super().__init__()
        for name, given, choices in (
            ("s_mode", mode, ("one_minus_hqi", "hqi")),
            ("n_eval", n_eval, (0, "sample")),
        ):
            if given not in choices:
                shown = " or ".join(map(str, choices))
                raise InputError(f"{given!r} is unknown", where=f"model.init_args.{name}", remedy=f"use {shown}")
        self.mode = mode
        self.embedding = embedding
        self.n_eval = n_eval
        self.detach = detach
        self.distance = LPIPSDistance("alex")

    def load(self, path: Path | None) -> None:
        """Fills LPIPS; see :meth:`~srbench.modules.losses.lpips_distance.LPIPSDistance.load`."""
        self.distance.load(path)

    def hqi(self, lq_up: Tensor, image: Tensor) -> Tensor:
        """The high-resolution quality indicator (B,) in [0,1] of images (B,3,H,W) in [0,1] and their enlarged lq."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach):
            return 1 - self.distance(lq_up, image).clamp(0, 1)

    def forward(self, lq_up: Tensor, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The controller s, (B,embedding).

        Args:
            lq_up: lq at the size of ``image``, in [0,1].
            image: gt in pre-training, the restored image in fine-tuning.
            generator: draws n. None takes n as 0, in training mode too.
        """
        hqi = self.hqi(lq_up, image)
        level = hqi if self.mode == "hqi" else 1 - hqi
        s = level[:, None].expand(-1, self.embedding)
        if generator is None or not (self.training or self.n_eval == "sample"):
            return s
        n = torch.randn(s.shape, generator=generator, device=generator.device)
        return s + n.to(s)
