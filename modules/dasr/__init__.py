"""DASR: an SRResNet whose convolutions are mixed of experts, by the degradation that a small network sees in the image.

Liang, Zeng and Zhang, "Efficient and Degradation-Adaptive Network for Real-World Image Super-Resolution", ECCV 2022,
arXiv 2203.14216; https://github.com/csjliang/DASR at b2269e4, Apache-2.0. (Not Wang et al.'s, nor Wei et al.'s method
of the same name.) The authors train in one adversarial stage from SRResNet's weights, copied into every expert;
``DASR`` learns by L1 and the regression of the degradation alone, ``DASRGAN`` as they do. Deviations: settings are
drawn per image instead of per batch with a pool of pairs, so every image's regression target is its own (the released
pool hands out pairs without their targets); experts start from He's initialisation where no SRResNet is given; a moving
average holds the predictor too, where the released one tests the averaged network with the predictor of the last step.
"""

from srbench.modules.dasr.stages import DASR, DASRGAN

__all__ = ["DASR", "DASRGAN"]
