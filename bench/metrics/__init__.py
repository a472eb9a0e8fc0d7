"""Metrics, one file per family: each file here exports ``METRICS`` and is found by being here.

A metric's id says everything that changes its number but the crops, which the protocol sets: colour, network, weights.
``psnr_y219`` and ``psnr_yiq`` are two metrics. Nothing here imports torch; what a metric needs is imported when it is
built.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from srbench import images
from srbench.images import Pixels
from srbench.naming import unknown_name

Kind = Literal["full_reference", "no_reference", "set_level", "derived"]

ImageScores = Callable[[Sequence[Pixels], Sequence[Pixels] | None], Sequence[float]]
"""(sr, gt) to one value per image. All images are (H,W,3) uint8 of one size, cropped already; gt is None for
no-reference metrics. The value of an image must not depend on what else is in the batch."""

Vectors = NDArray[np.float32]
"""(n,d): one row per image."""


class SetScores(Protocol):
    """A metric of a whole set, in two halves: what is kept of each image, and the one value of all of them."""

    def describe(self, images: Sequence[Pixels]) -> Vectors:
        """The features of images of one size, (H,W,3) uint8, as (n,d)."""

    def distance(self, sr: Vectors, gt: Vectors) -> float:
        """The value of a set: features of all results and of all references, both (n,d), row by row of one image."""


@dataclass(frozen=True)
class Metric:
    """What the harness knows of a metric before it is built.

    Attributes:
        name: its id in protocols, records and tables (``psnr_y219``).
        kind: ``full_reference`` needs gt, ``no_reference`` does not, ``set_level`` is one value per test set,
            ``derived`` is made of other metrics' values.
        higher_is_better: direction.
        library: what computes it, with its version (``srbench``, ``pyiqa 0.1.16``).
        source: paper or code whose numbers it reproduces.
        weights: outside files it needs, by their names in the weights catalogue (:mod:`srbench.weight_files`).
    """

    name: str
    kind: Kind
    higher_is_better: bool
    library: str
    source: str
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A metric with one value per image.

    Attributes:
        make: builds the scorer for a device (``cpu``, ``cuda:0``); it is called after every file in ``weights`` was
            found. Raises :class:`srbench.errors.MetricUnavailable` when a package is absent.
    """

    make: Callable[[str], ImageScores]


@dataclass(frozen=True, kw_only=True)
class SetMetric(Metric):
    """A metric with one value per test set; ``make`` as in :class:`ImageMetric`.

    Attributes:
        fewest: below this number of images the value says little, and whoever prints it warns.
    """

    make: Callable[[str], SetScores]
    fewest: int = 1000


@dataclass(frozen=True, kw_only=True)
class DerivedMetric(Metric):
    """A value made of other metrics' values on the same image; a protocol lists those before it.

    Attributes:
        inputs: their ids.
        combine: metric -> value, to the value.
    """

    inputs: tuple[str, ...]
    combine: Callable[[Mapping[str, float]], float]


def each(score: Callable[[Pixels, Pixels], float]) -> ImageScores:
    """A full-reference score of two images, as the scores of many."""

    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        if gt is None:
            raise TypeError("a full-reference metric needs gt")
        return [score(a, b) for a, b in zip(sr, gt, strict=True)]

    return scores


def package(name: str) -> str:
    """A package with its installed version, for :attr:`Metric.library`; the bare name where it is not installed."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def find(name: str) -> Metric:
    """The metric of that id.

    Raises:
        InputError: there is none; the nearest id is suggested.
    """
    try:
        return _all()[name][0]
    except KeyError:
        raise unknown_name("metric", name, _all()) from None


def names() -> list[str]:
    """The ids of all metrics, sorted."""
    return sorted(_all())


def implementation(name: str) -> str:
    """sha256 of the code that defines a metric: scores that another version of it gave are not taken for its own."""
    return _all()[name][1]


@functools.cache
def _all() -> dict[str, tuple[Metric, str]]:
    families = [importlib.import_module(module.name) for module in pkgutil.iter_modules(__path__, f"{__name__}.")]
    code = {family: Path(str(family.__file__)).read_bytes() for family in families}
    # A file without metrics is a part that families share, and all share the luma and the crops of images.py.
    parts = [code[family] for family in families if not hasattr(family, "METRICS")]
    shared = b"".join([*parts, Path(images.__file__).read_bytes()])
    found: dict[str, tuple[Metric, str]] = {}
    for family in families:
        for metric in getattr(family, "METRICS", ()):
            if metric.name in found:
                raise RuntimeError(f"two metrics are called {metric.name}; the second is in {family.__name__}")
            found[metric.name] = metric, hashlib.sha256(code[family] + shared).hexdigest()
    return found
