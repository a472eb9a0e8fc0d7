"""Multiple attention: its size, its places, the identity at the start, and the order in which a block attends."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.cassr.controls import controls, copy_downward, make_controlnet
from srbench.modules.cassr.multiple_attention import (
    ORDERS,
    GuidedBlock,
    ImageAttention,
    MultipleAttention,
    Order,
    check_attention,
    places,
)
from srbench.modules.nets.stable_diffusion import make_unet

SIZES = [(8, 8)] * 3 + [(4, 4)] * 3 + [(2, 2)] * 3 + [(1, 1)] * 3


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return make_unet("sd15", "tiny").requires_grad_(False)


def features(seed: int = 0, width: int = 2) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    widths = [8] * 4 + [16] * 8
    return [torch.randn(width, c, *s, generator=draw) for c, s in zip(widths, SIZES, strict=True)]


def given(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, 8, 8, generator=draw), torch.tensor([9, 800]), torch.randn(2, 5, 16, generator=draw)


def test_sizes_and_widths_at_full_size() -> None:
    with torch.device("meta"):
        full = make_unet("sd15", "full")
        nine, twelve = MultipleAttention(full), MultipleAttention(full, plain_block=True)
        control, other = make_controlnet(full), make_controlnet(make_unet("sd21", "full"))
    counts = [sum(p.numel() for p in net.parameters()) for net in (nine, twelve, control, other)]
    assert counts == [47_553_920, 86_898_560, 361_279_120, 364_228_240]
    contexts = [place.context for place in places(full)]
    assert contexts == [1280] * 3 + [1280, 1280, 640] + [640, 640, 320] + [320, 320, 320]
    assert {place.heads for place in places(full)} == {8}


@pytest.mark.parametrize("plain_block", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_at_the_start_the_output_is_the_unets(unet: nn.Module, order: Order, plain_block: bool) -> None:
    attention = MultipleAttention(unet, order=order, plain_block=plain_block)
    plain = unet(*given()).sample
    with attention.guiding(unet, features(1), features(2)):
        assert sum(isinstance(held, GuidedBlock) for held in unet.modules()) == 9
        assert len(unet.attn_processors) == 32  # type: ignore[arg-type]
        guided = unet(*given()).sample
    assert float((guided - plain).detach().abs().max()) <= (0 if order == "ref_self_lq_text" else 1e-6)
    assert not any(isinstance(held, GuidedBlock) for held in unet.modules())
    guided.sum().backward()
    outs = [layer.attention.to_out[0].weight for both in attention.layers.values() for layer in both.values()]  # type: ignore[operator]
    assert len(outs) == (24 if plain_block else 18)
    assert all(bool(weight.grad.any()) for weight in outs)


def test_the_block_is_given_back_when_something_fails(unet: nn.Module) -> None:
    with pytest.raises(RuntimeError), MultipleAttention(unet).guiding(unet, features(), features()):
        unet(torch.zeros(1, 3, 8, 8), 1, torch.zeros(1, 1, 16))
    assert not any(isinstance(held, GuidedBlock) for held in unet.modules())


def test_both_images_matter_and_differently(unet: nn.Module) -> None:
    torch.manual_seed(0)
    attention = MultipleAttention(unet, zero_init=False)
    made = []
    for ref, lq in itertools.product((1, 2), repeat=2):
        with torch.no_grad(), attention.guiding(unet, features(ref), features(lq)):
            made.append(unet(*given()).sample)
    assert all(float((a - b).abs().max()) > 1e-5 for a, b in itertools.combinations(made, 2))


def test_orders_differ_and_replacing_is_not_adding(unet: nn.Module) -> None:
    torch.manual_seed(0)
    state = MultipleAttention(unet, zero_init=False).state_dict()
    made = []
    for settings in (*({"order": order} for order in ORDERS), {"residual": False}):
        attention = MultipleAttention(unet, zero_init=False, **settings)  # type: ignore[arg-type]
        attention.load_state_dict(state)
        with torch.no_grad(), attention.guiding(unet, features(1), features(2)):
            made.append(unet(*given()).sample)
    assert all(float((a - b).abs().max()) > 1e-6 for a, b in itertools.combinations(made, 2))


def test_attention_is_equation_1() -> None:
    torch.manual_seed(0)
    layer = ImageAttention(8, 6, 2, zero_init=False, norm=False, residual=False)
    tokens, image = torch.randn(1, 4, 8), torch.randn(1, 6, 3, 5)
    context = image.flatten(2).transpose(1, 2)
    net = layer.attention
    q, k, v = (f(x).reshape(1, -1, 2, 4).transpose(1, 2) for f, x in zip(
        (net.to_q, net.to_k, net.to_v), (tokens, context, context), strict=True))  # fmt: skip
    mixed = torch.softmax(q @ k.transpose(-1, -2) / 4**0.5, -1) @ v
    assert torch.allclose(layer(tokens, image), net.to_out[0](mixed.transpose(1, 2).reshape(1, 4, 8)), atol=1e-5)


def test_what_could_never_learn_is_refused(unet: nn.Module) -> None:
    with pytest.raises(InputError, match="leaves nothing of them"):
        MultipleAttention(unet, residual=False)
    with pytest.raises(InputError, match="neither attention nor the skips"):
        check_attention(False, False, False, True)
    with pytest.raises(InputError, match="no gradient, ever"):
        check_attention(True, False, True, True)
    check_attention(True, False, True, False)
    check_attention(True, True, True, True)


def test_one_controlnet_for_both_images_is_two_passes_in_one(unet: nn.Module) -> None:
    torch.manual_seed(0)
    net = make_controlnet(unet, tiny=True)
    assert sum(p.numel() for p in net.parameters()) == 87_904
    for name, parameter in net.named_parameters():
        if "controlnet_" in name:
            nn.init.normal_(parameter, std=0.1)
    x, t, text = given()
    images = [torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)]
    with torch.no_grad():
        both = controls(net, x, t, text, images)
        for image, held in zip(images, both, strict=True):
            skips, mid = net(x, t, text, image, return_dict=False)
            assert torch.allclose(held.mid, mid, atol=1e-5)
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(held.skips, skips, strict=True))
            zeros = zip(net.controlnet_down_blocks, held.features, held.skips, strict=True)  # type: ignore[arg-type]
            assert all(torch.allclose(zero(before), after, atol=1e-5) for zero, before, after in zeros)
    copy_downward(unet, net)
    assert torch.equal(net.mid_block.resnets[0].conv1.weight, unet.mid_block.resnets[0].conv1.weight)  # type: ignore[union-attr, index]
