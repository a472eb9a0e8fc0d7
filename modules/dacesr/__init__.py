"""DACESR: Degradation-Aware Conditional Embedding for real-world super-resolution.

Paper and released code (commit 0e98c32 of nathan66666/DACESR) disagree in places; each is named where it matters. Of
stage 1 no code was released: ``REE`` follows the paper and, where that is silent, the code of DAPE (SeeSR, commit
8edecc7), from which it starts. Which degradations are severe is a step of its own, ``srbench.modules.dacesr.select``.
"""

from srbench.modules.dacesr.gan import DACESRGAN
from srbench.modules.dacesr.pixel import DACESRPixel
from srbench.modules.dacesr.ree import REE

__all__ = ["DACESRGAN", "REE", "DACESRPixel"]
