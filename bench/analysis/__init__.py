"""What ``srbench analyze`` can do, found without importing torch.

A file of ``bench/analysis`` or of a method's folder joins by a literal
``ANALYSIS = {"name": ..., "summary": ..., "model": True or False}`` and two functions beside it:
``arguments(parser)`` adds its options, ``run(given, progress)`` returns :class:`~srbench.findings.Findings`. One of a
method's networks (``"model": True``) has ``run(given, model, progress)`` and gets a :class:`~srbench.module.SRModule`
with its weights, on its device, in evaluation mode.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from srbench.catalog import room_folder
from srbench.naming import unknown_name

_ROOMS = ("analysis", "modules")


class Analysis(NamedTuple):
    """An analysis: its name, what it shows, the module that does it, and whether it looks into a model."""

    name: str
    summary: str
    module: str
    model: bool


@cache
def analyses() -> dict[str, Analysis]:
    """Every analysis, by name.

    Raises:
        ImportError: two modules have one of the same name.
    """
    found: dict[str, Analysis] = {}
    for module, file in _modules():
        entry = _entry(module, file)
        if entry is None:
            continue
        if entry.name in found:
            raise ImportError(f"{found[entry.name].module} and {module} both analyze {entry.name}")
        found[entry.name] = entry
    return dict(sorted(found.items()))


def analysis_module(name: str) -> ModuleType:
    """The module that does the analysis, imported.

    Raises:
        InputError: there is no analysis of this name; it suggests the nearest.
    """
    if name not in analyses():
        raise unknown_name("analysis", name, analyses(), where="srbench analyze")
    return import_module(analyses()[name].module)


def _modules() -> Iterator[tuple[str, Path]]:
    for room in _ROOMS:
        root = room_folder(room)
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            yield ".".join(("srbench", room, *(part for part in parts if part != "__init__"))), file


def _entry(module: str, file: Path) -> Analysis | None:
    """A file's ``ANALYSIS``, read and not executed."""
    text = file.read_text(encoding="utf-8")
    if "\nANALYSIS = " not in text:  # most files: not worth parsing
        return None
    for node in ast.parse(text, filename=str(file)).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "ANALYSIS" for t in node.targets):
            held = ast.literal_eval(node.value)
            return Analysis(held["name"], held["summary"], module, held["model"])
    return None
