"""Whether a table agrees with what the paper printed: for CI. A pure function of its values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from srbench.tables.spec import TableSpec
from srbench.tables.values import Value, half_digit


def disagreements(spec: TableSpec, values: Sequence[Value]) -> list[str]:
    """A line per number that was measured and differs from the printed one by more than it may.

    The most it may differ is the table's tolerance of the metric or cost; where it has none, half a unit of the printed
    number's last digit for costs, and the 95 % interval for scores. Trials are left out, and so are other images than
    the paper's and what the table lists as a known mismatch; a known mismatch that is none any more is a line too.
    """
    return [*_beyond(spec, values), *_outdated(spec, values)]


def compared(values: Sequence[Value]) -> int:
    """How many numbers are both measured and printed."""
    return sum(value.difference is not None and not value.trial for value in values)


def _beyond(spec: TableSpec, values: Sequence[Value]) -> Iterator[str]:
    for value in values:
        if _differs(spec, value) and not _known(spec, value):
            assert value.measured is not None
            assert value.reported is not None
            yield (
                f"{_place(value)}: measured {value.measured.mean:.6g}, printed {value.reported.value}, "
                f"difference {value.difference:+.3g}"
            )


def _outdated(spec: TableSpec, values: Sequence[Value]) -> Iterator[str]:
    for name, reason in spec.mismatches.items():
        mine = [value for value in values if name in _names(value) and value.difference is not None and not value.trial]
        if mine and not any(_differs(spec, value) for value in mine):
            yield f"{name} agrees with print, and the table calls it a mismatch ({reason})"


def _differs(spec: TableSpec, value: Value) -> bool:
    if value.difference is None or value.trial or value.other_images:
        return False
    assert value.reported is not None
    tolerance = spec.tolerances.get(value.metric)
    if tolerance is None and not value.test_set:
        tolerance = half_digit(value.reported.value)
    if tolerance is None:
        return bool(value.beyond)
    return abs(value.difference) > tolerance * (1 + 1e-9)


def _known(spec: TableSpec, value: Value) -> bool:
    return any(name in spec.mismatches for name in _names(value))


def _names(value: Value) -> tuple[str, str]:
    short = f"{value.method} {value.variant}".strip() + f", {value.metric}"
    return short, f"{short}, {value.test_set}"


def _place(value: Value) -> str:
    return _names(value)[1] if value.test_set else _names(value)[0]
