"""Tie groups: what the images can tell apart, checked against a plain bootstrap and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from srbench import statistics
from srbench.statistics import FEWEST_IMAGES, RESAMPLES, Floats, separable, tie_groups


def plain_share(differences: Floats) -> float:
    """Share of resamples with a mean at or below zero, the slow and obvious way, with draws of its own."""
    rng = np.random.default_rng(7)
    below = sum(rng.choice(differences, len(differences)).mean() <= 0 for _ in range(RESAMPLES))
    return below / RESAMPLES


def two_methods(gap: float, images: int = 40) -> Floats:
    rng = np.random.default_rng(3)
    scene = rng.normal(28, 4, images)
    return np.stack([scene + gap + rng.normal(0, 0.3, images), scene + rng.normal(0, 0.3, images)], axis=1)


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_shares_agree_with_a_plain_bootstrap(gap: float) -> None:
    values = two_methods(gap)
    differences = values[:, 0] - values[:, 1]
    (share,) = statistics._share_not_positive(differences[:, None])
    # Two draws of 10,000: the standard error of their difference is at most 0.007.
    assert share == pytest.approx(plain_share(differences), abs=0.025)


def test_pairs_decide_where_means_alone_could_not() -> None:
    values = two_methods(0.3)
    assert separable(values, 0, [1], higher_is_better=True) == [True]
    shuffled = np.stack([values[:, 0], np.random.default_rng(0).permutation(values[:, 1])], axis=1)
    assert separable(shuffled, 0, [1], higher_is_better=True) == [False]


def test_direction_and_order() -> None:
    values = two_methods(0.3)
    assert separable(values, 1, [0], higher_is_better=True) == [False], "the worse one is not better"
    assert separable(-values, 0, [1], higher_is_better=False) == [True]


def test_equal_methods_are_never_separable() -> None:
    column = np.random.default_rng(0).normal(0.1, 1e-3, 30)
    values = np.stack([column, column.copy(), column + 1e-17], axis=1)
    assert separable(values, 0, [1, 2], higher_is_better=True) == [False, False]
    assert tie_groups(values, higher_is_better=True) == [0, 0, 0]


def test_fewer_than_ten_common_images_give_no_answer() -> None:
    values = np.stack([np.arange(20.0) + 5, np.arange(20.0)], axis=1)
    values[FEWEST_IMAGES - 1 :, 1] = math.nan
    assert separable(values, 0, [1], higher_is_better=True) == [None]
    assert tie_groups(values, higher_is_better=True) == [0, None]
    values[FEWEST_IMAGES - 1, 1] = 0.0
    assert separable(values, 0, [1], higher_is_better=True) == [True]


def test_an_infinite_score_is_no_proof() -> None:
    values = two_methods(0.0, 20)
    values[3, 0] = math.inf
    assert separable(values, 0, [1], higher_is_better=True) == [False]
    values[:, 0] = math.inf
    assert separable(values, 0, [1], higher_is_better=True) == [True]
    values[:, 1] = math.inf
    assert separable(values, 0, [1], higher_is_better=True) == [False]


def test_groups_are_led_by_the_best_left_over() -> None:
    rng = np.random.default_rng(1)
    scene = rng.normal(0, 3, 60)
    offsets = (1.0, 0.98, 0.5, 0.49, 0.0)
    values = np.stack([scene + offset + rng.normal(0, 0.1, 60) for offset in offsets], axis=1)
    assert tie_groups(values, higher_is_better=True) == [0, 0, 1, 1, 2]


def test_answers_do_not_depend_on_how_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.concatenate([two_methods(0.12), two_methods(0.1)], axis=1)
    differences = values[:, [0]] - values[:, 1:]
    whole = statistics._share_not_positive(differences)
    monkeypatch.setattr(statistics, "_CHUNK", 40 * 777)
    np.testing.assert_array_equal(statistics._share_not_positive(differences), whole)


def test_the_draw_is_fixed() -> None:
    # PCG64's stream never changes; these are resamples 0 and 9,999 of four images.
    draws = statistics._draws(4, 0, RESAMPLES)
    assert draws.shape == (RESAMPLES, 4)
    assert (draws.sum(axis=1) == 4).all()
    np.testing.assert_array_equal(draws[9_999], statistics._draws(4, 9_999, 1)[0])
    assert draws.mean(axis=0) == pytest.approx(np.ones(4), abs=0.03)


def test_false_alarms_are_as_rare_as_promised() -> None:
    """Of equal methods, the one with the higher mean is called better in about 5 % of trials (two-sided 95 %)."""
    rng = np.random.default_rng(11)
    trials, images = 400, 50
    differences = rng.normal(0, 1, (images, trials))
    differences *= np.sign(differences.mean(axis=0))
    alarms = (statistics._share_not_positive(differences) < 0.025).mean()
    assert 0.02 < alarms < 0.10
