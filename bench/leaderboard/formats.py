"""The table as CSV, as Markdown and for the terminal. Names in records are untrusted and escaped for each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from srbench.leaderboard.columns import columns, rounded, score, table
from srbench.leaderboard.ranking import Group, Leaderboard, Row
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
    writer.writerow([guarded(name) for name in columns(board.metrics)])
    writer.writerows([guarded(cell) for cell in row] for row in table(board))
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
    for group in board.groups:
        lines += [f"## {escape_markdown(group.title)}", "", *_markdown_table(group), ""]
        lines += [f"{escape_markdown(caption(group))}", ""]
    lines += [f"- {escape_markdown(remark)}" for remark in board.remarks]
    return "\n".join(lines).rstrip("\n") + "\n"


def to_text(board: Leaderboard) -> str:
    """Aligned tables for a terminal."""
    parts = [
        "\n".join(
            [printable(group.title), *aligned(_head(group), [_cells(group, row, printable) for row in group.rows])]
        )
        for group in board.groups
    ]
    remarks = "\n".join(printable(remark) for remark in board.remarks)
    return "\n\n".join([*parts, remarks] if remarks else parts) + "\n"


def caption(group: Group) -> str:
    """How to read the group's ranks, in one or two sentences."""
    if group.metric is None:
        return "Not ranked: the protocol does not measure the metric that was asked for."
    direction = "higher" if group.higher_is_better else "lower"
    text = f"Ranked by {group.metric} ({direction} is better), with the 95 % interval of the mean."
    if any(row.tie_group for row in group.rows):
        return text + " Rows of one tie group cannot be told from its best at 95 % (paired bootstrap over images)."
    return text + " Too few images for tie groups."


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
