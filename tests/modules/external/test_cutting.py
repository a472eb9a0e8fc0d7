"""Hard tiles, held against the loop that Real-ESRGAN wrote and FeMaSR and HAT took over."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from spandrel.architectures.ESRGAN import ESRGAN
from torch import Tensor

from srbench.errors import InputError
from srbench.modules import SpandrelSR
from srbench.modules.external.cutting import Cutting


def tile_process(network: Callable[[Tensor], Tensor], image: Tensor, size: int, pad: int, scale: int) -> Tensor:
    """The scripts' loop over tiles, in their order and with their limits."""
    _, _, height, width = image.shape
    output = image.new_zeros((1, 3, height * scale, width * scale))
    for y in range(math.ceil(height / size)):
        for x in range(math.ceil(width / size)):
            x0, x1 = x * size, min(x * size + size, width)
            y0, y1 = y * size, min(y * size + size, height)
            x0_pad, x1_pad = max(x0 - pad, 0), min(x1 + pad, width)
            y0_pad, y1_pad = max(y0 - pad, 0), min(y1 + pad, height)
            tile = network(image[:, :, y0_pad:y1_pad, x0_pad:x1_pad])
            left, top = (x0 - x0_pad) * scale, (y0 - y0_pad) * scale
            inner = tile[:, :, top : top + (y1 - y0) * scale, left : left + (x1 - x0) * scale]
            output[:, :, y0 * scale : y1 * scale, x0 * scale : x1 * scale] = inner
    return output


def network(image: Tensor) -> Tensor:
    """Depends on all that it sees, so that no other tiling gives the same."""
    return F.interpolate(image, scale_factor=2) * image.mean() + image.std()


def picture(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sides", [(16, 16), (17, 33), (31, 8), (7, 50)])
def test_it_is_the_scripts_loop(sides: tuple[int, int]) -> None:
    image = picture(*sides)
    wanted = tile_process(network, image, 8, 3, 2)
    assert torch.equal(Cutting(8, 3).around_each(network, image, 2), wanted)
    assert not torch.equal(Cutting(8, 4).around_each(network, image, 2), wanted)


def test_small_images_stay_whole() -> None:
    image = picture(20, 30)
    assert torch.equal(Cutting(8, 3, least=601).around_each(network, image, 2), network(image))
    assert not torch.equal(Cutting(8, 3, least=600).around_each(network, image, 2), network(image))
    assert torch.equal(Cutting(30, 3).around_each(network, image, 2), network(image))


def test_padding_before_cutting_is_cutting_before_padding_for_multiples() -> None:
    """HAT's script pads the whole image; tiles start at multiples of 16, so only the last ones have any of it."""

    def padded(tile: Tensor) -> Tensor:
        height, width = tile.shape[-2:]
        return network(F.pad(tile, (0, -width % 16, 0, -height % 16), "reflect"))[..., : height * 2, : width * 2]

    for height, width in ((70, 101), (128, 65), (97, 64)):
        image = picture(height, width)
        first = F.pad(image, (0, -width % 16, 0, -height % 16), "reflect")
        wanted = tile_process(network, first, 64, 32, 2)[..., : height * 2, : width * 2]
        torch.testing.assert_close(Cutting(64, 32).around_each(padded, image, 2), wanted, atol=1e-6, rtol=0)


def test_a_checkpoint_is_run_in_tiles(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = ESRGAN(num_filters=8, num_blocks=1).eval()
    torch.save(net.state_dict(), tmp_path / "x.pth")
    weights, image = str(tmp_path / "x.pth"), picture(19, 26)
    with torch.no_grad():
        wanted = tile_process(net, image, 12, 2, 4).clamp(0, 1)
        assert torch.equal(SpandrelSR(weights=weights, pad="none", cut=12, cut_around=2).upscale(image), wanted)
        assert not torch.equal(SpandrelSR(weights=weights, pad="none").upscale(image), wanted)


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        SpandrelSR(cut=512, tile=256)
    for wrong in ({"cut": 0}, {"cut": 8, "cut_around": -1}):
        with pytest.raises(InputError, match="is impossible"):
            SpandrelSR(**wrong)
