"""The layout of the Weights & Biases dashboard: a committed file that says which keys stand in which panel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from srbench.errors import InputError
from srbench.naming import unknown_name

KINDS = ("line", "bar", "table", "media")


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        kind: one of ``KINDS``.
        title: its heading.
        keys: patterns of logged keys (``*`` stands for anything).
        section: the section it stands in.
        x: the key of a line panel's axis; None for others.
        smoothing: of a line panel, from 0 (none) to 1.
    """

    kind: str
    title: str
    keys: tuple[str, ...]
    section: str
    x: str | None = None
    smoothing: float = 0.0


@dataclass(frozen=True)
class Dashboard:
    """All panels, in the order of the page.

    Attributes:
        project: the W&B project that runs belong to unless another is named.
        panels: at least one.
    """

    project: str
    panels: tuple[Panel, ...]

    def shows(self, key: str) -> bool:
        """Whether a logged key has a panel."""
        return any(fnmatchcase(key, pattern) for panel in self.panels for pattern in panel.keys)

    def axes(self) -> dict[str, str]:
        """Pattern -> the key it is drawn over, for ``define_metric``, which takes a ``*`` only at a pattern's end."""
        return {
            pattern: panel.x
            for panel in self.panels
            for pattern in panel.keys
            if panel.x is not None and "*" not in pattern[:-1]
        }


def read_dashboard(path: Path | None = None) -> Dashboard:
    """The layout in ``path``; None takes the shipped ``configs/dashboards/wandb.json``.

    Raises:
        InputError: the file is not such a layout; names it.
    """
    source = path or files("srbench.configs").joinpath("dashboards", "wandb.json")
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
        panels = tuple(
            _panel(panel, str(section["name"])) for section in data["sections"] for panel in section["panels"]
        )
        if data["version"] != 1 or not panels or not isinstance(data["project"], str):
            raise ValueError("version 1, a project and at least one panel are needed")
    except InputError as error:
        raise InputError(error.what, where=path or "dashboards/wandb.json", remedy=error.remedy) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"not a dashboard layout ({type(error).__name__}: {str(error)[:100]})",
            where=path or "dashboards/wandb.json",
            remedy="see the one that ships with srbench",
        ) from None
    return Dashboard(data["project"], panels)


def _panel(data: dict[str, Any], section: str) -> Panel:
    for key in data:
        if key not in ("type", "title", "keys", "x", "smoothing"):
            raise unknown_name("panel key", key, ("type", "title", "keys", "x", "smoothing"))
    if data["type"] not in KINDS:
        raise unknown_name("panel type", str(data["type"]), KINDS)
    keys = data["keys"]
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key for key in keys):
        raise ValueError(f"panel {data['title']!r} needs a list of keys")
    if (data["type"] == "line") != ("x" in data):
        raise ValueError(f"panel {data['title']!r}: a line panel, and no other, has an axis x")
    return Panel(data["type"], str(data["title"]), tuple(keys), section, data.get("x"), float(data.get("smoothing", 0)))
