"""Sons lie where MATLAB's imresize would put them, whatever the kernel."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from srbench.datamodules.degradations import imresize
from srbench.datamodules.degradations.kernels import gaussian_kernel
from srbench.errors import InputError
from srbench.modules.zssr.geometry import centre_of_mass, centred, checked_kernel, enlarge, shrink_by, shrinker


def _ramp(height: int, width: int) -> Tensor:
    """Channels that hold each pixel's row, its column and both."""
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return torch.stack([y, x, x + y])[None]


def _delta(side: int, row: int, column: int) -> NDArray[np.float64]:
    kernel = np.zeros((side, side))
    kernel[row, column] = 1
    return kernel


KERNELS = {
    "delta": _delta(1, 0, 0),
    "delta in a corner": _delta(5, 0, 4),
    "delta of even side": _delta(4, 1, 2),
    "gaussian": gaussian_kernel(13, 2.0, 0.8, 0.6),
    "even": np.outer([1.0, 3.0, 3.0, 1.0], [1.0, 2.0, 2.0, 1.0]),
    "lopsided": np.triu(np.ones((5, 5))) * np.arange(1, 6),
}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", KERNELS)
def test_no_kernel_shifts_the_image(name: str, scale: int) -> None:
    """Of a ramp, lq pixel i of imresize's grid holds s*i + (s-1)/2: the centre of mass is all that a ramp can see."""
    ramp = _ramp(120, 96)
    son = shrinker(scale, torch.from_numpy(KERNELS[name]))(ramp)
    wanted = _ramp(120 // scale, 96 // scale) * scale + (scale - 1) / 2 * torch.tensor([1, 1, 2])[:, None, None]
    inside = (..., slice(9, -9), slice(9, -9))
    assert son.shape == wanted.shape
    assert (son - wanted)[inside].abs().max() < 1e-3
    assert (imresize(ramp, 1 / scale) - wanted)[inside].abs().max() < 1e-9


def test_a_kernel_that_holds_its_shift_is_taken_as_it_is() -> None:
    son = shrinker(2, torch.from_numpy(_delta(5, 2, 2)), align=False)(_ramp(20, 20))
    assert torch.equal(son[0, 0, :, 0], torch.arange(0, 20, 2).double())
    shifted = shrinker(2, torch.from_numpy(_delta(5, 3, 2)), align=False)(_ramp(20, 20))
    assert torch.equal(shifted[0, 0, :-1, 0], torch.arange(1, 19, 2).double())


def test_a_kernel_is_correlated_not_convolved() -> None:
    image = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    image[..., 4, 5] = 1
    son = shrink_by(image, taps=torch.arange(9.0).reshape(3, 3).double(), scale=1, aligned=False)
    assert son[0, 0, 4, 4] == 5  # the tap to the right of the middle


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_kernel_that_lies_right_keeps_its_values(scale: int) -> None:
    kernel = checked_kernel(gaussian_kernel(11, 1.5, 1.0, 0.3))
    once = centred(kernel, 3)
    assert np.count_nonzero(once > 0) == 121
    assert np.allclose(np.sort(once.ravel())[-121:], np.sort(kernel.ravel()), atol=1e-15)
    moved = centred(kernel, scale)
    again = centred(moved, scale)
    edge = (again.shape[0] - moved.shape[0]) // 2
    inner = again[edge : edge + len(moved), edge : edge + len(moved)]
    assert np.allclose(inner, moved, atol=1e-12)


def test_moving_by_half_a_pixel_keeps_the_width() -> None:
    def variance(taps: NDArray[np.float64]) -> float:
        row, _ = centre_of_mass(taps)
        return float((taps * (np.arange(len(taps))[:, None] - row) ** 2).sum())

    kernel = checked_kernel(gaussian_kernel(13, 1.3, isotropic=True))
    assert variance(centred(kernel, 2)) == pytest.approx(variance(kernel), rel=0.01)


@pytest.mark.parametrize(("scale", "side"), [(2, 128), (3, 128), (4, 122), (7 / 6, 61), (1.5, 61)])
def test_an_enlarged_son_lies_on_its_father(scale: float, side: int) -> None:
    father = _ramp(side, side)
    shown = enlarge(shrinker(scale)(father), scale, (side, side))
    assert shown.shape == father.shape
    inside = slice(side // 3, 2 * side // 3)
    # At broken scales imresize's taps, seen from a pixel, are not symmetric, and a ramp is bent a little.
    assert (shown - father)[..., inside, inside].abs().max() < (1e-9 if scale in (2, 3, 4) else 0.05)


def test_the_border_is_mirrored_however_far_the_kernel_reaches() -> None:
    constant = torch.full((1, 3, 5, 4), 0.25, dtype=torch.float64)
    son = shrinker(2, torch.from_numpy(gaussian_kernel(25, 4.0, isotropic=True)))(constant)
    assert son.shape == (1, 3, 3, 2)
    assert (son - 0.25).abs().max() < 1e-12


@pytest.mark.parametrize(
    "kernel",
    [np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones(3), np.ones((3, 0)), -np.ones((2, 2)), np.array([["a"]])],
)
def test_what_is_no_kernel_is_refused(kernel: NDArray[np.generic]) -> None:
    with pytest.raises(InputError, match="kernel"):
        checked_kernel(kernel, where="k.npy")


def test_a_kernel_has_whole_scales() -> None:
    with pytest.raises(InputError, match=r"x1\.5 has no pixel grid"):
        shrinker(1.5, torch.ones(3, 3))
