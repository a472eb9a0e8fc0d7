"""``srbench analyze activation``: average activation maps of a layer (DACESR, Fig. 8)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.analysis.colours import beside, coloured, enlarged
from srbench.errors import InputError
from srbench.findings import Findings
from srbench.images import Pixels, by_stem, list_images, read_image, to_tensor

if TYPE_CHECKING:
    from torch import Tensor

    from srbench.analysis.feature_maps import Answer
    from srbench.module import SRModule

ANALYSIS = {
    "name": "activation",
    "summary": "average activation maps of a layer",
    "model": True,
}

_LEAST = 256
"""Pictures are enlarged by a whole factor up to about this side."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the analysis' options."""
    parser.add_argument("--images", metavar="PATH", nargs="+", required=True, help="lq: files and folders")
    parser.add_argument("--layer", metavar="NAME", required=True, help="of the model's modules, e.g. net.conv_first")
    parser.add_argument("--tokens", metavar="ROWSxCOLUMNS", help="raster of a layer that gives tokens (as lq)")
    parser.add_argument("--channels-last", action="store_true", help="the layer gives (B,h,w,C)")
    parser.add_argument(
        "--most", metavar="N", type=int, default=1024, help="shrink maps to N pixels a side (%(default)s)"
    )


def run(given: argparse.Namespace, model: SRModule, progress: Callable[[int, int], None]) -> Findings:
    """Restores every image and averages what the layer gave over its channels.

    Returns:
        ``activation.csv``, a row per image with the mean's statistics before normalising, and a picture per image: lq
        beside the map, normalised by the image's own extremes.

    Raises:
        InputError: an image, the layer or the raster does not fit.
    """
    from srbench.analysis.feature_maps import answer, channel_mean, normalised, shrunk

    files = _files(given.images)
    raster = _raster(given.tokens)
    if given.most < 1:
        raise InputError(f"maps of {given.most} pixels show nothing", where="--most", remedy="give 1 or more")
    rows: list[dict[str, Any]] = []
    held: dict[str, Any] = {"activation.csv": rows}
    for done, (name, path) in enumerate(files.items(), 1):
        pixels = read_image(path).pixels
        size = (pixels.shape[0], pixels.shape[1])
        found = answer(model, given.layer, to_tensor(pixels)[None].to(model.device))
        values = channel_mean(found.output, size, raster=raster, channels_last=given.channels_last)
        rows.append({**_row(name, given.layer, found, values), "marks": " ".join(model.marks)})
        held[f"activation_{name}.png"] = _picture(pixels, shrunk(normalised(values), given.most))
        progress(done, len(files))
    return Findings(held, [f"{given.layer} of {model.method}: {len(rows)} maps, {rows[0]['runs']} run(s) per image"])


def _files(paths: Sequence[str]) -> dict[str, Path]:
    files = [file for path in map(Path, paths) for file in (list_images(path) if path.is_dir() else [path])]
    return by_stem(files)


def _raster(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise InputError(f"'{text}' is no raster", where="--tokens", remedy="write ROWSxCOLUMNS, e.g. 64x64")
    return int(match[1]), int(match[2])


def _row(name: str, layer: str, found: Answer, values: Tensor) -> dict[str, Any]:
    return {
        "image": name,
        "layer": layer,
        "shape": "x".join(map(str, found.output.shape)),
        "runs": found.runs,
        "height": values.shape[0],
        "width": values.shape[1],
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean()),
        "std": float(values.std(correction=0)),
    }


def _picture(pixels: Pixels, shown: Tensor) -> Pixels:
    """Lq beside the map, both of the larger one's size, and small ones enlarged."""
    size = [max(pixels.shape[side], shown.shape[side]) for side in (0, 1)]
    size = [side * max(1, _LEAST // max(size)) for side in size]
    return beside([enlarged(pixels, *size, smooth=True), enlarged(coloured(shown.numpy()), *size)])
