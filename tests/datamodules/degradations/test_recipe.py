"""Steps and recipes: each step is its operator, a recipe survives JSON, the same recipe gives the same pixels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from srbench.datamodules.degradations.corruption_steps import DefocusBlur, GlassBlur, ImpulseNoise, SpeckleNoise, Turn
from srbench.datamodules.degradations.imresize import imresize
from srbench.datamodules.degradations.kernels import KernelSpec
from srbench.datamodules.degradations.perturbed_blur import PerturbedBlur
from srbench.datamodules.degradations.recipe import Recipe, apply_recipe
from srbench.datamodules.degradations.steps import (
    STEPS,
    Blur,
    Clamp,
    CorrelatedNoise,
    Decimate,
    GaussianNoise,
    Jpeg,
    MatlabResize,
    PoissonNoise,
    Resize,
    Round,
    Step,
    Usm,
    shifted_gaussian,
    step_from_dict,
)
from srbench.errors import InputError

MIXING = ((0.1, 0.0, 0.0), (0.02, 0.05, 0.0), (0.0, 0.03, 0.01))
EVERY: list[Step] = [
    Usm(),
    Usm(on_target=True, radius=21, weight=0.7, threshold=4.0),
    Blur(KernelSpec("aniso", 9, sigma_x=1.5, sigma_y=0.4, theta=0.3)),
    PerturbedBlur(KernelSpec("aniso", 9, sigma_x=1.5, sigma_y=0.4, theta=0.3), 0.25, 7),
    Resize(20, 31, "bicubic"),
    Resize(32, 38, "area", 0.8),
    MatlabResize(0.25),
    MatlabResize(0.5, eight_bit=False, border="replicate"),
    Decimate(4, 1.2),
    GaussianNoise(12.5, True, 2**53 - 1),
    CorrelatedNoise(MIXING, 5),
    PoissonNoise(2.0, False, 3),
    Jpeg(33.3),
    Jpeg(40.0, differentiable=False),
    Clamp(),
    Round(),
    DefocusBlur(3, 0.5),
    GlassBlur(0.7, 2, 4),
    ImpulseNoise(0.05, 0.5, False, 6),
    SpeckleNoise(MIXING, 8),
    Turn(12.0),
]


def photo(height: int = 40, width: int = 48, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 5 + y / 9), np.cos(y / 6), np.sin((x - y) / 7)]) * 0.35 + 0.5
    return torch.from_numpy(np.clip(waves + rng.normal(0, 0.05, waves.shape), 0, 1).astype(np.float32))


@pytest.mark.parametrize("step", EVERY, ids=lambda step: step.name)
def test_a_step_survives_json_and_gives_the_same_pixels(step: Step) -> None:
    again = step_from_dict(json.loads(json.dumps(step.as_dict())))
    assert again == step
    image = photo()
    before = image.clone()
    first, second = step.apply(image), again.apply(image)
    assert torch.equal(first, second)
    assert torch.equal(image, before), "a step must leave its input alone"
    assert first.dtype == torch.float32
    assert first.shape[0] == 3


def test_every_kind_of_step_is_tried_above() -> None:
    assert {step.name for step in EVERY} == set(STEPS)


def test_resize_is_interpolate() -> None:
    image = photo()
    wanted = F.interpolate(image[None], size=(20, 31), mode="bicubic")[0]
    assert (Resize(20, 31, "bicubic").apply(image) - wanted).abs().max() < 2e-6
    by_factor = F.interpolate(image[None], scale_factor=0.83, mode="bilinear")[0]
    by_size = F.interpolate(image[None], size=(33, 39), mode="bilinear")[0]
    made = Resize(33, 39, "bilinear", 0.83).apply(image)
    assert (made - by_factor).abs().max() < 2e-6 < (made - by_size).abs().max()


def test_matlab_resize_of_eight_bits_is_imresize_of_uint8() -> None:
    image = photo()
    levels = (image * 255).round().to(torch.uint8)
    wanted = imresize(levels, 0.25).float() / 255
    assert torch.equal(MatlabResize(0.25).apply(image), wanted)
    assert torch.equal(MatlabResize(0.25, eight_bit=False).apply(image), imresize(image, 0.25))


def test_blur_is_scipys_correlation() -> None:
    spec = KernelSpec("aniso", 9, sigma_x=1.5, sigma_y=0.4, theta=0.3)
    image = photo()
    wanted = np.stack([ndimage.correlate(p.astype(np.float64), spec.build(), mode="mirror") for p in image.numpy()])
    assert np.abs(Blur(spec).apply(image).numpy() - wanted).max() < 2e-6


def test_decimate_blurs_with_a_shifted_gaussian_and_takes_every_nth() -> None:
    image = photo()
    kernel = shifted_gaussian(25, 1.2, 1.5)
    blurred = np.stack([ndimage.correlate(p.astype(np.float64), kernel, mode="mirror") for p in image.numpy()])
    made = Decimate(4, 1.2).apply(image).numpy()
    assert made.shape == (3, 10, 12)
    assert np.abs(made - blurred[:, ::4, ::4]).max() < 2e-6


@pytest.mark.parametrize("shift", [0.5, 1.5])
def test_the_shifted_gaussian_is_bsrgans(shift: float) -> None:
    """Against bilinear reading of the plain Gaussian, as ``shift_pixel`` does it."""
    at = np.arange(25) - 12.0
    plain = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.7**2))
    grid = np.clip(np.arange(25) - shift, 0, 24)
    moved = ndimage.map_coordinates(plain, np.meshgrid(grid, grid, indexing="ij"), order=1)
    assert np.abs(shifted_gaussian(25, 1.7, shift) - moved / moved.sum()).max() < 1e-12


def test_correlated_noise_has_the_covariance_of_its_mixing() -> None:
    grey = torch.full((3, 400, 400), 0.5)
    field = (CorrelatedNoise(MIXING, 7).apply(grey) - grey).flatten(1).numpy().astype(np.float64)
    matrix = np.array(MIXING)
    assert np.abs(np.cov(field) - matrix @ matrix.T).max() < 2e-4
    assert np.abs(field.mean(axis=1)).max() < 2e-3


def test_noise_depends_on_its_seed_and_on_nothing_else() -> None:
    image = photo()
    for kind in (lambda s: GaussianNoise(20.0, False, s), lambda s: PoissonNoise(2.0, True, s)):
        torch.manual_seed(1)
        first = kind(4).apply(image)
        torch.manual_seed(2)
        assert torch.equal(first, kind(4).apply(image))
        assert not torch.equal(first, kind(5).apply(image))
    state = torch.get_rng_state()
    GaussianNoise(20.0, False, 1).apply(image)
    assert torch.equal(state, torch.get_rng_state()), "the model's generator was touched"


def test_jpeg_clamps_first_and_libjpeg_takes_whole_qualities() -> None:
    image = photo() * 1.3 - 0.1
    for step in (Jpeg(50.0), Jpeg(50.0, differentiable=False)):
        assert torch.equal(step.apply(image), step.apply(image.clamp(0, 1)))


def test_round_is_eight_bits() -> None:
    made = Round().apply(photo() * 1.2 - 0.1) * 255
    assert torch.equal(made.round(), made.round().clamp(0, 255))
    assert (made - made.round()).abs().max() < 1e-4


def test_the_target_is_gt_or_what_was_sharpened() -> None:
    gt = photo(120, 120)
    shrink = Resize(30, 30, "area")
    plain = apply_recipe(gt, Recipe((Usm(), shrink)))
    assert plain.gt is gt
    both = Recipe((Usm(on_target=True), shrink)).apply(gt)
    assert torch.equal(both.gt, Usm().apply(gt))
    assert torch.equal(both.lq, plain.lq)
    assert not torch.equal(both.gt, gt)


def test_applying_keeps_no_graph() -> None:
    gt = photo().requires_grad_()
    assert not apply_recipe(gt, Recipe((Round(),))).lq.requires_grad


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(tuple(EVERY[:4]), kind="weak")
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "needs a list of steps"),
        ({"steps": [{"step": "blurr"}]}, "did you mean 'blur'"),
        ({"steps": [{"step": "jpeg", "qualtiy": 3}]}, "no parameter qualtiy"),
        ({"steps": [{"step": "jpeg"}]}, "incomplete"),
        ({"steps": [{}]}, "unknown degradation step"),
        ({"steps": [{"step": "blur", "kernel": {"kind": "iso", "size": 8, "sigma_x": 1.0}}]}, "odd"),
    ],
)
def test_a_broken_recipe_says_what_is_wrong(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Recipe.from_dict(given)
