"""What a table says of a method beside scores: what ``srbench describe`` counts is counted once and kept."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from srbench import __version__
from srbench.atomic import write_whole
from srbench.errors import InputError
from srbench.tables.plan import Plan, is_trial
from srbench.tables.spec import RANGES, MethodSpec, TableSpec

FILE = "costs.json"
SIZE = (256, 256)
_LAYOUT = 2
"""Goes up when the kept figures change their meaning."""

Costs = Mapping[tuple[str, str], Mapping[str, float]]
"""(printed method, variant) -> cost -> value, in the unit of the table."""

_COUNTED = ("params", "macs_g")

Describe = Callable[[Sequence[str], Sequence[str], tuple[int, int]], dict[str, Any]]


def measure_costs(
    spec: TableSpec, folder: Path, *, describe: Describe | None = None, say: Callable[[str], None] = print
) -> tuple[dict[tuple[str, str], dict[str, float]], dict[str, str]]:
    """The costs of every method that has a config, and why the others have none.

    Args:
        spec: the table; one without ``costs`` asks for nothing.
        folder: where earlier results lie; written after each network. With ``describe`` None nothing is measured.
        describe: measures a network; None only reads.
        say: gets a line per network that is measured.
    """
    kept = _read(folder / FILE)
    found: dict[tuple[str, str], dict[str, float]] = {}
    reasons: dict[str, str] = {}
    counted = any(kind in _COUNTED for kind in spec.costs.values())
    for method in spec.methods if counted else ():
        if not method.configs:
            continue
        key = _key(method)
        if key not in kept and describe is not None:
            say(f"counting {method.printed}")
            try:
                kept[key] = _figures(describe(method.configs, _model_arguments(method), SIZE))
            except InputError as error:
                reasons[method.printed] = str(error)
                continue
            write_whole(folder / FILE, (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode())
        if key in kept:
            found[method.printed, method.variant] = kept[key]
    return found, reasons


def _figures(described: Mapping[str, Any]) -> dict[str, float]:
    net = described.get("params")
    figures = {"params": net / 1e6 if net is not None else None, "macs_g": described.get("macs_g")}
    return {name: float(value) for name, value in figures.items() if value is not None}


def plain_costs(plan: Plan) -> dict[tuple[str, str], dict[str, float]]:
    """Steps of the configs, ends of degradations' ranges, and seconds per image of what is recorded.

    Raises:
        InputError: a degradation of the table has no such range, or a variant is neither min nor max.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    for method in plan.spec.methods:
        mine = found.setdefault((method.printed, method.variant), {})
        for kind in plan.spec.costs.values():
            value = _plain(plan, method, kind)
            if value is not None:
                mine[kind] = value
    return found


def _plain(plan: Plan, method: MethodSpec, kind: str) -> float | None:
    if not method.configs or kind in _COUNTED:
        return None
    if kind == "seconds":
        entries = [
            cell.entry for cell in plan.cells if cell.method is method and cell.entry and not is_trial(cell.entry)
        ]
        times = [t for entry in entries if (t := entry.record.cost.ms_per_image) is not None]
        return statistics.median(times) / 1000 if times else None
    if kind == "steps":
        steps = _stack(method)["model"].get("init_args", {}).get("steps", 1)
        return float(method.arguments.get("model.init_args.steps", steps))
    return _range_end(method, kind.removeprefix(RANGES))


def _range_end(method: MethodSpec, path: str) -> float:
    ends = {"min": 0, "max": 1}
    section = _stack(method)["data"]["init_args"]["degradation"]
    arguments = dict(section.get("init_args", {}))
    start = "data.init_args.degradation.init_args."
    arguments |= {k.removeprefix(start): v for k, v in method.arguments.items() if k.startswith(start)}
    room, _, name = section["class_path"].rpartition(".")
    held: Any = getattr(import_module(room), name)(**arguments).ranges
    for part in path.split("."):
        held = getattr(held, part, None)
    if method.variant not in ends or not isinstance(held, tuple) or len(held) != 2:
        raise InputError(
            f"{method.printed} {method.variant} has no end of a range '{path}'",
            remedy="name a range of the degradation",
        )
    return float(held[ends[method.variant]])


def _stack(method: MethodSpec) -> dict[str, Any]:
    from srbench.catalog import load_stack

    return load_stack(list(method.configs))


def _key(method: MethodSpec) -> str:
    """Changes with everything that changes the counts: the configs' text, the arguments and srbench's version."""
    from srbench.catalog import find_config

    texts = [find_config(name).read_text(encoding="utf-8") for name in method.configs]
    inputs = json.dumps([texts, sorted(method.arguments.items()), __version__, SIZE, _LAYOUT])
    return f"{method.name}-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"


def _model_arguments(method: MethodSpec) -> list[str]:
    return [part for k, v in method.arguments.items() if k.startswith("model.") for part in (f"--{k}", v)]


def _read(path: Path) -> dict[str, dict[str, float]]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # nothing was kept, or it is damaged: counting again costs seconds
    sound = isinstance(held, dict) and all(isinstance(value, dict) for value in held.values())
    return held if sound else {}
