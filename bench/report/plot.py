"""Dots with intervals, drawn as SVG by hand: one panel per test set and protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from srbench.leaderboard import Group, Leaderboard, Row
from srbench.leaderboard.columns import score
from srbench.naming import printable

_ROW = 26
_HEAD = 42
_FOOT = 30
_NAMES = 190
_NUMBERS = 62
_LONGEST_NAME = 22
_MOST_ROWS = 25

_COLOURS = """
.bg{fill:#ffffff}.ink{fill:#1c2430}.soft{fill:#5d6b7e}.grid{stroke:#e3e8ef}.bar{stroke:#8fa3bd}.dot{fill:#8fa3bd}
.lead .bar{stroke:#1668dc}.lead .dot{fill:#1668dc}.out .dot{fill:#ffffff;stroke:#8fa3bd;stroke-width:1.6}
@media (prefers-color-scheme:dark){.bg{fill:#12161d}.ink{fill:#e6ebf2}.soft{fill:#93a1b5}.grid{stroke:#2a3240}
.bar{stroke:#6c7f99}.dot{fill:#6c7f99}.lead .bar{stroke:#5b9dff}.lead .dot{fill:#5b9dff}
.out .dot{fill:#12161d;stroke:#6c7f99}}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
""".strip()


@dataclass(frozen=True)
class _Dot:
    label: str
    row: Row
    mean: float
    low: float
    high: float


def leaderboard_svg(board: Leaderboard, *, width: int = 760) -> str:
    """The whole board as one SVG file: a panel per group by its ranking metric, light or dark as the reader's system.

    Groups without a ranking metric or without values are left out.
    """
    panels = [panel for group in board.groups if (panel := _panel(group, group.metric, width - 32)) is not None]
    y, parts = 8.0, []
    for body, height in panels:
        parts.append(f'<g transform="translate(16 {y:g})">{body}</g>')
        y += height + 10
    if not panels:
        parts.append('<text class="soft" x="16" y="34" font-size="14">There are no records yet.</text>')
        y = 50.0
    size = f'width="{width}" height="{y:g}" viewBox="0 0 {width} {y:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        f"<title>srbench leaderboard</title><style>{_COLOURS}</style>"
        f'<rect class="bg" width="{width}" height="{y:g}" rx="10"/>{"".join(parts)}</svg>\n'
    )


def dot_plot(group: Group, metric: str | None, *, width: int = 760) -> str:
    """One panel as SVG for a page whose style sheet has the colours; empty when there is nothing to draw."""
    panel = _panel(group, metric, width, titled=False)
    if panel is None:
        return ""
    body, height = panel
    label = escape(printable(f"{metric} on {group.title}"))
    return f'<svg class="plot" viewBox="0 0 {width} {height:g}" role="img" aria-label="{label}">{body}</svg>'


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most ``most`` round numbers between ``low`` and ``high``, with steps of 1, 2 or 5 times a power of ten.

    >>> ticks(27.9, 32.4)
    [28.0, 29.0, 30.0, 31.0, 32.0]
    """
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _panel(group: Group, metric: str | None, width: int, *, titled: bool = True) -> tuple[str, float] | None:
    dots = _dots(group, metric) if metric else []
    if not dots:
        return None
    low, high = _range(dots)
    left, right = _NAMES, width - _NUMBERS
    height = _HEAD + _ROW * len(dots) + _FOOT

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    parts = [_heading(group, metric or "", dots, width, titled)]
    marks = ticks(low, high)
    decimals = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9)) if len(marks) > 1 else 2
    for value in marks:
        at = f"{x(value):.1f}"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_HEAD - 6}" y2="{height - _FOOT + 2}"/>')
        text = f"{value:.{decimals}f}"
        parts.append(f'<text class="soft" x="{at}" y="{height - 10}" font-size="11" text-anchor="middle">{text}</text>')
    for index, dot in enumerate(dots):
        parts.append(
            _mark(dot, metric or "", _HEAD + _ROW * (index + 0.5), x(dot.low), x(dot.mean), x(dot.high), width)
        )
    return "".join(parts), height


def _heading(group: Group, metric: str, dots: Sequence[_Dot], width: int, titled: bool) -> str:
    intervals = any(dot.low < dot.high for dot in dots)
    arrow = "higher is better" if _direction(group, metric) else "lower is better"
    note = f"{metric}, {arrow}" + (", 95 % interval" if intervals else "")
    right = f'<text class="soft" x="{width}" y="16" font-size="12" text-anchor="end">{escape(note)}</text>'
    if not titled:
        return right
    n = max(dot.row.record.n for dot in dots)
    title = escape(printable(f"{group.test_set} ×{group.scale}"))
    about = escape(printable(f"{group.protocol}, n = {n}"))
    return (
        f'<text class="ink" y="16" font-size="15" font-weight="600">{title}'
        f'<tspan class="soft" font-size="12" font-weight="400" dx="8">{about}</tspan></text>{right}'
    )


def _mark(dot: _Dot, metric: str, y: float, low: float, mean: float, high: float, width: int) -> str:
    kind = "out" if dot.row.rank is None else ("lead" if dot.row.rank == 1 or dot.row.tie_group == "a" else "other")
    name = printable(dot.label)
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return (
        f'<g class="{kind}"><title>{escape(name)}: {score(metric, dot.mean)}</title>'
        f'<text class="ink" x="{_NAMES - 14}" y="{y + 4.5:g}" font-size="13" text-anchor="end">{escape(short)}</text>'
        f'<line class="bar" x1="{low:.1f}" x2="{high:.1f}" y1="{y:g}" y2="{y:g}" stroke-width="3" '
        f'stroke-linecap="round" opacity=".55"/><circle class="dot" cx="{mean:.1f}" cy="{y:g}" r="5"/>'
        f'<text class="ink" x="{width}" y="{y + 4.5:g}" font-size="13" text-anchor="end" '
        f'font-variant-numeric="tabular-nums">{score(metric, dot.mean)}</text></g>'
    )


def _dots(group: Group, metric: str) -> list[_Dot]:
    dots = []
    for label, row in zip(group.labels, group.rows, strict=True):
        result = row.record.metrics.get(metric)
        if result is None or result.mean is None or not math.isfinite(result.mean):
            continue
        low = result.ci_low if result.ci_low is not None and math.isfinite(result.ci_low) else result.mean
        high = result.ci_high if result.ci_high is not None and math.isfinite(result.ci_high) else result.mean
        dots.append(_Dot(label, row, result.mean, min(low, result.mean), max(high, result.mean)))
    return dots[:_MOST_ROWS]


def _range(dots: Sequence[_Dot]) -> tuple[float, float]:
    low, high = min(dot.low for dot in dots), max(dot.high for dot in dots)
    room = (high - low) * 0.06 or max(abs(high) * 0.01, 1e-3)
    return low - room, high + room


def _direction(group: Group, metric: str) -> bool:
    return next(r.record.metrics[metric].higher_is_better for r in group.rows if metric in r.record.metrics)
