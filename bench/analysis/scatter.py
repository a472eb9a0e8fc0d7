"""Labelled points in the plane, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_SIDE, _EDGE, _TOP = 460, 16, 62
_COLOURS = ("#1668dc", "#e67700", "#c92a2a", "#2b8a3e", "#862e9c", "#495057")
_STYLE = 'text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:#1c2430}.soft{fill:#5d6b7e}'


def scatter(points: Sequence[tuple[float, float, str, str]], title: str, remark: str) -> str:
    """An SVG file without axes, whose units mean nothing.

    Args:
        points: place, group, and what is shown when the pointer rests on it; groups are coloured by first appearance.
        title: what is shown.
        remark: a line below it.
    """
    groups = list(dict.fromkeys(group for _, _, group, _ in points))
    low = min(x for x, _, _, _ in points), min(y for _, y, _, _ in points)
    high = max(x for x, _, _, _ in points), max(y for _, y, _, _ in points)
    unit = _SIDE / (max(high[0] - low[0], high[1] - low[1]) or 1.0)
    dots = []
    for x, y, group, name in points:
        colour = _COLOURS[groups.index(group) % len(_COLOURS)]
        left, top = _EDGE + (x - low[0]) * unit, _TOP + _EDGE + (y - low[1]) * unit
        dots.append(
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3.2" fill="{colour}" fill-opacity="0.75">'
            f"<title>{escape(f'{group}: {name}')}</title></circle>"
        )
    wide, tall = _SIDE + 2 * _EDGE, _TOP + _SIDE + 2 * _EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}" '
        f'role="img"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f'<rect width="{wide}" height="{tall}" fill="#ffffff"/>'
        f'<text x="{_EDGE}" y="20" font-size="14" font-weight="600">{escape(title)}</text>'
        f'<text class="soft" x="{_EDGE}" y="37" font-size="11">{escape(remark)}</text>{_legend(groups)}'
        f"{''.join(dots)}</svg>\n"
    )


def _legend(groups: Sequence[str]) -> str:
    parts, x = [], float(_EDGE)
    for number, group in enumerate(groups):
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<circle cx="{x + 5:g}" cy="51" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 14:g}" y="55" font-size="12">{escape(group)}</text>')
        x += 34 + 7 * len(group)
    return "".join(parts)
