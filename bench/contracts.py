"""What travels between the rooms: the batch, and the shapes and ranges it promises.

Every tensor of pixels is float32 RGB in [0,1], channels first: ``lq`` (B,3,h,w); ``gt`` and ``sr`` (B,3,s*h,s*w).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor


class Batch(TypedDict):
    """What a DataModule hands to an SRModule.

    Attributes:
        lq: low-quality images, (B,3,h,w) float32 RGB in [0,1].
        gt: ground truth, (B,3,s*h,s*w), absent when there is none.
        name: the images' ids, unique within their set.
        notes: what was done to an image on reading it ("grey image, made RGB"), one tuple per image.
        degradation: the recipe that made each ``lq``, when the data module was asked to carry them.
        lq_whole: (B,3,c,c) of training patches: the lq of the whole crop that ``lq`` was cut out of, when the data
            module was asked to carry it.
        lq_corner: (B,2) int64, beside it: row and column of ``lq`` in it.
        ref: (B,3,s*h,s*w) as gt: what another method made of ``lq``, where the data has it.
    """

    lq: Tensor
    name: list[str]
    gt: NotRequired[Tensor]
    notes: NotRequired[list[tuple[str, ...]]]
    degradation: NotRequired[list[dict[str, Any]]]
    lq_whole: NotRequired[Tensor]
    lq_corner: NotRequired[Tensor]
    ref: NotRequired[Tensor]


@dataclass(frozen=True)
class SetInfo:
    """A test set as records and tables know it.

    Attributes:
        name: the set's name (``Set5``); one path component.
        scale: magnification from lq to gt.
        count: number of images.
        has_gt: whether a reference exists.
        fingerprint: sha256 over the names and bytes of its files, in order; the same files give the same value.
        source: where the images come from.
        licence: their terms.
        lq_origin: how lq was made (``files``, ``matlab_bicubic``).
        notes: remarks that belong into the record.
    """

    name: str
    scale: int
    count: int
    has_gt: bool
    fingerprint: str
    source: str = ""
    licence: str = ""
    lq_origin: str = "files"
    notes: tuple[str, ...] = field(default_factory=tuple)


OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
"""From parameters to an optimiser; in YAML a ``class_path`` with ``init_args`` without the parameters."""

SchedulerFactory = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
"""From an optimiser to a scheduler; in YAML a ``class_path`` with ``init_args`` without the optimiser."""
