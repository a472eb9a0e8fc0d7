"""Lines over a number, one panel beside the other, as SVG; histograms are drawn as lines in steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from srbench.series import ROW, STYLE, legend, mark, stroke

Point = tuple[float, float]

_TALL = 230
_LEFT, _TOP, _GAP = 58, 58, 66
_TICKS = 5


@dataclass(frozen=True)
class Panel:
    """One system of axes.

    Attributes:
        title: above it, what the vertical axis counts.
        across: below it, what the horizontal axis counts.
        lines: points by label, at least one each.
        dots: mark the points.
        names: of the horizontal axis' values 0, 1, 2, ..., where it has names instead of numbers.
        span: lowest and highest value that the vertical axis must reach; None takes those of the points.
    """

    title: str
    across: str
    lines: Mapping[str, Sequence[Point]]
    dots: bool = True
    names: Sequence[str] = ()
    span: tuple[float, float] | None = None


def line_chart(panels: Sequence[Panel], title: str, *, wide: int = 330) -> str:
    """An SVG file of the panels side by side; a label has one look in all of them.

    Args:
        panels: from left to right.
        title: above them.
        wide: width of a panel in pixels.
    """
    labels = list(dict.fromkeys(label for panel in panels for label in panel.lines))
    width = _LEFT + len(panels) * (wide + _GAP)
    key, rows = legend(labels, _LEFT, 36, width, marks=any(panel.dots for panel in panels))
    top = _TOP + ROW * (rows - 1)
    height = top + _TALL + 50
    parts = [f'<text x="{_LEFT}" y="20" font-size="14" font-weight="600">{escape(title)}</text>', key]
    for number, panel in enumerate(panels):
        parts.append(_panel(panel, labels, _LEFT + number * (wide + _GAP), top, wide))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>'
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
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


def _panel(panel: Panel, labels: Sequence[str], left: float, top: float, wide: int) -> str:
    points = [point for line in panel.lines.values() for point in line]
    heights = panel.span or (min(y for _, y in points), max(y for _, y in points))
    up = ticks(*heights)
    across = _across(panel, [x for x, _ in points])
    first, last = across[0][0], across[-1][0]
    inset = wide / (2 * len(across)) if panel.names else 0.0

    def place(point: Point) -> Point:
        x = left + inset + (wide - 2 * inset) * (point[0] - first) / ((last - first) or 1.0)
        return x, top + _TALL * (up[-1] - point[1]) / (up[-1] - up[0])

    parts = [f'<text x="{left:g}" y="{top - 6:g}" font-size="12">{escape(panel.title)}</text>']
    for value in up:
        y = place((first, value))[1]
        parts.append(f'<line x1="{left:g}" x2="{left + wide:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e8ef"/>')
        parts.append(_word(left - 6, y + 4, f"{value:g}", "end"))
    parts += [_word(place((x, up[0]))[0], top + _TALL + 16, word, "middle") for x, word in across]
    parts.append(_word(left + wide / 2, top + _TALL + 36, panel.across, "middle"))
    for label, line in panel.lines.items():
        parts.append(_line(labels.index(label), label, line, [place(point) for point in line], panel.dots))
    return "".join(parts)


def _across(panel: Panel, values: Sequence[float]) -> list[tuple[float, str]]:
    """Where the horizontal axis is labelled, and how."""
    if panel.names:
        return [(float(number), name) for number, name in enumerate(panel.names)]
    return [(value, f"{value:g}") for value in ticks(min(values), max(values))]


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text class="soft" x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}">{escape(text)}</text>'
    )  # fmt: skip


def _line(number: int, label: str, values: Sequence[Point], places: Sequence[Point], dots: bool) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    told = [f"{label}: {value:.4g}" for _, value in values]
    marks = [mark(number, x, y, told=text) for (x, y), text in zip(places, told, strict=True)] if dots else []
    return f'<polyline points="{path}" {stroke(number)}/>{"".join(marks)}'
