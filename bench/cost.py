"""What a network costs by the papers' counting, parameters and multiply-adds, and what a run of it has cost."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from srbench.environment import peak_memory_mb
from srbench.module import SRModule
from srbench.records import Cost

_aten = torch.ops.aten
_CONVOLUTIONS = (_aten.convolution.default, _aten._convolution.default, _aten.convolution_overrideable.default)
_PRODUCTS = {
    # operator: positions of its two factors
    _aten.mm.default: (0, 1),
    _aten.addmm.default: (1, 2),
    _aten.bmm.default: (0, 1),
    _aten.baddbmm.default: (1, 2),
    _aten.addbmm.default: (1, 2),
    _aten.mv.default: (0, 1),
    _aten.addmv.default: (1, 2),
}


class Size(NamedTuple):
    """Parameters of a part.

    Attributes:
        trainable: how many take gradients.
        frozen: how many do not.
    """

    trainable: int
    frozen: int

    @property
    def params(self) -> int:
        """All of them."""
        return self.trainable + self.frozen


def count_parameters(module: nn.Module) -> Size:
    """Parameters of ``module``, each once however often it is shared.

    >>> count_parameters(nn.Linear(3, 2))
    Size(trainable=8, frozen=0)
    """
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return Size(sum(n for n, grad in sizes if grad), sum(n for n, grad in sizes if not grad))


class _Counter(TorchDispatchMode):
    """Adds up the multiply-adds of convolutions, and of matrix products one factor of which is a weight."""

    def __init__(self, weights: Mapping[int, object]) -> None:
        super().__init__()
        self.weights = weights
        self.macs = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _CONVOLUTIONS:
            out = func(*args, **(kwargs or {}))
            self.macs += _convolution_macs(args[0], args[1], out, transposed=bool(args[6]))
            return out
        if func in _PRODUCTS:
            left, right = (args[i] for i in _PRODUCTS[func])
            if self._is_weight(left) or self._is_weight(right):
                columns = right.shape[-1] if right.dim() > 1 else 1
                self.macs += left.numel() * columns
        return func(*args, **(kwargs or {}))

    def _is_weight(self, tensor: Tensor) -> bool:
        # Views (a transposed or sliced weight) share their parameter's storage, on the meta device too.
        return tensor.untyped_storage()._cdata in self.weights


def _convolution_macs(x: Tensor, weight: Tensor, out: Tensor, *, transposed: bool) -> int:
    """Each output (of a transposed one: each input) element meets one filter: channels per group times taps."""
    return (x if transposed else out).numel() * math.prod(weight.shape[1:])


def count_macs(module: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-adds of one forward pass, counted as the field's tables do.

    Convolutions (depthwise and 1-D ones too) and projections by a weight count; products of activations (attention),
    scans, normalisations, activations and resizing do not. EDSR baseline x4 has 130.0 G so at (1,3,256,256).

    Args:
        module: any network; a copy of it runs on the meta device, so nothing is computed and it stays as it is.
        input_shape: of its one argument.

    Raises:
        RuntimeError: the network cannot run on the meta device (it reads values of its activations), or the torch
            operations it uses have no shape rule there.
    """
    twin = on_meta(module).eval()
    weights = {t.untyped_storage()._cdata: t for t in (*twin.parameters(), *twin.buffers())}
    with torch.no_grad(), _Counter(weights) as counter:
        twin(torch.empty(tuple(input_shape), device="meta"))
    return counter.macs


def on_meta(module: nn.Module) -> nn.Module:
    """A copy of ``module`` on the meta device, made without copying its weights."""
    # Deepcopy takes what the memo already has for an object, so every weight is replaced before it could be copied.
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, memo)


def part_table(parts: Mapping[str, nn.Module]) -> dict[str, dict[str, int]]:
    """Parameters of named parts: ``params``, ``trainable`` and, for a list of networks, their ``count``.

    A dictionary of networks that are all of one class is such a list too.
    """
    table = {}
    for name, part in parts.items():
        size = count_parameters(part)
        table[name] = {"params": size.params, "trainable": size.trainable}
        named = isinstance(part, nn.ModuleDict) and len({type(held) for held in part.values()}) == 1 < len(part)
        if named or isinstance(part, nn.ModuleList):
            table[name]["count"] = len(list(part.children()))
    return table


def run_cost(module: SRModule, device: torch.device, *, shared: bool) -> Cost:
    """What a run of ``module`` has cost so far, its times apart; all None for one that is not ``timed``.

    Args:
        module: has restored images.
        device: that it ran on.
        shared: whether networks of metrics are in this process too, whose memory no CPU tells from the module's; on an
            accelerator the module measures around itself.
    """
    if not module.timed:
        return Cost()
    net = module.parts()["net"]
    return Cost(
        params=sum(p.numel() for p in net.parameters()),
        macs=_macs(net),
        peak_mem_mb=module.peak_mem_mb or (None if shared else peak_memory_mb()),
        device=device_name(device),
        tile=module.tile,
        threads=torch.get_num_threads(),
    )


def device_name(device: torch.device) -> str:
    """The model name of an accelerator, else ``cpu`` or the like."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _macs(net: nn.Module) -> float | None:
    try:
        return float(count_macs(net, (1, 3, 256, 256)))
    except Exception:  # a foreign network that cannot run on the meta device has no count; the record leaves it blank
        return None
