"""DIV2K-C's corruptions: how often each is drawn, of what it is made, and the steps that only it has."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from srbench.datamodules.degradations import Corruptions, Recipe
from srbench.datamodules.degradations.corruption_steps import (
    DefocusBlur,
    GlassBlur,
    ImpulseNoise,
    SpeckleNoise,
    Turn,
    disk,
)
from srbench.datamodules.degradations.corruptions import BLURS, CORRUPTIONS, NOISES
from srbench.errors import InputError


@pytest.fixture
def image() -> Tensor:
    return torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


def names(recipe: Recipe) -> list[str]:
    return [step.name for step in recipe.steps]


def test_each_is_as_likely() -> None:
    degradation, rng = Corruptions(), np.random.default_rng(0)
    drawn = Counter(degradation.draw(rng, 224, 224).kind for _ in range(2600))
    assert set(drawn) == set(CORRUPTIONS)
    assert len(CORRUPTIONS) == 13
    assert all(abs(count - 200) < 60 for count in drawn.values())  # 4.4 standard deviations


BLUR = {"GaussianBlur": "blur", "DefocusBlur": "defocus_blur", "GlassBlur": "glass_blur"}
NOISE = {"PoissonNoise": {"poisson_noise"}, "ImpulseNoise": {"impulse_noise"}, "SpeckleNoise": {"speckle_noise"}}
NOISE["GaussianNoise"] = {"gaussian_noise", "correlated_noise"}
SHRINK = ["matlab_resize", "clamp"]


@pytest.mark.parametrize("kind", CORRUPTIONS[:9])
def test_singles_are_blur_before_shrinking_and_the_rest_behind(kind: str) -> None:
    degradation, rng = Corruptions(kinds=[kind]), np.random.default_rng(0)  # type: ignore[list-item]
    for _ in range(50):
        *steps, last = names(degradation.draw(rng, 64, 64))
        assert last == "round"
        if kind in BLURS:
            assert steps == [BLUR[kind], *SHRINK]
        elif kind in NOISES:
            assert steps[:-1] == SHRINK
            assert steps[-1] in NOISE[kind]
        else:
            assert steps == (SHRINK if kind == "Original" else [*SHRINK, "jpeg"])


@pytest.mark.parametrize("kind", CORRUPTIONS[9:])
def test_mixtures_round_after_every_operation(kind: str) -> None:
    degradation, rng = Corruptions(kinds=[kind]), np.random.default_rng(0)  # type: ignore[list-item]
    blurs, noises = set(), set()
    for _ in range(60):
        steps = names(degradation.draw(rng, 64, 64))
        if "Blur" in kind:
            blurs.add(steps[0])
            assert steps[1] == "round"
            steps = steps[2:]
        assert steps[:3] == [*SHRINK, "round"]
        steps = steps[3:]
        if "Noise" in kind:
            noises.add(steps[0])
            assert steps[1] == "round"
            steps = steps[2:]
        assert steps == (["jpeg", "round"] if "JPEG" in kind else ["round"])
    assert blurs == (set(BLUR.values()) if "Blur" in kind else set())
    assert noises == (set().union(*NOISE.values()) if "Noise" in kind else set())


def test_recipes_make_lq_and_can_be_written_down(image: Tensor) -> None:
    degradation, rng = Corruptions(turned=0.8, scale=2), np.random.default_rng(0)
    for _ in range(60):
        recipe = degradation.draw(rng, 40, 48)
        before = image.clone()
        lq, target = degradation(image, recipe)
        assert torch.equal(image, before)
        assert torch.equal(target, image)
        assert lq.shape == (3, 20, 24)
        assert lq.min() >= 0
        assert lq.max() <= 1
        again = Recipe.from_dict(json.loads(json.dumps(recipe.as_dict())))
        assert again == recipe
        assert torch.equal(again.apply(image).lq, lq)


def test_crops_are_turned_as_often_as_asked() -> None:
    degradation, rng = Corruptions(turned=0.8), np.random.default_rng(0)
    first = [degradation.draw(rng, 32, 32).steps[0] for _ in range(1000)]
    degrees = [step.degrees for step in first if isinstance(step, Turn)]
    assert len(degrees) == pytest.approx(800, abs=55)
    assert min(degrees) < -80
    assert max(degrees) > 80


def test_ranges_are_upstreams() -> None:
    rng = np.random.default_rng(0)
    drawn = [Corruptions(kinds=["DefocusBlur"]).draw(rng, 64, 64).steps[0] for _ in range(300)]
    assert {step.radius for step in drawn if isinstance(step, DefocusBlur)} == set(range(3, 11))
    hits = [Corruptions(kinds=["ImpulseNoise"]).draw(rng, 64, 64).steps[2] for _ in range(300)]
    probabilities = [step.probability for step in hits if isinstance(step, ImpulseNoise)]
    assert 0.03 <= min(probabilities) < 0.05
    assert 0.23 < max(probabilities) <= 0.25
    glass = [Corruptions(kinds=["GlassBlur"]).draw(rng, 64, 64).steps[0] for _ in range(200)]
    assert {step.reach for step in glass if isinstance(step, GlassBlur)} == set(range(2, 7))


# --------------------------------------------------------------------------------------------------------------- steps


def test_a_disk_is_flat_inside_and_nothing_outside() -> None:
    for radius in (3, 8, 10):
        kernel = disk(radius, 0.1)  # so narrow a Gaussian changes nothing
        side = max(17, 2 * radius + 1)
        assert kernel.shape == (side, side)
        offsets = np.arange(side) - side // 2
        inside = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2
        assert np.allclose(kernel, inside / inside.sum(), atol=1e-12)
    assert disk(5, 0.5).sum() == pytest.approx(1, abs=1e-12)
    assert not np.allclose(disk(5, 0.5), disk(5, 0.1))


def test_opencv_smooths_a_disk_alike() -> None:
    cv2 = pytest.importorskip("cv2")
    for radius, smoothing in ((4, 0.5), (8, 0.3), (10, 0.45)):
        sharp, taps = disk(radius, 1e-3), 3 if radius <= 8 else 5
        wanted = cv2.GaussianBlur(sharp, (taps, taps), sigmaX=smoothing)
        assert np.allclose(disk(radius, smoothing), wanted / wanted.sum(), atol=1e-9)


def test_glass_shuffles_one_row_between_two_gaussians(image: Tensor) -> None:
    made = GlassBlur(1.0, 3, 7).apply(image)
    other = GlassBlur(1.0, 3, 8).apply(image)
    rows = ((made - other).abs() > 1e-4).any(0).any(1).nonzero().flatten()
    assert len(rows) > 0
    assert rows.min() >= 40 - 3 - 4  # the row and what the second Gaussian, of 9 taps, makes of it
    assert torch.equal(made, GlassBlur(1.0, 3, 7).apply(image))


def test_impulses_are_as_many_and_as_white_as_asked() -> None:
    image = torch.full((3, 200, 200), 0.5)
    coloured = ImpulseNoise(0.2, 0.7, False, 1).apply(image)
    hit = coloured != 0.5
    assert set(coloured.unique().tolist()) == {0.0, 0.5, 1.0}
    assert hit.float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert coloured[hit].mean().item() == pytest.approx(0.7, abs=0.02)
    assert not torch.equal(coloured[0], coloured[1])
    grey = ImpulseNoise(0.2, 0.7, True, 1).apply(image)
    assert torch.equal(grey[0], grey[1])
    assert (grey[0] != 0.5).float().mean().item() == pytest.approx(0.2, abs=0.01)


def test_speckles_grow_with_the_image() -> None:
    image = torch.tensor([0.2, 0.6]).repeat_interleave(5000).expand(3, 100, 10000).clone()
    noise = SpeckleNoise(((0.05, 0, 0), (0, 0.05, 0), (0, 0, 0.05)), 3).apply(image) - image
    assert noise[..., :5000].std().item() == pytest.approx(0.2 * 0.05, rel=0.02)
    assert noise[..., 5000:].std().item() == pytest.approx(0.6 * 0.05, rel=0.02)
    assert SpeckleNoise(((0.1, 0, 0),) * 3, 3).apply(image)[:, 0, 0].unique().numel() == 1


def test_a_turn_of_90_degrees_is_rot90_and_others_leave_black_corners() -> None:
    square = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.1
    assert torch.equal(Turn(90.0).apply(square), square.rot90(1, (1, 2)))
    assert torch.equal(Turn(0.0).apply(square), square)
    turned = Turn(45.0).apply(square)
    assert turned[:, 0, 0].abs().sum() == 0
    assert turned[:, 8, 8].abs().sum() > 0
    oblong = torch.zeros(1, 9, 21)
    oblong[0, 4, 14] = 1.0  # 4 pixels to the right of the centre
    assert Turn(90.0).apply(oblong)[0, 0, 10] == 1  # 4 pixels above it


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kinds": ["Rain"]}, "no corruption 'Rain'"),
        ({"kinds": []}, "no corruption to draw"),
        ({"turned": 2.0}, "2 is"),
    ],
)
def test_what_is_impossible_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Corruptions(**given)  # type: ignore[arg-type]


def test_small_images_are_refused() -> None:
    with pytest.raises(InputError, match="12 pixels is too small"):
        Corruptions().draw(np.random.default_rng(0), 12, 40)
