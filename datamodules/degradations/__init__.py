"""Degradations: how a low-quality image is made from a good one, as torch code that runs on the batch's device.

A leaf: it imports nothing of the other rooms but srbench's errors and contracts, so methods may use it too.
"""

from srbench.datamodules.degradations.imresize import imresize, modcrop

__all__ = ["imresize", "modcrop"]
