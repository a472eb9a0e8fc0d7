"""The fields of a record, and the fingerprint that makes two runs of the same inputs the same run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

SCHEMA = 1
"""Version of the record's layout; a reader refuses any other."""

MARKS = ("oracle", "random_backbones")
"""Marks that keep a row out of the ranking: it saw the truth, or part of it ran on random weights."""


@dataclass(frozen=True)
class ImageRow:
    """The scores of one image.

    Attributes:
        name: the image's id, unique in its test set, usable as one path component.
        values: metric -> value in the protocol's order; a metric that could not be computed is absent.
        ms: warm wall time of the network on this image in milliseconds, None when it was not timed.
        notes: what was done to the image on reading it.
        vectors: set-level metric -> features of sr and gt, packed as text; kept until the set's value is known, and in
            no per-image table.
    """

    name: str
    values: dict[str, float]
    ms: float | None = None
    notes: tuple[str, ...] = ()
    vectors: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class MetricResult:
    """One metric over a test set.

    Attributes:
        mean: mean over images (or the value of a set-level metric); None when it is missing.
        n: images that entered the mean.
        ci_low: lower end of the 95 % bootstrap interval of the mean; None when there is no interval.
        ci_high: upper end.
        higher_is_better: direction of the metric.
        library: what computed it, with its version.
        weights: sha256 or names of the weights it used.
        missing: why there is no value; None when there is one.
    """

    mean: float | None
    n: int
    ci_low: float | None
    ci_high: float | None
    higher_is_better: bool
    library: str
    weights: tuple[str, ...] = ()
    missing: str | None = None


@dataclass(frozen=True)
class Cost:
    """What a run cost; None where it was not measured.

    Attributes:
        params: number of parameters of the part ``net``.
        macs: multiply-adds at 256x256 lq pixels (absolute, not giga).
        ms_per_image: median warm wall time of one image in milliseconds.
        ms_total: sum of the warm times in milliseconds.
        peak_mem_mb: peak memory in MiB, of the accelerator when there is one.
        device: what it ran on (``cpu``, or the accelerator's model name).
        tile: side of a tile in lq pixels; None when images went through whole.
        threads: intra-op threads per process.
    """

    params: int | None = None
    macs: float | None = None
    ms_per_image: float | None = None
    ms_total: float | None = None
    peak_mem_mb: float | None = None
    device: str = "cpu"
    tile: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class RunRecord:
    """One method on one test set under one protocol.

    Attributes:
        schema: layout version, ``SCHEMA``.
        method: the row's name in tables.
        class_path: import path of the class that ran.
        stage: training stage, for methods that have several.
        config_sha256: hash of the resolved model configuration.
        weights_sha256: hash of the weights file; None when there is none.
        test_set: name of the test set; one path component.
        scale: magnification.
        n: images of the test set.
        testset_fingerprint: sha256 over names and bytes of the set's files.
        lq_origin: how lq came about (``files``, ``matlab_bicubic``).
        source: where the test set comes from.
        licence: its terms.
        protocol: name of the protocol; one path component.
        protocol_version: its version.
        protocol_sha256: hash over every value of it that changes numbers.
        metrics: metric -> result, in the protocol's order (the first ranks).
        cost: what the run cost.
        environment: versions of packages, system and processor; no host, user or path.
        srbench_version: version of this package.
        git_revision: commit of the checkout, None outside one.
        date: UTC, ISO 8601.
        marks: subset of ``MARKS``.
        notes: remarks on the run.
        fingerprint: ``run_fingerprint`` of the fields above that name the inputs.
        draw: which of several draws of a stochastic method it is, from 0; None for one that draws nothing.
        drawn_from: hash of the configuration without seed and draw: equal in all draws that belong together.
        files: what else sr depends on: role (``base/unet``) -> sha256 of its content; also part of ``config_sha256``.
    """

    schema: int
    method: str
    class_path: str
    stage: str | None
    config_sha256: str
    weights_sha256: str | None
    test_set: str
    scale: int
    n: int
    testset_fingerprint: str
    lq_origin: str
    source: str
    licence: str
    protocol: str
    protocol_version: int
    protocol_sha256: str
    metrics: dict[str, MetricResult]
    cost: Cost
    environment: dict[str, str]
    srbench_version: str
    git_revision: str | None
    date: str
    fingerprint: str
    marks: tuple[str, ...] = field(default_factory=tuple)
    notes: tuple[str, ...] = field(default_factory=tuple)
    draw: int | None = None
    drawn_from: str | None = None
    files: dict[str, str] = field(default_factory=dict)

    def notes_on(self, metric: str) -> tuple[str, ...]:
        """What the notes say of one metric: of how many images and which crop one value per set is, for instance."""
        return tuple(note.partition(": ")[2] for note in self.notes if note.startswith(f"{metric}: "))


def run_fingerprint(
    *,
    method: str,
    class_path: str,
    config_sha256: str,
    weights_sha256: str | None,
    testset_fingerprint: str,
    scale: int,
    protocol_sha256: str,
) -> str:
    """sha256 (64 hex digits) over everything that decides a run's numbers: the same inputs, the same value."""
    inputs = [method, class_path, config_sha256, weights_sha256, testset_fingerprint, scale, protocol_sha256]
    return hashlib.sha256(json.dumps(inputs, ensure_ascii=True).encode()).hexdigest()


def fingerprint_of(record: RunRecord) -> str:
    """The fingerprint that the fields of ``record`` call for."""
    return run_fingerprint(
        method=record.method,
        class_path=record.class_path,
        config_sha256=record.config_sha256,
        weights_sha256=record.weights_sha256,
        testset_fingerprint=record.testset_fingerprint,
        scale=record.scale,
        protocol_sha256=record.protocol_sha256,
    )
