"""Labelled points in the plane, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from srbench.series import ROW, STYLE, legend, mark

_SIDE, _EDGE, _TOP = 460, 16, 62


def scatter(points: Sequence[tuple[float, float, str, str]], title: str, remark: str) -> str:
    """An SVG file without axes, whose units mean nothing.

    Args:
        points: place, group, and what is shown when the pointer rests on it; groups are numbered by first appearance.
        title: what is shown.
        remark: a line below it.
    """
    groups = list(dict.fromkeys(group for _, _, group, _ in points))
    low = min(x for x, _, _, _ in points), min(y for _, y, _, _ in points)
    high = max(x for x, _, _, _ in points), max(y for _, y, _, _ in points)
    unit = _SIDE / (max(high[0] - low[0], high[1] - low[1]) or 1.0)
    wide = _SIDE + 2 * _EDGE
    key, rows = legend(groups, _EDGE, 51, wide - _EDGE, lines=False)
    head = _TOP + ROW * (rows - 1)
    dots = []
    for x, y, group, name in points:
        left, top = _EDGE + (x - low[0]) * unit, head + _EDGE + (y - low[1]) * unit
        dots.append(mark(groups.index(group), left, top, 3.2, f"{group}: {name}", opacity=0.75))
    tall = head + _SIDE + 2 * _EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}" '
        f'role="img"><title>{escape(title)}</title><style>{STYLE}</style>'
        f'<rect width="{wide}" height="{tall}" fill="#ffffff"/>'
        f'<text x="{_EDGE}" y="20" font-size="14" font-weight="600">{escape(title)}</text>'
        f'<text class="soft" x="{_EDGE}" y="37" font-size="11">{escape(remark)}</text>{key}'
        f"{''.join(dots)}</svg>\n"
    )
