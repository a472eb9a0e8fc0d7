"""A moving average of a network's weights that starts at the weights it was given, and what tells that it diverges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from srbench.errors import InputError

State = dict[str, Tensor]

_SETTLING = 10
"""Steps whose largest loss says what is usual."""


class WeightAverage:
    """The moving average of a network during an adaptation, the weights it started from, and the best average seen.

    Lightning's ``EMAWeightAveraging`` starts at the network *after* the first step, and copies a module before its
    weights are loaded; here no steps must leave the given network as it was.

    Args:
        net: the network, with the weights to start from.
        decay: of the average; a step moves it by ``1 - decay`` towards the network.
        resumed: what :meth:`state` gave; the network then takes the weights it had.

    Attributes:
        average: the moving average by name.
        start: the weights at the start.
        best: ``value``, ``step`` and ``state`` of the best average seen; empty where nobody has looked.

    Raises:
        InputError: ``decay`` is not in [0,1).
    """

    def __init__(self, net: nn.Module, decay: float, resumed: Mapping[str, Any] | None = None) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"{decay} is impossible", where="model.init_args.ema_decay", remedy="use 0 to below 1")
        held = resumed or {}
        self.net = net
        self.decay = decay
        self.average = _copied(held.get("average") or net.state_dict())
        self.start = _copied(held.get("start") or net.state_dict())
        self.best: dict[str, Any] = dict(held.get("best") or {})
        if resumed:
            net.load_state_dict(held["current"])

    @property
    def chosen(self) -> State:
        """The best average that was seen, else the average."""
        state: State = self.best["state"] if self.best else self.average
        return state

    def follow(self) -> None:
        """Moves the average by one step; whole numbers are taken as they are."""
        with torch.no_grad():
            for name, tensor in self.net.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor.detach(), 1.0 - self.decay)
                else:
                    self.average[name].copy_(tensor)

    def is_finite(self) -> bool:
        """Whether every weight of the network is."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.net.state_dict().values())

    def reset(self) -> None:
        """Puts network and average back to the start, and forgets what was seen."""
        self.best = {}
        self.average = _copied(self.start)
        self.net.load_state_dict(self.start)

    @contextmanager
    def as_given(self) -> Iterator[None]:
        """Within, the network is as it was given and evaluates; not between a pass and its backward pass."""
        current, training = _copied(self.net.state_dict()), self.net.training
        self.net.load_state_dict(self.start)
        self.net.eval()
        try:
            yield
        finally:
            self.net.load_state_dict(current)
            self.net.train(training)
            torch.clear_autocast_cache()

    def swap(self) -> None:
        """Exchanges the weights of network and average."""
        current = _copied(self.net.state_dict())
        self.net.load_state_dict(self.average)
        self.average = current

    def judge(self, value: float, step: int, *, low_is_good: bool) -> None:
        """Keeps the present average if ``value``, measured of it at ``step``, is better than all before."""
        sign = 1.0 if low_is_good else -1.0
        if not self.best or sign * value < sign * self.best["value"]:
            self.best = {"value": value, "step": step, "state": _copied(self.average)}

    def settle(self) -> None:
        """Puts the chosen weights into the network."""
        self.net.load_state_dict(self.chosen)

    def state(self) -> dict[str, Any]:
        """What going on needs: tensors and plain values."""
        return {
            "current": self.net.state_dict(),
            "average": self.average,
            "start": self.start,
            "best": self.best,
        }


class LossWatch:
    """Tells a loss that is out of all proportion.

    Args:
        limit: a loss above so many times the largest of the first ten steps is unusual; None takes any that is finite.

    Attributes:
        usual: that largest loss, so far.

    Raises:
        InputError: ``limit`` is not above 1.
    """

    def __init__(self, limit: float | None) -> None:
        if limit is not None and limit <= 1:
            raise InputError(f"{limit} is impossible", where="model.init_args.limit", remedy="use more than 1, or null")
        self.limit = limit
        self.usual = 0.0

    def is_usual(self, loss: float, step: int) -> bool:
        """Whether the loss of a step, counted from 0, is finite and within the limit."""
        if not math.isfinite(loss):
            return False
        if step < _SETTLING:
            self.usual = max(self.usual, loss)
            return True
        return self.limit is None or loss <= self.limit * self.usual


def _copied(state: Mapping[str, Tensor]) -> State:
    """A state's own copy, detached."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}
