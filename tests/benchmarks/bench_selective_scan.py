"""How much faster the selective scan is than the step-by-step reference; prints ratios measured side by side.

Run as ``python tests/benchmarks/bench_selective_scan.py [--threads 2] [--length 4096]``. Each round times both, one
after the other, so that another program's load meets both; the best round of each counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv1d, silu

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "modules" / "nets"))

from selective_scan_reference import selective_scan_reference  # type: ignore[import-not-found]

from srbench.modules.nets.causal_conv1d import causal_conv1d
from srbench.modules.nets.selective_scan import selective_scan

CHANNELS, STATES, TAPS = 120, 16, 4


def inputs(length: int) -> list[Tensor]:
    """u, delta, A, B, C, D, z, delta_bias as DVMSR's mixer has them, (B, D, N) = (1, 120, 16)."""
    torch.manual_seed(0)
    weights = [torch.randn(1, STATES, length) for _ in range(2)]
    u, delta, z = (torch.randn(1, CHANNELS, length) for _ in range(3))
    a = -torch.arange(1, STATES + 1, dtype=torch.float32).repeat(CHANNELS, 1)
    return [u, delta / 2 - 3, a, *weights, torch.randn(CHANNELS), z, torch.randn(CHANNELS) / 4]


def duration(function: Callable[[], Any], repeats: int) -> float:
    """The shortest of ``repeats`` runs in ms."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def side_by_side(reference: Callable[[], Any], ours: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Best times in ms of both, in turns; one run of the slow one for ten of the fast one."""
    reference()
    ours()
    times = [(duration(reference, 1), duration(ours, 10)) for _ in range(rounds)]
    return min(slow for slow, _ in times), min(fast for _, fast in times)


def difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The greatest difference relative to the scale (greatest magnitude) of its tensor."""
    return max(float((one - two).abs().max() / two.abs().max()) for one, two in zip(ours, theirs, strict=True))


def line(name: str, times: tuple[float, float], distance: float) -> None:
    """Print one row."""
    slow, fast = times
    print(f"{name:34} reference {slow:9.2f} ms   ours {fast:8.3f} ms   ratio {slow / fast:7.1f}   diff {distance:.1e}")


def bench_scan(length: int, rounds: int) -> None:
    """Forward, and forward with backward for all eight tensors."""
    values = inputs(length)
    grad = torch.randn_like(values[0])

    def forward(scan: Callable[..., Tensor]) -> Tensor:
        with torch.no_grad():
            return scan(*values, True)

    def both(scan: Callable[..., Tensor]) -> list[Tensor]:
        leaves = [value.detach().requires_grad_() for value in values]
        return list(torch.autograd.grad(scan(*leaves, True), leaves, grad))

    start = time.perf_counter()
    ours = forward(selective_scan)
    gradients = both(selective_scan)
    print(f"first calls, compiling or loading what was compiled: {time.perf_counter() - start:.1f} s")
    times = side_by_side(lambda: forward(selective_scan_reference), lambda: forward(selective_scan), rounds)
    line("scan forward", times, difference([ours], [forward(selective_scan_reference)]))
    print(f"{'':34} {times[1] * 1e6 / (CHANNELS * STATES * length):.3f} ns per state update")
    times = side_by_side(lambda: both(selective_scan_reference), lambda: both(selective_scan), rounds)
    line("scan forward + backward", times, difference(gradients, both(selective_scan_reference)))


def bench_convolution(length: int, rounds: int) -> None:
    """The depthwise convolution with SiLU against torch's conv1d, for both memory layouts."""
    weight, bias = torch.randn(CHANNELS, TAPS), torch.randn(CHANNELS)

    def by_torch(x: Tensor) -> Tensor:
        return silu(conv1d(x, weight[:, None], bias, padding=TAPS - 1, groups=CHANNELS)[..., :length])

    with torch.inference_mode():
        for name, x in (
            ("conv forward, (B, D, L)", torch.randn(1, CHANNELS, length)),
            ("conv forward, (B, L, D) transposed", torch.randn(1, length, CHANNELS).transpose(1, 2)),
        ):
            ours = partial(causal_conv1d, x, weight, bias, "silu")
            times = side_by_side(partial(by_torch, x), ours, rounds)
            line(name, times, difference([ours()], [by_torch(x)]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"(B, D, N, L) = (1, {CHANNELS}, {STATES}, {arguments.length}), {arguments.threads} threads")
    bench_scan(arguments.length, arguments.rounds)
    bench_convolution(4 * arguments.length, arguments.rounds)


if __name__ == "__main__":
    main()
