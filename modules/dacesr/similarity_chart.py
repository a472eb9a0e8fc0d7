"""Lines of text similarity over levels, one panel per type of degradation, as SVG (DACESR, Fig. 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from srbench.modules.line_chart import Panel, line_chart

_WIDE = 240


def chart(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """An SVG file.

    Args:
        rows: mappings with ``tagger``, ``type``, ``level`` and ``mean`` in [0,1]; their order is the order of levels.
        title: what is shown.
    """
    span = _span([row["mean"] for row in rows])
    types = dict.fromkeys(row["type"] for row in rows)
    return line_chart([_panel(kind, rows, span) for kind in types], title, wide=_WIDE)


def _span(means: Sequence[float]) -> tuple[float, float]:
    """Whole tenths around them, one tenth at least, within [0,1]."""
    low, high = math.floor(min(means) * 10 + 1e-9), math.ceil(max(means) * 10 - 1e-9)
    if low == high:
        low, high = max(low - 1, 0), max(low, 1)
    return low / 10, high / 10


def _panel(kind: str, rows: Sequence[Mapping[str, Any]], span: tuple[float, float]) -> Panel:
    mine = [row for row in rows if row["type"] == kind]
    levels = list(dict.fromkeys(row["level"] for row in mine))
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in mine:
        lines.setdefault(row["tagger"], []).append((float(levels.index(row["level"])), row["mean"]))
    return Panel("", kind, lines, names=levels, span=span)
