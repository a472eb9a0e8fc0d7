"""The columns of the table, in order, and how each cell is written."""

from __future__ import annotations

from collections.abc import Sequence

from srbench.leaderboard.ranking import Group, Leaderboard, Row

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
