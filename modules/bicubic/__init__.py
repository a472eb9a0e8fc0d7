"""Bicubic interpolation as MATLAB's ``imresize`` computes it: the first row of every table of the field.

Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 1981, a = -0.5. Deviations: none known;
for 8-bit images every pixel equals MATLAB's.
"""

from srbench.modules.bicubic.bicubic import Bicubic

__all__ = ["Bicubic"]
