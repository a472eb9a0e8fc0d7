"""One degradation of one strength, as DACESR's Fig. 1 and 2 have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from srbench.datamodules.degradations import Recipe, Single
from srbench.datamodules.degradations.imresize import imresize
from srbench.datamodules.degradations.jpeg import real_jpeg
from srbench.datamodules.degradations.single import STRENGTHS
from srbench.datamodules.degradations.steps import GaussianNoise
from srbench.errors import InputError


def gt() -> torch.Tensor:
    return torch.rand((3, 64, 80), generator=torch.Generator().manual_seed(0))


def lq(seed: int = 0, **settings: Any) -> torch.Tensor:
    degradation = Single(**settings)
    made, target = degradation(gt(), degradation.draw(np.random.default_rng(seed), 64, 80))
    assert torch.equal(target, gt())
    return made


@pytest.mark.parametrize(("kind", "strength"), [(kind, s) for kind, all_ in STRENGTHS.items() for s in all_])
@pytest.mark.parametrize("scale", [1, 4])
def test_sizes_and_names(kind: Any, strength: float, scale: int) -> None:
    assert lq(kind=kind, strength=strength, scale=scale).shape == (3, 64 // scale, 80 // scale)
    recipe = Single(kind=kind, strength=strength, scale=scale).draw(np.random.default_rng(0), 64, 80)
    assert isinstance(recipe, Recipe)
    assert recipe.kind == f"{kind}_{strength:g}"


def test_jpeg_comes_after_shrinking() -> None:
    small = imresize(gt(), 0.25).clamp(0, 1)
    assert torch.equal(lq(kind="jpeg", strength=30), real_jpeg(small, 30))


def test_noise_alone_has_its_strength_and_a_seed_of_its_own() -> None:
    made = lq(kind="noise", strength=5, scale=1)
    inside = (gt() > 0.1) & (gt() < 0.9)
    assert abs(float((made - gt())[inside].std()) * 255 - 5) < 0.15
    assert not torch.equal(made, lq(seed=1, kind="noise", strength=5, scale=1))
    degradation = Single(kind="noise", strength=5, scale=1)
    [step] = [s for s in degradation.draw(np.random.default_rng(0), 64, 80).steps if isinstance(s, GaussianNoise)]
    assert not step.grey


def test_stronger_is_further_from_gt() -> None:
    for kind, strengths in STRENGTHS.items():
        errors = [float((lq(kind=kind, strength=s, scale=1) - gt()).pow(2).mean()) for s in strengths]
        assert errors == sorted(errors), kind


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "blurr", "strength": 1}, "no single degradation 'blurr'"),
        ({"kind": "blur", "strength": 0}, "strength 0 is impossible"),
        ({"kind": "jpeg", "strength": 101}, "strength 101 is impossible"),
        ({"kind": "blur", "strength": 1, "crop": 6}, "no multiple of scale"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Single(**settings)
