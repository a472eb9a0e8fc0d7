"""The numbers of a table, measured and printed beside each other. Pure functions of a plan and of printed numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from srbench.published import Reported
from srbench.records import MetricResult
from srbench.tables.costs import Costs
from srbench.tables.plan import BETWEEN_REASONS, Cell, Plan, is_trial
from srbench.tables.spec import MethodSpec

_MARKS = {
    "oracle": "oracle: it saw the ground truth",
    "random_backbones": "a trial: part of it ran on random weights",
}


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
        other_images: it was measured on other images than the paper's.
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
    other_images: bool = False

    @property
    def inferred(self) -> bool:
        """Whether it is only inferred that the printed metric is this one."""
        number = self.reported
        return number is not None and (number.inferred or (bool(self.test_set) and not number.metric_id))

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
        number, half = self.reported.number or 0.0, half_digit(self.reported.value)
        return not (result.ci_low - half <= number <= result.ci_high + half)


def table_values(
    plan: Plan,
    numbers: Sequence[Reported],
    costs: Costs,
    why: Mapping[str, str],
    outside: Mapping[tuple[str, str, str], float] | None = None,
) -> list[Value]:
    """Every value of the table, by test set, then method, then metric; costs come first.

    Args:
        plan: the cells.
        numbers: what the paper printed, of any table.
        costs: what was counted.
        why: printed method -> why nothing was counted.
        outside: (printed method, variant, printed metric) -> what somebody else's program measured.
    """
    spec = plan.spec
    mine = [n for n in numbers if (n.paper, n.table) == (spec.paper, spec.table)]
    found = [*_cost_values(plan, mine, costs, why), *_outside_values(plan, mine, outside or {})]
    for test_set in spec.test_sets:
        for cell in plan.cells:
            if cell.test_set is test_set:
                found += [_value(cell, metric, mine, spec.reads) for metric in spec.metrics]
    return found


def _cost_values(plan: Plan, numbers: Sequence[Reported], costs: Costs, why: Mapping[str, str]) -> Iterator[Value]:
    for metric, kind in plan.spec.costs.items():
        for method in plan.spec.methods:
            figure = costs.get((method.printed, method.variant), {}).get(kind)
            result = None if figure is None else MetricResult(figure, 1, None, None, False, "srbench")
            lacks = why.get(method.printed) or _no_cost(method, kind)
            printed = _find(numbers, None, method.printed, method.variant, _named(metric))
            status = "cannot run" if result is None else "recorded"
            remark = "" if result is not None else lacks
            yield Value("", 0, method.printed, method.variant, metric, result, printed, status, remark)


def _no_cost(method: MethodSpec, kind: str) -> str:
    if not method.configs:
        return "srbench has no config of this network"
    if kind == "seconds":
        return "no run of it is recorded, and times of trials mean nothing"
    return "not counted: the network is somebody else's program, or lies in its checkpoint"


def _outside_values(
    plan: Plan, numbers: Sequence[Reported], measured: Mapping[tuple[str, str, str], float]
) -> Iterator[Value]:
    for metric, reason in plan.spec.outside.items():
        for number in numbers:
            if number.metric == metric and number.value:
                place = (number.test_set, number.scale or 0, number.method, number.variant)
                figure = measured.get((number.method, number.variant, metric))
                if figure is None:
                    yield Value(*place, metric, None, number, "cannot run", reason)
                else:
                    result = MetricResult(figure, 1, None, None, True, "outside")
                    yield Value(*place, metric, result, number, "recorded", "measured outside srbench")


def _value(cell: Cell, metric: str, numbers: Sequence[Reported], reads: Mapping[str, str]) -> Value:
    method, test_set = cell.method, cell.test_set
    result = cell.entry.record.metrics.get(metric) if cell.entry else None
    label = reads.get(metric)
    printed = _find(
        numbers,
        test_set.printed,
        method.printed,
        method.variant,
        lambda n: n.value != "" and (n.metric_id == metric or (not n.metric_id and n.metric == label)),
    )
    remark, trial = cell.reason, cell.entry is not None and is_trial(cell.entry)
    if cell.entry is not None:
        missing = result.missing if result is not None else f"{metric} is not in the record"
        record = cell.entry.record
        notes = [*(_MARKS[mark] for mark in record.marks), *([test_set.note] if test_set.note else [])]
        remark = missing or BETWEEN_REASONS.join([*notes, *(f"{metric}: {note}" for note in record.notes_on(metric))])
    place = (test_set.printed, test_set.scale, method.printed, method.variant)
    return Value(*place, metric, result, printed, cell.state, remark, trial, bool(test_set.note))


def _named(metric: str) -> Callable[[Reported], bool]:
    return lambda number: number.metric == metric


def _find(
    numbers: Sequence[Reported], test_set: str | None, method: str, variant: str, fits: Callable[[Reported], bool]
) -> Reported | None:
    mine = (n for n in numbers if (n.method, n.variant) == (method, variant) and test_set in (None, n.test_set))
    return next((n for n in mine if fits(n)), None)


def half_digit(value: str) -> float:
    """Half a unit of the last printed digit: 0.005 for ``25.87``."""
    return 0.5 * 10.0 ** -len(value.partition(".")[2])
