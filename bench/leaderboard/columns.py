"""The columns of the table, in order, and how each cell is written."""

from __future__ import annotations

from collections.abc import Sequence

from srbench.leaderboard.ranking import Group, Leaderboard, Row
from srbench.leaderboard.reported import ReportedGroup, ReportedRow

_LEADING = ("rank", "tie_group", "method", "test_set", "scale", "protocol", "n")
_TRAILING = (
    "params_m",
    "macs_g",
    "ms_per_image",
    "peak_mem_mb",
    "device",
    "weights_sha256",
    "srbench_version",
    "git_revision",
    "date",
)


def columns(metrics: Sequence[str]) -> list[str]:
    """The names of all columns, with three per metric: its mean and the ends of its 95 % interval."""
    triples = [name for metric in metrics for name in (metric, f"{metric}_ci_lo", f"{metric}_ci_hi")]
    return [*_LEADING, *triples, *_TRAILING]


def table(board: Leaderboard) -> list[list[str]]:
    """Every row of the board as text, empty where there is no value; rows follow the groups."""
    return [cells(group, row, board.metrics) for group in board.groups for row in group.rows]


def cells(group: Group, row: Row, metrics: Sequence[str]) -> list[str]:
    """One row as text, in the order of ``columns``."""
    record, cost = row.record, row.record.cost
    leading = [_text(row.rank), row.tie_group or "", row.label, group.test_set, str(record.scale), group.protocol]
    values = []
    for metric in metrics:
        result = record.metrics.get(metric)
        triple = (None, None, None) if result is None else (result.mean, result.ci_low, result.ci_high)
        values += [fixed(value, 4) for value in triple]
    trailing = [
        exact_millions(cost.params),
        fixed(None if cost.macs is None else cost.macs / 1e9, 3),
        fixed(cost.ms_per_image, 3),
        fixed(cost.peak_mem_mb, 1),
        cost.device,
        record.weights_sha256 or "",
        record.srbench_version,
        record.git_revision or "",
        record.date,
    ]
    return [*leading, str(record.n), *values, *trailing]


REPORTED = ("kind", "source", "note")
"""The columns that a table with printed numbers has behind all others."""


def reported_columns(board: Leaderboard) -> list[str]:
    """All columns of a table that holds printed numbers too: theirs that nothing measures follow the metrics."""
    extra = [c for c in dict.fromkeys(c for g in board.reported for c in g.columns) if c not in board.metrics]
    return [*columns(board.metrics)[: -len(_TRAILING)], *extra, *_TRAILING, *REPORTED]


def reported_table(board: Leaderboard) -> list[list[str]]:
    """Every row as text in the order of ``reported_columns``; printed rows follow the measured ones of their set."""
    names = reported_columns(board)
    rows = []
    for i in range(len(board.groups) + 1):
        for group in board.groups[i : i + 1]:
            for row in group.rows:
                held = dict(zip(columns(board.metrics), cells(group, row, board.metrics), strict=True))
                rows.append([{**held, "kind": "measured"}.get(name, "") for name in names])
        for block in blocks_after(board, i):
            rows += [[_reported_cells(block, row).get(name, "") for name in names] for row in block.rows]
    return rows


def blocks_after(board: Leaderboard, index: int) -> list[ReportedGroup]:
    """The printed blocks that stand after the measured group of that index; one past the last are the others."""
    return [b for b in board.reported if (len(board.groups) if b.after is None else b.after) == index]


def _reported_cells(block: ReportedGroup, row: ReportedRow) -> dict[str, str]:
    return {
        "method": row.method,
        "test_set": block.test_set,
        "scale": str(block.scale),
        "protocol": row.protocol,
        **{column: number.value for column, number in row.values.items()},
        "kind": "reported",
        "source": row.source,
        "note": "; ".join(row.notes),
    }


def fixed(value: float | None, decimals: int) -> str:
    """``value`` with that many decimals, empty for None; ``inf`` and ``nan`` by name.

    >>> fixed(32.18149, 4), fixed(None, 2), fixed(float("-inf"), 2)
    ('32.1815', '', '-inf')
    """
    return "" if value is None else f"{value:.{decimals}f}"


def exact_millions(count: int | None) -> str:
    """A count in millions, exact: 424428 -> 0.424428."""
    if count is None:
        return ""
    whole, rest = divmod(count, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


def score(metric: str, value: float | None) -> str:
    """A metric's value for people: two decimals for decibels and FID, four for the rest, a dash for none."""
    if value is None:
        return "–"
    return fixed(value, 2 if metric.startswith(("psnr", "fid")) else 4)


def rounded(value: float | None) -> str:
    """A cost for people, in three significant digits: 0.424, 16.7, 1176; a dash for none."""
    if value is None:
        return "–"
    if value == 0 or value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _text(value: object) -> str:
    return "" if value is None else str(value)
