"""The network: its size, its start and how far it sees."""

import json

import pytest
import torch

from srbench.cli import main
from srbench.datamodules.degradations import imresize
from srbench.modules.zssr.net import ZSSRNet


def test_describe_says_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--config", "methods/zssr/test.yaml", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["params"] == described["parts"]["net"]["trainable"] == 224_640
    # One pass: 224,640 multiply-adds at every pixel of an image enlarged by 4 from 256x256.
    assert described["macs_g"] == pytest.approx(224_640 * 1024 * 1024 / 1e9)


def test_it_corrects_what_bicubic_enlarged() -> None:
    net = ZSSRNet(3, features=4, depth=3)
    lq = torch.rand(2, 3, 6, 5)
    assert net(lq).shape == (2, 3, 18, 15)
    assert not torch.equal(net(lq), imresize(lq, 3))
    for weight in net.parameters():
        weight.data.zero_()
    assert torch.equal(net(lq), imresize(lq, 3))


def test_weights_are_drawn_from_the_generator_with_variance_a_tenth_over_fan_in() -> None:
    net, twin = ZSSRNet(), ZSSRNet()
    for each in (net, twin):
        each.draw(torch.Generator().manual_seed(3))
    for weight, same in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(weight, same)
        assert float(weight.detach().var()) == pytest.approx(0.1 / (weight.shape[1] * 9), rel=0.15)
        assert abs(float(weight.detach().mean())) < 0.1 * float(weight.detach().std())
    twin.draw(torch.Generator().manual_seed(4))
    assert not torch.equal(next(net.parameters()), next(twin.parameters()))


def test_no_pixel_beyond_its_reach_matters() -> None:
    net = ZSSRNet(features=4, depth=4)
    image = torch.rand(1, 3, 15, 15, requires_grad=True)
    net.correct(image)[0, 0, 7, 7].backward()
    assert image.grad is not None
    touched = image.grad.abs().sum((0, 1)).nonzero()
    assert net.reach == 4
    assert int((touched - 7).abs().max()) == net.reach
