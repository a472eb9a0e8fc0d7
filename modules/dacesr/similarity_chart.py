"""Lines of text similarity over levels, one panel per type of degradation, as SVG (DACESR, Fig. 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_PANEL = 250
_TALL = 210
_LEFT, _TOP, _GAP = 44, 56, 26
_COLOURS = ("#1668dc", "#d9480f", "#2b8a3e", "#862e9c", "#e67700", "#495057")
_STYLE = 'text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:#1c2430}.soft{fill:#5d6b7e}'


def chart(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """An SVG file.

    Args:
        rows: mappings with ``tagger``, ``type``, ``level`` and ``mean`` in [0,1]; their order is the order of levels.
        title: what is shown.
    """
    types = list(dict.fromkeys(row["type"] for row in rows))
    taggers = list(dict.fromkeys(row["tagger"] for row in rows))
    low, high = _range([row["mean"] for row in rows])
    width, height = _LEFT + len(types) * (_PANEL + _GAP), _TOP + _TALL + 34
    parts = [f'<text x="{_LEFT}" y="20" font-size="14" font-weight="600">{escape(title)}</text>']
    parts += _legend(taggers)
    for number, kind in enumerate(types):
        left = _LEFT + number * (_PANEL + _GAP)
        mine = [row for row in rows if row["type"] == kind]
        parts.append(_panel(kind, mine, taggers, left, low, high))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>'
        f'<style>{_STYLE}</style><rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _range(values: Sequence[float]) -> tuple[int, int]:
    """The lowest and highest grid line, in tenths."""
    low, high = math.floor(min(values) * 10 + 1e-9), math.ceil(max(values) * 10 - 1e-9)
    return (low, high) if low < high else (max(low - 1, 0), max(low - 1, 0) + 1)


def _legend(taggers: Sequence[str]) -> list[str]:
    parts, x = [], float(_LEFT)
    for number, tagger in enumerate(taggers):
        parts.append(f'<circle cx="{x + 5:g}" cy="36" r="4" fill="{_colour(number)}"/>')
        parts.append(f'<text x="{x + 14:g}" y="40" font-size="12">{escape(tagger)}</text>')
        x += 32 + 7 * len(tagger)
    return parts


def _panel(
    kind: str, rows: Sequence[Mapping[str, Any]], taggers: Sequence[str], left: float, low: int, high: int
) -> str:
    levels = list(dict.fromkeys(row["level"] for row in rows))
    step = _PANEL / max(len(levels), 1)

    def place(row: Mapping[str, Any]) -> tuple[float, float]:
        x = left + step * (levels.index(row["level"]) + 0.5)
        return x, _TOP + _TALL * (high / 10 - row["mean"]) / ((high - low) / 10)

    parts = _grid(left, low, high)
    for number, level in enumerate(levels):
        x = left + step * (number + 0.5)
        parts.append(
            f'<text class="soft" x="{x:.1f}" y="{_TOP + _TALL + 14}" font-size="11" text-anchor="middle">'
            f"{escape(level)}</text>"
        )
    parts.append(
        f'<text x="{left + _PANEL / 2:g}" y="{_TOP + _TALL + 30}" font-size="12" text-anchor="middle">{escape(kind)}'
        "</text>"
    )
    for number, tagger in enumerate(taggers):
        points = [(*place(row), row["mean"]) for row in rows if row["tagger"] == tagger]
        parts.append(_line(points, _colour(number), tagger))
    return "".join(parts)


def _grid(left: float, low: int, high: int) -> list[str]:
    parts = []
    for tenth in range(low, high + 1):
        y = _TOP + _TALL * (high - tenth) / (high - low)
        parts.append(f'<line x1="{left:g}" x2="{left + _PANEL:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e8ef"/>')
        if left == _LEFT:
            parts.append(
                f'<text class="soft" x="{left - 6:g}" y="{y + 4:.1f}" font-size="11" text-anchor="end">'
                f"{tenth / 10:.1f}</text>"
            )
    return parts


def _line(points: Sequence[tuple[float, float, float]], colour: str, tagger: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">'
        f"<title>{escape(tagger)}: {value:.3f}</title></circle>"
        for x, y, value in points
    )
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
