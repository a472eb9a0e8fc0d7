"""The regularisers on kernels whose values are known by hand, and their schedule."""

from __future__ import annotations

import pytest
import torch

from srbench.errors import InputError
from srbench.modules.kernelgan.constraints import (
    Constraints,
    Schedule,
    Weights,
    boundary_loss,
    boundary_mask,
    centre_loss,
    sparsity_loss,
    total_loss,
)
from srbench.modules.kernelgan.generator import correlated
from srbench.modules.kernelgan.kernels import bicubic_kernel
from srbench.modules.kernelgan.settings import Search

CPU = torch.device("cpu")


def _dot(row: int, column: int, value: float = 1.0) -> torch.Tensor:
    kernel = torch.zeros(13, 13)
    kernel[row, column] = value
    return kernel


def test_the_sum() -> None:
    assert total_loss(_dot(6, 6, 0.25)) == 0.75
    assert total_loss(_dot(6, 6, 3.0)) == 2.0


def test_the_centre_is_half_a_pixel_behind_the_middle_one() -> None:
    kernel = torch.zeros(13, 13)
    kernel[6:8, 6:8] = 0.25
    assert centre_loss(kernel) == 0
    assert centre_loss(_dot(6, 6)) == pytest.approx(0.25)
    assert centre_loss(_dot(4, 6, 7.0)) == pytest.approx((2.5**2 + 0.5**2) / 2)


def test_sparsity_prefers_one_entry_to_many() -> None:
    assert sparsity_loss(_dot(6, 6, 1.0), 0.2) == pytest.approx((1 + 168 * 1e-12**0.2) / 169, rel=1e-4)
    assert sparsity_loss(_dot(6, 6, -1.0), 0.2) == sparsity_loss(_dot(6, 6, 1.0), 0.2)
    assert sparsity_loss(torch.full((13, 13), 1 / 169), 0.2) > 10 * sparsity_loss(_dot(6, 6), 0.2)
    kernel = torch.zeros(13, 13, requires_grad=True)
    sparsity_loss(kernel, 0.2).backward()
    assert kernel.grad is not None
    assert torch.isfinite(kernel.grad).all()


def test_the_boundary_costs_the_more_the_farther_out() -> None:
    mask = boundary_mask(13, 30.0)
    assert torch.equal(mask[2:-2, 2:-2], torch.zeros(9, 9))
    assert (mask[:2] > 0).all()
    assert mask[0, 0] == pytest.approx(30 * (1 - torch.exp(torch.tensor(-72 / 338)).item()), rel=1e-5)
    assert mask[0, 0] > mask[0, 6] > mask[1, 6]
    assert torch.allclose(mask, mask.flip(0))
    assert torch.allclose(mask, mask.T)
    assert boundary_loss(_dot(0, 6, -2.0), mask) == pytest.approx(2 * mask[0, 6].item() / 169)


def test_the_bicubic_generator_has_no_bicubic_loss() -> None:
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    kernel = torch.from_numpy(bicubic_kernel(13, 2)).float()
    shrunk = correlated(images, kernel, 2)
    terms = Constraints(Search(bicubic_sum=False), CPU).loss(kernel, shrunk, images)
    assert terms.bicubic < 1e-12
    assert terms.loss == pytest.approx(0.5 * float(boundary_loss(kernel, boundary_mask(13))), abs=1e-5)
    nothing = Constraints(Search(bicubic_sum=False), CPU).loss(0 * kernel, torch.zeros(1, 3, 26, 26), images)
    assert nothing.bicubic == pytest.approx(float(shrunk.square().mean()), rel=1e-5)
    assert nothing.loss == pytest.approx(5 * float(nothing.bicubic) + 0.5, rel=1e-5)


def test_the_released_code_compares_with_the_sum_of_the_channels() -> None:
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    kernel = torch.from_numpy(bicubic_kernel(13, 2)).float()
    grey = images.mean(1, keepdim=True).expand_as(images)
    threefold = Constraints(Search(), CPU).loss(kernel, 3 * correlated(grey, kernel, 2), images)
    assert threefold.bicubic < 1e-12


def test_the_schedule() -> None:
    schedule = Schedule(Search())
    first = Weights(bicubic=5, total=0.5, boundary=0.5)
    losses = [0.5, 0.3, 0.3, 0.5, 0.3, 0.3]  # near for two together only
    for iteration, loss in enumerate(losses, 1):
        schedule.after(iteration, loss)
    assert not schedule.near
    schedule.after(7, 0.3)
    assert schedule.near
    seen = {}
    for iteration in range(8, 1201):
        schedule.after(iteration, 9.0)
        seen[iteration] = schedule.weights
    assert seen[199] == first
    assert seen[200] == Weights(pytest.approx(0.05), 0.5, 0.5)
    assert seen[399] == seen[200]
    assert seen[400] == Weights(pytest.approx(5e-4), 0.5, 0.5, centre=1.0, sparsity=5.0)
    assert seen[600].bicubic == pytest.approx(5e-6)
    assert seen[1200].bicubic == pytest.approx(5e-6)


@pytest.mark.parametrize(
    "wrong",
    [{"iterations": 0}, {"sizes": (4, 3, 3)}, {"sizes": (3, 1)}, {"crop": 20}, {"crop": 65}, {"keep": 170},
     {"keep_ratio": 0.0}, {"bicubic": -1.0}, {"lr": float("nan")}],
)  # fmt: skip
def test_impossible_numbers_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong)) if "keep_ratio" not in wrong else "threshold"):
        Search(**wrong)  # type: ignore[arg-type]
