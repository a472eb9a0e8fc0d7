"""``srbench list``: what there is to choose from, without importing torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from srbench.catalog import Entry, config_names, degradations, exported, read_config
from srbench.command_parser import CommandParser


def methods() -> list[dict[str, str]]:
    """Every method of the papers' tables: paper, licence, parameters, who runs it, and whether its weights are here."""
    from srbench.cards import cards

    return [
        {
            "name": card.name,
            "paper": card.paper,
            "licence": ("non-commercial: " if card.noncommercial else "") + card.licence,
            "params": "–" if card.params_m is None else f"{card.params_m:.3f} M",
            "route": card.route,
            "weights": card.state,
            "config": card.configs[0] if card.configs else "–",
        }
        for card in cards()
    ]


def modules() -> list[dict[str, str]]:
    """Every stage of every method as a class: name, import path, summary and its shipped configs."""
    return _classes(_offered("modules"), "methods/", ("model",))


def datasets() -> list[dict[str, str]]:
    """Every data module: name, import path, summary and its shipped configs."""
    return _classes(_offered("datamodules"), "data/", ("data",))


def degraders() -> list[dict[str, str]]:
    """Every degradation that a training set takes: name, import path, summary and its shipped configs."""
    return _classes(degradations().values(), "degradations/", ("data", "init_args", "degradation"))


def figures() -> list[dict[str, str]]:
    """Every analysis that ``srbench analyze`` runs: name, and what it shows."""
    from srbench.analysis import analyses

    return [{"name": found.name, "summary": found.summary} for found in analyses().values()]


def metrics() -> list[dict[str, str]]:
    """Every metric: name, kind, direction, what computes it, and whether it can be computed here."""
    from srbench.metrics import find, names
    from srbench.protocol import MetricSpec, Protocol
    from srbench.scoring import Scorer

    # A derived metric is as good as what it is made of.
    wanted = sorted(names(), key=lambda name: find(name).kind == "derived")
    missing = Scorer(Protocol("all", 1, "full", tuple(MetricSpec(name, 0) for name in wanted))).missing
    return [
        {
            "name": name,
            "kind": find(name).kind,
            "better": "higher" if find(name).higher_is_better else "lower",
            "library": find(name).library,
            "state": missing.get(name, "ready"),
        }
        for name in names()
    ]


def protocols() -> list[dict[str, str]]:
    """Every shipped protocol: name, version, its metrics and what it is for."""
    from srbench.protocol import load_protocol, protocol_names

    found = [load_protocol(name) for name in protocol_names()]
    return [
        {
            "name": p.name,
            "version": str(p.version),
            "metrics": ", ".join(f"{m.metric} (crop {m.crop_border})" for m in p.metrics),
            "summary": p.description,
        }
        for p in found
    ]


def configs() -> list[dict[str, str]]:
    """Every shipped config by the short name that ``--config`` takes."""
    return [{"name": name} for name in config_names()]


def tables() -> list[dict[str, str]]:
    """Every shipped table of a paper: name, protocol, size and what it shows."""
    from srbench.tables import load_table, table_names

    found = [load_table(name) for name in table_names()]
    return [
        {
            "name": t.name,
            "protocol": t.protocol,
            "methods": str(len(t.methods)),
            "test sets": str(len(t.test_sets)),
            "summary": t.title,
        }
        for t in found
    ]


KINDS: dict[str, Callable[[], list[dict[str, str]]]] = {
    "methods": methods,
    "modules": modules,
    "datasets": datasets,
    "degradations": degraders,
    "metrics": metrics,
    "protocols": protocols,
    "configs": configs,
    "tables": tables,
    "analyses": figures,
}

_PAGE = """usage: srbench list KIND [--json]

What there is to choose from, without importing torch.

{kinds}

--json prints a JSON list of objects."""


def run(argv: Sequence[str]) -> int:
    """Prints one list, or without arguments which lists there are; returns 0."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_PAGE.format(kinds="\n".join(f"  {name:<12}  {_of(function)}" for name, function in KINDS.items())))
        return 0
    parser = CommandParser("srbench list", None)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(list(argv))
    rows = KINDS[given.kind]()
    print(json.dumps(rows, indent=2) if given.json else table(rows))
    return 0


def _of(function: Callable[[], Any]) -> str:
    """What a list holds: the first line of its function's docstring, as plain text."""
    return (function.__doc__ or "").split("\n")[0].replace("``", "").rstrip(".")


def _offered(room: str) -> list[Entry]:
    """The classes of a room, under the short import paths that configs use."""
    return [entry._replace(class_path=f"srbench.{room}.{name}") for name, entry in exported(room).items()]


def _classes(entries: Iterable[Entry], config_folder: str, path: Sequence[str]) -> list[dict[str, str]]:
    """Rows of classes, with the configs whose section at ``path`` names them."""
    shipped: dict[str, list[str]] = {}
    for name in config_names(config_folder):
        section: Any = read_config(name)
        for key in path:
            section = section.get(key, {})
        shipped.setdefault(str(section.get("class_path")), []).append(name)
    return [
        {
            "name": entry.name,
            "class_path": entry.class_path,
            "summary": entry.summary,
            "configs": " ".join(shipped.get(entry.class_path, ())),
        }
        for entry in entries
    ]


def table(rows: list[dict[str, str]]) -> str:
    """Rows under the names of their columns, aligned; ``class_path`` is left out."""
    if not rows:
        return "(none)"
    columns = [c for c in rows[0] if c != "class_path"]
    widths = {c: max(len(c), *(len(r[c]) for r in rows)) for c in columns}
    lines = ["  ".join(c.ljust(widths[c]) for c in columns).rstrip()]
    lines += ["  ".join(r[c].ljust(widths[c]) for c in columns).rstrip() for r in rows]
    return "\n".join(lines)
