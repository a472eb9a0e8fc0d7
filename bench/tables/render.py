"""The table: measured with its interval, printed, their difference. Pure functions of a plan and of printed numbers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from srbench.leaderboard.columns import rounded, score
from srbench.leaderboard.formats import aligned, escape_markdown
from srbench.naming import printable
from srbench.published import Reported
from srbench.records import MetricResult
from srbench.records.codec import guarded
from srbench.tables.costs import Costs
from srbench.tables.plan import BETWEEN_REASONS, Cell, Plan, is_trial

COLUMNS = (
    "table", "test_set", "scale", "method", "variant", "metric", "measured", "ci_lo", "ci_hi", "n", "reported",
    "metric_id_basis", "difference", "beyond", "status", "remark",
)  # fmt: skip
BEYOND = "*"
TRIAL = "†"
_MARKS = {
    "oracle": "oracle: it saw the ground truth",
    "random_backbones": "a trial: part of it ran on random weights",
}
LEGEND = (
    "measured [95 % interval], reported as printed, difference measured - reported. "
    f"{BEYOND}: the printed number lies outside the interval; ?: that the metric is the printed one is inferred; "
    f"{TRIAL}: a trial, part of which ran on random weights."
)


@dataclass(frozen=True)
class Value:
    """One number of the table, measured or printed or both.

    Attributes:
        test_set: as printed; empty for a cost.
        scale: magnification; 0 for a cost.
        method: as printed.
        variant: as printed.
        metric: our metric, or the printed name of a cost.
        measured: with its interval; None where there is none.
        reported: what the paper printed; None where it prints nothing.
        status: of the cell.
        remark: why it is not measured, or what its note says.
        trial: part of it ran on random weights.
    """

    test_set: str
    scale: int
    method: str
    variant: str
    metric: str
    measured: MetricResult | None
    reported: Reported | None
    status: str
    remark: str = ""
    trial: bool = False

    @property
    def difference(self) -> float | None:
        """Measured less printed; None where one is missing."""
        if self.measured is None or self.measured.mean is None or self.reported is None or self.reported.number is None:
            return None
        return self.measured.mean - self.reported.number

    @property
    def beyond(self) -> bool | None:
        """Whether the printed number lies outside the interval, its own rounding allowed for; None without both."""
        result, difference = self.measured, self.difference
        if result is None or difference is None or result.ci_low is None or result.ci_high is None:
            return None
        assert self.reported is not None
        number, half = self.reported.number or 0.0, _half_digit(self.reported.value)
        return not (result.ci_low - half <= number <= result.ci_high + half)


def table_values(plan: Plan, numbers: Sequence[Reported], costs: Costs, why: Mapping[str, str]) -> list[Value]:
    """Every value of the table, by test set, then method, then metric; costs come first.

    Args:
        plan: the cells.
        numbers: what the paper printed, of any table.
        costs: what was counted.
        why: printed method -> why nothing was counted.
    """
    spec = plan.spec
    mine = [n for n in numbers if (n.paper, n.table) == (spec.paper, spec.table)]
    found = list(_cost_values(plan, mine, costs, why))
    for test_set in spec.test_sets:
        for cell in plan.cells:
            if cell.test_set is test_set:
                found += [_value(cell, metric, mine) for metric in spec.metrics]
    return found


def to_csv(plan: Plan, values: Sequence[Value]) -> str:
    """One line per number, in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for v in values:
        result = v.measured
        basis = "" if v.reported is None or not v.reported.metric_id else _basis(v.reported)
        cells = [
            plan.spec.name, v.test_set, v.scale or "", v.method, v.variant, v.metric,
            *(_number(x) for x in ((result.mean, result.ci_low, result.ci_high) if result else (None, None, None))),
            result.n if result else "", v.reported.value if v.reported else "", basis, _number(v.difference),
            "" if v.beyond is None else ("yes" if v.beyond else "no"), v.status, v.remark,
        ]  # fmt: skip
        writer.writerow([guarded(str(cell)) for cell in cells])
    return out.getvalue()


def to_markdown(plan: Plan, values: Sequence[Value]) -> str:
    """A table per test set, and below what is not measured and why."""
    spec = plan.spec
    lines = [f"# {escape_markdown(spec.name)}: {escape_markdown(spec.title)}", ""]
    lines += [f"Protocol `{spec.protocol}`. {escape_markdown(LEGEND)} Built by `srbench table {spec.name}`.", ""]
    for title, head, rows in _blocks(plan, values):
        names = [escape_markdown(name) for name in head]
        rule = ["---"] + ["---:"] * (len(head) - 1)
        lines += [f"## {escape_markdown(title)}", ""]
        lines += [
            f"| {' | '.join(cells)} |" for cells in (names, rule, *([escape_markdown(c) for c in r] for r in rows))
        ]
        lines += [""]
    remarks = _remarks(plan, values)
    if remarks:
        lines += ["## Not measured, or to be known", "", *(f"- {escape_markdown(text)}" for text in remarks)]
    return "\n".join(lines).rstrip("\n") + "\n"


def to_text(plan: Plan, values: Sequence[Value]) -> str:
    """The same for a terminal."""
    parts = [f"{plan.spec.name}, {plan.spec.protocol}\n{LEGEND}"]
    for title, head, rows in _blocks(plan, values):
        shown = [[printable(cell) for cell in row] for row in rows]
        parts.append("\n".join([printable(title), *aligned([printable(h) for h in head], shown, left=("method",))]))
    remarks = [f"  {printable(text)}" for text in _remarks(plan, values)]
    return "\n\n".join([*parts, *(["\n".join(["not measured, or to be known", *remarks])] if remarks else [])]) + "\n"


def _cost_values(plan: Plan, numbers: Sequence[Reported], costs: Costs, why: Mapping[str, str]) -> Iterator[Value]:
    divide = {"params": 1e6, "macs_g": 1.0}
    for metric, kind in plan.spec.costs.items():
        for method in plan.spec.methods:
            figure = costs.get((method.printed, method.variant), {}).get(kind)
            result = None if figure is None else MetricResult(figure / divide[kind], 1, None, None, False, "srbench")
            lacks = why.get(
                method.printed, "not counted" if method.configs else "srbench has no config of this network"
            )
            printed = _find(numbers, "", method.printed, method.variant, lambda n, m=metric: n.metric == m)
            status = "cannot run" if result is None else "recorded"
            remark = "" if result is not None else lacks
            yield Value("", 0, method.printed, method.variant, metric, result, printed, status, remark)


def _value(cell: Cell, metric: str, numbers: Sequence[Reported]) -> Value:
    method, test_set = cell.method, cell.test_set
    result = cell.entry.record.metrics.get(metric) if cell.entry else None
    printed = _find(
        numbers, test_set.printed, method.printed, method.variant, lambda n: n.metric_id == metric and n.value != ""
    )
    remark, trial = cell.reason, cell.entry is not None and is_trial(cell.entry)
    if cell.entry is not None:
        missing = result.missing if result is not None else f"{metric} is not in the record"
        remark = missing or BETWEEN_REASONS.join(_MARKS[mark] for mark in cell.entry.record.marks)
    place = (test_set.printed, test_set.scale, method.printed, method.variant)
    return Value(*place, metric, result, printed, cell.state, remark, trial)


def _find(numbers: Sequence[Reported], test_set: str, method: str, variant: str, fits: object) -> Reported | None:
    assert callable(fits)
    mine = (n for n in numbers if (n.test_set, n.method, n.variant) == (test_set, method, variant))
    return next((n for n in mine if fits(n)), None)


def _blocks(plan: Plan, values: Sequence[Value]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """(title, heads, rows) per test set, the costs first."""
    places = dict.fromkeys((v.test_set, v.scale) for v in values)
    for test_set, scale in places:
        here = [v for v in values if (v.test_set, v.scale) == (test_set, scale)]
        metrics = list(dict.fromkeys(v.metric for v in here))
        head = ["method", *(name for metric in metrics for name in (metric, "reported", "difference"))]
        rows: dict[tuple[str, str], list[str]] = {}
        for v in here:
            label = f"{v.method} {v.variant}".strip()
            rows.setdefault((v.method, v.variant), [label]).extend(_shown(v))
        yield (f"{test_set} ×{scale}" if test_set else "Costs"), head, list(rows.values())


def _shown(v: Value) -> list[str]:
    def text(value: float | None) -> str:
        return score(v.metric, value) if v.test_set else rounded(value)

    measured = "–"
    if v.measured is not None and v.measured.mean is not None:
        measured = text(v.measured.mean) + (f" {TRIAL}" if v.trial else "")
        if v.measured.ci_low is not None:
            measured += f" [{text(v.measured.ci_low)}, {text(v.measured.ci_high)}]"
    printed = "–" if v.reported is None or not v.reported.value else v.reported.value
    if v.reported is not None and v.reported.inferred and v.reported.value:
        printed += " ?"
    difference = "–"
    if v.difference is not None:
        shown = text(v.difference) if v.test_set else f"{v.difference:.3g}"
        difference = ("+" if v.difference > 0 else "") + shown + (f" {BEYOND}" if v.beyond else "")
    return [measured, printed, difference]


def _remarks(plan: Plan, values: Sequence[Value]) -> list[str]:
    """One sentence per reason, with all the methods and sets it concerns, then the notes of printed numbers."""
    reasons: dict[str, dict[str, None]] = {}
    for v in values:
        if v.remark:
            place = f"{v.method} {v.variant}".strip() + (f" on {v.test_set}" if v.test_set else "")
            for reason in v.remark.split(BETWEEN_REASONS):
                reasons.setdefault(reason, {})[place] = None
    every = len(plan.spec.test_sets)
    found = [f"{_places(list(places), every)}: {reason}" for reason, places in reasons.items()]
    return [*found, *_notes(values)]


def _notes(values: Sequence[Value], most: int = 3) -> Iterator[str]:
    """The notes of printed numbers, each with the numbers it is about unless these are many."""
    about: dict[str, list[str]] = {}
    for v in values:
        for note in v.reported.note.split("; ") if v.reported is not None else ():
            place = f" on {v.test_set}" if v.test_set else ""
            about.setdefault(note, []).append(f"{v.method} {v.variant}".strip() + f" {v.metric}{place}")
    for note, places in about.items():
        if note:
            yield (
                f"printed numbers ({', '.join(places)}): {note}" if len(places) <= most else f"printed numbers: {note}"
            )


def _places(places: list[str], every: int) -> str:
    """``A on X, A on Y`` as ``A`` where all sets are concerned."""
    methods: dict[str, list[str]] = {}
    for place in places:
        method, _, test_set = place.partition(" on ")
        methods.setdefault(method, []).append(test_set)
    parts = [
        m if len([s for s in sets if s]) in (0, every) else f"{m} on {', '.join(s for s in sets if s)}"
        for m, sets in methods.items()
    ]
    return ", ".join(parts)


def _basis(number: Reported) -> str:
    return "inferred" if number.inferred else "stated"


def _number(value: float | None) -> str:
    return "" if value is None else (repr(float(value)) if math.isfinite(value) else str(float(value)))


def _half_digit(value: str) -> float:
    """Half a unit of the last printed digit: 0.005 for ``25.87``."""
    return 0.5 * 10.0 ** -len(value.partition(".")[2])
