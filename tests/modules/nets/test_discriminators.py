"""The discriminators: sizes, key layouts, and the same numbers from plain torch operations."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.patch_discriminator import PatchDiscriminator
from srbench.modules.nets.unet_discriminator import UNetDiscriminator


def _image(side: int = 32) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def _normalised(state: dict[str, Tensor], name: str) -> Tensor:
    """A weight over its largest singular value as u and v estimate it, without a step of the power iteration."""
    weight = state[f"{name}.weight_orig"]
    sigma = state[f"{name}.weight_u"] @ weight.flatten(1) @ state[f"{name}.weight_v"]
    return weight / sigma


def _settled(net: nn.Module) -> nn.Module:
    """Some steps of the power iteration: fresh vectors give norms near zero and outputs in the thousands."""
    for _ in range(5):
        net(_image())
    return net.eval()


def test_the_unet_has_the_published_size_and_layout() -> None:
    net = UNetDiscriminator()
    assert sum(p.numel() for p in net.parameters()) == 4_376_897
    keys = {f"conv{i}.weight_{part}" for i in range(1, 9) for part in ("orig", "u", "v")}
    assert set(net.state_dict()) == {*keys, *(f"conv{i}.{part}" for i in (0, 9) for part in ("weight", "bias"))}
    assert net(torch.rand(1, 3, 256, 256)).shape == (1, 1, 256, 256)


@pytest.mark.parametrize("skip", [True, False])
def test_the_unet_is_what_plain_operations_make(skip: bool) -> None:
    torch.manual_seed(0)
    net = _settled(UNetDiscriminator(4, skip=skip))
    state, x = net.state_dict(), _image()

    def leaky(y: Tensor) -> Tensor:
        return torch.where(y > 0, y, 0.2 * y)

    down = [leaky(F.conv2d(x, state["conv0.weight"], state["conv0.bias"], padding=1))]
    for i in (1, 2, 3):
        down.append(leaky(F.conv2d(down[-1], _normalised(state, f"conv{i}"), stride=2, padding=1)))
    y = down[3]
    for i, other in ((4, down[2]), (5, down[1]), (6, down[0])):
        y = nn.Upsample(scale_factor=2, mode="bilinear")(y)
        y = leaky(F.conv2d(y, _normalised(state, f"conv{i}"), padding=1)) + (other if skip else 0)
    for i in (7, 8):
        y = leaky(F.conv2d(y, _normalised(state, f"conv{i}"), padding=1))
    y = F.conv2d(y, state["conv9.weight"], state["conv9.bias"], padding=1)
    torch.testing.assert_close(net(x), y, atol=1e-6, rtol=1e-5)


def test_the_patch_discriminator_has_kairs_size_and_layout() -> None:
    net = PatchDiscriminator()
    assert sum(p.numel() for p in net.parameters()) == 2_764_737
    keys = {f"model.child{i}.0.{part}" for i in range(5) for part in ("bias", "weight_orig", "weight_u", "weight_v")}
    assert set(net.state_dict()) == keys
    assert net(torch.rand(1, 3, 64, 64)).shape == (1, 1, 11, 11)


def test_the_patch_discriminator_is_what_plain_operations_make() -> None:
    torch.manual_seed(0)
    net = _settled(PatchDiscriminator(4, steps=2))
    state, y = net.state_dict(), _image()
    for i, stride in enumerate((2, 2, 1, 1)):
        name = f"model.child{i}.0"
        y = F.conv2d(y, _normalised(state, name), state[f"{name}.bias"], stride=stride, padding=2)
        y = torch.where(y > 0, y, 0.2 * y) if i < 3 else y
    torch.testing.assert_close(net(_image()), y, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("make", [lambda: UNetDiscriminator(4), lambda: PatchDiscriminator(4)])
def test_training_iterates_the_norms_and_reaches_every_weight(make: type[nn.Module]) -> None:
    net = make()
    before = copy.deepcopy(net.state_dict())
    (net(_image()).mean() + net(_image()).mean()).backward()  # two passes, one backward: as a step of training has it
    assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())
    moved = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert moved
    assert all(name.endswith(("_u", "_v")) for name in moved)
    net.eval()
    fixed = copy.deepcopy(net.state_dict())
    net(_image())
    assert all(torch.equal(value, fixed[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("sides", [(32, 36), (20, 32)])
def test_a_size_that_the_unet_cannot_join_again_is_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="patch_size divisible by 8"):
        UNetDiscriminator(4)(torch.rand(1, 3, *sides))


def test_steps_are_one_or_more() -> None:
    with pytest.raises(InputError, match="0 steps are impossible"):
        PatchDiscriminator(steps=0)
