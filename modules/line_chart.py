"""Lines over a number, one panel beside the other, as SVG; histograms are drawn as lines in steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

_WIDE, _TALL = 330, 230
_LEFT, _TOP, _GAP = 58, 58, 66
_COLOURS = ("#1668dc", "#d9480f", "#2b8a3e", "#862e9c", "#e67700", "#495057")
_STYLE = 'text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:#1c2430}.soft{fill:#5d6b7e}'
_TICKS = 5


@dataclass(frozen=True)
class Panel:
    """One system of axes.

    Attributes:
        title: above it, what the vertical axis counts.
        across: below it, what the horizontal axis counts.
        lines: points by label, at least one each.
        dots: mark the points.
    """

    title: str
    across: str
    lines: Mapping[str, Sequence[Point]]
    dots: bool = True


def line_chart(panels: Sequence[Panel], title: str) -> str:
    """An SVG file of the panels side by side; a label has one colour in all of them."""
    labels = list(dict.fromkeys(label for panel in panels for label in panel.lines))
    width, height = _LEFT + len(panels) * (_WIDE + _GAP), _TOP + _TALL + 50
    parts = [f'<text x="{_LEFT}" y="20" font-size="14" font-weight="600">{escape(title)}</text>', *_legend(labels)]
    for number, panel in enumerate(panels):
        parts.append(_panel(panel, labels, _LEFT + number * (_WIDE + _GAP)))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>'
        f'<style>{_STYLE}</style><rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def steps(edges: Sequence[float], counts: Sequence[float]) -> list[Point]:
    """The outline of a histogram: ``edges`` is one longer than ``counts``.

    >>> steps([0, 1, 2], [3, 4])
    [(0, 0.0), (0, 3), (1, 3), (1, 4), (2, 4), (2, 0.0)]
    """
    outline: list[Point] = [(edges[0], 0.0)]
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        outline += [(low, count), (high, count)]
    return [*outline, (edges[-1], 0.0)]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``, about five steps.

    >>> ticks(0.0, 1.0), ticks(21.3, 21.3)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [20.0, 21.0, 22.0])
    """
    span = high - low
    if span <= 0:
        return [float(math.floor(low) - 1), float(math.floor(low)), float(math.floor(low) + 1)]
    rough = span / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _legend(labels: Sequence[str]) -> list[str]:
    parts, x = [], float(_LEFT)
    for number, label in enumerate(labels):
        parts.append(f'<circle cx="{x + 5:g}" cy="36" r="4" fill="{_colour(number)}"/>')
        parts.append(f'<text x="{x + 14:g}" y="40" font-size="12">{escape(label)}</text>')
        x += 34 + 7 * len(label)
    return parts


def _panel(panel: Panel, labels: Sequence[str], left: float) -> str:
    points = [point for line in panel.lines.values() for point in line]
    across = ticks(min(x for x, _ in points), max(x for x, _ in points))
    up = ticks(min(y for _, y in points), max(y for _, y in points))

    def place(point: Point) -> Point:
        x = left + _WIDE * (point[0] - across[0]) / (across[-1] - across[0])
        return x, _TOP + _TALL * (up[-1] - point[1]) / (up[-1] - up[0])

    parts = [f'<text x="{left:g}" y="{_TOP - 6}" font-size="12">{escape(panel.title)}</text>']
    for value in up:
        y = place((across[0], value))[1]
        parts.append(f'<line x1="{left:g}" x2="{left + _WIDE:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e8ef"/>')
        parts.append(_word(left - 6, y + 4, f"{value:g}", "end"))
    for value in across:
        parts.append(_word(place((value, up[0]))[0], _TOP + _TALL + 16, f"{value:g}", "middle"))
    parts.append(_word(left + _WIDE / 2, _TOP + _TALL + 36, panel.across, "middle"))
    for label, line in panel.lines.items():
        parts.append(_line([place(point) for point in line], _colour(labels.index(label)), panel.dots))
    return "".join(parts)


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text class="soft" x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}">{escape(text)}</text>'
    )  # fmt: skip


def _line(points: Sequence[Point], colour: str, dots: bool) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points) if dots else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{marks}'


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
