"""The challenge's formula, on numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from srbench import weight_files
from srbench.metrics import DerivedMetric, find, names
from srbench.protocol import MetricSpec, Protocol
from srbench.records import ImageRow
from srbench.scoring import Scorer
from srbench.summary import remarks, summarise

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


def test_the_challenges_number_of_a_set_is_told_where_it_is_not_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its eval.py applies the formula to means: a NIQE of 4 and one of 14 are 9 on average, so 0.1 and not 0.3."""
    monkeypatch.setattr(weight_files, "need", lambda name: Path("present"))
    monkeypatch.setattr(weight_files, "digest", lambda path: "0" * 64)
    specs = tuple(MetricSpec(name, 0) for name in (*metric().inputs, "ntire2026"))
    scorer = Scorer(Protocol("trial", 1, "full", specs))

    def told(*niqe: float) -> tuple[float | None, tuple[str, ...]]:
        each = [{**VALUES, "niqe": value} for value in niqe]
        rows = [ImageRow(str(i), {**v, "ntire2026": metric().combine(v)}) for i, v in enumerate(each)]
        results = summarise(rows, scorer)
        return results["ntire2026"].mean, remarks(results, scorer)

    mean, said = told(4.0, 14.0)
    assert mean == pytest.approx(3.5 + 0.3)
    assert said == ("ntire2026: 3.6000 when made of the set's means, not averaged over images",)
    mean, said = told(4.0, 8.0)
    assert mean == pytest.approx(3.5 + 0.4)
    assert said == ()
    assert told(4.0, math.nan)[1] == ()


@pytest.mark.parametrize("name", VALUES)
def test_nan_in_nan_out(name: str) -> None:
    assert math.isnan(metric().combine({**VALUES, name: math.nan}))


def test_inputs_exist_and_are_all_used() -> None:
    assert set(metric().inputs) == set(VALUES) <= set(names())
    assert (metric().kind, metric().higher_is_better, metric().weights) == ("derived", True, ())
    for name in VALUES:
        with pytest.raises(KeyError):
            metric().combine({k: v for k, v in VALUES.items() if k != name})
