"""How the field makes lq when no file holds it: MATLAB's bicubic ``imresize`` of 8-bit images."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from srbench.datamodule import Synthesis
from srbench.datamodules.degradations.imresize import Border, imresize
from srbench.images import Pixels


def matlab_bicubic(scale: int, border: Border = "symmetric") -> Synthesis:
    """MATLAB's bicubic shrinking by ``scale``, bit for bit; see :func:`imresize` for the two border rules."""
    return Synthesis(
        origin="matlab_bicubic",
        settings=f"8-bit, border {border}",
        make=partial(_shrink, scale=scale, border=border),
    )


def _shrink(gt: Pixels, *, scale: int, border: Border) -> Pixels:
    small = imresize(torch.from_numpy(gt).permute(2, 0, 1), 1 / scale, border=border)
    return np.ascontiguousarray(small.permute(1, 2, 0).numpy())
