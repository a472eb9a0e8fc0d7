"""A degradation in words, as the prompt of Table 3's variant (4): "medium blur, downsample, light noise, ...".

The paper follows Chen et al., "Image Super-Resolution with Text Prompt Diffusion" (arXiv 2311.14282), where every
operation is named in its order and its strength is light, medium or heavy. Where these begin the paper does not say;
the borders of Table 6 are taken here, for Poisson noise thirds of its range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from srbench.errors import InputError

LEVELS = ("light", "medium", "heavy")

# Table 6: where medium and heavy begin, the first and any further time that the operation occurs.
_BLUR = ((0.6, 1.1), (0.6, 1.1))
_NOISE = ((5.0, 10.0), (4.0, 8.0))
_POISSON = ((0.7, 1.35), (0.37, 0.68))  # thirds of [0.05, 2] and [0.05, 1]
_QUALITY = ((81.0, 70.0), (86.0, 73.0))


def in_words(recipe: Mapping[str, Any]) -> str:
    """What was done to an image.

    Args:
        recipe: as ``batch["degradation"]`` carries it: ``{"steps": [{"step": "blur", ...}, ...]}``.

    Returns:
        The operations in their order, separated by commas; clipping, rounding and sharpening go without saying.

    Raises:
        InputError: it is no recipe.
    """
    steps = recipe.get("steps")
    if not isinstance(steps, (list, tuple)):
        raise InputError("a degradation recipe needs a list of steps", remedy="write it with Recipe.as_dict")
    return ", ".join(_words(steps))


def _words(steps: Any) -> Iterator[str]:
    blurs, noises, jpegs = count(), count(), count()
    height: int | None = None
    for step in steps:
        match step["step"]:
            case "blur" if step["kernel"]["kind"] == "sinc":
                yield "ringing"
            case "blur":
                kernel = step["kernel"]
                yield f"{_level(max(kernel['sigma_x'], kernel['sigma_y']), _BLUR, next(blurs))} blur"
            case "decimate" | "matlab_resize":
                yield "upsample" if step.get("scale", 0) > 1 else "downsample"
            case "resize":
                larger = step["scale"] > 1 if step["scale"] else height is not None and step["height"] > height
                height = step["height"]
                yield "upsample" if larger else "downsample"
            case "gaussian_noise":
                yield f"{_level(step['sigma'], _NOISE, next(noises))} noise"
            case "poisson_noise":
                yield f"{_level(step['scale'], _POISSON, next(noises))} noise"
            case "correlated_noise":
                next(noises)
                yield "heavy noise"
            case "jpeg":
                lost = tuple((-medium, -heavy) for medium, heavy in _QUALITY)
                yield f"{_level(-step['quality'], lost, next(jpegs))} compression"


def _level(value: float, borders: tuple[tuple[float, float], ...], nth: int) -> str:
    medium, heavy = borders[min(nth, len(borders) - 1)]
    return LEVELS[(value > medium) + (value > heavy)]
