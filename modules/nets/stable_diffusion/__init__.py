"""Stable Diffusion 1.5 and 2.1-base on diffusers' networks: what every method that builds on it needs.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (arXiv 2112.10752). The stage that makes
images is :class:`srbench.modules.latent.LatentSR`; here are its parts, none of which knows of a method. Diffusers
is imported when a network is made.
"""

import logging

from srbench.modules.nets.stable_diffusion.autoencoder import decoded, drawn, moments, normal
from srbench.modules.nets.stable_diffusion.base import Base, expect_base, find_base, need_base
from srbench.modules.nets.stable_diffusion.colour import Colour, adain, corrected, low_frequencies, wavelet
from srbench.modules.nets.stable_diffusion.families import (
    FACTOR,
    FAMILIES,
    MULTIPLE,
    SCALING,
    Family,
    Size,
    context_width,
    make_unet,
    make_vae,
    unet_config,
)
from srbench.modules.nets.stable_diffusion.fitting import fill
from srbench.modules.nets.stable_diffusion.prompts import TextPrompts
from srbench.modules.nets.stable_diffusion.sampling import (
    TRAIN_STEPS,
    Conditions,
    Sampling,
    Start,
    aggregated,
    alpha_bar,
    in_one_step,
    leading_noise,
    make_scheduler,
    noised,
    sample,
)
from srbench.modules.nets.stable_diffusion.tiling import Window, blended, check_tile, gaussian, windows
from srbench.modules.nets.stable_diffusion.trained_state import frozen_names, keep_trained_state

__all__ = [
    "FACTOR",
    "FAMILIES",
    "MULTIPLE",
    "SCALING",
    "TRAIN_STEPS",
    "Base",
    "Colour",
    "Conditions",
    "Family",
    "Sampling",
    "Size",
    "Start",
    "TextPrompts",
    "Window",
    "adain",
    "aggregated",
    "alpha_bar",
    "blended",
    "check_tile",
    "context_width",
    "corrected",
    "decoded",
    "drawn",
    "expect_base",
    "fill",
    "find_base",
    "frozen_names",
    "gaussian",
    "in_one_step",
    "keep_trained_state",
    "leading_noise",
    "low_frequencies",
    "make_scheduler",
    "make_unet",
    "make_vae",
    "moments",
    "need_base",
    "noised",
    "normal",
    "sample",
    "unet_config",
    "wavelet",
    "windows",
]

# Diffusers imports bitsandbytes wherever that is installed, which then warns of kernels that nothing here uses.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
