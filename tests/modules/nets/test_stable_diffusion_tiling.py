"""Aggregation sampling: StableSR's weights and windows, no seam, nothing larger than a window."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.stable_diffusion.tiling import starts


def test_weights_are_stablesrs() -> None:
    """Written as in its code: a normal density of variance 0.01 in units of the tile's side, in both directions."""
    height, width, variance = 6, 8, 0.01
    x = [
        math.exp(-((i - (width - 1) / 2) ** 2) / width**2 / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        for i in range(width)
    ]
    y = [
        math.exp(-((i - height / 2) ** 2) / height**2 / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        for i in range(height)
    ]
    theirs = torch.tensor([[b * a for a in x] for b in y])
    ours = sd.gaussian(height, width)
    torch.testing.assert_close(ours / ours.sum(), theirs / theirs.sum(), atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("length", [64, 65, 95, 96, 97, 128, 200])
def test_windows_cover_everything_and_the_last_is_flush(length: int) -> None:
    begins = starts(length, 64, 32)
    assert begins[0] == 0
    assert begins[-1] + 64 == max(length, 64)
    assert all(0 < b - a <= 32 for a, b in itertools.pairwise(begins))


def test_where_one_window_suffices_its_part_is_the_result() -> None:
    held = torch.rand(1, 4, 64, 40)
    made = sd.blended(lambda w: w.of(held), 64, 40, tile=64, overlap=32)
    assert torch.equal(made, held)


@pytest.mark.parametrize("factor", [1, 8, 1 / 8])
def test_equal_parts_give_the_whole_and_no_part_is_larger_than_a_window(factor: float) -> None:
    height, width = 88, 120
    whole = torch.rand(2, 3, round(height * factor), round(width * factor))
    sizes = []

    def part(window: sd.Window) -> Tensor:
        sizes.append((window.bottom - window.top, window.right - window.left))
        return sd.Window(*(round(edge * factor) for edge in window)).of(whole)

    made = sd.blended(part, height, width, tile=64, overlap=32, factor=factor)
    torch.testing.assert_close(made, whole, atol=1e-6, rtol=1e-6)
    assert set(sizes) == {(64, 64)}


def _gradients(image: Tensor, columns: list[int]) -> tuple[Tensor, Tensor]:
    """Mean absolute difference across each of ``columns``, and across every other."""
    across = (image[..., 1:] - image[..., :-1]).abs().mean(dim=(0, 1, 2))
    chosen = torch.zeros(len(across), dtype=torch.bool)
    chosen[[c - 1 for c in columns]] = True
    return across[chosen], across[~chosen]


def test_no_seam_shows_where_parts_disagree() -> None:
    """Every window adds a level of its own; hard cuts would stand out a hundredfold."""
    generator = torch.Generator().manual_seed(0)
    size, tile, overlap = 192, 64, 32
    smooth = F.interpolate(torch.randn(1, 4, 12, 12, generator=generator), size=(size, size), mode="bicubic")
    levels = torch.randn(100, generator=generator)
    count = iter(range(100))
    made = sd.blended(lambda w: w.of(smooth) + levels[next(count)], size, size, tile=tile, overlap=overlap)
    borders = [c for begin in starts(size, tile, overlap) for c in (begin, begin + tile) if 0 < c < size]
    at, elsewhere = _gradients(made, sorted(set(borders)))
    assert at.max() <= elsewhere.max()
    assert at.mean() <= elsewhere.mean() + elsewhere.std()
    hard = smooth.clone()
    for i, begin in enumerate(range(0, size, overlap)):
        hard[..., begin : begin + overlap] += levels[i]
    worst, others = _gradients(hard, list(range(overlap, size, overlap)))
    assert worst.max() > others.max()  # the measure sees a seam where there is one


def test_conditions_are_cropped_once_per_window_and_not_for_one() -> None:
    cropped: list[sd.Window] = []

    def crop(held: Tensor, window: sd.Window) -> Tensor:
        cropped.append(window)
        return window.of(held)

    def predict(x: Tensor, step: int, held: Tensor) -> Tensor:
        assert held.shape == x.shape
        return held

    held = torch.rand(1, 4, 24, 40)
    whole = sd.aggregated(predict, crop, held, (24, 40), tile=16, overlap=8)
    for step in (3, 2, 1):
        torch.testing.assert_close(whole(torch.zeros(1, 4, 24, 40), step), held, atol=1e-6, rtol=1e-6)
    assert len(cropped) == len(set(cropped)) == 2 * 4
    cropped.clear()
    one = sd.aggregated(predict, crop, held, (24, 40), tile=64, overlap=8)
    assert torch.equal(one(torch.zeros(1, 4, 24, 40), 1), held)
    assert not cropped


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (64, 64), (60, 32), (64, 12), (64, -8)])
def test_impossible_tiles_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(InputError, match="latent_tile: tiles of"):
        sd.check_tile(tile, overlap, name="latent_tile", multiple=8)
