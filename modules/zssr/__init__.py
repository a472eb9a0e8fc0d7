"""ZSSR: "Zero-Shot" super-resolution using deep internal learning (Shocher, Cohen, Irani, CVPR 2018, arXiv 1712.06087).

Written from the paper and from a description of the released code, whose licence forbids copying. Where the two
disagree the code's numbers stand: eight convolutions in all without bias (the paper speaks of eight hidden layers), and
fathers are warped by any angle, shear and zoom (the paper: turned by quarters, mirrored, shrunk).

Ours: with gradual scales a father is cut from any image made so far, each as likely, and the scales of x2 in six steps
are evenly spaced in both directions at once; a kernel is moved onto MATLAB's grid by cubic splines; learning that
diverges falls back to the best weights measured.
"""

from srbench.modules.zssr.zssr import ZSSR

__all__ = ["ZSSR"]
