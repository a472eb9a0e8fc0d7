"""The causal depthwise convolution against torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv1d, silu

from srbench.modules.nets import causal_conv1d as module
from srbench.modules.nets.causal_conv1d import causal_conv1d


def reference(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None) -> Tensor:
    taps = weight.shape[1]
    y = conv1d(x, weight[:, None], bias, padding=taps - 1, groups=len(weight))[..., : x.shape[2]]
    return y if activation is None else silu(y)


def make(channels: int, length: int, taps: int, dtype: torch.dtype = torch.float32) -> Any:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, channels, length), (channels, taps), (channels,))
    x, weight, bias = (torch.randn(*shape, generator=generator, dtype=dtype) for shape in shapes)
    return x, weight, bias


@pytest.mark.parametrize("taps", [1, 4, 64, 70])
@pytest.mark.parametrize("length", [1, 3, 64, 130])
@pytest.mark.parametrize("side_by_side", [False, True])
def test_equals_torch(taps: int, length: int, side_by_side: bool) -> None:
    x, weight, bias = make(20, length, taps)
    if side_by_side:
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    for offset, activation in ((bias, "silu"), (None, None), (bias, "swish")):
        ours = causal_conv1d(x, weight, offset, activation)
        torch.testing.assert_close(ours, reference(x, weight, offset, activation), rtol=1e-5, atol=1e-5)
        assert (ours.stride(1) == 1) == (x.stride(1) == 1) or length == 1 or taps > 64  # those are torch's


@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize("length", [2, 67])
def test_gradients_in_float64(activation: str | None, length: int) -> None:
    values = tuple(value.requires_grad_() for value in make(3, length, 4, torch.float64))
    assert torch.autograd.gradcheck(lambda x, weight, bias: causal_conv1d(x, weight, bias, activation), values)


def test_gradients_of_slices_equal_torchs() -> None:
    x, weight, bias = make(40, 150, 4, torch.float64)
    half = x.transpose(1, 2).repeat(1, 1, 2)[..., :40].transpose(1, 2)
    found = []
    for function in (causal_conv1d, reference):
        values = [value.detach().requires_grad_() for value in (half, weight, bias)]
        out = function(values[0], values[1], values[2], "silu")
        found.append(torch.autograd.grad(out.square().sum(), values))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_independent_of_threads() -> None:
    x, weight, bias = (value.requires_grad_() for value in make(100, 200, 4))
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        out = causal_conv1d(x, weight, bias, "silu")
        results.append([out, *torch.autograd.grad(out.square().sum(), (x, weight, bias))])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_dtypes_and_modes() -> None:
    x, weight, bias = make(8, 30, 4)
    plain = causal_conv1d(x, weight, bias, "silu")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(causal_conv1d(x, weight, bias, "silu"), plain)
    half = causal_conv1d(x.bfloat16(), weight, bias, "silu")
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, causal_conv1d(x.bfloat16().float(), weight, bias, "silu").bfloat16())
    on_meta = causal_conv1d(x.to("meta"), weight.to("meta"))
    assert (on_meta.shape, on_meta.is_meta) == (x.shape, True)
    assert causal_conv1d(x[:0], weight).shape == (0, 8, 30)


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = make(8, 30, 4)
    fast = causal_conv1d(x, weight, bias, "silu")
    monkeypatch.setattr(module, "_numba", lambda: None)
    torch.testing.assert_close(causal_conv1d(x, weight, bias, "silu"), fast, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"x": torch.zeros(8, 30)}, r"x must have shape \(batch, channels, L\), not \(8, 30\)"),
        ({"weight": torch.zeros(8, 1, 4)}, r"weight must have shape \(channels, K\) = \(8, K\), not \(8, 1, 4\)"),
        ({"bias": torch.zeros(7)}, r"bias must have shape \(channels,\) = \(8,\), not \(7,\)"),
        ({"activation": "relu"}, r"activation must be None, \"silu\" or \"swish\", not 'relu'"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], expected: str) -> None:
    x, weight, bias = make(8, 30, 4)
    with pytest.raises(ValueError, match=expected):
        causal_conv1d(**{"x": x, "weight": weight, "bias": bias, "activation": "silu", **change})
