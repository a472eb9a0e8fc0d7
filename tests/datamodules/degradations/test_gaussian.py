"""Gaussian blur of random width and bicubic shrinking, the classical degradation of blind super-resolution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from srbench.datamodules.degradations import GaussianBlur, Recipe, apply_recipe
from srbench.datamodules.degradations.filtering import filter2d
from srbench.datamodules.degradations.imresize import imresize
from srbench.datamodules.degradations.perturbed_blur import PerturbedBlur
from srbench.errors import InputError


def blurs(count: int = 400, **settings: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    return [GaussianBlur(**settings).draw(rng, 64, 64).steps[0] for _ in range(count)]


def test_setting_1_is_isotropic_from_end_to_end_of_its_range() -> None:
    drawn = [step.kernel for step in blurs()]
    assert {(k.kind, k.size) for k in drawn} == {("iso", 21)}
    sigmas = [k.sigma_x for k in drawn]
    assert 0.2 <= min(sigmas) < 0.25
    assert 3.95 < max(sigmas) <= 4.0
    assert sigmas == [k.sigma_y for k in drawn]


def test_setting_2_is_turned_and_disturbed() -> None:
    drawn = blurs(size=31, sigma=(0.6, 5.0), anisotropic=True, perturbation=0.25)
    assert {(s.kernel.kind, s.kernel.size, s.strength) for s in drawn} == {("aniso", 31, 0.25)}
    assert len({s.seed for s in drawn}) == len(drawn)
    assert all(0.6 <= sigma <= 5 for s in drawn for sigma in (s.kernel.sigma_x, s.kernel.sigma_y))
    assert min(s.kernel.theta for s in drawn) < -0.95 * math.pi
    ratio = drawn[0].taps() / drawn[0].kernel.build()
    assert 1.15 < ratio.max() / ratio.min() <= 1.25
    assert drawn[0].taps().sum() == pytest.approx(1)


def test_lq_is_blurred_then_shrunk_then_rounded() -> None:
    gt = torch.rand((3, 48, 64), generator=torch.Generator().manual_seed(0))
    recipe = GaussianBlur(size=11, perturbation=0.1).draw(np.random.default_rng(1), 48, 64)
    assert isinstance(recipe, Recipe)
    first = recipe.steps[0]
    assert isinstance(first, PerturbedBlur)
    wanted = imresize(filter2d(gt, first.taps()), 0.25)
    made = apply_recipe(gt, recipe)
    assert torch.equal(made.gt, gt)
    assert torch.equal(made.lq, (wanted * 255).round().clamp(0, 255) / 255)
    assert torch.equal(apply_recipe(gt, Recipe.from_dict(recipe.as_dict())).lq, made.lq)


@pytest.mark.parametrize("settings", [{"sigma": (2.0, 1.0)}, {"sigma": (0.0, 1.0)}, {"perturbation": -1}, {"size": 20}])
def test_impossible_settings_are_refused(settings: Any) -> None:
    with pytest.raises(InputError):
        GaussianBlur(**settings)
