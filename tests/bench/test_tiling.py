import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.tiling import spans, tiled


class Net(nn.Module):
    """Receptive radius 2 in lq pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 5, padding=2)
        self.largest = 0

    def forward(self, lq: Tensor) -> Tensor:
        self.largest = max(self.largest, lq.shape[-1] * lq.shape[-2])
        return nn.functional.pixel_shuffle(self.conv(lq), 2)


@pytest.mark.parametrize("size", [(50, 37), (33, 64), (17, 100), (9, 9)])
@pytest.mark.parametrize(("tile", "overlap"), [(16, 4), (8, 8), (7, 5)])
def test_tiles_equal_the_whole_image_when_the_overlap_covers_the_receptive_field(
    size: tuple[int, int], tile: int, overlap: int
) -> None:
    torch.manual_seed(0)
    net, lq = Net(), torch.rand(1, 3, *size)
    with torch.no_grad():
        whole = net(lq)
        net.largest = 0
        sr = tiled(net, lq, scale=2, tile=tile, overlap=overlap)
    torch.testing.assert_close(sr, whole, atol=2e-6, rtol=0)
    assert net.largest <= (tile + 2 * overlap) ** 2


def test_seams_are_blended_when_tiles_disagree() -> None:
    def level(lq: Tensor) -> Tensor:  # every tile gets another constant: the worst network there is
        level.calls += 1  # type: ignore[attr-defined]
        return torch.full((1, 3, *lq.shape[-2:]), float(level.calls))  # type: ignore[attr-defined]

    level.calls = 0  # type: ignore[attr-defined]
    sr = tiled(level, torch.zeros(1, 3, 8, 64), scale=1, tile=16, overlap=8)[0, 0, 4]
    steps = sr.diff().abs()
    assert float(sr.max()) > 2
    assert float(steps.max()) <= 1 / 8 + 1e-5  # one level over `overlap` pixels, no jump


def test_spans_cover_every_pixel_once_with_windows_of_one_size() -> None:
    for length in range(1, 60):
        found = spans(length, 7, 3)
        kept = [i for s in found for i in range(s.keep_start, s.keep_stop)]
        assert kept == list(range(length))
        assert {s.stop - s.start for s in found} == {min(13, length)}
        assert all(0 <= s.start <= s.keep_start and s.keep_stop <= s.stop <= length for s in found)


@pytest.mark.parametrize(("tile", "overlap"), [(0, 4), (-3, 4), (8, -1)])
def test_impossible_tiles_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(InputError, match="impossible"):
        tiled(Net(), torch.rand(1, 3, 20, 20), scale=2, tile=tile, overlap=overlap)
