"""Which fathers are drawn, and the sons made of them."""

import math

import pytest
import torch
from torch import Tensor

from srbench.datamodules.degradations import imresize
from srbench.modules.zssr.fathers import NONE, Augmentation, draw_father, draw_pair, turned, turned_back
from srbench.modules.zssr.geometry import shrinker


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _places(height: int, width: int) -> Tensor:
    """An image whose channels name the pixel: row, column, constant."""
    y, x = torch.meshgrid(torch.arange(height) / 64, torch.arange(width) / 64, indexing="ij")
    return torch.stack([y, x, torch.full_like(x, 0.5)])[None]


def test_eight_ways_and_back() -> None:
    image = torch.rand(1, 3, 4, 5)
    ways = [turned(image, way) for way in range(8)]
    for way, each in enumerate(ways):
        assert torch.equal(turned_back(each, way), image)
        assert each.shape[-2:] == ((5, 4) if way % 2 else (4, 5))
        assert not any(torch.equal(each, other) for other in ways[:way])


def test_plain_fathers_are_crops_from_anywhere() -> None:
    generator, image = _generator(), _places(20, 30)
    corners = set()
    for _ in range(300):
        father = draw_father([image], 16, NONE, generator)
        assert father.shape == (1, 3, 16, 16)
        top, left = (round(float(v) * 64) for v in father[0, :2, 0, 0])
        assert torch.equal(father, image[..., top : top + 16, left : left + 16])
        corners.add((top, left))
    assert {top for top, _ in corners} == set(range(5))
    assert {left for _, left in corners} == set(range(15))


def test_a_small_image_is_its_own_father() -> None:
    image = torch.rand(1, 3, 9, 40)
    assert draw_father([image], 16, NONE, _generator()).shape == (1, 3, 9, 16)
    assert torch.equal(draw_father([image], 64, NONE, _generator()), image)
    for seed in range(20):
        assert draw_father([image], 64, Augmentation(0.0, 0.0), _generator(seed)).shape == (1, 3, 9, 40)


def test_shares_are_the_sheet_s() -> None:
    """5 % as it is, 45 % turned or mirrored, half warped."""
    generator, image = _generator(), torch.rand(1, 3, 12, 12, generator=_generator(1))
    drawn = [draw_father([image], 12, Augmentation(), generator) for _ in range(1000)]
    ways = [turned(image, way) for way in range(8)]
    counts = [sum(torch.equal(father, way) for father in drawn) for way in ways]
    assert sum(counts) == pytest.approx(500, abs=60)
    assert counts[0] == pytest.approx(50 + 450 / 8, abs=40)
    assert all(count == pytest.approx(450 / 8, abs=30) for count in counts[1:])


def test_warps_zoom_shear_turn_and_mirror() -> None:
    """A ramp stays one where nothing is mirrored: its slopes are the warp's matrix, from the father to the image."""
    generator, image = _generator(), _places(128, 128) / 4 + 0.25
    zooms, angles, mirrored = [], [], 0
    for _ in range(300):
        father = draw_father([image], 8, Augmentation(0.0, 0.0), generator)[0]
        middle = father[:2, 2:6, 2:6] * 256
        down, right = middle.diff(dim=1), middle.diff(dim=2)
        if max(float(slope.std((1, 2)).max()) for slope in (down, right)) > 0.3:
            continue  # the border runs through it
        matrix = torch.stack([down.mean((1, 2)), right.mean((1, 2))], dim=1)  # (row, column) by (down, right)
        determinant = float(torch.det(matrix))
        mirrored += determinant < 0
        zooms.append(1 / math.sqrt(abs(determinant)))
        angles.append(math.atan2(float(matrix[1, 0]), float(matrix[0, 0])))
    assert len(zooms) > 200
    assert 0.45 < min(zooms) < 0.56
    assert 0.94 < max(zooms) < 1.08
    assert 0.35 < mirrored / len(zooms) < 0.65
    counts = torch.histc(torch.tensor(angles), 4, -math.pi, math.pi)
    assert counts.min() > len(angles) / 8


def test_a_warp_of_nothing_changes_nothing() -> None:
    still = Augmentation(0.0, 0.0, zoom=(1.0, 1.0), shear=0.0)
    image = torch.rand(1, 3, 16, 16, generator=_generator(5))
    for seed in range(40):
        father = draw_father([image], 16, still, _generator(seed))
        assert father.min() >= 0
        assert father.max() <= 1
    constant = torch.full((1, 3, 16, 20), 0.3)
    father = draw_father([constant], 16, Augmentation(0.0, 0.0), _generator())
    assert (father - 0.3).abs().max() < 1e-6


def test_with_gradual_scales_fathers_come_from_every_image() -> None:
    sources = [torch.full((1, 3, side, side), float(side)) for side in (8, 12, 16)]
    generator = _generator()
    seen = [float(draw_father(sources, 8, NONE, generator).mean()) for _ in range(300)]
    assert all(seen.count(float(side)) == pytest.approx(100, abs=35) for side in (8, 12, 16))


def test_the_generator_alone_decides() -> None:
    image = torch.rand(1, 3, 24, 24)
    for how in (NONE, Augmentation(0.0, 1.0), Augmentation(0.0, 0.0)):
        torch.manual_seed(0)
        one = draw_father([image], 16, how, _generator(7))
        torch.manual_seed(1)
        assert torch.equal(one, draw_father([image], 16, how, _generator(7)))


def test_a_pair_is_the_enlarged_son_and_the_father() -> None:
    father = torch.rand(1, 3, 16, 12)
    shown, wanted = draw_pair(father, 2, shrinker(2), 0.0, _generator())
    assert torch.equal(wanted, father)
    assert torch.equal(shown, imresize(imresize(father, 0.5), 2))


def test_noise_is_added_to_the_son() -> None:
    father = torch.full((1, 3, 128, 128), 0.5)
    clean, noisy = (draw_pair(father, 3, shrinker(3), noise, _generator())[0] for noise in (0.0, 0.0125))
    son = noisy[..., 1::3, 1::3]  # where the enlarged son goes through its pixels
    assert float(son.std()) == pytest.approx(0.0125, rel=0.05)
    assert float(son.mean()) == pytest.approx(0.5, abs=0.001)
    assert (clean - 0.5).abs().max() < 1e-5
