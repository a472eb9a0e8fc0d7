"""Low-rank additions to linear layers (LoRA, arXiv 2106.09685), also to some of the rows of a fused layer.

``peft`` adds to a whole weight matrix; the attention of Swin keeps query, key and value in one, of which only query and
value are to change. So this is a small layer of our own, with the names and shapes that loralib's ``Linear`` and
``MergedLinear`` write, and one file holds both kinds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError


class LoRALinear(nn.Linear):
    """A frozen linear layer and a trainable addition of low rank to some of its equal groups of rows.

    The group ``g`` of the weight becomes ``W_g + alpha / rank * B_g A_g``. ``lora_A`` (rank*n, in) and ``lora_B``
    (rows*n, rank) hold the n groups that change, in order; A starts as a linear layer does, B at zero.

    Args:
        linear: the layer to stand for; its tensors are taken over, not copied.
        groups: which groups of rows change; one True is the whole layer.
        rank: of the addition.
        alpha: the addition is scaled by ``alpha / rank``.

    Attributes:
        merged: whether the addition is part of ``weight`` at the moment.
    """

    def __init__(
        self, linear: nn.Linear, *, groups: Sequence[bool] = (True,), rank: int = 8, alpha: float = 1.0
    ) -> None:
        if linear.out_features % len(groups) or not any(groups):
            raise ValueError(f"{linear.out_features} rows do not make {len(groups)} groups, or none of them changes")
        with torch.device("meta"):
            super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None)
        self.weight, self.bias = linear.weight, linear.bias
        self.requires_grad_(False)
        self.groups = tuple(groups)
        self.scaling = alpha / rank
        self.merged = False
        changing, device, dtype = sum(groups), self.weight.device, self.weight.dtype
        self.lora_A = nn.Parameter(torch.empty(rank * changing, self.in_features, device=device, dtype=dtype))
        self.lora_B = nn.Parameter(torch.zeros(self.rows * changing, rank, device=device, dtype=dtype))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self._before: Tensor | None = None

    @property
    def rows(self) -> int:
        """Rows of a group."""
        return self.out_features // len(self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        y = F.linear(x, self.weight, self.bias)
        if self.merged:
            return y
        changing = sum(self.groups)
        low = F.linear(x, self.lora_A).unflatten(-1, (changing, -1))
        added = torch.einsum("...gr,gor->...go", low, self.lora_B.unflatten(0, (changing, -1))) * self.scaling
        if changing == len(self.groups):
            return y + added.flatten(-2)
        parts = iter(added.unbind(-2))
        grouped = zip(self.groups, y.unflatten(-1, (len(self.groups), -1)).unbind(-2), strict=True)
        return torch.cat([part + next(parts) if changes else part for changes, part in grouped], -1)

    @torch.no_grad()
    def addition(self) -> Tensor:
        """What is added to the rows that change: (rows*n, in)."""
        changing = sum(self.groups)
        a, b = self.lora_A.unflatten(0, (changing, -1)), self.lora_B.unflatten(0, (changing, -1))
        return (b @ a).flatten(0, 1) * self.scaling

    @torch.no_grad()
    def merge(self, *, keep: bool = True) -> None:
        """Adds the addition to the weight; rows that do not change keep their bits.

        Args:
            keep: remember the rows that change, so that :meth:`unmerge` brings back their very bits.
        """
        if self.merged:
            return
        changing = self._changing()
        self._before = self.weight[changing].clone() if keep else None
        weight = self.weight.clone()  # other networks may share the tensor
        weight[changing] += self.addition()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Takes the addition out of the weight again: exactly where it was kept, otherwise up to rounding."""
        if not self.merged:
            return
        changing = self._changing()
        if self._before is None:
            self.weight[changing] -= self.addition()
        else:
            self.weight[changing] = self._before.to(self.weight)
        self._before, self.merged = None, False

    def _changing(self) -> Tensor:
        """A mask of the rows that change."""
        return torch.tensor(self.groups, device=self.weight.device).repeat_interleave(self.rows)


def attach(net: nn.Module, layers: Mapping[str, Sequence[bool]], *, rank: int = 8, alpha: float = 1.0) -> nn.Module:
    """Freezes ``net`` and puts a :class:`LoRALinear` in place of the named linear layers.

    Args:
        net: changed in place.
        layers: groups of rows that change, by the layer's dotted name.
        rank: of every addition.
        alpha: of every addition.

    Returns:
        ``net``.
    """
    net.requires_grad_(False)
    for name, groups in layers.items():
        parent, _, own = name.rpartition(".")
        linear = net.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        setattr(net.get_submodule(parent), own, LoRALinear(linear, groups=groups, rank=rank, alpha=alpha))
    return net


def low_rank_layers(net: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Every layer with an addition, by name."""
    yield from ((name, layer) for name, layer in net.named_modules() if isinstance(layer, LoRALinear))


def low_rank_state(net: nn.Module) -> dict[str, Tensor]:
    """The additions alone: ``<layer>.lora_A`` and ``<layer>.lora_B``, detached."""
    return {
        f"{name}.{part}": getattr(layer, part).detach()
        for name, layer in low_rank_layers(net)
        for part in ("lora_A", "lora_B")
    }


def merge(net: nn.Module, *, keep: bool = True) -> nn.Module:
    """Merges every addition of ``net``; see :meth:`LoRALinear.merge`."""
    for _, layer in low_rank_layers(net):
        layer.merge(keep=keep)
    return net


def unmerge(net: nn.Module) -> nn.Module:
    """Takes every addition of ``net`` out again; see :meth:`LoRALinear.unmerge`."""
    for _, layer in low_rank_layers(net):
        layer.unmerge()
    return net


@torch.no_grad()
def take(net: nn.Module, state: Mapping[str, Tensor], *, where: object) -> None:
    """Copies additions into ``net``, whose layers must not be merged.

    Args:
        net: with layers made by :func:`attach`.
        state: exactly what :func:`low_rank_state` gives.
        where: the file, for errors.

    Raises:
        InputError: an addition is missing, has another shape, or belongs to no layer; it counts the misfits.
    """
    own = low_rank_state(net)
    missing = [key for key in own if key not in state]
    foreign = [key for key in state if key not in own]
    shapes = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or foreign or shapes:
        faults = [(missing, "missing"), (foreign, "unknown"), (shapes, "of another shape")]
        told = ", ".join(f"{len(keys)} of its tensors {what} (first {keys[0]})" for keys, what in faults if keys)
        raise InputError(
            f"its low-rank additions are not this network's: {told}",
            where=str(where),
            remedy="give the file of the same backbone and rank",
        )
    for key, tensor in own.items():
        tensor.copy_(state[key])
