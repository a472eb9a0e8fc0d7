r"""The selective scan of Mamba (Gu and Dao, 2023, arXiv:2312.00752, algorithm 2), forward and backward.

For every sample, channel d and state n, with the step length ``dt = softplus(delta + delta_bias)``::

    x[n, l] = exp(dt[l] A[d, n]) x[n, l - 1] + dt[l] B[n, l] u[l]        (x[n, -1] = 0)
    y[l]    = (sum_n C[n, l] x[n, l] + D[d] u[l]) SiLU(z[l])

The signature and the formula are those of ``mamba_ssm.ops.selective_scan_interface.selective_scan_fn`` (github
state-spaces/mamba), whose kernel does the work when it is installed and the tensors are on CUDA. On the CPU our own
numba kernels do it; on any other device, torch operations. None of the three keeps a tensor of (B, D, L, N).

Layout: the tensors may have any strides and are read in place. Fastest on the CPU are channels side by side in memory,
as a linear layer leaves them: ``linear(tokens).transpose(1, 2)`` for ``u``, ``delta`` and ``z``, and likewise a slice
of (B, L, ...) transposed for ``B`` and ``C``; the output then has channels side by side too. (B, D, L) contiguous is
about 15 % slower.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

Backend = Literal["mamba_ssm", "numba", "torch", "meta"]


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Run the selective scan of the module's docstring over the last axis.

    float64 is computed in float64, everything else in float32, also under autocast. The result does not depend on the
    number of threads (``torch.get_num_threads()``). Differentiable once in every tensor argument.

    Args:
        u: Input (batch, channels, L), L >= 1.
        delta: Step lengths before bias and softplus, the shape of ``u``.
        A: Decay rates (channels, N), real; negative for a stable scan.
        B: Input weights (batch, N, L), (batch, groups, N, L) with groups dividing the channels, or (channels, N).
        C: Read-out weights, one of the same three shapes.
        D: Direct path from input to output (channels,).
        z: Gate, the shape of ``u``.
        delta_bias: Added to ``delta`` (channels,).
        delta_softplus: Whether the step lengths go through softplus (identity above 20).

    Returns:
        The shape, dtype and device of ``u``.

    Raises:
        ValueError: A shape, dtype or device does not fit; the message names the argument and what was expected.
    """
    _check(u, delta, A, B, C, D, z, delta_bias)
    kind = backend(u)
    if kind == "meta":
        return torch.empty_like(u)
    if u.numel() == 0:
        return u.clone()
    if kind == "mamba_ssm":
        return _mamba_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    with torch.autocast(u.device.type, enabled=False):
        arguments = _canonical(u, delta, A, B, C, D, z, delta_bias)
        scan = _numba_scan() if kind == "numba" else _torch_scan()
        return scan(*arguments, delta_softplus).to(u.dtype)


def backend(tensor: Tensor) -> Backend:
    """Which implementation serves ``tensor``."""
    if tensor.is_meta:
        return "meta"
    if tensor.device.type == "cuda" and tensor.dtype != torch.float64 and _mamba() is not None:
        return "mamba_ssm"
    return "numba" if tensor.device.type == "cpu" and _numba_scan() is not None else "torch"


@functools.cache
def _mamba() -> Callable[..., Any] | None:
    """mamba_ssm's function, or None where it is not installed (it needs CUDA to build)."""
    try:
        function: Callable[..., Any] = importlib.import_module(
            "mamba_ssm.ops.selective_scan_interface"
        ).selective_scan_fn
    except (ImportError, OSError):  # OSError: its compiled part was built for another torch or CUDA
        return None
    return function


@functools.cache
def _numba_scan() -> Any:
    """Our scan for CPU tensors, or None (and one warning) where numba cannot be imported."""
    try:
        return importlib.import_module("srbench.modules.nets._scan_cpu").scan
    except ImportError as error:
        warnings.warn(f"the selective scan runs without numba, many times slower ({error})", stacklevel=3)
        return None


def _torch_scan() -> Callable[..., Tensor]:
    from srbench.modules.nets._scan_torch import scan

    return scan


def _mamba_scan(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor,
    skip: Tensor | None, z: Tensor | None, bias: Tensor | None, soft: bool,
) -> Tensor:  # fmt: skip
    """Call mamba_ssm's kernel with the dtypes it insists on: weights in float32, the rest like ``u``."""
    function = _mamba()
    assert function is not None

    def like_u(tensor: Tensor) -> Tensor:
        # A constant (channels, N) is a weight, an input-dependent one is not.
        return tensor.float() if tensor.dim() == 2 else tensor.to(u.dtype)

    gate = None if z is None else z.to(u.dtype)
    weights = (None if skip is None else skip.float(), gate, None if bias is None else bias.float())
    out: Tensor = function(u, delta.to(u.dtype), a.float(), like_u(b), like_u(c), *weights, delta_softplus=soft)
    return out


def _canonical(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor,
    skip: Tensor | None, z: Tensor | None, bias: Tensor | None,
) -> tuple[Any, ...]:  # fmt: skip
    """One dtype, and one form for the three forms of B and C.

    A constant B or C is replaced by ones; its values, which differ by channel, go into a factor (channels, N) on every
    state's read-out, since the scan is linear in its input.
    """
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    zero = torch.zeros(u.shape[1], dtype=dtype, device=u.device)
    u, delta, a, b, c = (tensor.to(dtype) for tensor in (u, delta, a, b, c))
    constants = [tensor for tensor in (b, c) if tensor.dim() == 2]
    mix = None if not constants else constants[0] if len(constants) == 1 else b * c
    groups = max(tensor.shape[1] if tensor.dim() == 4 else 1 for tensor in (b, c))
    shape = (u.shape[0], groups, a.shape[1], u.shape[2])

    def varying(tensor: Tensor) -> Tensor:
        if tensor.dim() == 2:
            return tensor.new_ones(shape[2])[:, None].expand(shape)
        return (tensor.unsqueeze(1) if tensor.dim() == 3 else tensor).expand(shape)

    rest = (tensor if tensor is None else tensor.to(dtype) for tensor in (skip, z, bias))
    skip, z, bias = rest
    return u, delta, a, varying(b), varying(c), mix, zero if skip is None else skip, z, zero if bias is None else bias


def _expect(name: str, tensor: Tensor, shapes: dict[str, tuple[int, ...]]) -> None:
    if tuple(tensor.shape) not in shapes.values():
        wanted = " or ".join(f"{text} = {shape}" for text, shape in shapes.items())
        raise ValueError(f"selective_scan: {name} must have shape {wanted}, not {tuple(tensor.shape)}")


def _check(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor,
    skip: Tensor | None, z: Tensor | None, bias: Tensor | None,
) -> None:  # fmt: skip
    """Raise ValueError for the first argument that does not fit ``u`` and ``A``."""
    if u.dim() != 3:
        raise ValueError(f"selective_scan: u must have shape (batch, channels, L), not {tuple(u.shape)}")
    if a.dim() != 2 or a.shape[0] != u.shape[1] or a.shape[1] < 1:
        raise ValueError(f"selective_scan: A must have shape (channels, N) = ({u.shape[1]}, N), not {tuple(a.shape)}")
    batch, channels, length = u.shape
    states = a.shape[1]
    given = {"u": u, "delta": delta, "A": a, "B": b, "C": c, "D": skip, "z": z, "delta_bias": bias}
    for name, tensor in given.items():
        if tensor is None:
            continue
        if tensor.device != u.device:
            raise ValueError(f"selective_scan: {name} must be on {u.device} like u, not on {tensor.device}")
        if not tensor.is_floating_point():
            raise ValueError(f"selective_scan: {name} must be real floating point, not {tensor.dtype}")
        if name in ("delta", "z"):
            _expect(name, tensor, {"(batch, channels, L)": (batch, channels, length)})
        elif name in ("D", "delta_bias"):
            _expect(name, tensor, {"(channels,)": (channels,)})
        elif name in ("B", "C"):
            _check_weights(name, tensor, (batch, channels, states, length))
    groups = {tensor.shape[1] for tensor in (b, c) if tensor.dim() == 4} - {1}
    if len(groups) > 1:
        raise ValueError(f"selective_scan: B and C must have the same number of groups, not {sorted(groups)}")


def _check_weights(name: str, tensor: Tensor, sizes: tuple[int, int, int, int]) -> None:
    batch, channels, states, length = sizes
    groups = tensor.shape[1] if tensor.dim() == 4 and tensor.shape[1] > 0 else 1
    if channels % groups:
        raise ValueError(f"selective_scan: the {groups} groups of {name} must divide the {channels} channels")
    _expect(
        name,
        tensor,
        {
            "(batch, N, L)": (batch, states, length),
            "(batch, groups, N, L)": (batch, groups, states, length),
            "(channels, N)": (channels, states),
        },
    )
