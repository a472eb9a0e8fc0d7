"""The offline page: tables, plots and pictures in one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from srbench import __version__
from srbench.atomic import write_whole
from srbench.leaderboard import Group, Leaderboard, ReportedGroup, ReportedRow, Row
from srbench.leaderboard.columns import blocks_after, rounded, score
from srbench.leaderboard.formats import REPORTED_CAPTION, caption, heads, reported_heads, reported_notes
from srbench.naming import printable
from srbench.report.gallery import Gallery, gallery
from srbench.report.pictures import PictureSet
from srbench.report.plot import dot_plot

_WORDS = ("tie", "method", "device", "weights", "source", "protocol", "notes")


def write_report(path: Path, table: Leaderboard, pictures: Sequence[PictureSet]) -> None:
    """Write the page; it opens from disk, without a network or a server.

    The page shows every group's table (a click on a head sorts) and a plot, then the pictures side by side with their
    scores: the worst k first, the pointer zooms into all pictures of a row at once, and a click opens a slider.
    Pictures are windows of at most 256 px where the methods differ most; the page says how many fit.

    Args:
        path: the HTML file, replaced whole.
        table: what to show.
        pictures: scenes in the order of their importance; those that would make the page too large are left out.

    Raises:
        InputError: a picture cannot be read, or the file cannot be written.
    """
    shown = gallery(table, pictures)
    script = _asset("page.js")
    page = Template(_asset("page.html")).substitute(
        policy=_policy(script),
        version=escape(__version__),
        style=_asset("page.css"),
        summary=escape(_summary(table)),
        contents=_contents(table, shown),
        groups="\n".join(_sections(table)),
        remarks=_remarks(table.remarks),
        pictures_note=escape(shown.note),
        data=_json(shown.data),
        script=script,
    )
    write_whole(Path(path), page.encode("utf-8"))


def _asset(name: str) -> str:
    return files("srbench.report").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """A content policy under which a browser loads nothing and runs this page's script only."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").replace("&", "\\u0026")


def _summary(table: Leaderboard) -> str:
    rows = [row for group in table.groups for row in group.rows]
    if not rows:
        return "There are no records yet."
    methods = {row.record.method for row in rows}
    sets = {(group.test_set, group.scale) for group in table.groups}
    newest = max(row.record.date for row in rows)[:10]
    return (
        f"{_count(len(methods), 'method')} on {_count(len(sets), 'test set')}, newest measurement {newest}. "
        "Only rows of one table were measured the same way on the same files, and only they are ranked together."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _contents(table: Leaderboard, shown: Gallery) -> str:
    links = [f'<a href="#group-{i}">{_safe(group.title)}</a>' for i, group in enumerate(table.groups)]
    links += [f'<a href="#reported-{i}">{_safe(block.title)}</a>' for i, block in enumerate(table.reported)]
    if shown.data["sets"]:
        links.append('<a href="#pictures">Side by side</a>')
    return "".join(links)


def _section(index: int, group: Group) -> str:
    head = "".join(_head_cell(name) for name in heads(group))
    best = {metric: _best(group, metric) for metric in group.metrics}
    body = "".join(_row(group, label, row, best) for label, row in zip(group.labels, group.rows, strict=True))
    return (
        f'<section id="group-{index}"><h2>{_safe(f"{group.test_set} ×{group.scale}")}'
        f'<span class="protocol">{_safe(group.protocol)}</span></h2><p class="about">{_safe(caption(group))}</p>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{dot_plot(group, group.metric)}</section>"
    )


def _sections(table: Leaderboard) -> Iterator[str]:
    """Every measured group, and behind the last one of a test set what papers printed on it."""
    for index in range(len(table.groups) + 1):
        if index < len(table.groups):
            yield _section(index, table.groups[index])
        for block in blocks_after(table, index):
            yield _reported_section(table.reported.index(block), block)


def _reported_section(index: int, block: ReportedGroup) -> str:
    head = "".join(_head_cell(name) for name in reported_heads(block))
    body = "".join(_reported_row(block, row) for row in block.rows)
    notes = "".join(f"<li>{_safe(note)}</li>" for note in reported_notes(block))
    title = _safe(f"{block.test_set} ×{block.scale}")
    parts = [
        f'<section class="reported" id="reported-{index}"><h2>{title}<span class="protocol">reported in papers',
        f'</span></h2><p class="about">{_safe(REPORTED_CAPTION)}</p><div class="scroll"><table><thead><tr>{head}',
        f'</tr></thead><tbody>{body}</tbody></table></div><ul class="remarks">{notes}</ul></section>',
    ]
    return "".join(parts)


def _reported_row(block: ReportedGroup, row: ReportedRow) -> str:
    cells = [_cell(row.method, row.method, kind="words method")]
    for column in block.columns:
        number = row.values.get(column)
        text = "–" if number is None else number.value + (" ?" if number.inferred else "")
        cells.append(_cell(text, number.number if number else None, title=number.note if number else None))
    marks = block.marks(row)
    cells += [_cell(text, text, kind="words") for text in (f"reported: {row.source}", row.protocol, marks)]
    return f'<tr class="unranked">{"".join(cells)}</tr>'


def _head_cell(name: str) -> str:
    kind = ' class="words"' if name in _WORDS else ""
    return f'<th scope="col"{kind}><button type="button">{_safe(name)}</button></th>'


def _row(group: Group, label: str, row: Row, best: dict[str, float | None]) -> str:
    cost, weights = row.record.cost, row.record.weights_sha256
    millions = None if cost.params is None else cost.params / 1e6
    giga = None if cost.macs is None else cost.macs / 1e9
    tie = f'<span class="tie">{_safe(row.tie_group)}</span>' if row.tie_group else "–"
    cells = [
        _cell("–" if row.rank is None else str(row.rank), row.rank, title=row.unranked),
        _cell(tie, row.tie_group or "", kind="words", markup=True),
        _cell(label, label, kind="words method", title=row.record.class_path),
        *(_metric_cell(row, metric, best[metric]) for metric in group.metrics),
        *(_cell(rounded(value), value) for value in (millions, giga, cost.ms_per_image, cost.peak_mem_mb)),
        _cell(cost.device, cost.device, kind="words"),
        _cell(weights[:8] if weights else "–", weights or "", kind="words", title=weights),
    ]
    opening = "<tr>" if row.rank else '<tr class="unranked">'
    return f"{opening}{''.join(cells)}</tr>"


def _metric_cell(row: Row, metric: str, best: float | None) -> str:
    result = row.record.metrics.get(metric)
    if result is None or result.mean is None:
        return _cell("–", None, title=result.missing if result else None)
    text = escape(score(metric, result.mean))
    if result.ci_low is not None:
        text += f"<small>{escape(score(metric, result.ci_low))} to {escape(score(metric, result.ci_high))}</small>"
    kind = "best" if row.rank is not None and result.mean == best else ""
    return _cell(text, result.mean, kind=kind, markup=True)


def _cell(text: str, value: object, *, kind: str = "", title: str | None = None, markup: bool = False) -> str:
    """A table cell; ``value`` is what it sorts by, and ``markup`` says that ``text`` is HTML already."""
    sort = "" if value is None else f' data-v="{_safe(_sortable(value))}"'
    kinds = f' class="{kind}"' if kind else ""
    titles = f' title="{_safe(title)}"' if title else ""
    return f"<td{kinds}{sort}{titles}>{text if markup else _safe(text)}</td>"


def _sortable(value: object) -> str:
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": ""}.get(str(value), str(value))


def _best(group: Group, metric: str) -> float | None:
    results = [
        row.record.metrics[metric] for row in group.rows if row.rank is not None and metric in row.record.metrics
    ]
    means = [result.mean for result in results if result.mean is not None]
    if len(means) < 2:
        return None
    return max(means) if results[0].higher_is_better else min(means)


def _remarks(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    items = "".join(f"<li>{_safe(remark)}</li>" for remark in remarks)
    return f'<section><h2>Remarks</h2><ul class="remarks">{items}</ul></section>'


def _safe(text: str) -> str:
    return escape(printable(text))
