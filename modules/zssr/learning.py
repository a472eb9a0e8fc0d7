"""The learning of one image at one scale."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from srbench.modules.zssr.fathers import Augmentation, draw_father, draw_pair
from srbench.modules.zssr.geometry import Shrink
from srbench.modules.zssr.net import ZSSRNet
from srbench.modules.zssr.rate import Rate, RateRule

MEASURE_EVERY = 50
"""Iterations between two points of the curve that the learning rate follows, as in the released code."""


@dataclass(frozen=True)
class Task:
    """What is to be learned.

    Attributes:
        sources: (1,3,h,w) in [0,1] each; the first is the image, on which reconstruction is measured.
        scale: of the enlargement.
        shrink: how sons are made.
        crop: side of fathers.
        how: fathers are drawn.
        noise: standard deviation added to sons, of the range [0,1].
    """

    sources: Sequence[Tensor]
    scale: float
    shrink: Shrink
    crop: int
    how: Augmentation
    noise: float


class Learned(NamedTuple):
    """How learning went.

    Attributes:
        iterations: steps that were made.
        diverged: the weights to which it was put back, by their iteration, because the loss was not finite; else None.
    """

    iterations: int
    diverged: int | None


class _Best(NamedTuple):
    error: float
    at: int
    weights: dict[str, Tensor]


def learn(
    net: ZSSRNet,
    correct: Callable[[Tensor], Tensor],
    task: Task,
    rule: RateRule,
    steps: Iterable[int],
    generator: torch.Generator,
) -> Learned:
    """Trains ``net`` on one image's fathers and sons by L1 and Adam, until the learning rate is down or ``steps`` end.

    Args:
        net: trained in place.
        correct: its pass over (1,3,h,w) enlarged images of any size, for measuring.
        task: see :class:`Task`.
        rule: of the learning rate.
        steps: 0, 1, 2, ...
        generator: on the CPU.

    Returns:
        How it went. Where the loss, the error or a weight ceased to be finite, ``net`` has the weights of the best
        reconstruction measured, which may be those it came with.
    """
    rate = Rate(rule)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate.value)
    best = _better(None, net, 0, reconstruction_error(correct, task))
    done = 0
    for _ in steps:
        loss = _step(net, optimizer, task, generator)
        done += 1
        if done % MEASURE_EVERY == 0 and math.isfinite(loss):
            error = reconstruction_error(correct, task)
            rate.measured(done, error)
            best = _better(best, net, done, error)
            loss += error  # no longer finite if either is
        if not math.isfinite(loss):
            net.load_state_dict(best.weights)
            return Learned(done, best.at)
        if rate.advance(done):
            for group in optimizer.param_groups:
                group["lr"] = rate.value
        if rate.over:
            break
    if not math.isfinite(reconstruction_error(correct, task)):
        net.load_state_dict(best.weights)
        return Learned(done, best.at)
    return Learned(done, None)


@torch.no_grad()
def reconstruction_error(correct: Callable[[Tensor], Tensor], task: Task) -> float:
    """Mean squared error of the image itself, made again from its own son without noise."""
    shown, wanted = draw_pair(task.sources[0], task.scale, task.shrink, 0.0, torch.Generator())
    return float((correct(shown).clamp(0, 1) - wanted).square().mean())


def _step(net: ZSSRNet, optimizer: torch.optim.Optimizer, task: Task, generator: torch.Generator) -> float:
    with torch.no_grad():
        father = draw_father(task.sources, task.crop, task.how, generator)
        shown, wanted = draw_pair(father, task.scale, task.shrink, task.noise, generator)
    made = net.correct(shown.contiguous(memory_format=torch.channels_last))
    loss = (made - wanted).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _better(best: _Best | None, net: ZSSRNet, at: int, error: float) -> _Best:
    if best is not None and not error < best.error:
        return best
    return _Best(error, at, copy.deepcopy(net.state_dict()))
