"""Warnings as one line, for people who run srbench and did not write it. Imports no torch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srbench.catalog import room_folder

_ROOMS = ("modules", "datamodules")


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Shows warnings without the source line that raised them, and srbench's own without file and category too.

    ``SRBENCH_TRACEBACK`` leaves them as Python shows them. What is warned of, and how often, does not change.
    """
    if os.environ.get("SRBENCH_TRACEBACK"):
        yield
        return
    before = warnings.formatwarning
    warnings.formatwarning = _line
    try:
        yield
    finally:
        warnings.formatwarning = before


def _line(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    if _is_ours(Path(filename)):
        return f"srbench: warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def _is_ours(file: Path) -> bool:
    return any(file.is_relative_to(folder) for folder in (Path(__file__).parent, *map(room_folder, _ROOMS)))
