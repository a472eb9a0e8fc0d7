"""Momentum contrast (MoCo, arXiv 1911.05722) as DeeDSR's stage 1 uses it: pairs, shuffled keys, queue, loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError

Loss = Literal["code", "paper"]
"""``code``: the positive is in the denominator, too, as MoCo has it; ``paper``: Eq. 6 of DeeDSR, where it is not."""

Pairs = Literal["batch", "sample"]
"""Whether a whole batch has its query in the same quadrant, and its key, or each image draws its own."""


class KeyQueue(nn.Module):
    """The keys of past batches, first in, first out; it begins with random directions.

    Args:
        size: keys it holds, K.
        channels: length of a key.

    Attributes:
        keys: (K,channels), of length 1 each. The released code holds the transpose, ``queue``.
        place: () int64, where the next batch goes (``queue_ptr``).
    """

    keys: Tensor
    place: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, channels), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def put(self, keys: Tensor) -> None:
        """Puts the keys (n,channels) of all processes in the place of the oldest.

        Raises:
            InputError: n does not divide K.
        """
        size, count = len(self.keys), len(keys)
        if size % count:
            raise InputError(
                f"a queue of {size} keys holds no whole number of batches of {count}",
                where="model.init_args.queue",
                remedy="choose a multiple of the batch size of all processes together (paper: 256 times it)",
            )
        start = int(self.place)
        self.keys[start : start + count] = keys
        self.place.fill_((start + count) % size)


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, *, temperature: float, loss: Loss = "code") -> Tensor:
    """The loss per query, (B,): how much less like its key it is than like the negatives.

    Args:
        query: (B,C), of length 1 each.
        key: (B,C), likewise: of each query's own image.
        negatives: (K,C), likewise.
        temperature: what cosines are divided by.
        loss: see :data:`Loss`. ``code`` cannot fall below 0, ``paper`` (Eq. 6) can.
    """
    with torch.autocast(query.device.type, enabled=False):
        positive = (query.float() * key.float()).sum(1, keepdim=True) / temperature
        rest = query.float() @ negatives.float().T / temperature
        below = torch.cat([positive, rest], 1) if loss == "code" else rest
        return below.logsumexp(1) - positive[:, 0]


def quadrants(lq: Tensor) -> Tensor:
    """The four quarters of each image: (B,3,2h,2w) to (4,B,3,h,w): upper left, lower left, upper right, lower right.

    Raises:
        InputError: a side is odd, or 0.
    """
    high, wide = lq.shape[-2:]
    if high % 2 or wide % 2 or not high or not wide:
        raise InputError(
            f"lq {high}x{wide} has no four equal quadrants",
            where="data.init_args.patch_size",
            remedy="choose a multiple of twice the scale (paper: 512)",
        )
    halves = lq.unflatten(-1, (2, wide // 2)).unflatten(-3, (2, high // 2))  # (B,3,2,h,2,w)
    return halves.permute(4, 2, 0, 1, 3, 5).flatten(0, 1)


def quadrant_pair(lq: Tensor, generator: torch.Generator, *, per: Pairs = "batch") -> tuple[Tensor, Tensor]:
    """Two different quadrants of each image, drawn: the query's and the key's, (B,3,h,w) each.

    Raises:
        InputError: see :func:`quadrants`.
    """
    parts, count = quadrants(lq), len(lq)
    if per == "batch":
        first, second = torch.randperm(4, generator=generator)[:2].tolist()
        return parts[first], parts[second]
    order = torch.rand(count, 4, generator=generator).argsort(1).to(lq.device)
    images = torch.arange(count, device=lq.device)
    return parts[order[:, 0], images], parts[order[:, 1], images]


def shuffled_keys(
    encode: Callable[[Tensor], Tensor],
    images: Tensor,
    order: Tensor,
    *,
    rank: int,
    gather: Callable[[Tensor], Tensor],
) -> Tensor:
    """The keys of all processes' images, each computed in whichever process ``order`` sends its image to.

    A key's batch statistics are then of other images than its query's, or the two would give each other away by them.

    Args:
        encode: of this process: (B,3,h,w) to (B,C).
        images: this process' share, (B,3,h,w).
        order: a permutation of all R*B images, the same in every process.
        rank: of this process.
        gather: stacks a tensor of all processes along its first dimension, by rank.

    Returns:
        (R*B,C), in the order of the images, by rank.
    """
    count = len(images)
    mine = order[rank * count : (rank + 1) * count]
    keys = gather(encode(gather(images)[mine]))
    return keys[order.argsort()]
