"""The pool of the released training, which parts pairs from their conditions; only here to reproduce it."""

from __future__ import annotations

import torch
from torch import Tensor

from srbench.errors import InputError


class PairQueue:
    """DACESR's ``_dequeue_and_enqueue``: exchanges lq and gt of a batch for older ones, and nothing else of it.

    Conditions are made of the lq that came with the batch, so from the batch after the queue is full they belong to
    other images. The queue is a process's own and lives on its device. Upstream's starts empty after a resume; this one
    goes into the checkpoint (160 MB for 192 pairs of 64 and 256 pixels), so that a resumed run is the unbroken one.

    Args:
        size: pairs it holds, a multiple of the batch size.

    Attributes:
        lq: (n,3,h,w), n up to ``size``; None as long as nothing came.
        gt: (n,3,s*h,s*w), likewise.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.lq: Tensor | None = None
        self.gt: Tensor | None = None

    def exchange(self, lq: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
        """Until the queue is full, puts the pairs in and gives them back; then swaps them for as many random ones.

        Raises:
            InputError: the size is no multiple of the batch's.
        """
        count = len(lq)
        if self.size % count:
            raise InputError(
                f"a queue of {self.size} pairs holds no whole number of batches of {count}",
                where="model.init_args.official_queue",
                remedy="choose a multiple of the batch size",
            )
        if self.lq is None or self.gt is None or len(self.lq) < self.size:
            self.lq, self.gt = _joined(self.lq, lq), _joined(self.gt, gt)
            return lq, gt
        self.lq, self.gt = self.lq.to(lq.device), self.gt.to(gt.device)  # a checkpoint's come on the CPU
        places = torch.randperm(self.size)[:count].to(lq.device)
        given = self.lq[places], self.gt[places]
        self.lq[places], self.gt[places] = lq, gt
        return given


def _joined(held: Tensor | None, new: Tensor) -> Tensor:
    return new.clone() if held is None else torch.cat([held.to(new.device), new])
