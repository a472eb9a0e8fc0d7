"""How the series of a chart are told apart: by colour, and without colour by mark and dashes. SVG; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = 'text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:#1c2430}.soft{fill:#5d6b7e}'
"""Style sheet of a chart."""

ROW = 18
"""Height of a line of the legend."""

_COLOURS = ("#1668dc", "#d9480f", "#2b8a3e", "#862e9c", "#b8860b", "#495057")
_DASHES = ("", "7 4", "2 3", "10 3 2 3", "14 4", "4 2")
_OUTLINES = (
    "M-1 0A1 1 0 1 0 1 0A1 1 0 1 0 -1 0Z",  # circle
    "M-.9 -.9H.9V.9H-.9Z",  # square
    "M0 -1.2L1.1 .8H-1.1Z",  # triangle
    "M0 -1.3L1.1 0L0 1.3L-1.1 0Z",  # diamond
    "M0 1.2L1.1 -.8H-1.1Z",  # triangle upside down
    "M-1.2 -.4H-.4V-1.2H.4V-.4H1.2V.4H.4V1.2H-.4V.4H-1.2Z",  # plus
)
_SAMPLE, _DOT, _LETTER = 26, 8, 7.2


def stroke(number: int) -> str:
    """The attributes of a series' line."""
    dashes = _DASHES[number % len(_DASHES)]
    return f'fill="none" stroke="{_colour(number)}" stroke-width="2"' + (
        f' stroke-dasharray="{dashes}"' if dashes else ""
    )


def mark(number: int, x: float, y: float, size: float = 3.5, told: str = "", opacity: float = 1.0) -> str:
    """A point of a series.

    Args:
        number: of the series.
        x: its centre, in pixels.
        y: its centre, in pixels.
        size: half its width, in pixels.
        told: what is shown when the pointer rests on it.
        opacity: of its inside.
    """
    outline = _OUTLINES[(number + number // len(_COLOURS)) % len(_OUTLINES)]
    inside = f"<title>{escape(told)}</title>" if told else ""
    clear = "" if opacity == 1 else f' fill-opacity="{opacity:g}"'
    place = f"translate({x:.1f} {y:.1f}) scale({size:g})"
    return f'<path d="{outline}" transform="{place}" fill="{_colour(number)}"{clear}>{inside}</path>'


def legend(
    labels: Sequence[str], left: float, top: float, right: float, *, lines: bool = True, marks: bool = True
) -> tuple[str, int]:
    """What the series are called, in as many lines as fit between ``left`` and ``right``.

    Args:
        labels: of the series, by number.
        left: where lines begin, in pixels.
        top: middle of the first line.
        right: where lines end at the latest, but for a label that is longer than a line.
        lines: show the series' lines.
        marks: show their marks.

    Returns:
        SVG, and its number of lines.
    """
    parts, x, rows = [], left, 1
    sample = _SAMPLE if lines else _DOT
    for number, label in enumerate(labels):
        wide = sample + 6 + _LETTER * len(label)
        if x > left and x + wide > right:
            x, rows = left, rows + 1
        y = top + ROW * (rows - 1)
        if lines:
            parts.append(f'<path d="M{x:g} {y:g}H{x + sample:g}" {stroke(number)}/>')
        if marks:
            parts.append(mark(number, x + sample / 2, y))
        parts.append(f'<text x="{x + sample + 6:g}" y="{y + 4:g}" font-size="12">{escape(label)}</text>')
        x += wide + 16
    return "".join(parts), rows


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
