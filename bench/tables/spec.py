"""What a paper's table is: methods x test sets under one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

COSTS = ("params", "macs_g", "seconds", "steps")
"""What a table can say of a method beside scores.

What ``srbench describe`` counts: ``params`` (10^6) and ``macs_g`` (10^9 multiply-adds at 256x256 lq) of the network
that makes sr. ``seconds`` per image are those of the method's records; ``steps`` stand in its config, and are 1 where
it has none.
"""

RANGES = "ranges."
"""Beginning of a cost that is an end of a degradation's range (``ranges.first.blur.sigma``); the variant says which."""


@dataclass(frozen=True)
class SetSpec:
    """A column of cells.

    Attributes:
        name: the test set as records call it.
        printed: as the paper calls it.
        scale: magnification.
        configs: data configs, stacked.
        root: folder of the set's files below ``--data``; None for data that need no folder.
        arguments: what ``srbench test`` gets on top, dotted key -> value.
        lacks: why it cannot run; empty when it can.
        note: how these images differ from the paper's; the numbers stand beside each other and prove nothing.
    """

    name: str
    printed: str
    scale: int
    configs: tuple[str, ...]
    root: str | None
    arguments: Mapping[str, str]
    lacks: str
    note: str = ""


@dataclass(frozen=True)
class MethodSpec:
    """A row of cells.

    Attributes:
        name: the method as records call it.
        printed: as the paper calls it.
        variant: as the paper's published numbers have it.
        configs: method configs, stacked.
        weights: the weights' name in the catalogue of outside files; None where none are needed.
        arguments: what ``srbench test`` gets on top, dotted key -> value.
        lacks: why its scores cannot be measured; empty when they can.
        ckpt: what a ``.ckpt`` of one's own is: ``checkpoint`` of ``srbench fit``, or the authors' ``weights``.
        trial: configs that make a trial on small random networks of it, stacked on ``configs``.
        other_weights: what it needs besides ``weights``, dotted key -> name in the catalogue.
        folders: folders it needs below ``--data``, dotted key -> where it may lie there; the first that is counts.
    """

    name: str
    printed: str
    variant: str
    configs: tuple[str, ...]
    weights: str | None
    arguments: Mapping[str, str]
    lacks: str
    trial: tuple[str, ...] = ()
    ckpt: str = "checkpoint"
    other_weights: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSpec:
    """A paper's table.

    Attributes:
        paper: the paper's short name, as in ``results/published``.
        table: its number as printed, and as ``results/published`` has it (``I``).
        name: ``<paper>/<n>``, with the number in digits.
        title: what it shows.
        protocol: how it is scored.
        metrics: columns, a subset of the protocol's.
        costs: printed metric -> what measures it, of :data:`COSTS` or :data:`RANGES`.
        test_sets: in the order of the table.
        methods: in the order of the table.
        reads: our metric -> the printed one it is compared with, where the paper leaves open which of ours it is.
        outside: printed metric -> why no metric of ours measures it.
        tolerances: metric or printed cost -> how far ``--check`` lets measured and printed numbers differ.
        mismatches: "method, metric" or "method, metric, test set" as printed -> why ``--check`` lets it differ.
    """

    paper: str
    table: str
    name: str
    title: str
    protocol: str
    metrics: tuple[str, ...]
    costs: Mapping[str, str]
    test_sets: tuple[SetSpec, ...]
    methods: tuple[MethodSpec, ...]
    reads: Mapping[str, str] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)
    mismatches: Mapping[str, str] = field(default_factory=dict)
