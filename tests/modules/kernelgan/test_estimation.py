"""The game on an image: it moves towards the truth, its draws are its own, and what cannot be learnt from is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from srbench.modules.kernelgan.crops import Crops, gradients, held, places_drawn
from srbench.modules.kernelgan.discriminator import PatchJudge
from srbench.modules.kernelgan.estimation import Estimate, _inner, estimate
from srbench.modules.kernelgan.kernels import bicubic_kernel, centre_of_mass
from srbench.modules.kernelgan.settings import Search

SHORT = Search(iterations=5, crop=32, channels=4, judge_channels=4, judge_blocks=1)


def _estimate(image: Tensor, search: Search = SHORT, seed: int = 0) -> Estimate:
    return estimate(image, search, torch.Generator().manual_seed(seed))


def _correlation(one: np.ndarray | None, other: np.ndarray) -> float:
    assert one is not None
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


# ------------------------------------------------------------------------------------------------------------- learning


def test_a_short_run_moves_towards_the_truth(lq: Tensor, truth: np.ndarray) -> None:
    first = _estimate(lq, Search(iterations=1, channels=16, judge_channels=16, gain=0.5)).raw
    later = _estimate(lq, Search(iterations=120, channels=16, judge_channels=16, gain=0.5, bicubic_sum=False)).raw
    assert first is not None
    assert later is not None
    assert _correlation(first, truth) < 0.5
    assert _correlation(later, truth) > 0.6
    assert later.sum() == pytest.approx(1, abs=0.25)
    assert math.dist(centre_of_mass(later), (6.5, 6.5)) < 1


@pytest.mark.slow
def test_a_longer_run_is_nearer_to_the_truth_than_bicubic(lq: Tensor, truth: np.ndarray) -> None:
    """Full networks, a quarter of the iterations; the whole run of 3000 is in the notes."""
    found = _estimate(lq, Search(iterations=750))
    assert _correlation(bicubic_kernel(13, 2), truth) == pytest.approx(0.76, abs=0.01)
    assert _correlation(found.kernel, truth) > 0.8
    assert found.raw is not None
    assert math.dist(centre_of_mass(found.raw), centre_of_mass(truth)) < 0.5


def test_the_seed_decides_and_nothing_else(lq: Tensor) -> None:
    torch.manual_seed(1)
    one = _estimate(lq)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    again = _estimate(lq)
    assert np.array_equal(one.kernel, again.kernel)
    assert not np.array_equal(one.kernel, _estimate(lq, seed=1).kernel)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_real_images_get_no_noise_of_ours(lq: Tensor) -> None:
    ours = Search(iterations=4, crop=32, channels=4, judge_channels=4, judge_blocks=1, real=True)
    assert not np.array_equal(_estimate(lq, ours).kernel, _estimate(lq).kernel)


def test_every_iteration_is_shown(lq: Tensor) -> None:
    seen: list[int] = []

    def progress(of: range) -> list[int]:
        seen.extend(of)
        return list(of)

    estimate(lq, SHORT, torch.Generator().manual_seed(0), progress)
    assert seen == [1, 2, 3, 4, 5]


# ------------------------------------------------------------------------------------------------- nothing to learn


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (torch.rand(1, 3, 31, 80), "80x31 is below KernelGAN's crops of 32"),
        (torch.full((1, 3, 40, 40), 0.5), "constant"),
        (torch.tensor([0.2, 0.5, 0.9]).reshape(1, 3, 1, 1).expand(1, 3, 40, 40), "constant"),
        (torch.full((1, 3, 40, 40), float("nan")), "not finite"),
    ],
)
def test_what_cannot_be_learnt_from_falls_back_to_bicubic(image: Tensor, fault: str) -> None:
    found = _estimate(image)
    assert found.fault is not None
    assert fault in found.fault
    assert found.raw is None
    assert np.array_equal(found.kernel, bicubic_kernel(13, 2))


def test_an_image_of_the_crops_side_is_learnt_from() -> None:
    torch.manual_seed(0)
    assert _estimate(torch.rand(1, 3, 32, 33)).fault is None


def test_divergence_falls_back_to_bicubic(lq: Tensor) -> None:
    search = Search(iterations=9, crop=32, channels=4, judge_channels=4, judge_blocks=1, lr=1e30)
    found = _estimate(lq, search)
    assert found.fault == "KernelGAN diverged: enlarged with the bicubic kernel"
    assert np.array_equal(found.kernel, bicubic_kernel(13, 2))


# ---------------------------------------------------------------------------------------------------------------- crops


def test_crops_are_where_the_edges_are() -> None:
    image = torch.zeros(1, 3, 128, 96)
    image[..., 90:110, 60:80] = 1
    generator = torch.Generator().manual_seed(0)
    pairs = list(Crops(image, 32, 12).drawn(30, generator))
    assert all(large.shape == (1, 3, 32, 32) and small.shape == (1, 3, 12, 12) for large, small in pairs)
    assert all(large.amax() > 0 for large, _ in pairs)
    assert sum(bool(small.amax() > 0) for _, small in pairs) >= 20  # others lie beside the edge


def test_places_are_drawn_in_proportion() -> None:
    map_ = torch.tensor([[0.0, 1.0], [3.0, 0.0]])
    drawn = places_drawn(map_, 4000, torch.Generator().manual_seed(0))
    assert set(drawn) == {(0, 1), (1, 0)}
    assert drawn.count((1, 0)) / 4000 == pytest.approx(0.75, abs=0.03)
    even = places_drawn(torch.zeros(2, 2), 400, torch.Generator().manual_seed(0))
    assert set(even) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_only_the_steepest_places_count_all_alike() -> None:
    image = torch.zeros(1, 3, 40, 40)
    image[..., 10, 12] = 0.5
    image[..., 25:, 25:] = 1.0
    steep = gradients(image, 0.9)
    assert steep[0, 0, 25, 30] == pytest.approx(float(steep[0, 0, 30, 25])), "rows count as much as columns"
    assert steep[0, 0, 10, 12] > 0
    assert steep[0, 0, 18, 18] == 0
    assert steep[..., :3, :].max() == 0, "the edge is left out"
    assert torch.equal(gradients(3 * image, 0.9), steep), "how steep does not count"
    assert gradients(torch.zeros(1, 3, 20, 20), 0.97).max() == 0


def test_a_crop_holds_the_mean_of_its_map() -> None:
    map_ = torch.rand(1, 1, 20, 20)
    assert held(map_, 4).shape == (17, 17)
    assert held(map_, 4)[3, 7] == pytest.approx(float(map_[0, 0, 3:7, 7:11].mean()))


def test_borders_are_cut_off_images_that_were_made() -> None:
    image = torch.rand(1, 3, 100, 90)
    assert torch.equal(_inner(image, Search()), image[..., 10:-10, 10:-10])
    assert _inner(image, Search(real=True)) is image
    assert _inner(image[..., :80], Search()).shape[-1] == 80, "where too little is left, nothing is cut"


def test_the_judge_sees_patches_of_seven() -> None:
    torch.manual_seed(0)
    judge = PatchJudge()
    judge(torch.rand(4, 3, 26, 26))  # statistics of the batch normalisations
    judge.eval()
    assert sum(p.numel() for p in judge.parameters()) == 30_977
    image = torch.rand(1, 3, 26, 26)
    changed = image.clone()
    changed[..., 10, 10] += 1
    with torch.no_grad():
        before, after = judge(image), judge(changed)
    assert before.shape == (1, 1, 20, 20)
    assert ((before >= 0) & (before <= 1)).all()
    outside = before != after
    outside[..., 4:11, 4:11] = False
    assert not outside.any()
    assert (before != after).any()
