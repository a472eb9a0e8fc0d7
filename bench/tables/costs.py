"""Parameters and multiply-adds of a table's networks, measured once by ``srbench describe`` and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from srbench import __version__
from srbench.atomic import write_whole
from srbench.errors import InputError
from srbench.tables.spec import MethodSpec, TableSpec

FILE = "costs.json"
SIZE = (256, 256)

Costs = Mapping[tuple[str, str], Mapping[str, float]]
"""(printed method, variant) -> cost -> value."""

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
    for method in spec.methods if spec.costs else ():
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
    figures = {"params": described.get("params"), "macs_g": described.get("macs_g")}
    return {name: float(value) for name, value in figures.items() if value is not None}


def _key(method: MethodSpec) -> str:
    """Changes with everything that changes the counts: the configs' text, the arguments and srbench's version."""
    from srbench.catalog import find_config

    texts = [find_config(name).read_text(encoding="utf-8") for name in method.configs]
    inputs = json.dumps([texts, sorted(method.arguments.items()), __version__, SIZE])
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
