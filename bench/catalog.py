"""What ships with srbench, found without importing it: configs by short name, classes by reading ``__all__``."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from srbench.errors import InputError
from srbench.naming import nearest


class Entry(NamedTuple):
    """A class that a room exports: its name, where it can be imported from, and the first line of its docstring."""

    name: str
    class_path: str
    summary: str


@cache
def room_folder(room: str) -> Path:
    """The folder of ``srbench.<room>`` (``modules``, ``datamodules``, ``configs``), without importing torch."""
    spec = find_spec(f"srbench.{room}")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the room srbench.{room} is not installed", remedy="install srbench again")
    return Path(next(iter(spec.submodule_search_locations)))


# ---------------------------------------------------------------------------------------------------- configs


def config_names(kind: str = "") -> list[str]:
    """Short names of the shipped configs, e.g. ``methods/edsr/fit.yaml``; ``kind`` is a folder to stay in."""
    root = room_folder("configs")
    return sorted(p.relative_to(root).as_posix() for p in (root / kind).rglob("*.yaml"))


def find_config(name: str) -> Path:
    """The file that ``--config name`` means: a path as given, else a shipped config by its short name.

    Raises:
        InputError: neither exists; it suggests the nearest shipped one.
    """
    path = Path(name)
    if path.is_file():
        return path
    root = room_folder("configs").resolve()
    for candidate in (root / name, root / f"{name}.yaml"):
        if candidate.is_file() and candidate.resolve().is_relative_to(root):
            return candidate
    hint = nearest(name, config_names())
    raise InputError(
        "there is no such config, neither as a path nor among the shipped ones",
        where=name,
        remedy=f"did you mean '{hint}'?" if hint else "see srbench list configs",
    )


def read_config(name: str) -> dict[str, Any]:
    """One config as a plain dictionary.

    Raises:
        InputError: it is missing, no YAML, or no mapping.
    """
    path = find_config(name)
    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" (line {place.line + 1})" if place is not None else ""
        raise InputError(f"it is not valid YAML{line}", where=name, remedy="check its indentation and colons") from error
    if held is None:
        return {}
    if not isinstance(held, dict):
        raise InputError("a config must be a mapping", where=name, remedy="start with keys such as model:, data:")
    return held


def load_stack(names: Sequence[str]) -> dict[str, Any]:
    """Configs laid over each other, the later winning; see :func:`overlay`."""
    stack: dict[str, Any] = {}
    for name in names:
        stack = overlay(stack, read_config(name))
    return stack


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``, mapping by mapping; anything else is replaced whole.

    Where ``above`` names another ``class_path``, the ``init_args`` of the class below do not carry over; where
    ``below`` has none yet (a method's ``batch_size`` before any data set was named) they do.

    >>> overlay({"data": {"init_args": {"batch_size": 4}}}, {"data": {"class_path": "A"}})
    {'data': {'init_args': {'batch_size': 4}, 'class_path': 'A'}}
    """
    out = dict(below)
    if "class_path" in above and below.get("class_path") not in (None, above["class_path"]):
        out.pop("init_args", None)
        out.pop("dict_kwargs", None)
    for key, value in above.items():
        held = out.get(key)
        out[key] = overlay(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return out


# ---------------------------------------------------------------------------------------------------- classes


@cache
def exported(room: str) -> dict[str, Entry]:
    """Public classes of a room by name, from every file's ``__all__`` and docstrings.

    Only names with a ``class`` statement in the room count, and each is listed once, by its shortest import path.
    """
    root = room_folder(room)
    found: dict[str, Entry] = {}
    files = sorted(root.rglob("*.py"), key=lambda p: (len(p.relative_to(root).parts), p.as_posix()))
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files if "__pycache__" not in file.parts}
    summaries = {
        node.name: (ast.get_docstring(node) or "").split("\n")[0]
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    for file, tree in trees.items():
        parts = file.relative_to(root).with_suffix("").parts
        module = ".".join(("srbench", room, *(parts[:-1] if parts[-1] == "__init__" else parts)))
        for name in _dunder_all(tree):
            if name in summaries and name not in found:
                found[name] = Entry(name, f"{module}.{name}", summaries[name])
    return found


def _dunder_all(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            try:
                return [str(name) for name in ast.literal_eval(node.value)]
            except ValueError:
                return []
    return []
