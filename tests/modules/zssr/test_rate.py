"""When the learning rate falls, on curves made for it."""

from collections.abc import Callable

import numpy as np
import pytest

from srbench.errors import InputError
from srbench.modules.zssr.rate import RATES, Rate, RateRule, stalled


def _drops(errors: dict[int, float], last: int, rule: RateRule = RATES) -> list[int]:
    """At which iterations the rate was dropped."""
    rate, drops = Rate(rule), []
    for done in range(1, last + 1):
        if done in errors:
            rate.measured(done, errors[done])
        if rate.advance(done):
            drops.append(done)
    return drops


def _curve(error: Callable[[int], float], last: int) -> dict[int, float]:
    return {at: float(error(at)) for at in range(50, last + 1, 50)}


def test_a_line_that_falls_clearly_is_no_stall() -> None:
    assert not stalled([(50, 5.0), (100, 4.1), (150, 2.9), (200, 2.0)], 1.5)
    assert stalled([(50, 5.0), (100, 4.0), (150, 5.0), (200, 4.0), (250, 5.0)], 1.5)
    assert stalled([(50, 2.0), (100, 3.0), (150, 4.0)], 1.5)
    assert stalled([(50, 0.0), (100, 0.0), (150, 0.0)], 1.5)


def test_the_verdict_is_polyfit_s() -> None:
    """-1.5 * slope against the slope's standard error, as NumPy's fit gives it."""
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(200):
        x = np.arange(50, 301, 50)
        y = rng.normal(0, 1, 6) - rng.uniform(0, 0.02) * x
        (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
        wanted = bool(-1.5 * slope < np.sqrt(covariance[0, 0]))
        verdicts.append(wanted)
        assert stalled(list(zip(x.tolist(), y.tolist(), strict=True)), 1.5) == wanted
    assert 20 < sum(verdicts) < 180


def test_while_the_error_falls_the_rate_stays() -> None:
    assert _drops(_curve(lambda at: 1 / at, 3000), 3000) == []


def test_a_level_curve_drops_every_300_iterations() -> None:
    """Looks are every 60, drops at least 256 apart: 300, 600, 900."""
    assert _drops(_curve(lambda at: 1.0, 1000), 1000) == [300, 600, 900]


def test_it_drops_soon_after_the_curve_levels() -> None:
    drops = _drops(_curve(lambda at: max(1.0, 3 - at / 500) + 0.01 * (at % 100 > 0), 1800), 1800)
    assert 1000 < drops[0] <= 1320


def test_only_the_recent_curve_counts() -> None:
    fell_once = {at: (100.0 - at / 10 if at < 500 else 1.0) for at in range(50, 1501, 50)}
    assert 720 <= _drops(fell_once, 1500)[0] <= 840


@pytest.mark.parametrize("given", [{"start": 0.0}, {"start": float("nan")}, {"drop": 1.0}, {"every": 0}, {"ratio": -1}])
def test_an_impossible_rule_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match="is impossible; use a drop above 1"):
        RateRule(**given)  # type: ignore[arg-type]


def test_three_drops_end_it() -> None:
    rate, values = Rate(RATES), []
    for done in range(1, 1000):
        if done % 50 == 0:
            rate.measured(done, 1.0)
        if rate.advance(done):
            values.append(rate.value)
        if rate.over:
            break
    assert values == pytest.approx([1e-4, 1e-5, 1e-6])
    assert done == 900
