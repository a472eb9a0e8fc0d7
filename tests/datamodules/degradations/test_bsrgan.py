"""BSRGAN's draws: every probability and range of ``degradation_bsrgan``."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from srbench.datamodules.degradations import BSRGAN, BSRGANRanges, Recipe
from srbench.datamodules.degradations.bsrgan import correlated_mixing
from srbench.datamodules.degradations.steps import (
    Blur,
    CorrelatedNoise,
    Decimate,
    GaussianNoise,
    Jpeg,
    MatlabResize,
    Resize,
    Round,
    Step,
)

DRAWS, SIDE = 2000, 288
SMALL = BSRGANRanges(sizes=(7,))


@cache
def drawn(scale: int = 4) -> tuple[Recipe, ...]:
    degradation = BSRGAN(scale=scale)
    return tuple(degradation.draw(np.random.default_rng(i), SIDE, SIDE) for i in range(DRAWS))


def of(kind: type[Step], recipe: Recipe) -> list[Any]:
    return [step for step in recipe.steps if isinstance(step, kind)]


def near(count: int, total: int, probability: float) -> bool:
    return abs(count - total * probability) <= 4.5 * math.sqrt(total * probability * (1 - probability))


def halved(recipe: Recipe) -> bool:
    first = recipe.steps[0]
    if isinstance(first, MatlabResize):
        return True
    # Halving comes first, is followed by a clamp and leaves two more shrinkings.
    return isinstance(first, Resize) and first.height == SIDE // 2 and len(_shrinkings(recipe)) == 3


def _shrinkings(recipe: Recipe) -> list[Step]:
    return [s for s in recipe.steps if isinstance(s, (Resize, MatlabResize, Decimate))]


def test_a_quarter_is_halved_first_and_half_of_those_by_matlab() -> None:
    three = [r for r in drawn() if len(_shrinkings(r)) == 3]
    assert all(halved(r) for r in three)
    assert near(len(three), DRAWS, 0.25)
    assert near(sum(isinstance(r.steps[0], MatlabResize) for r in three), len(three), 0.5)
    assert all(len(_shrinkings(r)) == 2 for r in drawn(2))


def test_every_recipe_blurs_twice_and_ends_at_lqs_size_and_with_a_jpeg() -> None:
    for recipe in drawn():
        assert len(of(Blur, recipe)) == 2
        final = _shrinkings(recipe)[-1]
        assert isinstance(final, Resize)
        assert (final.height, final.width) == (72, 72)
        assert isinstance(recipe.steps[-1], Round)
        assert isinstance(recipe.steps[-2], Jpeg)


def test_the_order_is_shuffled_but_for_the_two_shrinkings() -> None:
    def order(recipe: Recipe) -> tuple[str, ...]:
        names = [type(s).__name__ for s in recipe.steps[:-2]]
        return tuple(n for n in names if n in ("Blur", "GaussianNoise", "Jpeg"))

    orders = Counter(order(r) for r in drawn() if len(of(GaussianNoise, r)) == 1 and len(of(Jpeg, r)) == 2)
    assert len(orders) == 12  # four things of which two are alike
    total = sum(orders.values())
    assert all(near(count, total, 1 / 12) for count in orders.values())


@pytest.mark.parametrize("scale", [2, 4])
def test_blurs(scale: int) -> None:
    """Of recipes that were not halved, so that the scale is the one given."""
    kernels = [b.kernel for r in drawn(scale) if len(_shrinkings(r)) == 2 for b in of(Blur, r)]
    turned = [k for k in kernels if k.kind == "aniso"]
    assert near(len(turned), len(kernels), 0.5)
    assert {k.size for k in kernels} == set(range(7, 26, 2))
    widest = math.sqrt(4 + scale)
    assert 0.98 * widest < max(max(k.sigma_x, k.sigma_y) for k in turned) <= widest
    # The variance is uniform, not the deviation: half of them lie above sqrt(1/2) of the widest.
    assert near(sum(k.sigma_x > widest * math.sqrt(0.5) for k in turned), len(turned), 0.5)
    plain = [k.sigma_x for k in kernels if k.kind == "iso"]
    assert 0.98 * (2 + 0.2 * scale) < max(plain) <= 2 + 0.2 * scale
    assert 0 <= min(k.theta for k in turned) <= max(k.theta for k in turned) <= math.pi


def test_shrinking_interpolates_or_decimates() -> None:
    plain = [r for r in drawn() if len(_shrinkings(r)) == 2]
    decimated = [of(Decimate, r)[0] for r in plain if of(Decimate, r)]
    assert near(len(decimated), len(plain), 0.25)
    assert {d.factor for d in decimated} == {4}
    assert 0.1 <= min(d.sigma for d in decimated) < 0.2
    assert 2.3 < max(d.sigma for d in decimated) <= 2.4
    sides = [s.height for r in plain if not of(Decimate, r) for s in of(Resize, r)[:1]]
    assert min(sides) in (36, 37)
    assert max(sides) in (286, 287, 288)


def test_noise() -> None:
    kinds = Counter(
        "correlated" if of(CorrelatedNoise, r) else ("grey" if of(GaussianNoise, r)[0].grey else "colour")
        for r in drawn()
    )
    assert near(kinds["colour"], DRAWS, 0.4)
    assert near(kinds["grey"], DRAWS, 0.4)
    assert near(kinds["correlated"], DRAWS, 0.2)
    assert {n.sigma for r in drawn() for n in of(GaussianNoise, r)} == set(range(2, 26))


def test_jpeg_is_real_and_whole() -> None:
    jpegs = [j for r in drawn() for j in of(Jpeg, r)]
    assert {j.quality for j in jpegs} == set(range(30, 96))
    assert not any(j.differentiable for j in jpegs)
    assert near(sum(len(of(Jpeg, r)) == 2 for r in drawn()), DRAWS, 0.9)
    soft = BSRGAN(real_jpeg=False).draw(np.random.default_rng(0), SIDE, SIDE)
    assert all(j.differentiable for j in of(Jpeg, soft))


def test_mixing_is_a_root_of_numpys_covariance() -> None:
    for i in range(50):
        rng = np.random.default_rng(i)
        diagonal, basis = np.diag(rng.random(3)), np.linalg.svd(rng.random((3, 3)))[0]
        covariance = np.abs((25 / 255) ** 2 * (basis.T @ diagonal @ basis))
        mixing = np.array(correlated_mixing(np.random.default_rng(i), 25 / 255))
        normals = np.random.default_rng(9).standard_normal((20000, 3))
        spread = np.cov((normals @ mixing.T).T)
        wanted = np.cov(np.random.default_rng(9).multivariate_normal(np.zeros(3), covariance, 20000).T)
        if np.linalg.eigvalsh(covariance)[0] > 1e-5:  # numpy's draw is the same one where the matrix is a covariance
            assert np.abs(spread - wanted).max() < 5e-4


def test_sizes_that_divide_nothing() -> None:
    degradation = BSRGAN(ranges=SMALL)
    gt = torch.rand((3, 100, 120), generator=torch.Generator().manual_seed(0))
    for i in range(40):
        lq, target = degradation(gt, degradation.draw(np.random.default_rng(i), 100, 120))
        assert lq.shape == (3, 25, 30)
        assert target is gt
