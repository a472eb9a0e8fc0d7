"""EDSR: residual blocks without batch normalisation.

Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017. Presets ``baseline``
(16 blocks, 64 features, 1.52 M parameters at x4) and ``full`` (32 blocks, 256 features, residuals times 0.1, 43.09 M).
The network carries BasicSR's names; the authors' own files (``head``, ``body``, ``tail``; range 0..255) load as well.
Deviation: the authors and BasicSR start x4 from their x2 weights, here training starts from scratch unless ``weights``
names a checkpoint.
"""

from srbench.modules.edsr.edsr import EDSR

__all__ = ["EDSR"]
