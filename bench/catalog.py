"""What ships with srbench, found without importing it: configs by short name, classes by reading ``__all__``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
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
        raise InputError(
            f"it is not valid YAML{line}", where=name, remedy="check its indentation and colons"
        ) from error
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


SHARED_PARTS = frozenset({"nets", "losses", "degradations"})
"""Folders of a room that hold parts of its classes, not classes to choose from."""


@cache
def exported(room: str) -> dict[str, Entry]:
    """What a room offers: the classes that its files and folders name in ``__all__``, by name; none is imported.

    Raises:
        ImportError: two places export the same name.
    """
    found: dict[str, Entry] = {}
    for child, files in _children(room_folder(room)):
        trees = _trees(files)
        summaries = {node.name: _summary(node) for node in _classes(trees)}
        for name in _dunder_all(trees[0]):
            if name in found:
                raise ImportError(f"srbench.{room}.{name} is exported by {found[name].class_path} and by {child}")
            if name in summaries:
                found[name] = Entry(name, f"srbench.{room}.{child}.{name}", summaries[name])
    return dict(sorted(found.items()))


@cache
def degradations() -> dict[str, Entry]:
    """The degradations that a config can name, by name; none is imported."""
    folder = room_folder("datamodules") / "degradations"
    trees = _trees([folder / "__init__.py", *sorted(folder.glob("*.py"))])
    bases = {node.name: {base.id for base in node.bases if isinstance(base, ast.Name)} for node in _classes(trees)}
    kinds = {"Degradation"}
    while more := {name for name, above in bases.items() if above & kinds} - kinds:
        kinds |= more
    offered = kinds & set(_dunder_all(trees[0]))
    place = "srbench.datamodules.degradations"
    entries = [Entry(node.name, f"{place}.{node.name}", _summary(node)) for node in _classes(trees)]
    return {entry.name: entry for entry in sorted(entries) if entry.name in offered}


def lazy_room(room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a room: ``srbench.<room>.<Class>`` imports the one place that defines it.

    A class joins by being named in its folder's or file's ``__all__``; no shared list is edited.
    """

    def find(name: str) -> Any:
        # Dunder names are asked for by the import system itself and never name a class.
        entry = None if name.startswith("_") else exported(room).get(name)
        if entry is not None:
            return getattr(import_module(entry.class_path.rpartition(".")[0]), name)
        hint = None if name.startswith("_") else nearest(name, exported(room))
        raise AttributeError(f"srbench.{room} has no {name!r}" + (f"; did you mean {hint!r}?" if hint else ""))

    return find, lambda: sorted(exported(room))


def _children(root: Path) -> Iterator[tuple[str, list[Path]]]:
    """Every file and folder of a room with its Python files, the one that holds ``__all__`` first."""
    for place in sorted(root.iterdir()):
        if place.is_dir() and place.name not in SHARED_PARTS and (place / "__init__.py").is_file():
            inside = (file for file in sorted(place.rglob("*.py")) if file != place / "__init__.py")
            yield place.name, [place / "__init__.py", *inside]
        elif place.suffix == ".py" and not place.name.startswith("_"):
            yield place.stem, [place]


def _trees(files: Sequence[Path]) -> list[ast.Module]:
    return [ast.parse(file.read_text(encoding="utf-8"), filename=str(file)) for file in files]


def _classes(trees: Sequence[ast.Module]) -> list[ast.ClassDef]:
    return [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]


def _summary(node: ast.ClassDef) -> str:
    """The first line of its docstring, as plain text."""
    return (ast.get_docstring(node) or "").split("\n")[0].replace("``", "")


def _dunder_all(tree: ast.Module) -> list[str]:
    """The names in a file's ``__all__``, read and not executed."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return [str(name) for name in ast.literal_eval(node.value)]
    return []
