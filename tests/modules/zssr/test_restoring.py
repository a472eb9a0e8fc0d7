"""Back-projection, ensemble and median."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from srbench.datamodules.degradations import imresize
from srbench.datamodules.degradations.kernels import gaussian_kernel
from srbench.images import Pixels, luma_y219, read_image, to_tensor, to_uint8
from srbench.modules.zssr.fathers import turned
from srbench.modules.zssr.geometry import shrinker
from srbench.modules.zssr.net import ZSSRNet
from srbench.modules.zssr.restoring import back_projected, median, restored


def _net(seed: int = 0) -> ZSSRNet:
    net = ZSSRNet(features=8, depth=4)
    net.draw(torch.Generator().manual_seed(seed))
    return net


def _image(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("scale", [2, 3, 4, 1.5])
def test_back_projection_brings_sr_nearer_to_lq(scale: float) -> None:
    lq, shrink = _image(12, 18), shrinker(scale)
    sr = imresize(lq, scale)
    errors = [
        float((shrink(back_projected(sr, lq, scale, shrink, n))[..., :12, :18] - lq).abs().mean()) for n in range(6)
    ]
    assert all(later < 0.95 * sooner for sooner, later in itertools.pairwise(errors))


def test_back_projection_knows_the_kernel() -> None:
    gt = imresize(_image(10, 10), 6).clamp(0, 1)
    shrink = shrinker(2, torch.from_numpy(gaussian_kernel(9, 1.6, 0.7, 0.5)))
    lq = shrink(gt)
    before, other, after = (
        float((made - gt).square().mean())
        for made in (
            imresize(lq, 2),
            back_projected(imresize(lq, 2), lq, 2, shrinker(2), 5),
            back_projected(imresize(lq, 2), lq, 2, shrink, 5),
        )
    )
    assert after < 0.7 * before
    assert after < 0.9 * other


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
@torch.no_grad()
def test_the_ensemble_does_not_care_how_the_image_is_turned(size: tuple[int, int]) -> None:
    net, lq = _net(), _image(*size)
    upright = restored(lq, net.correct, 2, shrinker(2), back_projections=3)
    alone = restored(lq, net.correct, 2, shrinker(2), ensemble=False, back_projections=3)
    assert upright.shape == (1, 3, size[0] * 2, size[1] * 2)
    for way in range(8):
        other = restored(turned(lq, way), net.correct, 2, shrinker(2), back_projections=3)
        assert (other - turned(upright, way)).abs().max() < 2e-5
    single = restored(turned(lq, 1), net.correct, 2, shrinker(2), ensemble=False, back_projections=3)
    assert (single - turned(alone, 1)).abs().max() > 1e-3


def test_the_median_of_eight_is_the_mean_of_the_middle_two() -> None:
    images = torch.rand(8, 3, 4, 5)
    assert np.allclose(median(images)[0].numpy(), np.median(images.numpy(), axis=0))
    assert torch.equal(median(images[:5])[0], images[:5].median(dim=0).values)


@pytest.mark.parametrize("scale", [2, 3, 4, 1 + 1 / 6, 1.5])
def test_sides_are_rounded_up(scale: float) -> None:
    made = restored(_image(12, 7), lambda image: image, scale, shrinker(scale), back_projections=2)
    assert made.shape[-2:] == imresize(_image(12, 7), scale).shape[-2:]
    assert made.min() >= 0
    assert made.max() <= 1


def test_bicubic_butterfly_with_and_without_back_projection(shared: Path) -> None:
    """27.437 dB, and 28.82 behind 20 back-projections (luma, 2 pixels cropped)."""
    gt = read_image(shared / "data/Set5/HR/butterfly.png").pixels
    lq = imresize(torch.from_numpy(gt.transpose(2, 0, 1).copy()), 0.5)
    eight_bit = imresize(lq, 2)[None].float() / 255
    lq = lq[None].float() / 255
    assert lq.shape == (1, 3, 128, 128)
    assert _psnr(eight_bit, gt) == pytest.approx(27.437, abs=0.002)
    better = back_projected(imresize(lq, 2), lq, 2, shrinker(2), 20)
    assert _psnr(better, gt) == pytest.approx(28.82, abs=0.02)
    assert to_tensor(gt).shape == better.shape[1:]


def _psnr(sr: Tensor, gt: Pixels) -> float:
    error = (luma_y219(to_uint8(sr[0])) - luma_y219(gt))[2:-2, 2:-2]
    return float(10 * np.log10(255**2 / np.mean(error**2)))
