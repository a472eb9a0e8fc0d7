"""SRResNet without batch normalisation (MSRResNet).

Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", CVPR 2017, as
modified by BasicSR: no batch normalisation, a bilinear skip from input to output, LeakyReLU(0.1) around the upsampler.
This is the "SRResNet" (1.52 M parameters) of current tables. No deviation from BasicSR's network is known.
"""

from srbench.modules.srresnet.srresnet import SRResNet

__all__ = ["SRResNet"]
