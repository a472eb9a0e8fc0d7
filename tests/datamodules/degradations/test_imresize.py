"""MATLAB's imresize: against the files MATLAB wrote, and against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from srbench.datamodules.degradations import imresize, modcrop
from srbench.datamodules.degradations.imresize import Border
from srbench.images import list_images, luma_y219, read_image, to_tensor, to_uint8
from srbench.metrics.psnr import psnr

SETS: dict[str, tuple[Border, int]] = {
    "Set5": ("symmetric", 5),
    "Set14": ("replicate", 14),
    "BSD100": ("replicate", 100),
}


def planes(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_image(path).pixels).permute(2, 0, 1)


@pytest.mark.parametrize("name", SETS)
def test_not_one_pixel_differs_from_the_files_matlab_wrote(shared: Path, name: str) -> None:
    border, count = SETS[name]
    gts, lqs = (list_images(shared / "data" / name / part) for part in ("HR", "LRbicx4"))
    assert len(gts) == len(lqs) == count
    for gt, lq in zip(gts, lqs, strict=True):
        assert torch.equal(imresize(modcrop(planes(gt), 4), 1 / 4, border=border), planes(lq)), gt.name


def test_the_other_border_rule_differs_in_a_frame_of_three_pixels_alone(shared: Path) -> None:
    folder = shared / "data" / "Set5"
    made = imresize(planes(folder / "HR" / "bird.png"), 1 / 4, border="replicate")
    file = planes(folder / "LRbicx4" / "birdx4.png")
    assert not torch.equal(made, file)
    assert torch.equal(made[:, 3:-3, 3:-3], file[:, 3:-3, 3:-3])


@pytest.mark.parametrize(("name", "as_float", "as_bytes"), [("Set5", 28.4305, 28.4290), ("Set14", 26.0928, 26.0914)])
def test_bicubic_upscaling_has_the_known_psnr(shared: Path, name: str, as_float: float, as_bytes: float) -> None:
    values: list[list[float]] = [[], []]
    folder = shared / "data" / name
    for gt, lq in zip(list_images(folder / "HR"), list_images(folder / "LRbicx4"), strict=True):
        image = read_image(lq).pixels
        floating = to_uint8(imresize(to_tensor(image), 4))
        bytewise = imresize(torch.from_numpy(image).permute(2, 0, 1), 4).permute(1, 2, 0).numpy()
        truth = luma_y219(read_image(gt).pixels)[4:-4, 4:-4]
        for results, sr in zip(values, (floating, bytewise), strict=True):
            results.append(psnr(luma_y219(sr)[4:-4, 4:-4], truth))
    assert np.mean(values[0]) == pytest.approx(as_float, abs=1e-4)
    assert np.mean(values[1]) == pytest.approx(as_bytes, abs=1e-4)


def exact_pass(line: list[Fraction], scale: Fraction, border: Border, antialias: bool) -> list[Fraction]:
    """One line of samples resized by the definition, one output after the other, in rational arithmetic."""
    stretch = min(scale, Fraction(1)) if antialias else Fraction(1)
    result = []
    for x in range(1, math.ceil(len(line) * scale) + 1):
        centre = x / scale + Fraction(1, 2) * (1 - 1 / scale)
        reach = math.ceil(2 / stretch) + 1
        total = weight_sum = Fraction(0)
        for tap in range(math.floor(centre) - reach, math.floor(centre) + reach + 1):
            d = abs(stretch * (centre - tap))
            if d <= 1:
                weight = Fraction(3, 2) * d**3 - Fraction(5, 2) * d**2 + 1
            elif d <= 2:
                weight = -Fraction(1, 2) * d**3 + Fraction(5, 2) * d**2 - 4 * d + 2
            else:
                continue
            total += weight * line[outside(tap - 1, len(line), border)]
            weight_sum += weight
        result.append(total / weight_sum)
    return result


def outside(index: int, length: int, border: Border) -> int:
    if border == "replicate":
        return min(max(index, 0), length - 1)
    while not 0 <= index < length:
        index = -index - 1 if index < 0 else 2 * length - 1 - index
    return index


def exact(image: np.ndarray, scale: Fraction, border: Border, *, rounded: bool, antialias: bool = True) -> np.ndarray:
    lines = [[Fraction(int(v)) for v in row] for row in image]
    for _ in range(2):  # columns of pixels first: transpose, resize each line, and so again
        lines = [exact_pass(list(line), scale, border, antialias) for line in zip(*lines, strict=True)]
        if rounded:
            lines = [[Fraction(min(max(math.floor(v + Fraction(1, 2)), 0), 255)) for v in line] for line in lines]
    return np.array([[float(v) for v in line] for line in lines])


@pytest.mark.parametrize("border", ["symmetric", "replicate"])
@pytest.mark.parametrize(
    "scale", [Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(3, 2), 2, 3, 4]
)
def test_equals_exact_arithmetic(scale: Fraction, border: Border) -> None:
    scale = Fraction(scale)
    image = np.random.default_rng(7).integers(0, 256, (13, 10), dtype=np.uint8)
    bytewise = imresize(torch.from_numpy(image), float(scale), border=border)
    assert bytewise.dtype == torch.uint8
    assert np.array_equal(bytewise.numpy(), exact(image, scale, border, rounded=True))
    floating = imresize(torch.from_numpy(image.astype(np.float64)), float(scale), border=border)
    assert floating.numpy() == pytest.approx(exact(image, scale, border, rounded=False), abs=1e-10)


def test_without_antialiasing_the_kernel_is_not_stretched() -> None:
    image = np.random.default_rng(8).integers(0, 256, (12, 9), dtype=np.uint8)
    made = imresize(torch.from_numpy(image), 1 / 3, antialias=False).numpy()
    assert np.array_equal(made, exact(image, Fraction(1, 3), "symmetric", rounded=True, antialias=False))


@pytest.mark.parametrize("border", ["symmetric", "replicate"])
def test_an_image_smaller_than_the_kernel_folds_several_times(border: Border) -> None:
    image = np.array([[0, 255], [90, 13]], dtype=np.uint8)
    made = imresize(torch.from_numpy(image), 1 / 4, border=border).numpy()
    assert np.array_equal(made, exact(image, Fraction(1, 4), border, rounded=True))


def test_halves_are_rounded_up() -> None:
    # A constant row pattern whose mean is exactly 100.5 after the first pass.
    image = torch.tensor([[100, 100], [101, 101]], dtype=torch.uint8)
    assert imresize(image, 0.5).item() == 101


def test_blocks_of_outputs_leave_no_seam() -> None:
    line = torch.rand(1, 500, dtype=torch.float64)
    short = imresize(line.expand(4, 500), 2)[0, 100:300]
    same = imresize(line[:, 40:160].expand(4, 120), 2)[0, 20:220]
    assert torch.allclose(short, same, atol=1e-12)


def test_floating_point_overshoots_and_bytes_are_clipped() -> None:
    edge = torch.zeros(8, 8)
    edge[:, 4:] = 1
    made = imresize(edge, 4)
    assert made.min() < -0.01
    assert made.max() > 1.01
    clipped = imresize((edge * 255).to(torch.uint8), 4)
    assert (clipped.min().item(), clipped.max().item()) == (0, 255)


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_gradients(scale: float) -> None:
    image = torch.rand(1, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: imresize(x, scale), (image,))


def test_weights_cached_in_inference_mode_serve_training_afterwards() -> None:
    side = 37  # no other test uses it, so the weights are made here
    with torch.inference_mode():
        imresize(torch.rand(1, side, side), 2)
    image = torch.rand(1, side, side, requires_grad=True)
    imresize(image, 2).sum().backward()
    assert image.grad is not None
    # Every output's weights sum to 1, so the gradients sum to the number of outputs.
    assert image.grad.sum().item() == pytest.approx((2 * side) ** 2, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8])
def test_keeps_dtype_and_leading_dimensions(dtype: torch.dtype) -> None:
    image = torch.full((2, 3, 6, 8), 1, dtype=dtype)
    made = imresize(image, 0.5)
    assert made.dtype == dtype
    assert made.shape == (2, 3, 3, 4)
    assert torch.equal(made, torch.ones_like(made))
    assert imresize(image[0, 0], 2).shape == (12, 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_meta_device(dtype: torch.dtype) -> None:
    made = imresize(torch.empty(1, 3, 30, 21, dtype=dtype, device="meta"), 4)
    assert made.device.type == "meta"
    assert (made.shape, made.dtype) == ((1, 3, 120, 84), dtype)


def test_sides_are_rounded_up() -> None:
    assert imresize(torch.rand(1, 13, 17), 0.25).shape == (1, 4, 5)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_refuses_a_scale_that_is_none(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be a positive number"):
        imresize(torch.rand(1, 4, 4), scale)


def test_refuses_other_borders_dtypes_and_shapes() -> None:
    with pytest.raises(ValueError, match="border must be"):
        imresize(torch.rand(1, 4, 4), 2, border="wrap")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"torch\.int32"):
        imresize(torch.ones(1, 4, 4, dtype=torch.int32), 2)
    with pytest.raises(ValueError, match="H and W above 0"):
        imresize(torch.rand(1, 0, 4), 2)


def test_modcrop_takes_the_top_left() -> None:
    image = torch.arange(7 * 9).reshape(1, 7, 9)
    assert torch.equal(modcrop(image, 4), image[:, :4, :8])
    assert modcrop(image, 1).shape == image.shape
    with pytest.raises(ValueError, match="multiple of 8"):
        modcrop(image, 8)
