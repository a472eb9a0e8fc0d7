"""The data sets, a file each; ``srbench.datamodules.Classical`` finds its file by itself.

A file joins by naming its class in ``__all__``; no shared list is edited. Looking a name up reads the files without
importing them, so listing every data set costs no import of torch.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import Any

if __name__ != "srbench.datamodules":
    raise ImportError("import srbench.datamodules: the bare room name would be a second, different package")


@cache
def exports() -> dict[str, str]:
    """Every exported name and the file that defines it, sorted by name; imports none of them.

    Raises:
        ImportError: two files export the same name.
    """
    found: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        for name in _declared(file):
            if name in found:
                raise ImportError(f"srbench.datamodules.{name} is exported by both {found[name]}.py and {file.name}")
            found[name] = file.stem
    return dict(sorted(found.items()))


def _declared(file: Path) -> list[str]:
    """The names in a file's ``__all__``, read and not executed."""
    for statement in ast.parse(file.read_text(encoding="utf-8"), filename=str(file)).body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in statement.targets
        ):
            return [str(name) for name in ast.literal_eval(statement.value)]
    return []


def __getattr__(name: str) -> Any:
    # Dunder names are asked for by the import system itself and never name a data set.
    if not name.startswith("_") and (file := exports().get(name)) is not None:
        return getattr(importlib.import_module(f"{__name__}.{file}"), name)
    raise AttributeError(_unknown(name))


def _unknown(name: str) -> str:
    from srbench.naming import nearest

    hint = nearest(name, exports())
    return f"module {__name__!r} has no data set {name!r}" + ("" if hint is None else f"; did you mean {hint!r}?")


def __dir__() -> list[str]:
    return sorted({*globals(), *exports()})
