"""Torch's resizing against the formulas, sample by sample."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from srbench.datamodules.degradations.resizing import MODES, OPENCV_MODES, resize, scaled_side
from srbench.errors import InputError


def cubic(distance: float) -> float:
    """Keys' kernel with a = -0.75."""
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def weights(length: int, out: int, mode: str, step: float) -> np.ndarray:
    """(out,length): what each output sample reads."""
    matrix = np.zeros((out, length))
    for at in range(out):
        if mode == "area":
            first, last = at * length // out, math.ceil((at + 1) * length / out)
            matrix[at, first:last] = 1 / (last - first)
            continue
        if mode == "coverage":
            edges = Fraction(at * length, out), Fraction((at + 1) * length, out)
            for pixel in range(length):
                covered = min(edges[1], Fraction(pixel + 1)) - max(edges[0], Fraction(pixel))
                matrix[at, pixel] = float(max(covered, Fraction(0)) * out / length)
            continue
        centre = (at + 0.5) * step - 0.5
        if mode == "bilinear":
            centre = max(centre, 0.0)
            taps = {math.floor(centre) + k: 1 - abs(centre - math.floor(centre) - k) for k in (0, 1)}
        else:
            taps = {math.floor(centre) + k: cubic(centre - math.floor(centre) - k) for k in (-1, 0, 1, 2)}
        for tap, weight in taps.items():
            matrix[at, min(max(tap, 0), length - 1)] += weight
    return matrix


def reference(image: Tensor, height: int, width: int, mode: str, scale: float | None = None) -> np.ndarray:
    steps = [1 / scale if scale else old / new for old, new in zip(image.shape[1:], (height, width), strict=True)]
    rows = weights(image.shape[1], height, mode, steps[0])
    columns = weights(image.shape[2], width, mode, steps[1])
    return np.asarray(rows @ image.double().numpy() @ columns.T)


@pytest.mark.parametrize("mode", [*MODES, "coverage"])
@pytest.mark.parametrize("sides", [(45, 59), (137, 177), (91, 118), (14, 200), (1, 1), (92, 117)])
def test_resizing_follows_its_formula(photo: Tensor, mode: str, sides: tuple[int, int]) -> None:
    # 2e-5: torch finds source positions in float32, to about 1e-5 of a pixel.
    np.testing.assert_allclose(resize(photo, *sides, mode).numpy(), reference(photo, *sides, mode), atol=2e-5)


@pytest.mark.parametrize("mode", OPENCV_MODES)
@pytest.mark.parametrize("sides", [(45, 59), (22, 29), (13, 100), (137, 177), (91, 118), (182, 236), (92, 130)])
def test_opencv_does_the_same(photo: Tensor, mode: str, sides: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    how = {"coverage": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[mode]
    image = np.ascontiguousarray(photo.permute(1, 2, 0).numpy())
    wanted = cv2.resize(image, sides[::-1], interpolation=how)
    # OpenCV finds source positions in float32 too, and leaves out fractions of a pixel under 1e-3.
    np.testing.assert_allclose(
        resize(photo, *sides, mode).permute(1, 2, 0).numpy(), wanted, atol=1e-3 if mode == "coverage" else 5e-5
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [0.15, 0.33, 0.777, 1.0, 1.31, 1.5])
def test_a_factor_sets_the_source_positions(photo: Tensor, mode: str, scale: float) -> None:
    sides = scaled_side(91, scale), scaled_side(118, scale)
    made = resize(photo, *sides, mode, scale=scale)
    assert made.shape == (3, *sides)
    expected = reference(photo, *sides, mode, scale if mode != "area" else None)
    np.testing.assert_allclose(made.numpy(), expected, atol=2e-5)
    upstream = torch.nn.functional.interpolate(photo[None], scale_factor=scale, mode=mode)[0]
    torch.testing.assert_close(made, upstream, atol=2e-5, rtol=0)


def test_the_factor_matters_where_it_does_not_divide(photo: Tensor) -> None:
    sides = scaled_side(91, 0.777), scaled_side(118, 0.777)
    for mode in ("bilinear", "bicubic"):
        assert (resize(photo, *sides, mode) - resize(photo, *sides, mode, scale=0.777)).abs().max() > 0.05


@pytest.mark.parametrize("mode", [*MODES, "coverage"])
def test_pixels_do_not_depend_on_the_number_of_threads(mode: str) -> None:
    threads = torch.get_num_threads()
    generator = torch.Generator().manual_seed(0)
    try:
        for height, width in ((101, 99), (300, 37), (64, 64), (201, 350)):
            image = torch.rand(3, 190, 251, generator=generator)
            made = []
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                made.append(resize(image, height, width, mode))
            assert torch.equal(made[0], made[1])
            assert torch.equal(made[0], made[2])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("mode", [*MODES, "coverage"])
def test_gradients_flow(mode: str) -> None:
    image = torch.rand(2, 7, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize(x, 4, 12, mode), (image,))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mode": "nearest"}, "'nearest'; choose one of area, bilinear, bicubic"),
        ({"height": 0}, "0x20 pixels"),
        ({"width": -1}, "10x-1 pixels"),
        ({"scale": 0.5}, "gives 45x59 pixels, not 10x20"),
        ({"scale": 0.5, "mode": "coverage"}, "takes no factor"),
    ],
)
def test_bad_arguments_are_refused(photo: Tensor, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        resize(photo, **{"height": 10, "width": 20, "mode": "area", **arguments})


def test_bad_images_are_refused(photo: Tensor) -> None:
    for image in (photo[None], (photo * 255).byte(), photo[:, :0]):
        with pytest.raises(InputError, match="floating-point"):
            resize(image, 4, 4, "area")
