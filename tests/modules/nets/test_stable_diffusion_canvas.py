"""The canvas: StableSR's 512 pixels, sides of whole cells, and sr in its own size in the end."""

import pytest
import torch

from srbench.errors import InputError
from srbench.modules.nets.stable_diffusion import canvas


@pytest.mark.parametrize(
    ("size", "lq_size", "inner"),
    [
        ((128, 128), (128, 128), (512, 512)),
        ((130, 200), (144, 208), (520, 800)),  # filled up to multiples of 16
        ((64, 100), (128, 208), (512, 800)),  # enlarged twice, then filled
        ((100, 20), (640, 128), (2560, 512)),
    ],
)
def test_what_the_networks_see(size: tuple[int, int], lq_size: tuple[int, int], inner: tuple[int, int]) -> None:
    laid = canvas.lay(torch.rand(1, 3, *size), 4, short_side=512)
    assert tuple(laid.lq.shape[-2:]) == lq_size
    assert laid.inner == inner
    made = canvas.enlarged(laid.lq, 4)
    assert tuple(made.shape[-2:]) == (4 * lq_size[0], 4 * lq_size[1])
    assert made.min() >= -1
    assert made.max() <= 1
    assert laid.sized(laid.cut(made)).shape[-2:] == (4 * size[0], 4 * size[1])


def test_the_filling_is_a_reflection_and_the_image_lies_at_the_top_left() -> None:
    lq = torch.rand(1, 3, 130, 200)
    laid = canvas.lay(lq, 4, short_side=512)
    assert torch.equal(laid.lq[..., :130, :200], lq)
    assert torch.equal(laid.lq[..., 130:, :200], lq[..., 115:129, :].flip(-2))


def test_a_side_shorter_than_its_filling_is_reflected_again() -> None:
    laid = canvas.lay(torch.rand(1, 3, 16, 17), 4, short_side=64, multiple=256)
    assert tuple(laid.lq.shape[-2:]) == (64, 64)


def test_an_image_below_64_pixels_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"^0801: an image of 60x400 is too small.*at least 16 pixels"):
        canvas.lay(torch.rand(1, 3, 15, 100), 4, short_side=512, name="0801")


@pytest.mark.parametrize("size", [(56, 64), (64, 56), (68, 64), (64, 100)])
def test_training_images_must_be_whole_cells_and_64_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]} cannot be encoded; use 64 or more, divisible by 8"):
        canvas.trainable(torch.rand(1, 3, *size))
