"""What ``srbench data make`` can make, found without importing torch.

A file or folder of the room ``datamodules`` joins by a literal ``MAKES = {"set name": "what it is"}`` and a function
``make(name, *, hr, out, seed, workers, crops, title, progress)`` beside it, which returns an object with ``manifest``
(the file), ``records`` (what records call the set's parts), ``images`` and ``kept`` (numbers of images).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from srbench.catalog import room_folder
from srbench.naming import unknown_name


class Maker(NamedTuple):
    """A set that can be made: its name, what it is, and the module that makes it."""

    name: str
    summary: str
    module: str


@cache
def makers() -> dict[str, Maker]:
    """Every set that can be made, by name.

    Raises:
        ImportError: two modules make a set of one name.
    """
    found: dict[str, Maker] = {}
    for module, file in _modules():
        for name, summary in _table(file).items():
            if name in found:
                raise ImportError(f"{found[name].module} and {module} both make {name}")
            found[name] = Maker(name, summary, module)
    return dict(sorted(found.items()))


def make_function(name: str) -> Callable[..., Any]:
    """The function that makes the set; imports its module.

    Raises:
        InputError: no set of this name can be made; it suggests the nearest.
    """
    if name not in makers():
        raise unknown_name("set to make", name, makers(), where="srbench data make")
    make: Callable[..., Any] = import_module(makers()[name].module).make
    return make


def _modules() -> Iterator[tuple[str, Path]]:
    for place in sorted(room_folder("datamodules").iterdir()):
        file = place / "__init__.py" if place.is_dir() else place
        if file.suffix == ".py" and file.is_file() and place.name != "__init__.py":
            yield f"srbench.datamodules.{place.stem}", file


def _table(file: Path) -> dict[str, str]:
    """A file's ``MAKES``, read and not executed."""
    for node in ast.parse(file.read_text(encoding="utf-8"), filename=str(file)).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "MAKES" for t in node.targets):
            return dict(ast.literal_eval(node.value))
    return {}
