import pytest
import torch
from torch import Tensor

from srbench.modules.external.padding import Kind, Padding


def image(height: int, width: int) -> Tensor:
    return torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (17, 23), (9, 8)])
def test_flip_always_is_the_scripts_flip_and_concatenate(height: int, width: int) -> None:
    """main_test_swinir.py and FeMaSR's test(): cat with the flipped image, cut at (side // m + 1) * m."""
    x = image(height, width)
    tall = torch.cat([x, x.flip(2)], 2)[:, :, : (height // 8 + 1) * 8]
    wanted = torch.cat([tall, tall.flip(3)], 3)[..., : (width // 8 + 1) * 8]
    assert torch.equal(Padding("flip_always", 8).apply(x), wanted)


@pytest.mark.parametrize(("height", "width"), [(17, 30), (32, 31), (16, 48)])
def test_multiple_is_reflect_padding_where_needed(height: int, width: int) -> None:
    x = image(height, width)
    wanted = torch.nn.functional.pad(x, (0, -width % 16, 0, -height % 16), mode="reflect")
    assert torch.equal(Padding("multiple", 16).apply(x), wanted)


def test_divisible_images_are_padded_by_flip_always_only() -> None:
    x = image(16, 16)
    assert Padding("multiple", 16).apply(x) is x
    assert Padding().apply(x) is x
    assert Padding("flip_always", 16).apply(x).shape == (1, 1, 32, 32)


@pytest.mark.parametrize("kind", ["multiple", "flip_always"])
def test_images_smaller_than_the_padding_are_mirrored_again_and_again(kind: Kind) -> None:
    out = Padding(kind, 16).apply(image(1, 3))[0, 0]
    assert out.shape == (16, 16)
    row = out[0].tolist()
    assert row[:6] == ([0, 1, 2, 1, 0, 1] if kind == "multiple" else [0, 1, 2, 2, 1, 0])
    assert torch.equal(out, out[:1].expand(16, 16))


def test_the_minimum_side_is_kept() -> None:
    assert Padding("multiple", 4, minimum=16).side(5) == 16
    assert Padding("multiple", 4, minimum=16).side(17) == 20


def test_around_gives_the_network_padded_and_the_caller_cropped_images() -> None:
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return torch.nn.functional.interpolate(x, scale_factor=2)

    x = image(10, 13)
    sr = Padding("flip_always", 8).around(network, x, 2)
    assert seen == [(1, 1, 16, 16)]
    assert torch.equal(sr, torch.nn.functional.interpolate(x, scale_factor=2))
