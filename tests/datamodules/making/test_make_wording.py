"""A degradation in words: the bins, and every operation in its order."""

from __future__ import annotations

import numpy as np
import pytest

from srbench.datamodules.degradations import DeeDSR, Recipe
from srbench.datamodules.degradations.kernels import KernelSpec
from srbench.datamodules.degradations.published import STABLESR_LIGHT
from srbench.datamodules.degradations.steps import Blur, GaussianNoise, Jpeg, PoissonNoise, Resize, Round
from srbench.datamodules.making.wording import describe, level


def words(recipe: Recipe) -> list[str]:
    return describe(recipe, STABLESR_LIGHT, height=512, width=512, scale=4).split(", ")


@pytest.mark.parametrize(
    ("value", "word"), [(1, "light"), (5.6, "light"), (5.7, "medium"), (10.3, "medium"), (10.4, "heavy"), (15, "heavy")]
)
def test_bins_are_thirds_of_the_range(value: float, word: str) -> None:
    assert level(value, (1, 15)) == word


def test_every_operation_in_its_order() -> None:
    recipe = Recipe(
        (
            Blur(KernelSpec("aniso", 9, sigma_x=1.5, sigma_y=1.3)),
            Resize(400, 400, "area", 0.78),
            GaussianNoise(2.0, False, 0),
            Jpeg(62.0),
            Blur(KernelSpec("iso", 9, sigma_x=0.3)),
            Resize(150, 150, "area"),
            PoissonNoise(0.9, False, 0),
            Jpeg(80.0),
            Resize(128, 128, "area"),
            Blur(KernelSpec("sinc", 9, cutoff=2.0)),
            Round(),
        )
    )
    assert words(recipe) == [
        "heavy blur", "downsample", "light noise", "heavy compression",
        "light blur", "upsample", "heavy noise", "medium compression", "sinc filter", "downsample",
    ]  # fmt: skip


def test_sizes_that_stay_and_sinc_kernels() -> None:
    recipe = Recipe(
        (
            Blur(KernelSpec("sinc", 9, cutoff=2.0)),
            GaussianNoise(14.0, True, 0),
            Jpeg(94.0),
            Resize(128, 128, "bicubic"),
            GaussianNoise(6.0, True, 0),
            Blur(KernelSpec("sinc", 9, cutoff=2.0)),
            Jpeg(99.0),
            Round(),
        )
    )
    assert words(recipe) == [
        "sinc filter", "unchange", "heavy noise", "light compression",
        "unchange", "medium noise", "sinc filter", "light compression", "downsample",
    ]  # fmt: skip


def test_the_plain_branch() -> None:
    assert words(Recipe((Resize(128, 128, "bicubic"), Round()), kind="bicubic")) == ["downsample"]


def test_every_recipe_of_the_preset_has_its_words() -> None:
    degradation = DeeDSR()
    seen: set[str] = set()
    for seed in range(300):
        found = words(degradation.draw(np.random.default_rng(seed), 512, 512))
        assert found[-1] == "downsample"
        assert len(found) == 1 or sum(word.endswith("noise") for word in found) == 2
        assert len(found) == 1 or sum(word.endswith("compression") for word in found) == 2
        seen.update(found)
    degrees = {f"{how} {what}" for how in ("light", "medium", "heavy") for what in ("blur", "noise", "compression")}
    assert seen == degrees | {"downsample", "upsample", "unchange", "sinc filter"}
