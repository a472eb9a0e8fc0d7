"""SwinIR to train: published sizes and layout, any size of image, equal to spandrel's own loading."""

from typing import Any

import pytest
import torch
from spandrel import MAIN_REGISTRY

from srbench.cost import count_macs, count_parameters
from srbench.errors import InputError
from srbench.modules.nets.swinir import SwinIRNet
from srbench.weights import load_strict

SMALL: dict[str, Any] = {"depths": [2, 2], "dim": 24, "heads": 2}


@pytest.mark.parametrize(
    ("size", "upsampler", "parameters"),
    [
        ("M", "nearest+conv", 11_715_559),  # DACESR, Table II: 11.72 M
        ("M", "pixelshuffle", 11_900_199),
        ("L", "nearest+conv", 28_013_059),
    ],
)
def test_published_sizes(size: Any, upsampler: Any, parameters: int) -> None:
    with torch.device("meta"):
        net = SwinIRNet(size=size, upsampler=upsampler)
    assert all(p.is_meta for p in net.parameters())
    assert count_parameters(net).params == parameters


def test_it_can_be_counted() -> None:
    assert count_macs(SwinIRNet(**SMALL), (1, 3, 16, 16)) > 1e6


@pytest.mark.parametrize("upsampler", ["nearest+conv", "pixelshuffle", "pixelshuffledirect"])
def test_spandrel_recognises_its_checkpoint_and_restores_the_same(upsampler: Any) -> None:
    torch.manual_seed(0)
    net = SwinIRNet(upsampler=upsampler, **SMALL).eval()
    found: Any = MAIN_REGISTRY.load(dict(net.state_dict()))
    assert (found.architecture.name, found.scale) == ("SwinIR", 4)
    lq = torch.rand(1, 3, 19, 26)
    with torch.no_grad():
        torch.testing.assert_close(net(lq), found.model.eval()(lq), atol=1e-5, rtol=0)


@pytest.mark.parametrize("sides", [(1, 1), (3, 5), (8, 8), (13, 40)])
def test_any_size_goes_in(sides: tuple[int, int]) -> None:
    assert SwinIRNet(**SMALL)(torch.rand(1, 3, *sides)).shape == (1, 3, 4 * sides[0], 4 * sides[1])


def test_the_authors_padding_is_a_choice() -> None:
    torch.manual_seed(0)
    net = SwinIRNet(pad="flip_always", **SMALL).eval()
    lq = torch.rand(1, 3, 16, 16)
    flipped = torch.cat([lq, lq.flip(2)], 2)[:, :, :24]  # as main_test_swinir.py
    flipped = torch.cat([flipped, flipped.flip(3)], 3)[:, :, :, :24]
    with torch.no_grad():
        wanted = SwinIRNet.__mro__[1].forward(net, flipped)[..., :64, :64]
        assert torch.equal(net(lq), wanted)


def test_every_parameter_learns() -> None:
    net = SwinIRNet(drop_path=0.0, **SMALL)
    net(torch.rand(1, 3, 16, 16)).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_files_trained_on_other_patches_load_strictly() -> None:
    state = dict(SwinIRNet(**SMALL).state_dict())
    masks = [name for name in state if name.endswith(".attn_mask")]
    assert masks
    other = {**state, **{name: state[name][:36] for name in masks}}  # 48 pixels have 36 windows, 64 have 64
    net = SwinIRNet(**SMALL)
    with pytest.raises(InputError, match="another shape"):
        load_strict(net, other, where="s48")
    load_strict(net, net.rename_upstream(other), where="s48")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scale": 3}, "has no x3"),
        ({"size": "XL"}, "no size 'XL'"),
        ({"upsampler": "bicubic"}, "no upsampler 'bicubic'"),
        ({"scale": 5, "upsampler": "pixelshuffle"}, "has no x5"),
    ],
)
def test_what_does_not_exist_is_refused(wrong: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        SwinIRNet(**{**SMALL, **wrong})
