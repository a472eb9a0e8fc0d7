"""What a layer answered, averaged over channels and laid out as an image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from srbench.analysis.feature_maps import answer, channel_mean, normalised, shrunk
from srbench.errors import InputError
from srbench.module import SRModule


class Odd(nn.Module):
    """Runs one layer three times, wraps its output, and never runs another."""

    def __init__(self, wrap: str) -> None:
        super().__init__()
        self.wrap = wrap
        self.inner = nn.Identity()
        self.idle = nn.Identity()

    def forward(self, lq: Tensor) -> object:
        for factor in (1, 2, 3):
            out = self.inner(lq * factor)
        wraps = {"tuple": (out, 0), "dict": {"map": out}, "none": None, "whole": out.long()}
        return wraps[self.wrap]


class OddSR(SRModule):
    def __init__(self, wrap: str = "tuple") -> None:
        super().__init__(scale=1)
        self.net = Odd(wrap)

    def upscale(self, lq: Tensor) -> Tensor:
        self.net(lq)
        return lq


def test_the_layers_own_output(one_conv: SRModule, photo: Tensor) -> None:
    found = answer(one_conv, "net.0", photo[None])
    torch.testing.assert_close(found.output, one_conv.net[0](photo[None]))  # type: ignore[index,operator]
    assert found.runs == 1
    assert not one_conv.net[0]._forward_hooks  # type: ignore[index,union-attr]


def test_the_last_of_several_runs_out_of_a_container(photo: Tensor) -> None:
    found = answer(OddSR(), "net.inner", photo[None])
    assert found.runs == 3
    torch.testing.assert_close(found.output, photo[None] * 3)
    for wrap in ("tuple", "dict"):
        torch.testing.assert_close(answer(OddSR(wrap), "net", photo[None]).output, photo[None] * 3)


def test_what_is_no_layer(one_conv: SRModule, photo: Tensor) -> None:
    with pytest.raises(InputError, match=r"unknown layer 'nett\.0'; did you mean 'net\.0'\?"):
        answer(one_conv, "nett.0", photo[None])
    with pytest.raises(InputError, match="unknown layer ''"):
        answer(one_conv, "", photo[None])
    with pytest.raises(InputError, match=r"net\.idle: the layer does not run"):
        answer(OddSR(), "net.idle", photo[None])
    with pytest.raises(InputError, match="no map but NoneType"):
        answer(OddSR("none"), "net", photo[None])
    with pytest.raises(InputError, match="no map but Tensor"):
        answer(OddSR("whole"), "net", photo[None])


def test_the_hook_goes_when_the_model_fails(one_conv: SRModule) -> None:
    with pytest.raises(RuntimeError):
        answer(one_conv, "net.0", torch.zeros(1, 5, 4, 4))
    assert not one_conv.net[0]._forward_hooks  # type: ignore[index,union-attr]


def test_channel_mean_of_maps() -> None:
    maps = torch.rand(1, 5, 4, 6)
    torch.testing.assert_close(channel_mean(maps, (4, 6)), maps.mean(1)[0])
    torch.testing.assert_close(channel_mean(maps, (4, 6), channels_last=True), maps.mean(3)[0])


@pytest.mark.parametrize("size", [(4, 6), (8, 12), (40, 61)])
@pytest.mark.parametrize("before", [0, 1])
def test_tokens_are_laid_out_row_by_row_in_the_proportions_of_lq(size: tuple[int, int], before: int) -> None:
    raster = torch.arange(24.0).view(1, 24, 1).expand(1, 24, 7)
    tokens = torch.cat([torch.full((1, before, 7), 99.0), raster], 1)
    torch.testing.assert_close(channel_mean(tokens, size), torch.arange(24.0).view(4, 6))


def test_a_raster_can_be_told() -> None:
    tokens = torch.arange(24.0).view(1, 24, 1)
    torch.testing.assert_close(channel_mean(tokens, (10, 10), raster=(2, 12)), torch.arange(24.0).view(2, 12))
    with pytest.raises(InputError, match="24 tokens make no raster of 5x5"):
        channel_mean(tokens, (10, 10), raster=(5, 5))
    with pytest.raises(InputError, match="24 tokens have not the proportions of lq; give --tokens"):
        channel_mean(tokens, (10, 10))
    with pytest.raises(InputError, match=r"its output \(3, 4\) is no map"):
        channel_mean(torch.zeros(3, 4), (10, 10))


def test_normalised_and_shrunk() -> None:
    values = torch.tensor([[-1.0, 0.0], [1.0, 3.0]])
    torch.testing.assert_close(normalised(values), torch.tensor([[0.0, 0.25], [0.5, 1.0]]))
    assert bool((normalised(torch.full((2, 2), 5.0)) == 0).all())
    assert shrunk(values, 2) is values
    assert shrunk(torch.rand(10, 40), 20).shape == (5, 20)
    assert shrunk(torch.rand(1, 400), 20).shape == (1, 20)
