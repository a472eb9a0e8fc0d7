"""Colour correction against loops over pixels."""

import pytest
import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sr = torch.rand(2, 3, 7, 9, generator=generator) * 0.5
    return sr, torch.rand(2, 3, 7, 9, generator=generator) * 0.3 + 0.6


def test_adain_channel_by_channel(pair: tuple[Tensor, Tensor]) -> None:
    sr, like = pair
    made = sd.corrected(sr, like, "adain")
    for image in range(2):
        for channel in range(3):
            own, theirs = (x[image, channel].flatten().tolist() for x in (sr, like))

            def statistics(values: list[float]) -> tuple[float, float]:
                mean = sum(values) / len(values)
                return mean, (sum((v - mean) ** 2 for v in values) / (len(values) - 1) + 1e-5) ** 0.5

            (mean, deviation), (wanted_mean, wanted) = statistics(own), statistics(theirs)
            expected = [(v - mean) / deviation * wanted + wanted_mean for v in own]
            torch.testing.assert_close(made[image, channel].flatten(), torch.tensor(expected), atol=1e-5, rtol=1e-5)


def _blurred(plane: Tensor, hole: int) -> Tensor:
    """[1 2 1]x[1 2 1]/16 with holes, pixel by pixel; beyond the border the border pixel stands."""
    height, width = plane.shape
    out = torch.zeros_like(plane)
    for y in range(height):
        for x in range(width):
            for dy, a in ((-hole, 1), (0, 2), (hole, 1)):
                for dx, b in ((-hole, 1), (0, 2), (hole, 1)):
                    at = plane[min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)]
                    out[y, x] += at * a * b / 16
    return out


def test_wavelet_level_by_level(pair: tuple[Tensor, Tensor]) -> None:
    sr, like = (x[:1, :2] for x in pair)
    made = sd.wavelet(sr, like)
    for channel in range(2):
        low = [sr[0, channel], like[0, channel]]
        high = torch.zeros_like(low[0])
        for level in range(5):
            blurred = [_blurred(plane, 2**level) for plane in low]
            high += low[0] - blurred[0]
            low = blurred
        torch.testing.assert_close(made[0, channel], high + low[1], atol=1e-5, rtol=1e-5)


def test_equal_colours_change_nothing(pair: tuple[Tensor, Tensor]) -> None:
    sr, like = pair
    for name in ("none", "adain", "wavelet"):
        torch.testing.assert_close(sd.corrected(sr, sr, name), sr, atol=1e-6, rtol=1e-6)
    assert sd.corrected(sr, like, "none") is sr


def test_an_unknown_correction_is_refused(pair: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(InputError, match="use none, adain or wavelet"):
        sd.corrected(*pair, "histogram")
