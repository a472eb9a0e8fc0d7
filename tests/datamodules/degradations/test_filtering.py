"""Filtering and unsharp masking against scipy.ndimage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate, correlate1d
from torch import Tensor

from srbench.datamodules.degradations.filtering import automatic_sigma, filter2d, usm_sharpen
from srbench.datamodules.degradations.kernels import gaussian_kernel, plateau_kernel, sinc_kernel
from srbench.errors import InputError

KERNELS = {
    "wide": gaussian_kernel(21, 3.0, isotropic=True),
    "slanted": gaussian_kernel(13, 2.5, 0.4, 0.7),
    "plateau": plateau_kernel(7, 1.5, 0.5, -1.0, 1.4),
    "sinc": sinc_kernel(21, 1.0),
    "lopsided": np.random.default_rng(0).random((5, 5)) / 12,
    "one tap": np.array([[0.5]]),
}


def by_scipy(image: Tensor, kernel: np.ndarray) -> np.ndarray:
    return np.stack([correlate(plane, kernel, mode="mirror") for plane in image.double().numpy()])


@pytest.mark.parametrize("name", KERNELS)
def test_filtering_is_a_correlation_with_a_mirrored_border(photo: Tensor, name: str) -> None:
    for image in (photo, photo[:, :40, :25]):
        made = filter2d(image, KERNELS[name])
        assert made.dtype == torch.float32
        np.testing.assert_allclose(made.numpy(), by_scipy(image, KERNELS[name]), atol=2e-6)


def test_padding_a_kernel_with_zeros_changes_nothing(photo: Tensor) -> None:
    padded = np.pad(KERNELS["slanted"], 4)
    assert torch.equal(filter2d(photo, padded), filter2d(photo, KERNELS["slanted"]))
    small = photo[:, :9, :9]  # 13 taps fit, 29 would not
    assert torch.equal(filter2d(small, np.pad(KERNELS["slanted"], 8)), filter2d(small, KERNELS["slanted"]))


def test_a_tensor_as_kernel_gives_the_same(photo: Tensor) -> None:
    for kernel in KERNELS.values():
        made = filter2d(photo, torch.from_numpy(kernel))
        torch.testing.assert_close(made, filter2d(photo, kernel), atol=2e-6, rtol=0)


def reference_usm(image: np.ndarray, taps: int, weight: float, threshold: float) -> np.ndarray:
    sigma = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8
    line = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * sigma**2))
    line /= line.sum()

    def blur(planes: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(planes, line, axis=1, mode="mirror"), line, axis=2, mode="mirror")

    residual = image - blur(image)
    soft = blur((np.abs(residual) * 255 > threshold).astype(np.float64))
    sharp = np.clip(image + weight * residual, 0, 1)
    return np.asarray(soft * sharp + (1 - soft) * image)


@pytest.mark.parametrize(("radius", "taps", "weight", "threshold"), [(50, 51, 0.5, 10), (50, 51, 1.5, 0), (7, 7, 1, 3)])
def test_usm_follows_its_definition(photo: Tensor, radius: int, taps: int, weight: float, threshold: float) -> None:
    made = usm_sharpen(photo, radius=radius, weight=weight, threshold=threshold)
    expected = reference_usm(photo.double().numpy(), taps, weight, threshold)
    np.testing.assert_allclose(made.numpy(), expected, atol=5e-6)


def test_usm_defaults_sharpen_within_the_range(photo: Tensor) -> None:
    before = photo.clone()
    made = usm_sharpen(photo)
    assert torch.equal(photo, before)
    assert made.min() >= 0
    assert made.max() <= 1
    assert made.std() > photo.std() * 1.02
    flat = torch.full((3, 40, 40), 0.3)
    torch.testing.assert_close(usm_sharpen(flat), flat, atol=1e-6, rtol=0)


def test_sigma_is_the_one_opencv_takes_for_zero() -> None:
    assert automatic_sigma(51) == pytest.approx(8.0)
    cv2 = pytest.importorskip("cv2")
    ours = gaussian_kernel(51, automatic_sigma(51), isotropic=True).sum(axis=0)
    np.testing.assert_allclose(ours, cv2.getGaussianKernel(51, 0)[:, 0], atol=1e-15)


def test_pixels_do_not_depend_on_the_number_of_threads() -> None:
    threads = torch.get_num_threads()
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    try:
        for height, width in [*rng.integers(27, 300, (40, 2)), (220, 41), (79, 58), (48, 20), (64, 64)]:
            image = torch.rand(3, int(height), int(width), generator=generator)
            made = []
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                made.append((filter2d(image, KERNELS["lopsided"]), filter2d(image, KERNELS["wide"])))
            assert all(torch.equal(a, b) for other in made[1:] for a, b in zip(made[0], other, strict=True))
    finally:
        torch.set_num_threads(threads)


def test_gradients_reach_the_image_and_a_tensor_kernel() -> None:
    image = torch.rand(2, 6, 7, dtype=torch.float64, requires_grad=True)
    kernel = torch.rand(5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(filter2d, (image, kernel))
    photo = torch.rand(3, 30, 30, requires_grad=True)
    usm_sharpen(photo).sum().backward()
    assert photo.grad is not None
    assert photo.grad.isfinite().all()
    assert photo.grad.abs().min() > 0


def test_bad_input_is_refused(photo: Tensor) -> None:
    for shape in ((4, 4), (5, 7), (5,)):
        with pytest.raises(InputError, match="square kernel of odd side"):
            filter2d(photo, np.ones(shape))
    with pytest.raises(InputError, match=r"too small for a kernel of 21 taps; use images of 11 pixels or more"):
        filter2d(photo[:, :10], KERNELS["wide"])
    with pytest.raises(InputError, match="too small for a kernel of 51 taps"):
        usm_sharpen(photo[:, :25])
    with pytest.raises(InputError, match="radius"):
        usm_sharpen(photo, radius=0)
    with pytest.raises(InputError, match="uint8"):
        filter2d((photo * 255).byte(), KERNELS["plateau"])
    with pytest.raises(InputError, match=r"\(3,H,W\)"):
        filter2d(photo[None], KERNELS["plateau"])
