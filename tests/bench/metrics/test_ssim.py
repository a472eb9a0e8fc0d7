"""SSIM, against scikit-image's and against numbers other tools gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from srbench.errors import InputError
from srbench.images import luma_y219, read_image
from srbench.metrics import ImageMetric, find
from srbench.metrics.ssim import ssim


def score(name: str, sr: np.ndarray, gt: np.ndarray) -> float:
    metric = find(name)
    assert isinstance(metric, ImageMetric)
    (value,) = metric.make("cpu")([sr], [gt])
    return value


def noise(seed: int, shape: tuple[int, int] = (40, 53)) -> np.ndarray:
    """Smooth texture with noise on it, so that all three factors of SSIM matter."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.integers(0, 200, (8, 11, 3)), np.ones((8, 8, 1)))[: shape[0], : shape[1]]
    return (coarse + rng.integers(0, 56, (*shape, 3))).astype(np.uint8)


def reference(sr: np.ndarray, gt: np.ndarray) -> float:
    """scikit-image's map where the 11x11 window fits; its truncation at 3.5 sigma gives that window."""
    _, full = structural_similarity(
        sr, gt, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
    )
    return float(full[5:-5, 5:-5].mean())


def test_y219_equals_scikit_image() -> None:
    sr, gt = noise(1), noise(2)
    assert score("ssim_y219", sr, gt) == pytest.approx(reference(luma_y219(sr), luma_y219(gt)), abs=1e-12)


def test_rgb_is_the_mean_of_the_channels() -> None:
    sr, gt = noise(3), noise(4)
    channels = [reference(sr[..., c].astype(float), gt[..., c].astype(float)) for c in range(3)]
    assert score("ssim_rgb", sr, gt) == pytest.approx(np.mean(channels), abs=1e-12)


def test_yiq_rounds_the_luma_and_clips_negative_structure_as_iqa_pytorch_does() -> None:
    rng = np.random.default_rng(5)
    grey = rng.integers(0, 256, (32, 32, 1), dtype=np.uint8).repeat(3, axis=2)
    inverted = 255 - grey
    plain = ssim(grey[..., 0].astype(float), inverted[..., 0].astype(float))
    assert plain < 0
    assert score("ssim_yiq", grey, inverted) >= 0
    coloured = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    whole = np.rint(coloured @ np.array([0.299, 0.587, 0.114]))
    assert score("ssim_yiq", coloured, grey) == pytest.approx(
        ssim(whole, grey[..., 0].astype(float), clip_structure=True), abs=1e-12
    )


@pytest.mark.parametrize("name", ["ssim_y219", "ssim_yiq", "ssim_rgb"])
def test_equal_images_give_one_and_the_order_does_not_matter(name: str) -> None:
    assert score(name, noise(6), noise(6)) == pytest.approx(1, abs=1e-12)
    assert score(name, noise(6), noise(7)) == pytest.approx(score(name, noise(7), noise(6)), abs=1e-12)


def test_flat_images_do_not_divide_by_zero() -> None:
    black = np.zeros((16, 16, 3), dtype=np.uint8)
    assert score("ssim_rgb", black, black) == 1


def test_an_image_of_the_windows_size_has_one_value_and_a_smaller_one_is_refused() -> None:
    sr, gt = noise(8, (11, 11)), noise(9, (11, 11))
    assert ssim(luma_y219(sr), luma_y219(gt)) == pytest.approx(reference(luma_y219(sr), luma_y219(gt)), abs=1e-12)
    with pytest.raises(InputError, match=r"11x10 pixels are smaller than SSIM's window of 11x11"):
        ssim(luma_y219(sr)[:10], luma_y219(gt)[:10])


def test_needs_a_reference() -> None:
    metric = find("ssim_rgb")
    assert isinstance(metric, ImageMetric)
    with pytest.raises(TypeError, match="full-reference"):
        metric.make("cpu")([noise(1)], None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ssim_y219", [0.7353, 0.9989, 0.9995, 0.9676, 0.6796]),  # BasicSR
        ("ssim_yiq", [0.6997, 0.9978, 0.9989, 0.9671, 0.6522]),  # IQA-PyTorch 0.1.16
    ],
)
def test_calibration_pairs(shared: Path, name: str, expected: list[float]) -> None:
    folder = shared / "data" / "iqa_calibration"
    for image, value in zip(("I03", "I04", "I06", "I08", "I19"), expected, strict=True):
        sr, gt = (read_image(folder / part / f"{image}.bmp").pixels for part in ("dist_dir", "ref_dir"))
        assert score(name, sr, gt) == pytest.approx(value, abs=5.1e-5), image
