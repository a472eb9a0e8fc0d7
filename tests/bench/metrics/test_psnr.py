"""PSNR, against its definition and against numbers other tools gave."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from srbench.images import read_image
from srbench.metrics import ImageMetric, find, names
from srbench.metrics.psnr import psnr

NAMES = ("psnr_rgb", "psnr_y219", "psnr_yiq")


def noise(seed: int, shape: tuple[int, int] = (24, 31)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def score(name: str, sr: np.ndarray, gt: np.ndarray) -> float:
    metric = find(name)
    assert isinstance(metric, ImageMetric)
    (value,) = metric.make("cpu")([sr], [gt])
    return value


def test_definition() -> None:
    gt = np.zeros((4, 4, 3), dtype=np.uint8)
    assert psnr(gt + np.uint8(5), gt) == pytest.approx(20 * math.log10(255 / 5), abs=1e-12)


def test_no_wrap_around_between_bytes() -> None:
    low, high = np.zeros((4, 4), dtype=np.uint8), np.full((4, 4), 255, dtype=np.uint8)
    assert psnr(low, high) == psnr(high, low) == 0


@pytest.mark.parametrize("name", NAMES)
def test_equal_images_give_infinity(name: str) -> None:
    assert score(name, noise(1), noise(1)) == math.inf


def basicsr_luma(rgb: np.ndarray) -> np.ndarray:
    """Y as BasicSR computes it, in float32 and BGR order."""
    bgr = rgb[..., ::-1].astype(np.float32) / 255.0
    luma = np.dot(bgr, [24.966, 128.553, 65.481]) + 16.0
    return ((luma / 255.0).astype(np.float32) * np.float32(255.0)).astype(np.float64)


def test_y219_equals_basicsr_to_its_float32() -> None:
    sr, gt = noise(2), noise(3)
    expected = 10 * np.log10(255.0**2 / np.mean((basicsr_luma(sr) - basicsr_luma(gt)) ** 2))
    assert score("psnr_y219", sr, gt) == pytest.approx(expected, abs=2e-5)


def test_yiq_of_grey_noise_lies_below_y219_by_the_ratio_of_ranges() -> None:
    sr, gt = (np.repeat(noise(seed)[..., :1], 3, axis=2) for seed in (4, 5))
    gap = score("psnr_y219", sr, gt) - score("psnr_yiq", sr, gt)
    assert gap == pytest.approx(20 * math.log10(255 / 219), abs=1e-3)


def test_unrounded_lumas_differ_by_the_ratio_of_ranges_on_colour_too() -> None:
    gap = score("psnr_y219", noise(6), noise(7)) - score("psnr_yiq", noise(6), noise(7))
    assert gap == pytest.approx(1.3219, abs=2e-4)


def test_a_batch_is_its_images() -> None:
    metric = find("psnr_y219")
    assert isinstance(metric, ImageMetric)
    sr, gt = [noise(1), noise(2), noise(3)], [noise(4), noise(5), noise(6)]
    together = metric.make("cpu")(sr, gt)
    assert list(together) == [score("psnr_y219", a, b) for a, b in zip(sr, gt, strict=True)]


def test_needs_a_reference() -> None:
    metric = find("psnr_rgb")
    assert isinstance(metric, ImageMetric)
    with pytest.raises(TypeError, match="full-reference"):
        metric.make("cpu")([noise(1)], None)


def test_are_listed_as_better_when_higher() -> None:
    assert set(NAMES) <= set(names())
    assert all(find(name).higher_is_better and find(name).kind == "full_reference" for name in NAMES)


@pytest.mark.parametrize(
    ("name", "expected", "tolerance"),
    [
        # IQA-PyTorch's results_official.csv, two decimals
        ("psnr_rgb", [21.11, 20.99, 27.01, 23.30, 21.62], 0.0051),
        # BasicSR, two decimals
        ("psnr_y219", [23.59, 57.34, 57.88, 25.06, 24.34], 0.0051),
        # IQA-PyTorch psnry; its epsilon of 1e-8 costs 0.02 dB at 56 dB
        ("psnr_yiq", [22.27, 56.00, 56.54, 23.74, 23.01], 0.022),
    ],
)
def test_calibration_pairs(shared: Path, name: str, expected: list[float], tolerance: float) -> None:
    folder = shared / "data" / "iqa_calibration"
    for image, value in zip(("I03", "I04", "I06", "I08", "I19"), expected, strict=True):
        sr, gt = (read_image(folder / part / f"{image}.bmp").pixels for part in ("dist_dir", "ref_dir"))
        assert score(name, sr, gt) == pytest.approx(value, abs=tolerance), image
