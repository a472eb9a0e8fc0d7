"""The table as CSV, as Markdown and for the terminal. Names in records are untrusted and escaped for each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from srbench.leaderboard.columns import (
    blocks_after,
    columns,
    reported_columns,
    reported_table,
    rounded,
    score,
    table,
)
from srbench.leaderboard.ranking import Group, Leaderboard, Row
from srbench.leaderboard.reported import ReportedGroup
from srbench.naming import printable
from srbench.records.codec import guarded

if TYPE_CHECKING:
    import pandas

_MARKDOWN = re.compile(r"([\\`*_\[\]#!|~])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def to_csv(board: Leaderboard) -> str:
    """The whole board as one CSV with a header; cells that a spreadsheet would take for formulas are led by ``'``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head, rows = (
        (reported_columns(board), reported_table(board)) if board.reported else (columns(board.metrics), table(board))
    )
    writer.writerow([guarded(name) for name in head])
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return out.getvalue()


def to_frame(board: Leaderboard) -> pandas.DataFrame:
    """The board as a table of pandas with the CSV's columns, numbers as numbers, for notebooks and further analysis."""
    import pandas

    texts = ("tie_group", "method", "test_set", "protocol", "device", "weights_sha256", "git_revision", "date")
    return pandas.read_csv(
        io.StringIO(to_csv(board)),
        dtype={**dict.fromkeys(texts, "string"), "rank": "Int64", "srbench_version": "string"},
        keep_default_na=False,
        na_values=[""],
    )


def to_markdown(board: Leaderboard) -> str:
    """One table per test set, scale and protocol, with the remarks below."""
    lines = ["# Leaderboard", "", "Built by `srbench leaderboard` from the records; do not edit by hand.", ""]
    if not board.groups:
        lines += ["There are no records yet.", ""]
    for i in range(len(board.groups) + 1):
        for group in board.groups[i : i + 1]:
            lines += [f"## {escape_markdown(group.title)}", "", *_markdown_table(group), ""]
            lines += [f"{escape_markdown(caption(group))}", ""]
        for block in blocks_after(board, i):
            lines += [*_markdown_block(block), ""]
    lines += [f"- {escape_markdown(remark)}" for remark in board.remarks]
    return "\n".join(lines).rstrip("\n") + "\n"


def to_text(board: Leaderboard) -> str:
    """Aligned tables for a terminal."""
    parts = []
    for i in range(len(board.groups) + 1):
        for group in board.groups[i : i + 1]:
            rows = [_cells(group, row, printable) for row in group.rows]
            parts.append("\n".join([printable(group.title), *aligned(_head(group), rows)]))
        parts += ["\n".join(_text_block(block)) for block in blocks_after(board, i)]
    remarks = "\n".join(printable(remark) for remark in board.remarks)
    return "\n\n".join([*parts, remarks] if remarks else parts) + "\n"


def caption(group: Group) -> str:
    """How to read the group's ranks, in one or two sentences."""
    if group.metric is None:
        return "Not ranked: the protocol does not measure the metric that was asked for."
    direction = "higher" if group.higher_is_better else "lower"
    how = f"by {group.metric} ({direction} is better), with the 95 % interval of the mean"
    if all(row.rank is None for row in group.rows):
        return f"No row is ranked {how}; the remarks say why."
    text = f"Ranked {how}."
    if any(row.tie_group for row in group.rows):
        return text + " Rows of one tie group cannot be told from its best at 95 % (paired bootstrap over images)."
    return text + " Too few images for tie groups."


REPORTED_CAPTION = (
    "As printed, not measured here and not ranked. A ? marks a column whose metric is inferred; the last column gives "
    "the numbers of the notes."
)


def reported_heads(block: ReportedGroup) -> list[str]:
    """The column heads of a printed block, for people."""
    return ["method", *block.columns, "source", "protocol", "notes"]


def reported_cells(block: ReportedGroup) -> list[list[str]]:
    """The rows of a printed block under ``reported_heads``: digits as printed, a dash where nothing is."""
    found = []
    for row in block.rows:
        numbers = (row.values.get(column) for column in block.columns)
        values = ["–" if n is None else n.value + (" ?" if n.inferred else "") for n in numbers]
        found.append([row.method, *values, f"reported: {row.source}", row.protocol, block.marks(row)])
    return found


def reported_notes(block: ReportedGroup) -> list[str]:
    """What one must know of a printed block: what holds for every row, then the numbered notes."""
    numbered = [f"({number}) {note}" for number, note in enumerate(block.notes, start=1)]
    return [*(f"every row: {note}" for note in block.shared_notes), *numbered]


def _markdown_block(block: ReportedGroup) -> list[str]:
    names = reported_heads(block)
    rule = ["---:" if name in block.columns else "---" for name in names]
    rows = [[escape_markdown(cell) for cell in cells] for cells in (names, *reported_cells(block))]
    table_lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])]
    notes = [f"- {escape_markdown(note)}" for note in reported_notes(block)]
    return [f"### {escape_markdown(block.title)}", "", *table_lines, "", REPORTED_CAPTION, "", *notes]


def _text_block(block: ReportedGroup) -> list[str]:
    rows = [[printable(cell) for cell in cells] for cells in reported_cells(block)]
    lines = aligned(reported_heads(block), rows, left=("method", "source", "protocol", "notes"))
    notes = [printable(f"  {note}") for note in reported_notes(block)]
    return [printable(block.title), *lines, *notes]


def escape_markdown(text: str) -> str:
    """``text`` so that Markdown shows it as it is: no markup, HTML, link or mention comes of it."""
    plain = _MARKDOWN.sub(r"\\\1", printable(text))
    plain = "".join(_HTML.get(character, character) for character in plain)
    return plain.replace("://", "&#58;//")  # or a bare address would become a link


def heads(group: Group) -> list[str]:
    """The column heads of the group's table for people."""
    return _head(group)


def _head(group: Group) -> list[str]:
    return ["rank", "tie", "method", *group.metrics, "params M", "MACs G", "ms/image", "mem MB", "device", "weights"]


def _cells(group: Group, row: Row, text: Callable[[str], str]) -> list[str]:
    cost, weights = row.record.cost, row.record.weights_sha256
    return [
        "–" if row.rank is None else str(row.rank),
        row.tie_group or "–",
        text(row.label),
        *(_with_interval(row, metric) for metric in group.metrics),
        rounded(None if cost.params is None else cost.params / 1e6),
        rounded(None if cost.macs is None else cost.macs / 1e9),
        rounded(cost.ms_per_image),
        rounded(cost.peak_mem_mb),
        text(cost.device),
        weights[:8] if weights else "–",
    ]


def _with_interval(row: Row, metric: str) -> str:
    result = row.record.metrics.get(metric)
    if result is None or result.mean is None:
        return "–"
    mean = score(metric, result.mean)
    if result.ci_low is None:
        return mean
    return f"{mean} [{score(metric, result.ci_low)}, {score(metric, result.ci_high)}]"


def _markdown_table(group: Group) -> list[str]:
    names = [escape_markdown(name) for name in _head(group)]
    rule = ["---" if name in ("method", "device", "weights") else "---:" for name in _head(group)]
    rows = [_cells(group, row, escape_markdown) for row in group.rows]
    return [f"| {' | '.join(cells)} |" for cells in (names, rule, *rows)]


def aligned(
    head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ("method", "device", "weights")
) -> list[str]:
    """The lines of a table for a terminal; columns named in ``left`` are set flush left, the others right."""
    widths = [max(len(cells[i]) for cells in (head, *rows)) for i in range(len(head))]
    flush = {head.index(name) for name in left if name in head}
    lines = []
    for cells in (head, ["-" * width for width in widths], *rows):
        padded = [
            cell.ljust(w) if i in flush else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return lines
