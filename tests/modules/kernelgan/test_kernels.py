"""The arithmetic of kernels: bicubic, x4 from x2, what is done to an estimate; and the generator's own kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from srbench.datamodules.degradations.imresize import imresize
from srbench.modules.kernelgan.generator import LinearGenerator, correlated
from srbench.modules.kernelgan.kernels import bicubic_kernel, centre_of_mass, finished, middle, twice


def _gaussian(size: int, row: float, column: float, wide: float = 1.3) -> np.ndarray:
    grid = np.arange(size)
    kernel = np.exp(-((grid[:, None] - row) ** 2 + 0.5 * (grid[None] - column) ** 2) / (2 * wide**2))
    return np.asarray(kernel / kernel.sum())


@pytest.fixture
def net() -> LinearGenerator:
    torch.manual_seed(0)
    return LinearGenerator(gain=1.0)


def test_the_generator_is_the_published_one(net: LinearGenerator) -> None:
    assert sum(p.numel() for p in net.parameters()) == 150_656
    assert net.kernel().shape == (13, 13)
    assert net(torch.rand(2, 3, 64, 64)).shape == (2, 3, 26, 26)


def test_the_kernel_is_the_response_of_the_layers_to_an_impulse(net: LinearGenerator) -> None:
    impulse = torch.zeros(1, 1, 25, 25)
    impulse[..., 12, 12] = 1
    net.layers[-1].stride = (1, 1)  # type: ignore[assignment]
    response = net.layers(impulse)[0, 0].detach()
    assert torch.allclose(net.kernel(), response.flip(0, 1), atol=1e-6 * float(response.abs().max()))


def test_one_convolution_is_all_the_layers(net: LinearGenerator) -> None:
    images = torch.rand(2, 3, 64, 40)
    chain = net.layers(images.reshape(6, 1, 64, 40)).reshape(2, 3, 26, 14)
    assert torch.allclose(net(images), chain, atol=2e-6 * float(chain.abs().max()))


def test_the_gradient_is_that_of_the_layers(net: LinearGenerator) -> None:
    images = torch.rand(1, 3, 32, 32)
    net(images).square().sum().backward()
    ours = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    net.zero_grad()
    net.layers(images.reshape(3, 1, 32, 32)).square().sum().backward()
    for mine, chain in zip(ours, (p.grad for p in net.parameters()), strict=True):
        assert chain is not None
        assert torch.allclose(mine, chain, atol=1e-5 * float(chain.abs().max()))


@pytest.mark.parametrize(("size", "scale"), [(13, 2), (25, 4)])
def test_the_bicubic_kernel_shrinks_as_imresize(size: int, scale: int) -> None:
    images = torch.rand(1, 1, 64, 64, dtype=torch.float64)
    ours = correlated(images, torch.from_numpy(bicubic_kernel(size, scale)), scale)
    margin = (size // 2) // scale
    wanted = imresize(images, 1 / scale)
    # Result i reads from scale*i on, so that its middle is pixel i + margin of the whole image, where 25 // 2 is 12.
    n = ours.shape[-1]
    assert torch.allclose(ours, wanted[..., margin : margin + n, margin : margin + n], atol=1e-12)
    assert centre_of_mass(bicubic_kernel(size, scale)) == pytest.approx((middle(size, scale),) * 2, abs=1e-12)


def test_the_x4_kernel_is_shrinking_twice() -> None:
    kernel = np.zeros((13, 13))
    kernel[3:11, 4:11] = _gaussian(13, 6.5, 6.5)[3:11, 4:11]
    kernel /= kernel.sum()
    whole = np.zeros((37, 37))
    for row in range(13):
        for column in range(13):
            whole[2 * row : 2 * row + 13, 2 * column : 2 * column + 13] += kernel[row, column] * kernel
    images = torch.rand(1, 1, 61, 61, dtype=torch.float64)
    once = correlated(images, torch.from_numpy(kernel), 2)
    assert torch.allclose(correlated(once, torch.from_numpy(kernel), 2), correlated(images, torch.from_numpy(whole), 4))
    ours = twice(kernel)
    assert ours.shape == (25, 25)
    assert ours.sum() == pytest.approx(1, abs=1e-6)
    kept = whole[6:-6, 6:-6]
    assert np.allclose(ours, kept / kept.sum(), atol=1e-15)
    assert centre_of_mass(ours)[0] == pytest.approx(middle(25, 4), abs=0.05)


@pytest.mark.parametrize("place", [(6.5, 6.5), (5.2, 7.4), (6.0, 6.0)])
def test_an_estimate_is_cleaned_and_moved_to_the_middle(place: tuple[float, float]) -> None:
    raw = _gaussian(13, *place)
    raw[0, 0], raw[12, 3] = -0.01, 0.0005
    made = finished(raw, keep=40, keep_ratio=0.75)
    assert made is not None
    assert made.shape == (13, 13)
    assert made.sum() == pytest.approx(1, abs=1e-12)
    assert made.min() >= 0
    assert centre_of_mass(made) == pytest.approx((6.5, 6.5), abs=0.02)
    assert np.corrcoef(made.ravel(), _gaussian(13, 6.5, 6.5).ravel())[0, 1] > 0.95


def test_the_threshold_is_taken_off() -> None:
    raw = _gaussian(13, 6.5, 6.5)
    threshold = 0.75 * np.sort(raw.ravel())[::-1][40]
    kept = np.clip(raw - threshold, 0, None)
    made = finished(raw, keep=40, keep_ratio=0.75)
    assert made is not None
    assert 40 <= (kept > 0).sum() < 80
    assert np.allclose(made, kept / kept.sum(), atol=2e-3)  # already centred: hardly moved


@pytest.mark.parametrize("bad", [np.full((13, 13), np.nan), -np.ones((13, 13)), np.zeros((13, 13))])
def test_what_is_no_kernel_is_told(bad: np.ndarray) -> None:
    assert finished(bad, keep=40, keep_ratio=0.75) is None
