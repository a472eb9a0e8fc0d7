"""Blur kernels against densities and integrals written out with SciPy."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j0
from scipy.stats import multivariate_normal

from srbench.datamodules.degradations.kernels import (
    KINDS,
    KernelSpec,
    gaussian_kernel,
    generalised_kernel,
    plateau_kernel,
    sinc_kernel,
)
from srbench.errors import InputError

SIZES = range(7, 23, 2)
SHAPES = [(2.0, 0.7, 0.4), (0.3, 2.9, -2.5), (1.1, 1.1, 1.0)]


def covariance(sigma_x: float, sigma_y: float, theta: float) -> np.ndarray:
    turn = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
    return np.asarray(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T)


def pixelwise(size: int, density: Any) -> np.ndarray:
    """A kernel filled pixel by pixel from a density of (x, y)."""
    half = size // 2
    values = [[density(np.array([x, y])) for x in range(-half, half + 1)] for y in range(-half, half + 1)]
    return np.array(values) / np.sum(values)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [7, 13, 21])
def test_gaussian_is_the_bivariate_normal_density(size: int, shape: tuple[float, float, float]) -> None:
    expected = pixelwise(size, multivariate_normal([0, 0], covariance(*shape)).pdf)
    np.testing.assert_allclose(gaussian_kernel(size, *shape), expected, atol=1e-12)
    expected = pixelwise(size, multivariate_normal([0, 0], covariance(shape[0], shape[0], 0)).pdf)
    np.testing.assert_allclose(gaussian_kernel(size, *shape, isotropic=True), expected, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("beta", [0.5, 1.0, 1.7, 4.0])
def test_generalised_and_plateau_follow_their_formulas(beta: float, shape: tuple[float, float, float]) -> None:
    inverse = np.linalg.inv(covariance(*shape))
    expected = pixelwise(15, lambda at: math.exp(-0.5 * (at @ inverse @ at) ** beta))
    np.testing.assert_allclose(generalised_kernel(15, *shape, beta), expected, atol=1e-12)
    expected = pixelwise(15, lambda at: 1 / (1 + (at @ inverse @ at) ** beta))
    np.testing.assert_allclose(plateau_kernel(15, *shape, beta), expected, atol=1e-12)


@pytest.mark.parametrize(("size", "cutoff"), [(7, math.pi), (13, 2.0), (21, math.pi / 5)])
def test_sinc_is_the_inverse_transform_of_a_disc(size: int, cutoff: float) -> None:
    def density(at: np.ndarray) -> float:
        radius = float(np.hypot(*at))
        return quad(lambda rho: j0(rho * radius) * rho / (2 * math.pi), 0, cutoff, limit=200)[0]

    kernel = sinc_kernel(size, cutoff)
    np.testing.assert_allclose(kernel, pixelwise(size, density), atol=1e-10)
    assert kernel.min() < 0 < kernel.max() == kernel[size // 2, size // 2]


def spec(kind: Any, size: int = 11) -> KernelSpec:
    return KernelSpec(kind, size, sigma_x=1.3, sigma_y=0.6, theta=0.5, beta=1.6, cutoff=1.9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kernel_sums_to_one_and_is_symmetric_about_its_centre(kind: str, size: int) -> None:
    kernel = spec(kind, size).build()
    assert kernel.shape == (size, size)
    assert kernel.dtype == np.float64
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-15)
    round_ones = not kind.endswith("aniso")
    assert np.allclose(kernel, kernel.T) == round_ones
    assert np.allclose(kernel, kernel[:, ::-1]) == round_ones


def test_specs_build_what_the_functions_make() -> None:
    axes = (11, 1.3, 0.6, 0.5)
    for isotropic, end in ((True, "iso"), (False, "aniso")):
        np.testing.assert_array_equal(spec(end).build(), gaussian_kernel(*axes, isotropic=isotropic))
        made = generalised_kernel(*axes, 1.6, isotropic=isotropic)
        np.testing.assert_array_equal(spec(f"generalised_{end}").build(), made)
        np.testing.assert_array_equal(spec(f"plateau_{end}").build(), plateau_kernel(*axes, 1.6, isotropic=isotropic))
    np.testing.assert_array_equal(spec("sinc").build(), sinc_kernel(11, 1.9))


def test_a_shape_of_one_is_the_gaussian() -> None:
    np.testing.assert_allclose(generalised_kernel(9, 2, 1, 0.3, 1.0), gaussian_kernel(9, 2, 1, 0.3), atol=1e-15)


def test_at_angle_zero_the_first_axis_is_the_horizontal_one() -> None:
    kernel = gaussian_kernel(9, 3.0, 0.5, 0.0)
    assert kernel[4, 7] > 100 * kernel[7, 4]


def test_a_tiny_gaussian_is_a_single_pixel() -> None:
    delta = np.zeros((7, 7))
    delta[3, 3] = 1
    np.testing.assert_array_equal(gaussian_kernel(7, 0.01, isotropic=True), delta)


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_survives_json(kind: str) -> None:
    assert KernelSpec(**json.loads(json.dumps(spec(kind).as_dict()))) == spec(kind)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "box", "size": 7}, "box"),
        ({"kind": "iso", "size": 8, "sigma_x": 1}, "odd number above 0, not 8"),
        ({"kind": "iso", "size": -3, "sigma_x": 1}, "not -3"),
        ({"kind": "iso", "size": 7}, "sigma_x is a positive number, not 0.0"),
        ({"kind": "aniso", "size": 7, "sigma_x": 1, "sigma_y": -1}, "sigma_y is a positive number, not -1"),
        ({"kind": "plateau_iso", "size": 7, "sigma_x": 1, "beta": 0}, "beta is a positive number, not 0"),
        ({"kind": "generalised_aniso", "size": 7, "sigma_x": 1, "sigma_y": 1, "beta": math.nan}, "beta"),
        ({"kind": "sinc", "size": 7}, "cutoff is a positive number, not 0.0"),
    ],
)
def test_bad_specs_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        KernelSpec(**fields)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="odd"):
        gaussian_kernel(10, 1, isotropic=True)
    with pytest.raises(InputError, match="sigma_x"):
        plateau_kernel(9, 0, isotropic=True)
    with pytest.raises(InputError, match="sigma_y"):
        gaussian_kernel(9, 1, math.inf)
    with pytest.raises(InputError, match="at most pi"):
        sinc_kernel(9, 3.2)
