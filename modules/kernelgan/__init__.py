"""KernelGAN: the blur kernel of one image, estimated from that image alone, for whoever enlarges it with that kernel.

Bell-Kligler, Shocher and Irani, "Blind Super-Resolution Kernel Estimation using an Internal-GAN", NeurIPS 2019
(arXiv 1909.06581). A linear generator shrinks crops of the image by 2 so that a discriminator cannot tell their patches
from the image's own; its layers, convolved with each other, are the kernel. ``KernelGAN`` hands that kernel, and for x4
the one that shrinking twice amounts to, to an ``upscaler`` that takes known kernels (ZSSR in the paper).

Written from the paper and from published settings; the authors' code is for non-commercial use and none of it is here.
Deviations: the generator is applied as the one convolution that its layers amount to, which is the same function at a
fortieth of the work; every random number comes from the image's own generator; an image that nothing can be learnt from
is enlarged with the bicubic kernel and the record says so. Where paper and released settings disagree (boundary and
sparsity terms), :mod:`srbench.modules.kernelgan.constraints` says what is taken.
"""

from srbench.modules.kernelgan.kernelgan import KernelGAN

__all__ = ["KernelGAN"]
