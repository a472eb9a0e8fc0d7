"""``srbench analyze semantic``: what a detector or segmenter sees in restored images (DeeDSR, Table 2)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import InputError
from srbench.findings import Findings
from srbench.images import by_stem, list_images, read_image, read_size

if TYPE_CHECKING:
    from srbench.analysis.semantic_scores import Scorer
    from srbench.analysis.semantic_truth import Truth
    from srbench.analysis.semantic_vision import Vision

ANALYSIS = {
    "name": "semantic",
    "summary": "what a detector or segmenter sees in restored images: AP of boxes and masks, PQ, mean IoU",
    "model": False,
}

UNTRAINED = " (untrained detector)"
"""Behind a method's name where the detector has random weights, so that no table takes the figures for its own."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("--images", metavar="NAME=DIR", action="append", default=[], help="a method's restored images, to look at")
    add(
        "--predictions",
        metavar="NAME=DIR",
        action="append",
        default=[],
        help="what another program saw in them: detections.json (COCO results), panoptic.json with its PNGs, or both",
    )
    add("--annotations", metavar="FILE", help="objects, e.g. instances_val2017.json")
    add("--panoptic", metavar="FILE", help="segments, e.g. panoptic_val2017.json")
    add("--maps", metavar="DIR", help="its PNGs (the folder of its name)")
    add(
        "--side",
        type=int,
        default=512,
        help="images are squares of this side, to which annotations are stretched, as the paper resizes its images; "
        "0: images have the annotations' own size (%(default)s)",
    )
    add("--detector", metavar="NAME", help="of torchvision, e.g. maskrcnn_resnet50_fpn")
    add("--weights", metavar="FILE", help="its weights (the catalogue's)")
    add("--transformers", metavar="DIR", help="a detector or panoptic segmenter that transformers saved")
    add("--random", action="store_true", help="untrained networks, for a trial; the method's name says so")
    add("--partial", action="store_true", help="score the annotated images that are there, not all of them")


def run(given: argparse.Namespace, progress: Callable[[int, int], None]) -> Findings:
    """Scores each method's images or predictions.

    Returns:
        ``semantic.csv`` with ``method,variant,metric,value`` (percent; metrics named as the paper prints them), for
        ``srbench table --outside``, and ``images``, ``side`` and ``by``: how many, how large, and who looked.

    Raises:
        InputError: an option, folder, annotation, prediction or network is unfit.
    """
    images, files = _named(given.images, "--images"), _named(given.predictions, "--predictions")
    _check(given, images, files)
    from srbench.analysis.semantic_files import score_files
    from srbench.analysis.semantic_truth import Truth

    rows: list[dict[str, Any]] = []
    for name, folder in images.items():
        truth = Truth(given.annotations, given.panoptic, given.maps, side=given.side)
        pictures = _paired(folder, truth, partial=given.partial)
        for vision in _visions(given, truth):
            scorer = _looked(vision, truth, pictures, progress)
            shown = f"{name}{UNTRAINED}" if given.random else name
            rows += _rows(shown, scorer, truth, vision.name, where=folder)
    for name, folder in files.items():
        truth = Truth(given.annotations, given.panoptic, given.maps, side=given.side)
        scorer = score_files(folder, truth, progress)
        rows += _rows(name, scorer, truth, "predictions", where=folder)
    lines = [f"{r['method']}: {r['metric']} {r['value']:.2f} ({r['images']} images, {r['by']})" for r in rows]
    return Findings({"semantic.csv": rows}, lines)


def _check(given: argparse.Namespace, images: dict[str, str], files: dict[str, str]) -> None:
    if not images and not files:
        raise InputError("nothing to score", where="--images", remedy="give --images or --predictions NAME=DIR")
    if images and not (given.detector or given.transformers):
        raise InputError("nobody to look at the images", where="--detector", remedy="give it, or --transformers")
    if given.side < 0:
        raise InputError(f"{given.side} is impossible", where="--side", remedy="use 0 or more")
    if doubled := sorted(images.keys() & files.keys()):
        raise InputError("it has both images and predictions", where=doubled[0], remedy="use two names")
    if given.partial and files:
        raise InputError("--partial goes with --images", where="--partial", remedy="score predictions of all images")
    try:
        import pycocotools  # noqa: F401
    except ImportError as error:
        raise InputError(
            "pycocotools is not installed", where="srbench analyze semantic", remedy="pip install 'srbench[semantic]'"
        ) from error


def _named(given: list[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise InputError(f"{text!r} is no NAME=DIR", where=option, remedy=f"write {option} DeeDSR=sr/DeeDSR")
        if name in found:
            raise InputError("two folders have this name", where=name, remedy="use two names")
        if not Path(folder).is_dir():
            raise InputError("there is no such folder", where=folder, remedy=f"give {option} NAME=DIR")
        found[name] = folder
    return found


def _paired(folder: str, truth: Truth, *, partial: bool) -> dict[str, Path]:
    """The images of a folder by the names of the pictures that they restore; all have their size."""
    files = by_stem(sorted(list_images(folder)))
    unknown = sorted(files.keys() - truth.pictures.keys())
    if unknown:
        what = f"{len(unknown)} of {len(files)} images are not annotated (first {unknown[0]})"
        raise InputError(what, where=folder, remedy="give images named as the annotations name them")
    absent = sorted(truth.pictures.keys() - files.keys())
    if absent and not partial:
        what = f"{len(absent)} of {len(truth.pictures)} annotated images are missing (first {absent[0]})"
        raise InputError(what, where=folder, remedy="restore all of them, or give --partial")
    truth.keep(files)
    sizes = {name: read_size(file) for name, file in files.items()}
    odd = sorted(name for name, size in sizes.items() if size != truth.pictures[name].size)
    if odd:
        (height, width), (high, wide) = sizes[odd[0]], truth.pictures[odd[0]].size
        what = f"{len(odd)} images have another size (first {odd[0]}: {height}x{width}, not {high}x{wide})"
        raise InputError(what, where=folder, remedy="give --side: the images' side, or 0 for the annotations' own size")
    return files


def _visions(given: argparse.Namespace, truth: Truth) -> Iterator[Vision]:
    from srbench.analysis.semantic_vision import torchvision_detector, transformers_vision

    more = {"random": given.random, "device": given.device}
    if given.detector:
        yield torchvision_detector(given.detector, truth, weights=given.weights, **more)
    if given.transformers:
        yield transformers_vision(given.transformers, truth, **more)


def _looked(vision: Vision, truth: Truth, files: dict[str, Path], progress: Callable[[int, int], None]) -> Scorer:
    from srbench.analysis.semantic_scores import Scorer

    scorer = Scorer(truth)
    for done, (name, file) in enumerate(files.items(), 1):
        picture = truth.pictures[name]
        seen = vision.look(picture, read_image(file).pixels)
        if truth.has_instances:
            scorer.add_objects(seen.objects, seen.kinds)
        if truth.has_panoptic and seen.panoptic is not None:
            scorer.add_panoptic(picture, seen.panoptic)
        progress(done, len(files))
    return scorer


def _rows(name: str, scorer: Scorer, truth: Truth, by: str, *, where: str) -> list[dict[str, Any]]:
    values = scorer.values()
    if not values:
        raise InputError(
            f"nothing that {by} gives has annotations to be scored against",
            where=where,
            remedy="objects need --annotations, segments --panoptic",
        )
    rest = {"images": len(truth.pictures), "side": truth.side, "by": by}
    return [
        {"method": name, "variant": "", "metric": metric, "value": value, **rest} for metric, value in values.items()
    ]
