"""Low-rank additions: loralib's formula, rows that must not change, merging and its way back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.lora import LoRALinear, attach, low_rank_state, merge, take, unmerge

QV = (True, False, True)


def _filled(groups: tuple[bool, ...], width: int = 12, rows: int = 30, rank: int = 8) -> LoRALinear:
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(width, rows), groups=groups, rank=rank)
    nn.init.normal_(layer.lora_B)
    return layer


def _expected_qkv(layer: LoRALinear) -> Tensor:
    """The weight by the sheet's formula: A rows 0-7 are q's, 8-15 v's; B's first rows are q's, the rest v's."""
    a, b, rows = layer.lora_A, layer.lora_B, layer.rows
    weight = layer.weight.detach().clone()
    weight[:rows] += b[:rows] @ a[:8] / 8
    weight[2 * rows :] += b[rows:] @ a[8:] / 8
    return weight


@torch.no_grad()
def test_query_and_value_rows_change_by_an_eighth_of_b_a() -> None:
    layer, x = _filled(QV), torch.randn(2, 5, 12)
    expected = x @ _expected_qkv(layer).T + layer.bias
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)
    assert layer.lora_A.shape == (16, 12)
    assert layer.lora_B.shape == (20, 8)


@torch.no_grad()
def test_merging_changes_query_and_value_and_no_bit_of_key() -> None:
    layer, x = _filled(QV), torch.randn(4, 12)
    before, apart = layer.weight.clone(), layer(x)
    expected = _expected_qkv(layer)
    layer.merge()
    torch.testing.assert_close(layer.weight, expected, rtol=0, atol=1e-6)
    assert torch.equal(layer.weight[10:20], before[10:20])
    assert not torch.isclose(layer.weight[:10], before[:10]).all()
    assert not torch.isclose(layer.weight[20:], before[20:]).all()
    torch.testing.assert_close(layer(x), apart, rtol=1e-5, atol=1e-5)
    layer.merge()  # merged already
    torch.testing.assert_close(layer.weight, expected, rtol=0, atol=1e-6)
    layer.unmerge()
    assert torch.equal(layer.weight, before)
    layer.unmerge()
    assert torch.equal(layer.weight, before)


@torch.no_grad()
def test_unmerging_what_was_not_kept_is_right_up_to_rounding() -> None:
    layer = _filled(QV)
    before = layer.weight.clone()
    layer.merge(keep=False)
    layer.unmerge()
    assert torch.equal(layer.weight[10:20], before[10:20])
    torch.testing.assert_close(layer.weight, before, rtol=0, atol=1e-6)


@torch.no_grad()
def test_merging_leaves_a_network_that_shares_the_tensor_alone() -> None:
    linear = nn.Linear(12, 30)
    layer = LoRALinear(linear, groups=QV)
    nn.init.normal_(layer.lora_B)
    before = linear.weight.clone()
    assert layer.weight is linear.weight
    layer.merge()
    assert torch.equal(linear.weight, before)


@torch.no_grad()
def test_a_fresh_addition_adds_nothing() -> None:
    linear, x = nn.Linear(6, 9), torch.randn(3, 6)
    assert torch.equal(LoRALinear(linear, groups=QV)(x), linear(x))
    assert torch.equal(LoRALinear(linear)(x), linear(x))


@torch.no_grad()
def test_a_whole_layer_is_pefts() -> None:
    peft = pytest.importorskip("peft")
    layer, x = _filled((True,)), torch.randn(7, 12)
    base = nn.ModuleDict({"key": nn.Linear(12, 30)})
    base["key"].load_state_dict({"weight": layer.weight, "bias": layer.bias})
    theirs = peft.inject_adapter_in_model(peft.LoraConfig(r=8, lora_alpha=1, target_modules=["key"]), base)
    theirs["key"].lora_A["default"].weight.copy_(layer.lora_A)
    theirs["key"].lora_B["default"].weight.copy_(layer.lora_B)
    torch.testing.assert_close(layer(x), theirs["key"](x), rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_additions_alone() -> None:
    net = attach(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2)), {"0": QV}, rank=2)
    net(torch.randn(3, 4)).square().sum().backward()
    assert {name for name, p in net.named_parameters() if p.requires_grad} == {"0.lora_A", "0.lora_B"}
    first = net.get_submodule("0")
    assert isinstance(first, LoRALinear)
    assert first.lora_B.grad is not None
    assert first.lora_B.grad.abs().sum() > 0
    assert first.weight.grad is None


def test_names_are_loralibs_and_the_base_keeps_its_own() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    before = set(net.state_dict())
    attach(net, {"1": (True,)})
    assert set(net.state_dict()) == before | {"1.lora_A", "1.lora_B"}
    assert set(low_rank_state(net)) == {"1.lora_A", "1.lora_B"}


@torch.no_grad()
def test_a_network_is_merged_and_unmerged_whole() -> None:
    net = attach(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 4)), {"0": QV, "1": (True,)}, rank=2)
    for tensor in low_rank_state(net).values():
        tensor.normal_()
    x = torch.randn(3, 4)
    apart, before = net(x), {k: v.clone() for k, v in net.state_dict().items()}
    merge(net)
    torch.testing.assert_close(net(x), apart)
    assert isinstance(net, nn.Sequential)
    assert all(net[i].merged for i in range(2))
    unmerge(net)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("0.lora_A"), "1 of its tensors missing .first 0.lora_A"),
        (lambda s: s.update({"9.lora_A": torch.zeros(1)}), "1 of its tensors unknown .first 9.lora_A"),
        (lambda s: s.update({"0.lora_A": torch.zeros(4, 4)}), "of another shape .first 0.lora_A"),
    ],
)
def test_other_additions_are_refused_and_nothing_is_taken(change: object, said: str) -> None:
    net = attach(nn.Sequential(nn.Linear(4, 6)), {"0": (True,)}, rank=2)
    before = {k: v.clone() for k, v in low_rank_state(net).items()}
    state = {k: torch.ones_like(v) for k, v in before.items()}
    change(state)  # type: ignore[operator]
    with pytest.raises(InputError, match=said):
        take(net, state, where="x.pth")
    assert all(torch.equal(v, before[k]) for k, v in low_rank_state(net).items())


@pytest.mark.parametrize("groups", [(True, False, True, False), (False, False, False)])
def test_groups_that_fit_no_layer(groups: tuple[bool, ...]) -> None:
    with pytest.raises(ValueError, match="groups"):
        LoRALinear(nn.Linear(4, 6), groups=groups)
