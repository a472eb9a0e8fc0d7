"""DCLS: features deblurred by constrained least squares with a kernel that a network reads from the image.

Luo et al., "Deep Constrained Least Squares for Blind Image Super-Resolution", CVPR 2022, arXiv 2202.07508;
https://github.com/megvii-research/DCLS-SR at 3314f42, MIT. For classical degradations: a Gaussian blur, isotropic
(setting 1, kernels of 21) or anisotropic (setting 2, of 31), and bicubic shrinking. Deviation: Fourier transforms are
``torch.fft``'s, of real images and of all channels at once, on any device.
"""

from srbench.modules.dcls.dcls import DCLS

__all__ = ["DCLS"]
