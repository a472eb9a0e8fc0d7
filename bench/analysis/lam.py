"""``srbench analyze lam``: where in lq a window of sr comes from (DACESR, Fig. 5); see :mod:`.attribution`.

Looked through is ``upscale``, on whole images: what a method computes without gradient (a frozen encoder's view of lq)
changes along the path and counts as given.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srbench.analysis.colours import RED, beside, blended, coloured, enlarged, framed
from srbench.analysis.density import density
from srbench.errors import InputError
from srbench.findings import Findings, Rows
from srbench.images import Pixels, read_image, to_tensor, to_uint8

if TYPE_CHECKING:
    from srbench.analysis.attribution import Attribution, Window
    from srbench.module import SRModule

ANALYSIS = {
    "name": "lam",
    "summary": "local attribution map and diffusion index of a window of sr",
    "model": True,
}

_ALPHA = 0.5
"""Of the overlays, as in the authors' demo."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the analysis' options."""
    parser.add_argument("--image", metavar="FILE", required=True, help="lq")
    parser.add_argument("--at", metavar="X,Y", required=True, help="first column and row of the window, in sr pixels")
    parser.add_argument("--window", metavar="N", type=int, default=16, help="its side in sr pixels (%(default)s)")
    parser.add_argument("--sigma", type=float, default=1.2, help="of the blur that the path begins with (%(default)s)")
    parser.add_argument("--fold", metavar="N", type=int, default=50, help="steps of the path (%(default)s)")
    parser.add_argument("--kernel", metavar="N", type=int, default=9, help="side of the blur kernels (%(default)s)")


def run(given: argparse.Namespace, model: SRModule, progress: Callable[[int, int], None]) -> Findings:
    """Attributes one window of one image.

    Returns:
        ``map.csv`` (x, y, value in [0,1], attribution), ``lam.csv`` (the figures) and ``lam.png``: lq with the window,
        the map, the map and its density over lq, sr.

    Raises:
        InputError: the image, window or path does not fit, or the model has no gradient.
    """
    from srbench.analysis.attribution import BlurPath, Window, attribute, diffusion_index, strength

    window = Window(*_place(given.at), given.window)
    path = BlurPath(given.sigma, given.fold, given.kernel)
    pixels = read_image(given.image).pixels
    found = attribute(model.upscale, to_tensor(pixels).to(model.device), window, path, progress)
    strengths = strength(found.values)
    index = diffusion_index(strengths)
    figures = _figures(model, given, found, index)
    files: dict[str, Rows | Pixels | str] = {
        "map.csv": _rows(strengths, found.values.sum(0).numpy()),
        "lam.csv": [figures],
        "lam.png": _picture(pixels, strengths, found, window),
    }
    told = "attributions sum to {sum:.4g}, the window's detail changed by {growth:.4g} from blurred to sharp lq"
    share = told.format_map(figures)
    return Findings(
        files, [f"diffusion index {index:.3f} ({model.method}, window {given.window} at {given.at})", share]
    )


def _place(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6}),(\d{1,6})", text)
    if match is None:
        raise InputError(f"'{text}' is no place", where="--at", remedy="write X,Y in pixels of sr, e.g. 110,150")
    return int(match[1]), int(match[2])


def _figures(model: SRModule, given: argparse.Namespace, found: Attribution, index: float) -> dict[str, Any]:
    return {
        "method": model.method,
        "image": given.image,
        "at": given.at,
        "window": given.window,
        "sigma": given.sigma,
        "fold": given.fold,
        "kernel": given.kernel,
        "diffusion_index": index,
        "gini": 1 - index / 100,
        "sum": float(found.values.sum()),
        "growth": found.end - found.start,
        "weights_sha256": model.weights_sha256 or "",
        "marks": " ".join(model.marks),
    }


def _rows(strengths: NDArray[Any], attributions: NDArray[Any]) -> list[dict[str, Any]]:
    height, width = strengths.shape
    return [
        {"x": x, "y": y, "value": float(strengths[y, x]), "attribution": float(attributions[y, x])}
        for y in range(height)
        for x in range(width)
    ]


def _picture(pixels: Pixels, strengths: NDArray[Any], found: Attribution, window: Window) -> Pixels:
    sr = to_uint8(found.sr)
    size = sr.shape[:2]
    lq = enlarged(pixels, *size, smooth=True)
    sharp = enlarged(coloured(strengths, RED), *size)
    soft = enlarged(coloured(density(np.asarray(strengths)), RED), *size, smooth=True)
    return beside(
        [
            framed(lq, window.left, window.top, window.side),
            sharp,
            blended(sharp, lq, _ALPHA),
            blended(soft, lq, _ALPHA),
            sr,
        ]
    )
