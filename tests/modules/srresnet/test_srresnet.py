from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules import SRResNet
from srbench.modules.srresnet.net import ResidualBlock, SRResNetNet


def reference(state: dict[str, Tensor], lq: Tensor, blocks: int = 16) -> Tensor:
    """MSRResNet x4 written from its definition, on a state dict in BasicSR's names."""

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def lrelu(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.1 * x)

    x = lrelu(conv("conv_first", lq))
    for i in range(blocks):
        x = x + conv(f"body.{i}.conv2", conv(f"body.{i}.conv1", x).clamp_min(0))
    for name in ("upconv1", "upconv2"):
        x = lrelu(F.pixel_shuffle(conv(name, x), 2))
    return conv("conv_last", lrelu(conv("conv_hr", x))) + F.interpolate(lq, scale_factor=4, mode="bilinear")


def random_state(net: nn.Module) -> dict[str, Tensor]:
    """Weights at a scale that lets every layer be seen in the output."""
    generator = torch.Generator().manual_seed(1)
    return {k: torch.randn(v.shape, generator=generator) * 0.05 for k, v in net.state_dict().items()}


def test_it_equals_the_definition() -> None:
    net = SRResNetNet()
    state = random_state(net)
    net.load_state_dict(state)
    lq = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.allclose(net(lq), reference(state, lq), atol=1e-5)


def test_published_size_and_names() -> None:
    with torch.device("meta"):
        net = SRResNetNet()
    assert sum(p.numel() for p in net.parameters()) == 1_517_571
    names = set(net.state_dict())
    assert {"conv_first.weight", "body.15.conv2.bias", "upconv1.weight", "upconv2.weight", "conv_hr.bias"} <= names
    assert len(names) == 2 * (1 + 32 + 2 + 2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_scales(scale: int) -> None:
    sr = SRResNet(features=8, blocks=1, scale=scale).upscale(torch.rand(1, 3, 5, 6))
    assert sr.shape == (1, 3, 5 * scale, 6 * scale)


def test_an_impossible_scale_is_refused() -> None:
    with pytest.raises(InputError, match="no x5"):
        SRResNet(scale=5)


def test_files_of_basicsr_and_kair_load_strictly(tmp_path: Path) -> None:
    source = SRResNet(features=8, blocks=2)
    state = source.net.state_dict()
    kair = {k.replace("body.", "recon_trunk.").replace("conv_hr", "HRconv"): v for k, v in state.items()}
    assert kair.keys() != state.keys()
    for content in ({"params": state}, kair):
        torch.save(content, tmp_path / "net.pth")
        loaded = SRResNet(features=8, blocks=2)
        loaded.load_upstream(tmp_path / "net.pth")
        assert all(torch.equal(v, state[k]) for k, v in loaded.net.state_dict().items())
    with pytest.raises(InputError, match="another network"):
        SRResNet(features=8, blocks=3).load_upstream(tmp_path / "net.pth")


def test_initial_weights_are_a_tenth_of_he() -> None:
    torch.manual_seed(0)
    net = SRResNetNet()
    block, last = net.body[3], net.conv_last
    assert isinstance(block, ResidualBlock)
    assert last.bias is not None
    weight = block.conv1.weight
    assert weight.std().item() == pytest.approx(0.1 * (2 / (9 * 64)) ** 0.5, rel=0.05)
    assert not last.bias.any()
