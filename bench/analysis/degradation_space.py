"""``srbench analyze degradation-space``: whether an encoder tells degradations apart (DeeDSR, Fig. 6b and Table 6)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srbench.errors import InputError
from srbench.findings import Findings
from srbench.images import by_stem, list_images, read_image, to_tensor

if TYPE_CHECKING:
    from torch import Tensor

    from srbench.degradation import Degradation
    from srbench.module import SRModule

ANALYSIS = {
    "name": "degradation-space",
    "summary": "how well an encoder's vectors tell levels of degradation apart: picture, silhouette, linear probe",
    "model": True,
}

_PROJECTIONS = ("tsne", "pca", "umap")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options; the paper says neither how many images it shows nor its perplexity."""
    parser.add_argument("--hr", metavar="DIR", required=True, help="folder of photographs")
    parser.add_argument("--images", type=int, default=100, help="how many of them, drawn by --seed (%(default)s)")
    parser.add_argument("--side", type=int, default=512, help="of the square cut out of each (%(default)s)")
    parser.add_argument(
        "--degradation", metavar="NAME", default="degradations/deedsr_levels.yaml", help="a config (%(default)s)"
    )
    parser.add_argument("--key", default="level", help="the argument of it that differs between groups (%(default)s)")
    parser.add_argument(
        "--values",
        nargs="+",
        metavar="VALUE",
        default=["light", "medium", "heavy"],
        help="its values (light medium heavy)",
    )
    parser.add_argument("--part", metavar="NAME", help="the submodule that is the encoder, e.g. net")
    parser.add_argument("--layer", metavar="NAME", help="or the layer whose output counts while an image is restored")
    parser.add_argument("--projection", choices=_PROJECTIONS, default="tsne", help="of the picture (%(default)s)")
    parser.add_argument("--perplexity", type=float, default=30.0, help="t-SNE's, lowered for few vectors (%(default)g)")
    parser.add_argument("--steps", type=int, default=1000, help="of t-SNE (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of every draw (%(default)s)")


def run(given: argparse.Namespace, model: SRModule, progress: Callable[[int, int], None]) -> Findings:
    """Degrades every image once for each group and compares the vectors.

    Returns:
        ``points.csv``, a row per vector with its place in the picture; ``separation.csv`` with the silhouette of the
        vectors, the probe's accuracy on held-out images and what guessing would give; and the picture.

    Raises:
        InputError: an option, image, config or network is unfit.
    """
    import torch

    from srbench.analysis.scatter import scatter
    from srbench.analysis.separation import linear_probe, silhouette
    from srbench.analysis.vectors import encoder

    _check(given)
    encode = encoder(model, part=given.part, layer_name=given.layer)
    degradations = [degradation_of(given.degradation, given.key, value) for value in given.values]
    files = _chosen(given.hr, given.images, given.seed)
    found, total = [], len(files) * len(degradations)
    for lq in _degraded(files, degradations, given):
        found.append(encode(lq.to(model.device)))
        progress(len(found), total)
    vectors, labels = torch.stack(found), torch.arange(total) % len(degradations)
    held = torch.arange(total) // len(degradations) % 2 == 1  # every other photograph, in their drawn order
    numbers = {
        "silhouette": silhouette(vectors, labels),
        "probe_accuracy": linear_probe(vectors, labels, held),
        "chance": 1 / len(degradations),
        "images": len(files),
        "channels": vectors.shape[1],
        "method": model.method,
        "marks": " ".join(model.marks),
    }
    places = _placed(vectors, given)
    who = [(value, name) for name in files for value in given.values]
    rows = [{"image": n, "group": v, "x": x, "y": y} for (v, n), (x, y) in zip(who, places, strict=True)]
    remark = f"silhouette {numbers['silhouette']:.3f}, linear probe {numbers['probe_accuracy']:.1%} of held-out images"
    title = f"{model.method}: {given.key} by {given.projection}" + (f" ({numbers['marks']})" if model.marks else "")
    picture = scatter([(r["x"], r["y"], r["group"], r["image"]) for r in rows], title, remark)
    line = f"{remark} (chance {numbers['chance']:.1%}), {total} vectors of {vectors.shape[1]} numbers"
    return Findings({"points.csv": rows, "separation.csv": [numbers], "degradation_space.svg": picture}, [line])


def degradation_of(config: str, key: str, value: str) -> Degradation:
    """The degradation that a data config asks for, with one argument changed.

    Raises:
        InputError: there is no such config, no degradation in it, or the argument does not fit it.
    """
    import json

    import jsonargparse

    from srbench.catalog import load_stack
    from srbench.degradation import Degradation
    from srbench.rejection import refused

    section: Any = load_stack([config])
    for name in ("data", "init_args", "degradation"):
        section = section.get(name) if isinstance(section, dict) else None
    if not isinstance(section, dict):
        raise InputError("it names no data.init_args.degradation", where=config, remedy="see srbench list configs")
    section = {**section, "init_args": {**section.get("init_args", {}), key: value}}
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Degradation, "degradation", required=True)
    try:
        built = parser.instantiate_classes(parser.parse_args([f"--degradation={json.dumps(section)}"])).degradation
    except (jsonargparse.ArgumentError, ValueError, TypeError) as error:
        raise refused(error, see=f"{config}, --key and --values") from error
    assert isinstance(built, Degradation)
    return built


def _check(given: argparse.Namespace) -> None:
    for name, least in (("images", 4), ("side", 16), ("steps", 1), ("seed", 0)):
        if getattr(given, name) < least:
            raise InputError(f"{getattr(given, name)} is impossible", where=f"--{name}", remedy=f"use {least} or more")
    if len(set(given.values)) < max(len(given.values), 2):
        raise InputError("groups need two or more different values", where="--values", remedy="see --degradation")
    if not given.perplexity > 1:
        raise InputError(f"{given.perplexity:g} is impossible", where="--perplexity", remedy="use more than 1")


def _chosen(folder: str, count: int, seed: int) -> dict[str, Path]:
    """``count`` photographs by name, in an order drawn by ``seed``.

    Raises:
        InputError: there are fewer.
    """
    files = list(by_stem(sorted(list_images(folder))).items())
    if len(files) < count:
        raise InputError(f"{len(files)} images, not {count}", where=folder, remedy="give more, or a smaller --images")
    return dict(files[i] for i in np.random.default_rng(seed).permutation(len(files))[:count])


def _degraded(
    files: dict[str, Path], degradations: Sequence[Degradation], given: argparse.Namespace
) -> Iterator[Tensor]:
    """Lq (1,3,h,w), for each photograph one per group; every draw is a function of seed, photograph and group."""
    for number, path in enumerate(files.values()):
        pixels, side = read_image(path).pixels, given.side
        if min(pixels.shape[:2]) < side:
            size = "x".join(map(str, pixels.shape[:2]))
            raise InputError(f"{size} holds no square of {side}", where=path, remedy="give larger images or --side")
        top, left = ((length - side) // 2 for length in pixels.shape[:2])
        gt = to_tensor(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
        for group, degradation in enumerate(degradations):
            recipe = degradation.draw(np.random.default_rng((given.seed, number, group)), side, side)
            yield degradation(gt, recipe)[0][None]


def _placed(vectors: Tensor, given: argparse.Namespace) -> list[list[float]]:
    from srbench.analysis.tsne import principal, tsne

    if given.projection == "pca":
        return principal(vectors.double()).tolist()
    perplexity = min(given.perplexity, (len(vectors) - 1) / 3)
    if given.projection == "tsne":
        return tsne(vectors, perplexity=perplexity, steps=given.steps).tolist()
    try:
        umap = import_module("umap")
    except ImportError as error:
        remedy = "pip install umap-learn, or use --projection tsne"
        raise InputError("UMAP is not installed here", where="--projection umap", remedy=remedy) from error
    reducer = umap.UMAP(n_neighbors=min(15, len(vectors) - 1), random_state=given.seed)
    places: list[list[float]] = reducer.fit_transform(vectors.numpy()).tolist()
    return places
