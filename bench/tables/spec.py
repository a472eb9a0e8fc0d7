"""The YAML of a table, ``configs/tables/<paper>/<n>.yaml``: methods x test sets under one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from srbench import metrics as all_metrics
from srbench.catalog import find_config, read_config, room_folder
from srbench.errors import InputError
from srbench.naming import safe_name, unknown_name
from srbench.protocol import load_protocol

COSTS = ("params", "macs_g")
"""What ``srbench describe`` measures of a network: its parameters, and 10^9 multiply-adds at 256x256 lq."""

_KEYS = ("table", "printed", "title", "protocol", "metrics", "costs", "test_sets", "methods")
_SET_KEYS = ("name", "printed", "scale", "configs", "root", "arguments", "lacks")
_METHOD_KEYS = ("name", "printed", "variant", "configs", "weights", "arguments", "lacks")
_REMEDY = "compare with a table of srbench list tables"


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
    """

    name: str
    printed: str
    scale: int
    configs: tuple[str, ...]
    root: str | None
    arguments: Mapping[str, str]
    lacks: str


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
    """

    name: str
    printed: str
    variant: str
    configs: tuple[str, ...]
    weights: str | None
    arguments: Mapping[str, str]
    lacks: str


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
        costs: printed metric -> what measures it, of :data:`COSTS`.
        test_sets: in the order of the table.
        methods: in the order of the table.
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


def table_names() -> list[str]:
    """The shipped tables, sorted: ``hraware/1``."""
    root = room_folder("configs") / "tables"
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.glob("*/*.yaml"))


def load_table(name: str) -> TableSpec:
    """A shipped table by its name, or anyone's by the path of its YAML file.

    Raises:
        InputError: no such table (the nearest is suggested), or a key, name or value in it is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        where: str | Path = find_config(name)
    elif name in table_names():
        where = f"tables/{name}.yaml"
    else:
        raise unknown_name("table", name, table_names(), where="srbench table")
    held = _read(str(where))
    try:
        return _table(held)
    except InputError as error:
        raise InputError(error.what, where=where, remedy=error.remedy or _REMEDY) from None


def _read(where: str) -> dict[str, Any]:
    try:
        return read_config(where)
    except yaml.YAMLError as error:  # pragma: no cover - read_config says it already
        raise InputError("it is not valid YAML", where=where, remedy=_REMEDY) from error


def _table(held: Mapping[str, Any]) -> TableSpec:
    _known(held, _KEYS, "a table")
    name = _text(held, "table")
    paper, slash, table = name.partition("/")
    if not (paper and slash and table):
        raise InputError(f"'table' must be PAPER/N, not {name!r}")
    protocol = load_protocol(_text(held, "protocol"))
    measured = [spec.metric for spec in protocol.metrics]
    metrics = tuple(_list(held, "metrics") or measured)
    for metric in metrics:
        if metric not in measured:
            raise unknown_name(f"metric of {protocol.name}", str(all_metrics.find(str(metric)).name), measured)
    sets = tuple(_set(entry) for entry in _list(held, "test_sets"))
    methods = tuple(_method(entry) for entry in _list(held, "methods"))
    costs = _costs(held)
    if not methods or not (sets or costs):
        raise InputError("it needs methods, and test_sets or costs")
    _no_twins([(s.name, s.scale) for s in sets], "test set")
    _no_twins([(m.printed, m.variant) for m in methods], "method")
    _no_twins([(m.name,) for m in methods], "method name")
    printed = _text(held, "printed", table)
    return TableSpec(paper, printed, name, _text(held, "title"), protocol.name, metrics, costs, sets, methods)


def _set(entry: Any) -> SetSpec:
    _known(entry, _SET_KEYS, "an entry of 'test_sets'")
    name = safe_name(_text(entry, "name"), kind="test set name")
    configs, lacks = _words(entry, "configs"), _text(entry, "lacks", "")
    if not configs and not lacks:
        raise InputError(f"the test set {name} has neither configs nor a reason in 'lacks'")
    root = entry.get("root")
    if root is not None and (not isinstance(root, str) or root.startswith(("/", "~")) or ".." in root):
        raise InputError(f"the root of {name} must be a folder below --data, not {root!r}")
    scale = entry.get("scale", 4)
    if not isinstance(scale, int) or isinstance(scale, bool) or scale < 1:
        raise InputError(f"the scale of {name} must be a whole number, not {scale!r}")
    return SetSpec(name, _text(entry, "printed", name), scale, configs, root, _arguments(entry), lacks)


def _method(entry: Any) -> MethodSpec:
    _known(entry, _METHOD_KEYS, "an entry of 'methods'")
    printed, variant = _text(entry, "printed", entry.get("name")), _text(entry, "variant", "")
    name = safe_name(_text(entry, "name", f"{printed} {variant}".strip()), kind="method name")
    configs, lacks = _words(entry, "configs"), _text(entry, "lacks", "")
    if not configs and not lacks:
        raise InputError(f"the method {printed} has neither configs nor a reason in 'lacks'")
    weights = entry.get("weights")
    if weights is not None:
        from srbench import weight_files

        weights = weight_files.find(str(weights)).name
    return MethodSpec(name, printed, variant, configs, weights, _arguments(entry), lacks)


def _costs(held: Mapping[str, Any]) -> dict[str, str]:
    costs = held.get("costs") or {}
    if not isinstance(costs, dict):
        raise InputError(f"'costs' must be a mapping of printed metrics to {' or '.join(COSTS)}")
    for kind in costs.values():
        if kind not in COSTS:
            raise unknown_name("cost", str(kind), COSTS)
    return {str(metric): str(kind) for metric, kind in costs.items()}


def _known(entry: Any, keys: tuple[str, ...], what: str) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"{what} must be a mapping with the keys {', '.join(keys)}")
    for key in entry:
        if key not in keys:
            raise unknown_name(f"key of {what}", str(key), keys)


def _text(entry: Mapping[str, Any], key: str, default: Any = None) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str):
        raise InputError(f"'{key}' must be text, not {value!r}")
    return value


def _list(entry: Mapping[str, Any], key: str) -> list[Any]:
    value = entry.get(key) or []
    if not isinstance(value, list):
        raise InputError(f"'{key}' must be a list, not {value!r}")
    return value


def _words(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(word) for word in _list(entry, key))


def _arguments(entry: Mapping[str, Any]) -> dict[str, str]:
    value = entry.get("arguments") or {}
    if not isinstance(value, dict) or any(isinstance(v, dict | list) for v in value.values()):
        raise InputError("'arguments' must map dotted keys to values, a list written as '[a,b]'")
    return {str(k): str(v).lower() if isinstance(v, bool) else str(v) for k, v in value.items()}


def _no_twins(names: list[Any], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the {what} {' '.join(map(str, name)).strip()} stands there twice")
