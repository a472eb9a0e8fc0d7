"""Degradations: how a low-quality image is made from a good one, as torch code that runs on the batch's device.

A degradation is drawn into a :class:`Recipe` (numpy, an explicit generator) and the recipe is applied (torch, image by
image). A leaf: it imports nothing of the other rooms but srbench's errors and contracts, so methods may use it too.
"""

from srbench.datamodules.degradations.bsrgan import BSRGAN, BSRGANRanges
from srbench.datamodules.degradations.corruptions import CORRUPTIONS, Corruptions
from srbench.datamodules.degradations.from_list import FromList, RecipeList, read_list
from srbench.datamodules.degradations.gaussian import GaussianBlur
from srbench.datamodules.degradations.imresize import imresize, modcrop
from srbench.datamodules.degradations.presets import (
    DACESR,
    DASR,
    Bicubic,
    DeeDSR,
    DeeDSRLevels,
    RealESRGAN,
    StableSRLight,
)
from srbench.datamodules.degradations.recipe import Degraded, Recipe, apply_recipe
from srbench.datamodules.degradations.single import Single

__all__ = [
    "BSRGAN",
    "CORRUPTIONS",
    "DACESR",
    "DASR",
    "BSRGANRanges",
    "Bicubic",
    "Corruptions",
    "DeeDSR",
    "DeeDSRLevels",
    "Degraded",
    "FromList",
    "GaussianBlur",
    "RealESRGAN",
    "Recipe",
    "RecipeList",
    "Single",
    "StableSRLight",
    "apply_recipe",
    "imresize",
    "modcrop",
    "read_list",
]
