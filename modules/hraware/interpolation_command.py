"""``srbench analyze reconstruction-interpolation``: Fig. 7 of HR-aware for checkpoints of its stage 1."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import torch

from srbench.errors import InputError
from srbench.findings import Findings
from srbench.modules.hraware.inputs import labelled, pairs_of, read_pair
from srbench.modules.hraware.interpolation import reconstructions, slope
from srbench.modules.hraware.trained import trained_stage
from srbench.modules.line_chart import Panel, line_chart
from srbench.modules.losses.lpips_distance import LPIPSDistance

ANALYSIS = {
    "name": "reconstruction-interpolation",
    "summary": "how well lq is made again of images between gt and the enlarged lq (HR-aware, Figs. 2b and 7)",
    "model": False,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--checkpoint", metavar="LABEL=FILE", action="append", default=[],
        help="of stage 1, with and without s; the paper's have no FAR; may be repeated",
    )  # fmt: skip
    parser.add_argument("--gt", metavar="DIR", help="folder of gt")
    parser.add_argument("--lq", metavar="DIR", help="folder of their lq, of equal names")
    parser.add_argument("--points", type=int, default=11, help="ratios i from 0 to 1 (%(default)s)")
    parser.add_argument(
        "--crop", type=int, default=64, help="middle of every lq, in its pixels; 0 is all (%(default)s)"
    )
    parser.add_argument(
        "--allow-random-backbones", action="store_true", help="a trial without LPIPS' weights; the figure is marked"
    )


def run(given: argparse.Namespace, progress: Callable[[int, int], None]) -> Findings:
    """Makes every lq again of every mixture by every checkpoint.

    Returns:
        ``reconstructions.csv``, a row per checkpoint, image and ratio; ``means.csv``; ``interpolation.svg``.

    Raises:
        InputError: an option, image or checkpoint is unfit, or weights are absent.
    """
    if given.points < 2 or given.crop < 0:
        raise InputError(
            "a curve needs two points or more", where="--points", remedy="use 2 or more, and a crop from 0"
        )
    checkpoints = labelled(given.checkpoint, "--checkpoint")
    pairs = pairs_of(given.gt, given.lq)
    ratios = [number / (given.points - 1) for number in range(given.points)]
    device = torch.device(given.device)
    rows: list[dict[str, Any]] = []
    marks: list[str] = []
    for number, (label, path) in enumerate(checkpoints.items()):
        stage = trained_stage(path, allow_random_backbones=given.allow_random_backbones)
        distance = LPIPSDistance("alex")
        distance.load(stage.backbone(distance.backbone))
        distance.to(device)
        stage.to(device)
        marks += [mark for mark in stage.marks if mark not in marks]
        for done, (name, gt, lq) in enumerate(pairs, 1):
            low, high = read_pair(gt, lq, stage.scale, given.crop)
            for one in reconstructions(stage, low.to(device), high.to(device), ratios, distance):
                rows.append({"checkpoint": label, "image": name, **one._asdict()})
            progress(number * len(pairs) + done, len(checkpoints) * len(pairs))
    return _findings(rows, marks)


def _findings(rows: Sequence[dict[str, Any]], marks: Sequence[str]) -> Findings:
    means, lines = [], []
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {"psnr": {}, "lpips": {}}
    for label in dict.fromkeys(row["checkpoint"] for row in rows):
        mine = [row for row in rows if row["checkpoint"] == label]
        for i in dict.fromkeys(row["i"] for row in mine):
            here = [row for row in mine if row["i"] == i]
            mean = {name: sum(row[name] for row in here) / len(here) for name in curves}
            means.append({"checkpoint": label, "i": i, "n": len(here), **mean})
            for name, value in mean.items():
                curves[name].setdefault(label, []).append((i, value))
        slopes = {name: slope(curve[label]) for name, curve in curves.items()}
        lines.append(f"{label}: over i, PSNR changes by {slopes['psnr']:+.3f} dB and LPIPS by {slopes['lpips']:+.4f}")
    title = "lq made again of gt mixed with the enlarged lq" + (f" ({', '.join(marks)})" if marks else "")
    across = "i, the share of the enlarged lq"
    panels = [Panel("PSNR in dB", across, curves["psnr"]), Panel("LPIPS", across, curves["lpips"])]
    files: dict[str, Any] = {
        "means.csv": means,
        "reconstructions.csv": rows,
        "interpolation.svg": line_chart(panels, title),
    }
    if marks:
        lines.append(f"marked {', '.join(marks)}: part of it is random")
    return Findings(files, lines)
