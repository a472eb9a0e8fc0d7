"""The challenge's formula, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from srbench.metrics import DerivedMetric, find, names

VALUES = {"lpips_alex": 0.2, "dists": 0.1, "clipiqa": 0.7, "maniqa_koniq": 0.4, "musiq": 70.0, "niqe": 4.0}


def metric() -> DerivedMetric:
    found = find("ntire2026")
    assert isinstance(found, DerivedMetric)
    return found


def test_by_hand() -> None:
    assert metric().combine(VALUES) == pytest.approx(0.8 + 0.9 + 0.7 + 0.4 + 0.7 + 0.6, abs=1e-12)


@pytest.mark.parametrize(("niqe", "term"), [(10.0, 0.0), (25.0, 0.0), (0.0, 1.0)])
def test_a_niqe_above_ten_does_not_count_below_zero(niqe: float, term: float) -> None:
    without = metric().combine({**VALUES, "niqe": 10.0})
    assert metric().combine({**VALUES, "niqe": niqe}) - without == pytest.approx(term, abs=1e-12)


@pytest.mark.parametrize("name", VALUES)
def test_nan_in_nan_out(name: str) -> None:
    assert math.isnan(metric().combine({**VALUES, name: math.nan}))


def test_inputs_exist_and_are_all_used() -> None:
    assert set(metric().inputs) == set(VALUES) <= set(names())
    assert (metric().kind, metric().higher_is_better, metric().weights) == ("derived", True, ())
    for name in VALUES:
        with pytest.raises(KeyError):
            metric().combine({k: v for k, v in VALUES.items() if k != name})
