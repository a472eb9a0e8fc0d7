"""From a scene to small pictures for a page: the part where the methods differ most, encoded."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from srbench.errors import InputError
from srbench.report.pictures import PictureSet, Pixels

SIDE = 256
"""Largest side of a picture on the page, in pixels of the truth."""


def crops(scene: PictureSet, side: int = SIDE) -> dict[str, Pixels]:
    """The same window of every image of the scene, at most ``side`` pixels high and wide.

    The window lies where the methods are farthest from the truth (from each other, where there is none).

    Raises:
        InputError: two images of the scene have different sizes.
    """
    images = {label: image for label, image in scene.images.items() if label != "lq"}
    sizes = {label: image.shape[:2] for label, image in images.items()}
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"{label} {w}x{h}" for label, (h, w) in sizes.items()) or "only lq"
        raise InputError(
            f"the images have different sizes: {shown}", where=scene.name, remedy="test all methods on the same files"
        )
    height, width = next(iter(sizes.values()))
    top, left = _window(_difference(images), min(side, height), min(side, width))
    whole = {
        label: _enlarged(image, height, width) if label == "lq" else image for label, image in scene.images.items()
    }
    return {label: image[top : top + side, left : left + side] for label, image in whole.items()}


def data_uri(pixels: Pixels, *, lossless: bool) -> str:
    """The picture as a ``data:`` address: WebP (quality 90 unless ``lossless``), PNG where Pillow lacks WebP."""
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if not features.check("webp"):
        image.save(out, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(out, "WEBP", lossless=lossless, quality=60 if lossless else 90, method=3)
        kind = "webp"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


def _enlarged(image: Pixels, height: int, width: int) -> Pixels:
    """Nearest neighbour, so that every pixel of lq stays visible as a block."""
    rows = np.arange(height) * image.shape[0] // height
    columns = np.arange(width) * image.shape[1] // width
    return image[rows][:, columns]


def _difference(images: Mapping[str, Pixels]) -> NDArray[np.float64]:
    """(H,W): mean absolute distance of the methods from the truth, or from their mean."""
    grey = {label: image.astype(np.float64).mean(axis=2) for label, image in images.items()}
    made = [image for label, image in grey.items() if label != "gt"] or list(grey.values())
    centre = grey.get("gt", np.mean(made, axis=0))
    return np.asarray(np.mean([np.abs(image - centre) for image in made], axis=0))


def _window(difference: NDArray[np.float64], height: int, width: int, step: int = 8) -> tuple[int, int]:
    """Top left corner of the window with the largest sum, on a grid of ``step``; the middle one of equals."""
    total = np.pad(difference.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    tops = np.arange(0, difference.shape[0] - height + 1, step)
    lefts = np.arange(0, difference.shape[1] - width + 1, step)
    below, right = (tops + height)[:, None], (lefts + width)[None, :]
    sums = total[below, right] - total[tops[:, None], right] - total[below, lefts] + total[tops[:, None], lefts]
    best = np.argwhere(sums >= sums.max() * (1 - 1e-12))
    row, column = best[len(best) // 2]
    return int(tops[row]), int(lefts[column])
