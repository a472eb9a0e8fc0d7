"""Stage 2: the conditioned network learns by L1."""

from __future__ import annotations

from srbench.modules.dacesr.conditioned import Conditioned
from srbench.modules.pixel import PixelSR


class DACESRPixel(Conditioned, PixelSR):
    """DACESR's network trained by L1, as its authors' ``pretrained_mse_model.pth``, which was never published."""

    stage = "pixel"
    base_name = "DACESR-pixel"
    unhashed = (*PixelSR.unhashed, "additions")
