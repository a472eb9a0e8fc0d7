"""JPEG: DiffJPEG against block-by-block SciPy, the real one against files that Pillow writes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn, idctn
from torch import Tensor

from srbench.datamodules.degradations.jpeg import diff_jpeg, quality_factor, real_jpeg
from srbench.errors import InputError

QUALITIES = (1, 10, 30, 37.25, 49.5, 50, 75, 95, 99.5)
LUMA = np.fromstring(
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99",
    sep=" ",
).reshape(8, 8)
CHROMA = np.full((8, 8), 99.0)
CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
FROM_YCC = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])


def coded(plane: np.ndarray, table: np.ndarray, smooth: bool) -> np.ndarray:
    """(H,W) in 0..255 through JPEG's transform, one block after the other."""
    out = np.empty_like(plane)
    for top in range(0, plane.shape[0], 8):
        for left in range(0, plane.shape[1], 8):
            block = np.s_[top : top + 8, left : left + 8]
            levels = dctn(plane[block] - 128, norm="ortho") / table
            whole = np.round(levels)
            out[block] = idctn((whole + (levels - whole) ** 3 if smooth else whole) * table, norm="ortho") + 128
    return out


def reference(image: Tensor, quality: float, smooth: bool) -> np.ndarray:
    factor = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    height, width = image.shape[1:]
    planes = np.pad(image.double().numpy() * 255, ((0, 0), (0, -height % 16), (0, -width % 16)))
    luma, *chromas = np.tensordot(TO_YCC, planes, 1) + np.array([0, 128, 128])[:, None, None]
    halves = [c.reshape(c.shape[0] // 2, 2, c.shape[1] // 2, 2).mean((1, 3)) for c in chromas]
    decoded = [np.kron(coded(c, CHROMA * factor, smooth) - 128, np.ones((2, 2))) for c in halves]
    rgb = np.tensordot(FROM_YCC, np.stack([coded(luma, LUMA.T * factor, smooth), *decoded]), 1)
    return np.asarray(np.clip(rgb / 255, 0, 1)[:, :height, :width])


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("sides", [(91, 118), (32, 48), (5, 9)])
def test_diff_jpeg_is_jpeg_block_by_block(photo: Tensor, quality: float, sides: tuple[int, int]) -> None:
    image = photo[:, : sides[0], : sides[1]]
    made = diff_jpeg(image.double(), quality)
    np.testing.assert_allclose(made.numpy(), reference(image, quality, False), atol=1e-9)
    # In float32 a coefficient half-way between two steps may be rounded the other way, in a few blocks at most.
    single = diff_jpeg(image, quality)
    assert single.dtype == torch.float32
    assert single.shape == image.shape
    assert ((single - made).abs() > 1e-5).float().mean() < 0.01


@pytest.mark.parametrize("quality", QUALITIES)
def test_smooth_rounding_is_a_cubic(photo: Tensor, quality: float) -> None:
    made = diff_jpeg(photo, quality, smooth=True)
    expected = reference(photo, quality, True)
    assert np.mean(np.abs(made.numpy() - expected) > 1e-5) < 0.01
    np.testing.assert_allclose(diff_jpeg(photo.double(), quality, smooth=True).numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("sides", [(91, 118), (64, 64), (1, 1), (7, 33)])
def test_real_jpeg_is_what_pillow_saves_and_loads(
    photo: Tensor, tmp_path: Path, quality: int, sides: tuple[int, int]
) -> None:
    image = photo[:, : sides[0], : sides[1]]
    pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=quality, subsampling=2)
    with Image.open(tmp_path / "a.jpg") as file:
        expected = np.asarray(file).transpose(2, 0, 1)
    made = real_jpeg(image, quality)
    assert made.dtype == torch.float32
    np.testing.assert_array_equal(made.numpy(), expected.astype(np.float32) / np.float32(255))


def test_real_jpeg_rounds_half_to_even_and_clamps(photo: Tensor) -> None:
    assert torch.equal(real_jpeg(photo + 0.4 / 255, 80), real_jpeg(photo, 80))
    assert torch.equal(real_jpeg(photo * 3 - 1, 80), real_jpeg((photo * 3 - 1).clamp(0, 1), 80))


def test_opencv_writes_the_same(photo: Tensor) -> None:
    cv2 = pytest.importorskip("cv2")
    pixels = np.ascontiguousarray((photo * 255).round().byte().permute(1, 2, 0).numpy()[..., ::-1])
    for quality in (30, 75, 95):
        decoded = cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
        made = (real_jpeg(photo, quality) * 255).round().numpy()
        np.testing.assert_array_equal(made, decoded[..., ::-1].transpose(2, 0, 1))


@pytest.mark.parametrize(("quality", "most"), [(30, 5.0), (75, 3.0), (95, 2.5)])
def test_both_kinds_agree_to_a_few_levels(photo: Tensor, quality: int, most: float) -> None:
    difference = (diff_jpeg(photo, quality) - real_jpeg(photo, quality)).abs().mean() * 255
    assert 0.05 < difference < most


def test_lower_quality_loses_more(photo: Tensor) -> None:
    losses = [float((diff_jpeg(photo, quality) - photo).square().mean()) for quality in (10, 30, 60, 90, 100)]
    assert losses == sorted(losses, reverse=True)


def test_quality_100_only_halves_the_chroma(photo: Tensor) -> None:
    grey = photo[:1].expand(3, -1, -1)
    torch.testing.assert_close(diff_jpeg(grey, 100), grey, atol=1e-6, rtol=0)
    assert diff_jpeg(photo, 100).isfinite().all()
    torch.testing.assert_close(diff_jpeg(photo, 100), diff_jpeg(photo, 99.999), atol=1e-4, rtol=0)


def test_the_factor_is_that_of_libjpeg() -> None:
    assert [quality_factor(q) for q in (1, 25, 49.999, 50, 75, 100)] == pytest.approx([50, 2, 1.00002, 1, 0.5, 0])


def test_gradients_pass_smooth_rounding_alone() -> None:
    image = torch.rand(3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 2 + 0.25
    assert torch.autograd.gradcheck(lambda x: diff_jpeg(x, 80, smooth=True), (image.requires_grad_(),))
    hard = image.detach().clone().requires_grad_()
    diff_jpeg(hard, 80).sum().backward()
    assert hard.grad is not None
    assert not hard.grad.any()


def test_an_image_is_left_as_it_is_and_alone(photo: Tensor) -> None:
    before = photo.clone()
    first = diff_jpeg(photo, 60), real_jpeg(photo, 60)
    diff_jpeg(photo.flip(1), 20)
    assert torch.equal(photo, before)
    assert torch.equal(first[0], diff_jpeg(photo, 60))
    assert torch.equal(first[1], real_jpeg(photo, 60))


def test_autocast_leaves_the_coefficients_alone(photo: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = diff_jpeg(photo, 40)
    assert torch.equal(made, diff_jpeg(photo, 40))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_gives_the_cpus_pixels(photo: Tensor) -> None:
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        made = diff_jpeg(photo.cuda(), 40).cpu()
    finally:
        torch.set_float32_matmul_precision(precision)
    torch.testing.assert_close(made, diff_jpeg(photo.double(), 40).float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("quality", [0, 0.99, 101, -5, math.nan, math.inf])
def test_qualities_out_of_range_are_refused(photo: Tensor, quality: float) -> None:
    for compress in (diff_jpeg, real_jpeg):
        with pytest.raises(InputError, match=r"lies in 1\.\.100"):
            compress(photo, quality)  # type: ignore[arg-type]


def test_bad_images_are_refused(photo: Tensor) -> None:
    for image in (photo[:1], photo[None], (photo * 255).byte(), photo[:, :0]):
        for compress in (diff_jpeg, real_jpeg):
            with pytest.raises(InputError, match="floating-point"):
                compress(image, 50)
    with pytest.raises(InputError, match="whole number"):
        real_jpeg(photo, 50.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="NaN"):
        real_jpeg(photo * math.nan, 50)
