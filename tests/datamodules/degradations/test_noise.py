"""Noise: the arithmetic against NumPy on given fields, the drawn fields by their statistics."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest, poisson
from torch import Tensor

from srbench.datamodules.degradations.noise import (
    add_gaussian,
    add_poisson,
    gaussian_field,
    poisson_field,
    poisson_levels,
    shades,
)
from srbench.errors import InputError

CLIPPING = [(True, False), (True, True), (False, False), (False, True)]
ADDERS: list[Callable[..., Tensor]] = [add_gaussian, add_poisson]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def finished(image: np.ndarray, clip: bool, rounds: bool) -> np.ndarray:
    if rounds:
        image = np.round(image * 255) / 255
    return np.clip(image, 0, 1) if clip else image


@pytest.mark.parametrize(("clip", "rounds"), CLIPPING)
@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("sigma", [0.0, 1.0, 13.7, 30.0])
def test_gaussian_noise_is_the_field_times_sigma(
    photo: Tensor, sigma: float, grey: bool, clip: bool, rounds: bool
) -> None:
    field = gaussian_field(photo, grey=grey, generator=seeded())
    assert field.shape == (1 if grey else 3, 91, 118)
    made = add_gaussian(photo, sigma, grey=grey, field=field, clip=clip, rounds=rounds)
    expected = finished(photo.double().numpy() + field.double().numpy() * sigma / 255, clip, rounds)
    assert_close_but_for_ties(made, expected, rounds)
    drawn = add_gaussian(photo, sigma, grey=grey, generator=seeded(), clip=clip, rounds=rounds)
    assert torch.equal(drawn, made)


def assert_close_but_for_ties(made: Tensor, expected: np.ndarray, rounds: bool) -> None:
    """Within 1e-6; where values are rounded to levels, float32 may round one in a hundred the other way."""
    difference = np.abs(made.numpy() - expected)
    assert difference.max() < (1.01 / 255 if rounds else 1e-6)
    assert np.mean(difference > 1e-6) < 0.01


def reference_poisson(image: np.ndarray, counts: np.ndarray, scale: float, grey: bool) -> np.ndarray:
    """As BasicSR's text says it, the counts given; (3,H,W) float64 without clipping."""
    luma = np.tensordot(np.array([0.2989, 0.587, 0.114], np.float32), image.astype(np.float32), 1)[None]
    counted = luma if grey else image
    counted = np.clip(np.round(counted * 255), 0, 255) / 255
    photons = 2 ** np.ceil(np.log2(len(np.unique(counted))))
    return np.asarray(image + (counts / photons - counted) * scale)


@pytest.mark.parametrize(("clip", "rounds"), CLIPPING)
@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("scale", [0.0, 0.05, 1.0, 3.0])
def test_poisson_noise_follows_its_definition(
    photo: Tensor, scale: float, grey: bool, clip: bool, rounds: bool
) -> None:
    levels = poisson_levels(photo, grey=grey)
    counts = poisson_field(levels, shades(levels), generator=seeded(3))
    made = add_poisson(photo, scale, grey=grey, field=counts, clip=clip, rounds=rounds)
    plain = reference_poisson(photo.double().numpy(), counts.double().numpy(), scale, grey)
    assert_close_but_for_ties(made, finished(plain, clip, rounds), rounds)
    drawn = add_poisson(photo, scale, grey=grey, generator=seeded(3), clip=clip, rounds=rounds)
    assert torch.equal(drawn, made)


def test_an_image_between_two_levels_is_counted_at_the_nearer_one(photo: Tensor) -> None:
    image = photo * 0.9 + 0.013
    levels = poisson_levels(image, grey=False)
    np.testing.assert_array_equal(levels.numpy(), np.round(image.numpy() * np.float32(255)))
    counts = levels / 255 * shades(levels)  # what the mean is: no noise at all
    torch.testing.assert_close(add_poisson(image, 3.0, grey=False, field=counts), image, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (129, 256), (255, 256)])
def test_shades_are_rounded_up_to_a_power_of_two(count: int, expected: int) -> None:
    levels = torch.arange(count).repeat(3, 5, 2).float()
    assert int(shades(levels)) == expected == 2 ** math.ceil(math.log2(count))


@pytest.mark.parametrize("grey", [True, False])
def test_grey_noise_is_alike_in_the_three_channels(photo: Tensor, grey: bool) -> None:
    for add, strength in ((add_gaussian, 20.0), (add_poisson, 2.0)):
        noise = add(photo, strength, grey=grey, generator=seeded(), clip=False) - photo
        assert torch.allclose(noise[0], noise[1], atol=1e-6) == grey
        correlation = torch.corrcoef(noise.flatten(1))[0, 1]
        assert correlation > 0.999 if grey else abs(correlation) < 0.05


def test_statistics_of_2000_gaussian_draws() -> None:
    image = torch.full((3, 4, 4), 0.5)
    generator = seeded(11)
    draws = torch.stack([add_gaussian(image, 10.0, grey=False, generator=generator) for _ in range(2000)]) - 0.5
    values = draws.flatten().numpy() * 255 / 10
    assert kstest(values, "norm").pvalue > 1e-3
    assert values.mean() == pytest.approx(0, abs=4 / math.sqrt(values.size))
    assert values.std() == pytest.approx(1, abs=4 / math.sqrt(2 * values.size))


@pytest.mark.parametrize("grey", [True, False])
def test_statistics_of_2000_poisson_draws(grey: bool) -> None:
    image = torch.tensor([0.1, 0.4, 0.8]).view(1, 1, 3).expand(3, 3, 3).contiguous()  # three levels, so four photons
    generator = seeded(12)
    scale = 1.5
    draws = (
        torch.stack([add_poisson(image, scale, grey=grey, generator=generator, clip=False) for _ in range(2000)])
        - image
    )
    levels = poisson_levels(image, grey=grey)[0, 0] / 255
    noise = draws[:, 0, 0] if grey else draws.reshape(-1, 3)
    for column, level in enumerate(levels):
        values = noise[:, column].double().numpy()
        variance = scale**2 * float(level) / 4
        assert values.mean() == pytest.approx(0, abs=4.5 * math.sqrt(variance / values.size))
        assert values.var() == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize("photons", [1, 4, 64, 256])
@pytest.mark.parametrize("level", [1, 77, 200, 255])
def test_counts_are_poisson_distributed(photons: int, level: int) -> None:
    mean = level / 255 * photons
    counts = poisson_field(torch.full((1, 200, 200), float(level)), torch.tensor(photons), generator=seeded(level))
    assert torch.equal(counts, counts.round())
    edges = np.unique(poisson.ppf(np.linspace(0.02, 0.98, 12), mean))
    observed = np.histogram(counts.numpy(), bins=[-0.5, *(edges + 0.5), np.inf])[0]
    expected = np.diff([0.0, *poisson.cdf(edges, mean), 1.0]) * counts.numel()
    kept = expected > 5
    fair = expected[kept] * observed[kept].sum() / expected[kept].sum()
    assert chisquare(observed[kept], fair).pvalue > 1e-4


def test_black_has_no_shot_noise() -> None:
    black = torch.zeros(3, 20, 20)
    assert torch.equal(add_poisson(black, 3.0, grey=False, generator=seeded()), black)


@pytest.mark.parametrize("add", ADDERS)
def test_a_seed_gives_the_same_pixels_and_the_global_generator_is_left_alone(
    photo: Tensor, add: Callable[..., Tensor]
) -> None:
    state, before = torch.get_rng_state(), photo.clone()
    made = [add(photo, 2.0, grey=False, generator=seeded(seed)) for seed in (5, 5, 6)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(photo, before)


@pytest.mark.parametrize("add", ADDERS)
def test_the_gradient_is_one_where_nothing_is_clipped(add: Callable[..., Tensor]) -> None:
    image = torch.full((3, 8, 8), 0.5, requires_grad=True)
    add(image, 0.5, grey=True, generator=seeded(), clip=False).sum().backward()
    assert image.grad is not None
    assert torch.equal(image.grad, torch.ones_like(image))


@pytest.mark.parametrize("add", ADDERS)
def test_bad_input_is_refused(photo: Tensor, add: Callable[..., Tensor]) -> None:
    for strength in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="0 or more"):
            add(photo, strength, grey=False, generator=seeded())
    with pytest.raises(InputError, match="needs a generator or a field"):
        add(photo, 1.0, grey=False)
    with pytest.raises(InputError, match=r"field of this image is \(1, 91, 118\), not \(3, 91, 118\)"):
        add(photo, 1.0, grey=True, field=photo)
    for image in (photo[:1], photo[None], (photo * 255).byte(), photo[:, :0]):
        with pytest.raises(InputError, match="floating-point"):
            add(image, 1.0, grey=False, generator=seeded())
