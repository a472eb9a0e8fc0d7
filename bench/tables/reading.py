"""The YAML of a table, ``configs/tables/<paper>/<n>.yaml``, read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from srbench import metrics as all_metrics
from srbench.catalog import find_config, read_config, room_folder
from srbench.errors import InputError
from srbench.naming import safe_name, unknown_name
from srbench.protocol import load_protocol
from srbench.tables.spec import COSTS, RANGES, MethodSpec, SetSpec, TableSpec

_KEYS = (
    "table", "printed", "title", "protocol", "metrics", "costs", "test_sets", "methods", "reads", "outside",
    "tolerances", "mismatches",
)  # fmt: skip
_SET_KEYS = ("name", "printed", "scale", "configs", "root", "arguments", "lacks", "note")
_METHOD_KEYS = (
    "name", "printed", "variant", "configs", "weights", "other_weights", "folders", "arguments", "lacks", "trial",
    "ckpt",
)  # fmt: skip
_REMEDY = "compare with a table of srbench list tables"


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
    metrics = tuple(_list(held, "metrics") if "metrics" in held else measured)
    for metric in metrics:
        if metric not in measured:
            raise unknown_name(f"metric of {protocol.name}", str(all_metrics.find(str(metric)).name), measured)
    sets = tuple(_set(entry) for entry in _list(held, "test_sets"))
    methods = tuple(_method(entry) for entry in _list(held, "methods"))
    costs, outside = _costs(held), _texts(held, "outside")
    if not methods or not (sets or costs or outside):
        raise InputError("it needs methods, and test_sets, costs or what is measured outside")
    reads = _texts(held, "reads")
    for metric in reads:
        if metric not in metrics:
            raise unknown_name("metric of 'reads'", metric, metrics)
    _no_twins([(s.name, s.scale) for s in sets], "test set")
    _no_twins([(m.printed, m.variant) for m in methods], "method")
    _no_twins([(m.name,) for m in methods], "method name")
    printed = _text(held, "printed", table)
    rest = {"reads": reads, "outside": outside, "mismatches": _texts(held, "mismatches")}
    tolerances = _tolerances(held, (*metrics, *costs))
    title = _text(held, "title")
    return TableSpec(
        paper, printed, name, title, protocol.name, metrics, costs, sets, methods, **rest, tolerances=tolerances
    )


def _set(entry: Any) -> SetSpec:
    _known(entry, _SET_KEYS, "an entry of 'test_sets'")
    name = safe_name(_text(entry, "name"), kind="test set name")
    configs, lacks = _words(entry, "configs"), _text(entry, "lacks", "")
    if not configs and not lacks:
        raise InputError(f"the test set {name} has neither configs nor a reason in 'lacks'")
    root = entry.get("root")
    if root is not None and not _below(root):
        raise InputError(f"the root of {name} must be a folder below --data, not {root!r}")
    scale = entry.get("scale", 4)
    if not isinstance(scale, int) or isinstance(scale, bool) or scale < 1:
        raise InputError(f"the scale of {name} must be a whole number, not {scale!r}")
    note = _text(entry, "note", "")
    return SetSpec(name, _text(entry, "printed", name), scale, configs, root, _arguments(entry), lacks, note)


def _method(entry: Any) -> MethodSpec:
    _known(entry, _METHOD_KEYS, "an entry of 'methods'")
    printed, variant = _text(entry, "printed", entry.get("name")), _text(entry, "variant", "")
    name = safe_name(_text(entry, "name", f"{printed} {variant}".strip()), kind="method name")
    configs, lacks = _words(entry, "configs"), _text(entry, "lacks", "")
    if not configs and not lacks:
        raise InputError(f"the method {printed} has neither configs nor a reason in 'lacks'")
    weights = entry.get("weights")
    if weights is not None:
        weights = _catalogued(str(weights))
    others = {key: _catalogued(other) for key, other in _texts(entry, "other_weights").items()}
    folders = _folders(entry, name)
    ckpt = _text(entry, "ckpt", "checkpoint")
    if ckpt not in ("checkpoint", "weights"):
        raise unknown_name("kind of .ckpt", ckpt, ("checkpoint", "weights"))
    trial = _words(entry, "trial")
    return MethodSpec(name, printed, variant, configs, weights, _arguments(entry), lacks, trial, ckpt, others, folders)


def _folders(entry: Mapping[str, Any], method: str) -> dict[str, tuple[str, ...]]:
    held = entry.get("folders") or {}
    if not isinstance(held, dict) or not all(isinstance(places, list) and places for places in held.values()):
        raise InputError(f"the folders of {method} must map dotted keys to lists of folders below --data")
    for place in (place for places in held.values() for place in places):
        if not _below(place):
            raise InputError(f"a folder of {method} must lie below --data, not {place!r}")
    return {str(key): tuple(places) for key, places in held.items()}


def _catalogued(name: str) -> str:
    from srbench import weight_files

    return weight_files.find(name).name


def _below(folder: Any) -> bool:
    """Whether it is a relative path that leads nowhere else."""
    return isinstance(folder, str) and not folder.startswith(("/", "~")) and ".." not in folder


def _costs(held: Mapping[str, Any]) -> dict[str, str]:
    costs = _texts(held, "costs")
    for kind in costs.values():
        if kind not in COSTS and not kind.startswith(RANGES):
            raise unknown_name("cost", kind, COSTS)
    return costs


def _tolerances(held: Mapping[str, Any], known: Sequence[str]) -> dict[str, float]:
    given = held.get("tolerances") or {}
    numbers = isinstance(given, dict) and all(isinstance(v, int | float) and v >= 0 for v in given.values())
    if not numbers:
        raise InputError("'tolerances' must map metrics or costs to numbers from 0")
    for metric in given:
        if metric not in known:
            raise unknown_name("metric of 'tolerances'", str(metric), known)
    return {str(metric): float(value) for metric, value in given.items()}


def _texts(held: Mapping[str, Any], key: str) -> dict[str, str]:
    value = held.get(key) or {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise InputError(f"'{key}' must map names to texts, not {value!r}")
    return {str(name): text for name, text in value.items()}


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
