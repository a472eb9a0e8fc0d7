"""A frozen part is invisible to whoever trains, saves or moves its owner."""

import copy

import torch
from torch import nn

from srbench.modules.nets.frozen import Frozen


class Owner(nn.Module):
    """Trains ``own`` and uses ``frozen``."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Linear(2, 2)
        self.frozen = Frozen(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)))


def test_it_is_in_no_list_of_the_owner() -> None:
    owner = Owner()
    assert {name for name, _ in owner.named_parameters()} == {"own.weight", "own.bias"}
    assert set(owner.state_dict()) == {"own.weight", "own.bias"}
    owner.load_state_dict(owner.state_dict())


def test_it_stays_in_evaluation_mode_and_passes_gradients_on() -> None:
    owner = Owner().train()
    assert not owner.frozen.net.training
    x = torch.ones(1, 2, requires_grad=True)
    assert torch.equal(owner.frozen(x), owner.frozen(x))
    owner.frozen(x).sum().backward()
    assert x.grad is not None
    assert all(p.grad is None and not p.requires_grad for p in owner.frozen.net.parameters())


def test_it_moves_with_its_owner() -> None:
    owner = Owner().double()
    assert all(p.dtype == torch.float64 for p in owner.frozen.net.parameters())


def test_a_network_without_values_waits_to_be_replaced() -> None:
    owner = Owner()
    with torch.device("meta"):
        owner.frozen.put(nn.Linear(2, 3))
    assert owner.frozen.is_meta
    owner.to("cpu")  # would fail on a network that has nothing to copy
    owner.frozen.put(nn.Linear(2, 3))
    assert not owner.frozen.is_meta


def test_a_copy_has_a_network_of_its_own() -> None:
    owner = Owner()
    twin = copy.deepcopy(owner)
    with torch.no_grad():
        next(iter(twin.frozen.net.parameters())).zero_()
    assert bool(next(iter(owner.frozen.net.parameters())).any())
