"""SwinIR as a network to train: spandrel's implementation, which has the published layout, for images of any size."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from spandrel.architectures.SwinIR import SwinIR
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.external.padding import Padding

Size = Literal["M", "L"]
Upsampler = Literal["pixelshuffle", "pixelshuffledirect", "nearest+conv"]

SIZES: dict[str, dict[str, Any]] = {
    # Depths, heads and the convolution at the end of each group: SwinIR's main_test_swinir.py.
    "M": {"depths": [6] * 6, "embed_dim": 180, "num_heads": [6] * 6, "resi_connection": "1conv"},
    "L": {"depths": [6] * 9, "embed_dim": 240, "num_heads": [8] * 9, "resi_connection": "3conv"},
}


class SwinIRNet(SwinIR):
    """SwinIR (arXiv 2108.10257) in the published key layout: ``M`` 11.72 M, ``L`` 28.01 M parameters at x4.

    Args:
        scale: 2, 3, 4 or 8 (2, 4 or 8 with ``nearest+conv``).
        size: ``M``, or ``L`` of the larger real-world model.
        upsampler: ``nearest+conv`` (real-world), ``pixelshuffle`` (classical) or ``pixelshuffledirect`` (lightweight).
        window: side of the attention windows; the image is mirrored up to a multiple of it.
        pad: ``multiple`` mirrors only where it is needed; ``flip_always`` as the authors' test script, also where the
            side is divisible (see :mod:`srbench.modules.external.padding`).
        drop_path: rate of stochastic depth at the last block while training.
        depths: blocks per group; None takes the size's.
        dim: channels; None takes the size's.
        heads: attention heads of every group; None takes the size's.

    Raises:
        InputError: the size, scale or upsampler does not exist.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        size: Size = "M",
        upsampler: Upsampler = "nearest+conv",
        window: int = 8,
        pad: Literal["multiple", "flip_always"] = "multiple",
        drop_path: float = 0.1,
        depths: list[int] | None = None,
        dim: int | None = None,
        heads: int | None = None,
    ) -> None:
        _check(scale, size, upsampler)
        own = dict(SIZES[size])
        own["depths"] = own["depths"] if depths is None else depths
        own["embed_dim"] = own["embed_dim"] if dim is None else dim
        own["num_heads"] = [own["num_heads"][0] if heads is None else heads] * len(own["depths"])
        wanted = torch.empty(0).device
        # Spandrel reads values while it builds, and the meta device has none.
        with torch.device("cpu"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.meshgrid")
            super().__init__(
                upscale=scale,
                upsampler=upsampler,
                img_size=64,  # only the size of the masks that are stored; others are computed when they are needed
                window_size=window,
                mlp_ratio=2.0,
                drop_path_rate=drop_path,
                **own,
            )
        self.to(wanted)
        self.padding = Padding(pad, window)

    def forward(self, lq: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] to (B,3,scale*h,scale*w), not clamped."""
        return self.padding.around(super().forward, lq, self.upscale)

    def rename_upstream(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Puts this network's attention masks in place of stored ones, which follow from the training patch's size."""
        own = self.state_dict()
        return {k: own[k] if k.endswith(".attn_mask") and k in own else v for k, v in state.items()}


def _check(scale: int, size: str, upsampler: str) -> None:
    if size not in SIZES:
        raise InputError(f"SwinIR has no size {size!r}", where="SwinIRNet.size", remedy="use M or L")
    if upsampler not in ("pixelshuffle", "pixelshuffledirect", "nearest+conv"):
        raise InputError(
            f"SwinIR has no upsampler {upsampler!r}",
            where="SwinIRNet.upsampler",
            remedy="use nearest+conv, pixelshuffle or pixelshuffledirect",
        )
    if scale not in ((2, 4, 8) if upsampler == "nearest+conv" else (2, 3, 4, 8)):
        raise InputError(f"SwinIR with {upsampler} has no x{scale}", where="SwinIRNet.scale", remedy="use 2, 4 or 8")
