"""The methods, a folder each; ``srbench.modules.EDSR`` finds its folder by itself.

A folder joins by naming its classes in the ``__all__`` of its ``__init__.py``; no shared list is edited. Looking a name
up reads those files without importing them, so listing every method costs no import of torch.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import Any

if __name__ != "srbench.modules":
    raise ImportError("import srbench.modules: the bare room name would be a second, different package")

_PARTS = frozenset({"nets", "losses"})
"""Folders that hold parts of methods, not methods."""


@cache
def exports() -> dict[str, str]:
    """Every exported class name and the sub-package that defines it, sorted by name; imports none of them.

    Raises:
        ImportError: two folders export the same name.
    """
    found: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob("*/__init__.py")):
        folder = file.parent.name
        for name in () if folder in _PARTS else _declared(file):
            if name in found:
                raise ImportError(f"srbench.modules.{name} is exported by both {found[name]} and {folder}")
            found[name] = folder
    return dict(sorted(found.items()))


def _declared(file: Path) -> list[str]:
    """The names in a file's ``__all__``, read and not executed."""
    for statement in ast.parse(file.read_text(encoding="utf-8"), filename=str(file)).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
                return [str(name) for name in ast.literal_eval(statement.value)]
    return []


def __getattr__(name: str) -> Any:
    # Dunder names are asked for by the import system itself and never name a method.
    if not name.startswith("_") and (folder := exports().get(name)) is not None:
        return getattr(importlib.import_module(f"{__name__}.{folder}"), name)
    raise AttributeError(_unknown(name))


def _unknown(name: str) -> str:
    from srbench.naming import nearest

    hint = nearest(name, exports())
    return f"module {__name__!r} has no method {name!r}" + ("" if hint is None else f"; did you mean {hint!r}?")


def __dir__() -> list[str]:
    return sorted({*globals(), *exports()})
