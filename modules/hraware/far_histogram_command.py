"""``srbench analyze far-histogram``: FAR's values of good and of degraded images (Fig. 8 of HR-aware)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.errors import InputError
from srbench.findings import Findings
from srbench.images import list_images
from srbench.modules.hraware.inputs import labelled, middle, read
from srbench.modules.hraware.pretrain import HRAwarePretrain
from srbench.modules.hraware.trained import trained_stage
from srbench.modules.line_chart import Panel, line_chart, steps

ANALYSIS = {
    "name": "far-histogram",
    "summary": "the feature-alignment regulariser's values of good and of degraded images (HR-aware, Fig. 8)",
    "model": False,
}

CLEAN = "clean"
"""Label of the good images."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--checkpoint", metavar="FILE", help="of stage 1, with FAR")
    parser.add_argument("--clean", metavar="DIR", help="good images (paper: DIV2K's training photographs)")
    parser.add_argument(
        "--degraded", metavar="LABEL=DIR", action="append", default=[],
        help="degraded ones (paper: NTIRE2018's wild, mild and difficult lq); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--enlarge", type=int, default=4, help="degraded images are enlarged so many times, bicubic (%(default)s)"
    )
    parser.add_argument("--crop", type=int, default=256, help="middle of every image; 0 is all of it (%(default)s)")
    parser.add_argument("--bins", type=int, default=30, help="of the histogram (%(default)s)")
    parser.add_argument(
        "--allow-random-backbones", action="store_true", help="a trial without CLIP's weights; the figure is marked"
    )


def run(given: argparse.Namespace, progress: Callable[[int, int], None]) -> Findings:
    """Measures every image.

    Returns:
        ``far.csv``, a row per image with Phi_far and what it comes to without e_im; ``histogram.csv`` and
        ``histogram.svg``.

    Raises:
        InputError: an option, image or checkpoint is unfit, or weights are absent.
    """
    _check(given)
    folders = {CLEAN: given.clean, **labelled(given.degraded, "--degraded")}
    stage = trained_stage(given.checkpoint, allow_random_backbones=given.allow_random_backbones)
    if stage.far is None:
        raise InputError("it was trained without FAR", where=given.checkpoint, remedy="train stage 1 with use_far true")
    stage.to(torch.device(given.device))
    files = [(label, file) for label, folder in folders.items() for file in list_images(folder)]
    rows: list[dict[str, Any]] = []
    for done, (label, file) in enumerate(files, 1):
        image = _image(file, 1 if label == CLEAN else given.enlarge, given.crop)
        rows.append({"set": label, "image": file.stem, **far_of(stage, image.to(stage.device))})
        progress(done, len(files))
    return _findings(rows, given.bins, stage.marks)


@torch.no_grad()
def far_of(stage: HRAwarePretrain, image: Tensor) -> dict[str, float]:
    """``far``, Phi_far of an image (1,3,H,W) in [0,1], and ``constant``, the same without e_im."""
    assert stage.far is not None
    wanted = stage.encoded(image)
    return {
        "far": float(stage.far(stage.net.image_features(image), wanted)),
        "constant": float(stage.far_constant(wanted, stage.far.in_use())),
    }


def exceeds(values: Sequence[float], others: Sequence[float]) -> float:
    """How probably one of ``values`` lies above one of ``others``; ties count half.

    >>> exceeds([1.0, 3.0], [0.0, 2.0])
    0.75
    """
    won = sum((a > b) + 0.5 * (a == b) for a in values for b in others)
    return won / (len(values) * len(others))


def _image(file: Path, enlarge: int, crop: int) -> Tensor:
    image = read(file)
    if crop:
        image = middle(image, crop // enlarge, file)
    if enlarge > 1:
        image = F.interpolate(image, scale_factor=enlarge, mode="bicubic", align_corners=False).clamp(0, 1)
    return image


def _findings(rows: Sequence[dict[str, Any]], bins: int, marks: Sequence[str]) -> Findings:
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["set"], []).append(row["far"])
    table, edges = _histogram(values, bins)
    outlines = {
        label: steps(edges, [row["share"] for row in table if row["set"] == label]) for label in values
    }  # fmt: skip
    title = "FAR of good and degraded images" + (f" ({', '.join(marks)})" if marks else "")
    panel = Panel("share of images", "FAR", outlines, dots=False)
    files: dict[str, Any] = {"far.csv": rows, "histogram.csv": table, "histogram.svg": line_chart([panel], title)}
    lines = []
    for label, mine in values.items():
        above = "" if label == CLEAN else f"; above a clean image's in {exceeds(mine, values[CLEAN]):.1%}"
        lines.append(f"{label}: mean FAR {sum(mine) / len(mine):.4f} of {len(mine)}{above}")
    constant = [row["constant"] for row in rows if row["set"] == CLEAN]
    lines.append(f"without e_im, clean: {sum(constant) / len(constant):.4f}")
    if marks:
        lines.append(f"marked {', '.join(marks)}: part of it is random")
    return Findings(files, lines)


def _histogram(values: Mapping[str, Sequence[float]], bins: int) -> tuple[list[dict[str, Any]], list[float]]:
    """Rows by set and bin, with the shares of the set's images, and the edges that all sets have in common."""
    every = [value for mine in values.values() for value in mine]
    low, high = min(every), max(every)
    width = (high - low or 1.0) / bins
    edges = [low + number * width for number in range(bins + 1)]
    table = []
    for label, mine in values.items():
        places = [min(int((value - low) / width), bins - 1) for value in mine]
        for number in range(bins):
            count = places.count(number)
            table.append({
                "set": label, "low": edges[number], "high": edges[number + 1], "count": count,
                "share": count / len(mine),
            })  # fmt: skip
    return table, edges


def _check(given: argparse.Namespace) -> None:
    for name in ("checkpoint", "clean"):
        if getattr(given, name) is None:
            raise InputError("it is needed", where=f"--{name}", remedy=f"give --{name}")
    for name, least in (("enlarge", 1), ("crop", 0), ("bins", 1)):
        if getattr(given, name) < least:
            raise InputError(f"{getattr(given, name)} is impossible", where=f"--{name}", remedy=f"use {least} or more")
    if CLEAN in (text.partition("=")[0] for text in given.degraded):
        raise InputError(f"'{CLEAN}' is the good images' label", where="--degraded", remedy="use another")
