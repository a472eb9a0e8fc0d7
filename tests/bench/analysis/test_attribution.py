"""Attribution on networks whose answer is known, and the demo's conventions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.analysis.attribution import BlurPath, Window, attribute, detail, diffusion_index, gini, strength
from srbench.errors import InputError
from srbench.module import SRModule


def test_only_the_receptive_field_is_attributed(one_conv: SRModule, photo: Tensor) -> None:
    found = attribute(one_conv.upscale, photo, Window(left=10, top=8, side=4), BlurPath(fold=5))
    touched = found.values.abs().sum(0) > 0
    # The window and the neighbours its gradients read: sr rows 8..12 are lq rows 4..6, and one more for the kernel.
    expected = torch.zeros(24, 28, dtype=torch.bool)
    expected[3:8, 4:9] = True
    assert bool((touched <= expected).all())
    assert touched[expected].float().mean() > 0.9
    # In nearest-neighbour enlargement the last row and column are reached by the gradient's other end alone.
    assert bool(touched[7].any())
    assert bool(touched[:, 8].any())


def test_attributions_sum_to_the_growth_of_detail(one_conv: SRModule, photo: Tensor) -> None:
    window = Window(12, 12, 16)
    gaps = []
    for fold in (25, 100, 400):
        found = attribute(one_conv.upscale, photo, window, BlurPath(fold=fold))
        gaps.append(abs(float(found.values.sum()) - (found.end - found.start)) / abs(found.end - found.start))
    assert gaps[2] < 0.01
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]  # one-sided sums: the error shrinks with the step


def test_start_end_and_sr_are_those_of_the_blurred_and_the_sharp_image(one_conv: SRModule, photo: Tensor) -> None:
    window = Window(4, 6, 8)
    found = attribute(one_conv.upscale, photo, window, BlurPath(fold=3))
    with torch.no_grad():
        sr = one_conv.upscale(photo[None])
    assert found.end == pytest.approx(float(detail(sr, window)), rel=1e-4)
    torch.testing.assert_close(found.sr, sr[0], atol=1e-5, rtol=0)
    assert found.start < found.end


def test_the_first_step_is_the_gradient_times_the_change(photo: Tensor) -> None:
    """One step: the gradient at the sharp image times (sharp - blurred), computed by autograd alone."""
    window, path = Window(3, 3, 6), BlurPath(fold=1)
    image = photo.clone().requires_grad_(True)
    detail(image[None], window).backward()
    kernel = path.kernels()[0].expand(3, 1, 9, 9)
    blurred = F.conv2d(F.pad(photo[None].double(), (4, 4, 4, 4), mode="reflect"), kernel, groups=3)[0]
    assert image.grad is not None
    expected = image.grad.double() * (photo.double() - blurred)
    found = attribute(lambda lq: lq, photo, window, path)
    torch.testing.assert_close(found.values, expected, atol=1e-4, rtol=1e-3)


def test_blurs_go_from_sigma_to_a_delta() -> None:
    kernels = BlurPath(sigma=1.2, fold=50, size=9).kernels()
    assert kernels.shape == (51, 1, 9, 9)
    torch.testing.assert_close(kernels.sum((1, 2, 3)), torch.ones(51, dtype=torch.float64))
    delta = torch.zeros(9, 9, dtype=torch.float64)
    delta[4, 4] = 1
    torch.testing.assert_close(kernels[-1, 0], delta)
    sigma = 1.2 + 1e-5
    assert float(kernels[0, 0, 4, 5] / kernels[0, 0, 4, 4]) == pytest.approx(math.exp(-1 / (2 * sigma**2)))


def test_detail_is_the_sum_of_gradient_lengths() -> None:
    ramp = torch.zeros(1, 3, 10, 10)
    ramp += 3 * torch.arange(10.0)[:, None] + 4 * torch.arange(10.0)[None, :]
    assert float(detail(ramp, Window(2, 3, 4))) == pytest.approx(3 * 16 * 5.0)
    assert float(detail(torch.full((1, 3, 10, 10), 0.3), Window(0, 0, 9))) == 0.0


def test_flat_places_have_no_slope_and_no_nan() -> None:
    flat = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    detail(flat, Window(0, 0, 5)).backward()
    assert flat.grad is not None
    assert bool((flat.grad == 0).all())


@pytest.mark.parametrize("n", [1, 10, 4096])
def test_diffusion_index_of_known_maps(n: int) -> None:
    assert diffusion_index(np.full((n, 1), 0.7)) == pytest.approx(100.0)
    one_hot = np.zeros(n)
    one_hot[n // 2] = 1.0
    assert gini(one_hot) == pytest.approx((n - 1) / n, abs=1e-3)
    assert diffusion_index(one_hot) == pytest.approx(100 / n, abs=0.1)


def test_gini_is_the_mean_difference_by_definition() -> None:
    values = np.random.default_rng(0).random((6, 7))
    pairs = np.abs(values.ravel()[:, None] - values.ravel()[None, :]).mean()
    assert gini(values) == pytest.approx(pairs / (2 * values.mean()), rel=1e-5)
    assert gini(values * 9) == pytest.approx(gini(values), rel=1e-5)


def test_strength_sums_channels_before_it_takes_the_absolute_value() -> None:
    values = torch.zeros(3, 2, 2)
    values[:, 0, 0] = torch.tensor([1.0, -1.0, 0.0])
    values[:, 0, 1] = torch.tensor([-1.0, -2.0, -1.0])
    values[:, 1, 0] = 0.5
    np.testing.assert_allclose(strength(values), [[0.0, 1.0], [0.375, 0.0]])


def test_what_cannot_be_attributed(one_conv: SRModule, photo: Tensor) -> None:
    with pytest.raises(InputError, match=r"does not lie in sr of 56x48; use x from 0 to 39, y from 0 to 31"):
        attribute(one_conv.upscale, photo, Window(40, 0))
    attribute(one_conv.upscale, photo, Window(39, 31), BlurPath(fold=1))
    with pytest.raises(InputError, match="no gradient"):
        attribute(lambda lq: (lq * 255).byte() / 255, photo, Window(0, 0, 4))
    with pytest.raises(InputError, match="too small for kernels of 9"):
        attribute(one_conv.upscale, photo[:, :4], Window(0, 0, 2))
    with pytest.raises(InputError, match="not finite"):
        attribute(lambda lq: lq * float("nan"), photo, Window(0, 0, 4), BlurPath(fold=1))
    with pytest.raises(InputError, match="no pixel of lq"):
        strength(torch.zeros(3, 4, 4))
    for wrong in ({"sigma": 0.0}, {"fold": 0}, {"size": 8}, {"size": 1}):
        with pytest.raises(InputError, match="no path has"):
            BlurPath(**wrong)


def test_progress_counts_every_step(one_conv: SRModule, photo: Tensor) -> None:
    seen: list[tuple[int, int]] = []
    attribute(one_conv.upscale, photo, Window(0, 0, 4), BlurPath(fold=3), lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
