"""Modulation of a UNet's residual branches: facts 3 and 5 of the sheet."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from srbench.modules.deedsr.modulators import Modulator, Modulators, sites
from srbench.modules.nets import stable_diffusion as sd

FEATURES = 6


@pytest.fixture
def unet() -> nn.Module:
    return sd.make_unet("sd21", "tiny").requires_grad_(False)


def _modulated(unet: nn.Module) -> Modulators:
    torch.manual_seed(1)
    modulators = Modulators(unet, FEATURES, hidden=5)
    modulators.attach(unet)
    return modulators


def _layer(modulators: Modulators, name: str) -> Modulator:
    layer = modulators[name]
    assert isinstance(layer, Modulator)
    return layer


def _bias(conv: nn.Conv2d, value: float) -> None:
    assert conv.bias is not None
    nn.init.constant_(conv.bias, value)


def _local(seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(1, FEATURES, 16 >> i, 16 >> i, generator=generator) for i in range(4))


def _noise(unet: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    x, context = torch.randn(1, 4, 16, 16, generator=generator), torch.randn(1, 4, 16, generator=generator)
    predicted: Tensor = unet(x, torch.tensor([500]), encoder_hidden_states=context).sample
    return predicted


def test_there_are_22_of_the_released_size_at_full_size() -> None:
    with torch.device("meta"):
        unet = sd.make_unet("sd21", "full", cross_attention_dim=512)
        modulators = Modulators(unet, 256)
    count = sum(p.numel() for p in modulators.parameters())
    assert (len(modulators), count) == (22, 52_979_840)
    assert count + sum(p.numel() for p in unet.parameters()) == 906_111_044


def test_every_residual_block_is_modulated_at_its_own_raster(unet: nn.Module) -> None:
    found = list(sites(unet))
    blocks = {id(net) for name, net in unet.named_modules() if type(net).__name__ == "ResnetBlock2D"}
    assert {id(site.block) for site in found} == blocks
    assert [sum(site.level == level for site in found) for level in range(4)] == [5, 5, 5, 7]
    seen: dict[str, int] = {}
    for site in found:
        site.block.register_forward_hook(lambda _, given, out, name=site.name: seen.update({name: out.shape[-1]}))
    _noise(unet)
    assert seen == {site.name: 16 >> site.level for site in found}


def test_at_the_start_the_unet_is_unchanged_bit_for_bit(unet: nn.Module) -> None:
    plain = _noise(unet)
    modulators = _modulated(unet)
    modulators.local = _local()
    assert torch.equal(_noise(unet), plain)
    with torch.no_grad():
        nn.init.normal_(_layer(modulators, "mid_block-resnets-0").gamma.weight)
        assert not torch.equal(_noise(unet), plain)


def test_the_branch_is_scaled_and_shifted_before_the_skip_is_added() -> None:
    torch.manual_seed(0)
    modulator = Modulator(FEATURES, 3, hidden=5)
    for conv in (modulator.gamma, modulator.beta):
        nn.init.normal_(conv.weight)
    hidden, feature = torch.randn(2, 3, 4, 4), torch.randn(2, FEATURES, 4, 4)
    with torch.no_grad():
        shared = modulator.shared(feature).clamp(min=0)
        wanted = hidden + hidden * modulator.gamma(shared) + modulator.beta(shared)
        torch.testing.assert_close(modulator(hidden, feature), wanted)


def test_it_acts_behind_the_second_convolution(unet: nn.Module) -> None:
    modulators, site = _modulated(unet), next(sites(unet))
    modulators.local = _local()
    held: dict[str, Tensor] = {}
    site.block.register_forward_hook(lambda _, given, out: held.update(skip=given[0], out=out))
    with torch.no_grad():
        layer = _layer(modulators, "down_blocks-0-resnets-0")
        _bias(layer.gamma, -1.0)
        _bias(layer.beta, 0.25)
        _noise(unet)
    assert torch.equal(held["out"], held["skip"] + 0.25)  # the branch times 1 - 1, plus beta, and the skip


def test_all_three_convolutions_learn(unet: nn.Module) -> None:
    modulators = _modulated(unet)
    before = {name: p.detach().clone() for name, p in modulators.named_parameters()}
    optimizer = torch.optim.Adam(modulators.parameters(), lr=1e-3)
    for step in range(3):
        modulators.local = _local(step)
        loss = _noise(unet).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    still = [name for name, p in modulators.named_parameters() if torch.equal(p, before[name])]
    assert not still
    assert sum("shared.weight" in name for name in before) == 22


def test_a_copy_has_its_own_modulators(unet: nn.Module) -> None:
    held = nn.ModuleDict({"unet": unet, "modulators": _modulated(unet)})
    features = torch.ones(1, FEATURES, 16, 16, requires_grad=True) * 2  # not a leaf: cannot be copied
    held["modulators"].local = (features, *_local()[1:])  # type: ignore[assignment]
    twin = copy.deepcopy(held)
    with torch.no_grad():
        for layer in twin["modulators"].values():  # type: ignore[operator]
            nn.init.constant_(layer.beta.bias, 1.0)
    held["modulators"].local = twin["modulators"].local = _local()  # type: ignore[assignment]
    plain = _noise(sd.make_unet("sd21", "tiny"))
    torch.testing.assert_close(_noise(held["unet"]), plain)
    assert not torch.allclose(_noise(twin["unet"]), plain)
