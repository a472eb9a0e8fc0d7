"""E_deg, R and the network made of them: sizes, what modulation sees, noise, spaces, and refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.degradation_encoder import DegradationEncoder
from srbench.modules.nets.lr_reconstruction import PRESETS, LRReconstruction, enlarged, lr_reconstruction, sizes_of
from srbench.modules.nets.modulated_reconstructor import ModulatedConv, Reconstructor, ReconstructorEntry
from srbench.modules.nets.residual_block import ResidualBlock

SMALL = PRESETS["small"]


def _rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


# ---------------------------------------------------------------------------------------------------------------- E_deg


def test_parameters_are_those_of_the_papers() -> None:
    with torch.device("meta"):
        encoder, from_features, from_rgb = DegradationEncoder(), Reconstructor(), Reconstructor(3)
        assert _count(ResidualBlock(64)) == 73_856
    assert _count(encoder) == 4_724_864
    assert _count(encoder.conv_first) + _count(encoder.body) == 1_183_488
    assert (_count(from_features), _count(from_rgb)) == (797_511, 762_375)


@pytest.mark.parametrize("shape", [(22, 22), (22, 64), (37, 23)])
def test_an_image_becomes_a_vector(shape: tuple[int, int]) -> None:
    assert DegradationEncoder(8, 1, 24)(_rand(3, 3, *shape)).shape == (3, 24)


@pytest.mark.parametrize("shape", [(20, 20), (21, 64), (64, 21)])
def test_too_small_an_image_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{shape[0]}x{shape[1]} is too small.*22 pixels"):
        DegradationEncoder(8, 1, 24)(_rand(1, 3, *shape))


def test_64_pixels_become_6x6_before_the_mean() -> None:
    """Unpadded 4x4 convolutions of stride 2: 64, 31, 14, 6; with padding they would be 32, 16, 8."""
    seen: list[tuple[int, ...]] = []
    encoder = DegradationEncoder(8, 1, 24)
    for layer in encoder.down:
        layer.register_forward_hook(lambda module, given, made: seen.append(tuple(made.shape[-2:])))
    encoder(_rand(1, 3, 64, 64))
    assert seen == [(31, 31), (14, 14), (6, 6)]


# -------------------------------------------------------------------------------------------------------------------- R


def test_modulation_multiplies_input_channels_sample_by_sample() -> None:
    torch.manual_seed(0)
    layer, x, e = ModulatedConv(4, 6, demodulate=False), _rand(2, 4, 9, 7), _rand(2, 6, seed=1)
    styles = layer.style(e)
    wanted = torch.cat(
        [torch.nn.functional.conv2d(x[i : i + 1] * styles[i].view(1, 4, 1, 1), layer.weight, padding=1) for i in (0, 1)]
    )
    torch.testing.assert_close(layer(x, e), wanted)


def test_demodulation_brings_output_channels_to_norm_one() -> None:
    layer = ModulatedConv(4, 6)
    norms = layer.modulated(5 * _rand(2, 6)).flatten(2).norm(dim=2)
    torch.testing.assert_close(norms, torch.ones(2, 4), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("demodulate", "bias", "low", "high"), [(True, False, 0.0, 1e-6), (True, True, 1e-3, 0.2), (False, False, 1.0, 1.0)]
)
def test_what_modulation_sees_of_an_embeddings_size(demodulate: bool, bias: bool, low: float, high: float) -> None:
    """Fact 7 of the sheet: twice the embedding changes the weights by nothing, some per cent, or all of them."""
    torch.manual_seed(0)
    layer = ModulatedConv(64, 512, demodulate=demodulate)
    if not bias:
        nn.init.zeros_(layer.style.bias)
    embedding = 0.1 * torch.randn(4, 512, generator=torch.Generator().manual_seed(1))
    once, twice = layer.modulated(embedding), layer.modulated(2 * embedding)
    change = ((twice - once).norm() / once.norm()).item()
    assert low * (1 - 1e-6) <= change <= high * (1 + 1e-6)


def test_the_sign_of_an_embedding_survives_demodulation() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(8, 16)
    nn.init.zeros_(layer.style.bias)
    embedding = _rand(1, 16)
    torch.testing.assert_close(layer.modulated(-embedding), -layer.modulated(embedding))


def test_noise_is_drawn_only_from_a_generator_and_starts_with_strength_zero() -> None:
    torch.manual_seed(0)
    r = Reconstructor(4, 8, 2, 6)
    x, e = _rand(2, 4, 9, 7), _rand(2, 6)
    still = r(x, e)
    assert still.shape == (2, 3, 9, 7)
    assert torch.equal(still, r(x, e, torch.Generator().manual_seed(1)))
    nn.init.ones_(r.body[0].noise)  # type: ignore[arg-type]
    assert torch.equal(still, r(x, e))
    first, again, other = (r(x, e, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, still)


@pytest.mark.parametrize(("kind", "scale"), [("unshuffle", 4), ("unshuffle", 3), ("strided", 4), ("strided", 2)])
def test_the_entry_leads_to_the_size_of_lq(kind: Any, scale: int) -> None:
    assert ReconstructorEntry(4, scale, kind)(_rand(2, 4, 6 * scale, 8 * scale)).shape == (2, 4, 6, 8)


@pytest.mark.parametrize(("kind", "scale"), [("strided", 3), ("shuffle", 4)])
def test_an_entry_that_cannot_be_is_refused(kind: Any, scale: int) -> None:
    with pytest.raises(InputError, match=f"no entry '{kind}' at x{scale}"):
        ReconstructorEntry(4, scale, kind)


# ---------------------------------------------------------------------------------------------------------- the network


def test_lways_network_has_neither_image_encoder_nor_entry() -> None:
    net = lr_reconstruction(PRESETS["paper"], space="hr")
    assert {name: _count(part) for name, part in net.parts().items()} == {"e_deg": 4_724_864, "r": 762_375}


def test_both_spaces() -> None:
    lq, gt = _rand(2, 3, 24, 28), _rand(2, 3, 96, 112, seed=1)
    for space, size in (("lr", (24, 28)), ("hr", (96, 112))):
        net = lr_reconstruction(SMALL, space=space)  # type: ignore[arg-type]
        target = net.target(lq, gt)
        made = net(target, net.image_features(gt))
        assert made.shape == target.shape == (2, 3, *size)
    assert torch.equal(lr_reconstruction(SMALL, space="lr").target(lq, gt), lq)
    assert torch.equal(net.target(gt, gt), gt)  # what was degraded without shrinking is not resized


def test_enlarging_is_torchs_bicubic_clamped() -> None:
    lq = (_rand(1, 3, 6, 7) > 0.5).float()  # overshoots
    up = enlarged(lq, torch.empty(1, 3, 24, 28))
    free = torch.nn.functional.interpolate(lq, scale_factor=4, mode="bicubic", align_corners=False)
    assert free.min() < 0
    assert torch.equal(up, free.clamp(0, 1))


def test_the_controller_multiplies_the_embedding() -> None:
    torch.manual_seed(0)
    net = lr_reconstruction(SMALL, demodulate=False)
    lq, gt = _rand(2, 3, 24, 24), _rand(2, 3, 96, 96)
    s = torch.randn(2, SMALL.embedding, generator=torch.Generator().manual_seed(3))
    made, entry = net(lq, gt, s), net.r_entry
    assert entry is not None
    assert torch.equal(made, net.r(entry(gt), s * net.e_deg(lq)))
    assert torch.equal(net(lq, gt, torch.ones_like(s)), net(lq, gt))
    assert not torch.equal(made, net(lq, gt))


def test_a_space_and_its_entry_go_together() -> None:
    parts = (DegradationEncoder(8, 1, 6), Reconstructor(3, 8, 1, 6))
    for more in ({"space": "lr"}, {"space": "hr", "r_entry": ReconstructorEntry(3)}, {"space": "mr"}):
        with pytest.raises(InputError, match="recon_space"):
            LRReconstruction(*parts, **more)


def test_an_unknown_preset_is_told_its_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'small'"):
        sizes_of("smal")
