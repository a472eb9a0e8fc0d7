"""The causal depthwise convolution ahead of Mamba's scan (Gu and Dao, 2023, arXiv:2312.00752, figure 3).

The arguments and the formula are those of ``causal_conv1d.causal_conv1d_fn`` (github Dao-AILab/causal-conv1d), whose
kernel does the work when it is installed and the tensors are on CUDA. On the CPU our own numba kernel does it, several
times faster than ``torch.nn.functional.conv1d`` with as many groups as channels, above all when the channels lie side
by side in memory; elsewhere torch does it.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad, silu

# The numba kernel looks at most one chunk back; causal_conv1d is built for these lengths only.
_LONGEST_NUMBA = 64
_LENGTHS_CUDA = (2, 3, 4)


def causal_conv1d(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None) -> Tensor:
    """``out[b, d, l] = activation(bias[d] + sum_k weight[d, k] x[b, d, l - K + 1 + k])``, x being 0 before l = 0.

    float64 is computed in float64, everything else in float32, also under autocast. Differentiable once.

    Args:
        x: Input (batch, channels, L) of any strides.
        weight: Filters (channels, K); the last tap meets the present step.
        bias: (channels,).
        activation: None, or "silu" (also called "swish").

    Returns:
        The shape, dtype and device of ``x``.

    Raises:
        ValueError: A shape or the activation does not fit; the message names the argument and what was expected.
    """
    _check(x, weight, bias, activation)
    if x.is_meta:
        return torch.empty_like(x)
    if x.numel() == 0:
        return x.clone()
    gated = activation is not None
    package = _package() if x.device.type == "cuda" else None
    if package is not None and x.dtype != torch.float64 and weight.shape[1] in _LENGTHS_CUDA:
        out: Tensor = package(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype), activation=activation)
        return out
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    offset = weight.new_zeros(weight.shape[0]) if bias is None else bias
    with torch.autocast(x.device.type, enabled=False):
        kernel = _numba() if x.device.type == "cpu" and weight.shape[1] <= _LONGEST_NUMBA else None
        return (kernel or _in_torch)(x.to(dtype), weight.to(dtype), offset.to(dtype), gated).to(x.dtype)


def _in_torch(x: Tensor, weight: Tensor, bias: Tensor, gated: bool) -> Tensor:
    y = conv1d(pad(x, (weight.shape[1] - 1, 0)), weight[:, None], bias, groups=weight.shape[0])
    return silu(y) if gated else y


@functools.cache
def _package() -> Callable[..., Any] | None:
    try:
        function: Callable[..., Any] = importlib.import_module("causal_conv1d").causal_conv1d_fn
    except (ImportError, OSError):  # OSError: its compiled part was built for another torch or CUDA
        return None
    return function


@functools.cache
def _numba() -> Any:
    try:
        return importlib.import_module("srbench.modules.nets._conv_cpu").convolve
    except ImportError:  # the scan warns about a missing numba; this convolution is only a few times slower without
        return None


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None) -> None:
    if x.dim() != 3:
        raise ValueError(f"causal_conv1d: x must have shape (batch, channels, L), not {tuple(x.shape)}")
    channels = x.shape[1]
    if weight.dim() != 2 or weight.shape[0] != channels or weight.shape[1] < 1:
        shape = tuple(weight.shape)
        raise ValueError(f"causal_conv1d: weight must have shape (channels, K) = ({channels}, K), not {shape}")
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(f"causal_conv1d: bias must have shape (channels,) = ({channels},), not {tuple(bias.shape)}")
    if activation not in (None, "silu", "swish"):
        raise ValueError(f'causal_conv1d: activation must be None, "silu" or "swish", not {activation!r}')
