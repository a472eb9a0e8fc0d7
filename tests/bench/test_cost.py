import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.cost import Size, count_macs, count_parameters, on_meta, part_table


@pytest.mark.parametrize(
    ("net", "shape", "macs"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (1, 3, 10, 12), 10 * 12 * 8 * 3 * 9),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (2, 8, 5, 5), 2 * 25 * 8 * 9),
        (nn.Conv2d(4, 6, 3, stride=2), (1, 4, 9, 9), 16 * 6 * 4 * 9),
        (nn.Conv1d(4, 6, 5), (1, 4, 20), 16 * 6 * 4 * 5),
        (nn.Conv1d(4, 4, 4, groups=4, bias=False), (1, 4, 7), 4 * 4 * 4),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 5, 5), 25 * 4 * 6 * 4),
        (nn.Linear(5, 7), (3, 5), 3 * 5 * 7),
        (nn.Linear(5, 7, bias=False), (2, 3, 5), 6 * 5 * 7),
        (nn.Sequential(nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 5)), (2, 5), 50),
        (nn.BatchNorm2d(3), (1, 3, 4, 4), 0),
        (nn.Upsample(scale_factor=2, mode="bicubic"), (1, 3, 4, 4), 0),
    ],
)
def test_closed_forms(net: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert count_macs(net, shape) == macs


class Attention(nn.Module):
    """Projections by weights count, products of activations do not."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.mix = nn.Parameter(torch.zeros(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        explicit = (q @ k.transpose(1, 2)).softmax(-1) @ v
        return torch.einsum("bnd,de->bne", explicit + F.scaled_dot_product_attention(q, k, v), self.mix)


def test_attention_products_are_not_counted() -> None:
    assert count_macs(Attention(8), (2, 10, 8)) == 2 * 10 * 8 * (24 + 8)


def test_dropout_and_training_mode_do_not_matter() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.5)).train()
    assert count_macs(net, (1, 3, 2, 2)) == 36
    assert net.training


class Careless(nn.Module):
    """Keeps a plain tensor and moves it about, as published networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.zeros(1, 3, 1, 1)
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.mean = self.mean.type_as(x)
        return self.conv(x - self.mean)


def test_the_network_itself_stays_as_it_is() -> None:
    net = Careless()
    weight = net.conv.weight
    assert count_macs(net, (1, 3, 4, 4)) == 16 * 9
    assert not net.mean.is_meta
    assert net.conv.weight is weight
    assert net(torch.ones(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_a_copy_on_meta_keeps_ties_and_freezing() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    net[0].bias.requires_grad_(False)
    twin = on_meta(net)
    assert isinstance(twin, nn.Sequential)
    assert all(p.is_meta for p in twin.parameters())
    assert twin[0].weight is twin[1].weight
    assert not twin[0].bias.requires_grad
    assert count_parameters(twin) == count_parameters(net) == Size(trainable=20, frozen=4)
    assert count_parameters(net).params == 24


def test_part_table_counts_lists() -> None:
    frozen = nn.Linear(2, 2).requires_grad_(False)
    parts = {"net": nn.Linear(1, 1), "teachers": nn.ModuleList([frozen, nn.Linear(2, 2)])}
    assert part_table(parts) == {
        "net": {"params": 2, "trainable": 2},
        "teachers": {"params": 12, "trainable": 6, "count": 2},
    }


def test_part_table_counts_a_dictionary_of_one_kind_only() -> None:
    layers = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(2, 1)})
    assert part_table({"layers": layers})["layers"] == {"params": 5, "trainable": 5, "count": 2}
    for other in (
        nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Conv2d(1, 1, 1)}),
        nn.ModuleDict({"a": nn.Linear(1, 1)}),
    ):
        assert "count" not in part_table({"net": other})["net"]
