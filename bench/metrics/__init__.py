"""Metrics, one file per family: each file here exports ``METRICS`` and is found by being here.

A metric's id says everything that changes its number but the border crop, which the protocol sets: colour, network,
weights. ``psnr_y219`` and ``psnr_yiq`` are two metrics.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from srbench.images import Pixels
from srbench.naming import unknown_name

ImageMetric = Callable[[Pixels, Pixels | None], float]
"""(sr, gt), both (H,W,3) uint8 and already cropped, to the value; gt is None for no-reference metrics."""

Kind = Literal["full_reference", "no_reference", "set_level"]


@dataclass(frozen=True)
class Metric:
    """What the harness knows of a metric before it is built.

    Attributes:
        name: its id in protocols, records and tables (``psnr_y219``).
        kind: ``full_reference`` needs gt, ``no_reference`` does not, ``set_level`` is one value per test set.
        higher_is_better: direction.
        library: what computes it (``srbench``, ``pyiqa 0.1.16``).
        source: paper or code whose numbers it reproduces.
        make: builds the scorer for a device (``cpu``, ``cuda:0``); heavy imports belong inside.
            Raises :class:`srbench.errors.MetricUnavailable` when weights or packages are absent.
        weights: sha256 or names of the weights it uses.
    """

    name: str
    kind: Kind
    higher_is_better: bool
    library: str
    source: str
    make: Callable[[str], ImageMetric]
    weights: tuple[str, ...] = ()


def find(name: str) -> Metric:
    """The metric of that id.

    Raises:
        InputError: there is none; the nearest id is suggested.
    """
    try:
        return _all()[name]
    except KeyError:
        raise unknown_name("metric", name, _all()) from None


def names() -> list[str]:
    """The ids of all metrics, sorted."""
    return sorted(_all())


@functools.cache
def _all() -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for metric in importlib.import_module(module.name).METRICS:
            if metric.name in found:
                raise RuntimeError(f"two metrics are called {metric.name}; the second is in {module.name}")
            found[metric.name] = metric
    return found
