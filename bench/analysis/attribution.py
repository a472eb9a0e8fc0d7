"""Local attribution maps: which pixels of lq a patch of sr was made from, and how widely they are spread.

Gu and Dong, "Interpreting Super-Resolution Networks with Local Attribution Maps" (CVPR 2021): integrated gradients of
how much detail a window of sr holds, along a path from a blurred lq to lq itself. Constants and conventions are those
of the authors' demo (X-Lowlevel-Vision/LAM_Demo, commit 6e75cc0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from srbench.errors import InputError

_NEVER_ZERO = 1e-5
"""Added to sigma, so that the last blur is a delta."""


@dataclass(frozen=True)
class BlurPath:
    """From blurred to sharp; the demo's values.

    Attributes:
        sigma: of the first blur, in lq pixels.
        fold: steps.
        size: side of the blur kernels, odd.
    """

    sigma: float = 1.2
    fold: int = 50
    size: int = 9

    def __post_init__(self) -> None:
        if self.sigma <= 0 or self.fold < 1 or self.size < 3 or self.size % 2 == 0:
            raise InputError(
                f"no path has sigma {self.sigma:g}, {self.fold} steps and kernels of {self.size}",
                where="lam",
                remedy="use sigma above 0, fold from 1, and an odd kernel from 3",
            )

    def kernels(self) -> Tensor:
        """(fold+1,1,size,size), from the widest blur to a delta, each summing to 1."""
        places = torch.arange(self.size, dtype=torch.float64) - self.size // 2
        squares = places[:, None] ** 2 + places[None, :] ** 2
        sigmas = torch.linspace(self.sigma, 0, self.fold + 1, dtype=torch.float64) + _NEVER_ZERO
        kernels = torch.exp(-squares / (2 * sigmas[:, None, None] ** 2))
        return (kernels / kernels.sum((1, 2), keepdim=True))[:, None]


@dataclass(frozen=True)
class Window:
    """A square of sr.

    Attributes:
        left: of its first column, in sr pixels.
        top: of its first row.
        side: its width and height.
    """

    left: int
    top: int
    side: int = 16

    def check(self, height: int, width: int) -> None:
        """Refuses a window that does not lie in an sr of this size, last row and column left out.

        Raises:
            InputError: it says what fits.
        """
        fits = 0 <= self.left < width - self.side and 0 <= self.top < height - self.side and self.side >= 1
        if not fits:
            raise InputError(
                f"a window of {self.side} at x {self.left}, y {self.top} does not lie in sr of {width}x{height}",
                where="--at",
                remedy=f"use x from 0 to {width - self.side - 1}, y from 0 to {height - self.side - 1}",
            )


class Attribution(NamedTuple):
    """What :func:`attribute` returns.

    Attributes:
        values: (3,h,w) float64, signed; their sum is about ``end - start``.
        start: detail in the window of sr of the blurred lq.
        end: detail in the window of sr of lq.
        sr: (3,s*h,s*w) of lq.
    """

    values: Tensor
    start: float
    end: float
    sr: Tensor


def detail(sr: Tensor, window: Window) -> Tensor:
    """How much detail a window holds: the sum over its pixels and channels of the gradient's length.

    Args:
        sr: (1,3,H,W).
        window: in it.

    Returns:
        A scalar. Where an image is flat the length has no slope; 0 is taken, as in the demo.
    """
    patch = sr[..., window.top : window.top + window.side + 1, window.left : window.left + window.side + 1]
    down = patch[..., 1:, :-1] - patch[..., :-1, :-1]
    right = patch[..., :-1, 1:] - patch[..., :-1, :-1]
    squares = down.square() + right.square()
    flat = squares == 0
    return squares.masked_fill(flat, 1.0).sqrt().masked_fill(flat, 0.0).sum()


def attribute(
    upscale: Callable[[Tensor], Tensor],
    lq: Tensor,
    window: Window,
    path: BlurPath = BlurPath(),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Attribution:
    """Integrates the gradient of the window's detail along the path.

    Args:
        upscale: maps (1,3,h,w) to (1,3,s*h,s*w), differentiably.
        lq: (3,h,w) in [0,1].
        window: of sr.
        path: from blurred to sharp.
        progress: called after every step.

    Raises:
        InputError: lq is smaller than the kernel wants, the window lies outside, sr has no gradient or one that is not
            finite.
    """
    if min(lq.shape[-2:]) <= path.size // 2:
        raise InputError(
            f"lq of {lq.shape[-1]}x{lq.shape[-2]} is too small for kernels of {path.size}",
            where="--kernel",
            remedy="give a larger image, or a smaller kernel",
        )
    total = torch.zeros_like(lq, dtype=torch.float64)
    end, sr = 0.0, lq
    start = _starting_detail(upscale, lq, window, path)
    for step, (point, change) in enumerate(_points(lq, path), 1):
        point.requires_grad_(True)
        with torch.enable_grad():
            restored = upscale(point)
            _check_gradient(restored)
            held = detail(restored, window)
            (gradient,) = torch.autograd.grad(held, point, allow_unused=True)
        if gradient is not None:
            total += (gradient[0] * change[0]).double()
        end, sr = float(held.detach()), restored.detach()[0]
        progress(step, path.fold)
    if not bool(torch.isfinite(total).all()):
        raise InputError("the gradient of sr is not finite", where="lam", remedy="look for NaN in the weights")
    return Attribution(total.cpu(), start, end, sr)


def strength(values: Tensor) -> NDArray[Any]:
    """The map: |sum over channels| of attributions (3,h,w), divided by its largest; (h,w) in [0,1].

    Raises:
        InputError: nothing was attributed, as with a window in which sr is flat.
    """
    plane: NDArray[Any] = values.sum(0).abs().numpy()
    largest = plane.max()
    if largest == 0:
        raise InputError(
            "no pixel of lq changes the detail of this window", where="--at", remedy="choose a window with structure"
        )
    return plane / largest


def gini(values: NDArray[Any]) -> float:
    """Gini coefficient of non-negative values: 0 when all are equal, (n-1)/n when one has everything.

    As in the demo, 1e-7 is added to every value.
    """
    ordered = np.sort(values.astype(np.float64), axis=None) + 1e-7
    n = ordered.size
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * ordered.sum()))


def diffusion_index(strengths: NDArray[Any]) -> float:
    """(1 - Gini) * 100 of a map: larger when more pixels of lq take part."""
    return (1 - gini(strengths)) * 100


def _points(lq: Tensor, path: BlurPath) -> Iterator[tuple[Tensor, Tensor]]:
    """Points of the path (1,3,h,w), and how much the image changed on the way there."""
    kernels = path.kernels().to(lq.device)
    before = _blurred(lq, kernels[0])
    for kernel in kernels[1:]:
        after = _blurred(lq, kernel)
        yield after.to(lq.dtype), (after - before).to(lq.dtype)
        before = after


def _blurred(lq: Tensor, kernel: Tensor) -> Tensor:
    """(3,h,w) to (1,3,h,w) in float64; the border mirrors without repeating itself, as OpenCV's."""
    rim = kernel.shape[-1] // 2
    padded = F.pad(lq[None].double(), (rim, rim, rim, rim), mode="reflect")
    return F.conv2d(padded, kernel[None].expand(lq.shape[0], 1, -1, -1), groups=lq.shape[0])


def _starting_detail(upscale: Callable[[Tensor], Tensor], lq: Tensor, window: Window, path: BlurPath) -> float:
    with torch.no_grad():
        restored = upscale(_blurred(lq, path.kernels()[0].to(lq.device)).to(lq.dtype))
    window.check(*restored.shape[-2:])
    return float(detail(restored, window))


def _check_gradient(restored: Tensor) -> None:
    if not restored.requires_grad:
        raise InputError(
            "sr has no gradient with respect to lq",
            where="lam",
            remedy="choose a method whose upscale is differentiable (no 8-bit rounding inside, no finished images)",
        )
