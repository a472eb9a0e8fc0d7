"""Detector: the trained classifier, asked what was done to an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from torch import Tensor

from srbench.errors import InputError
from srbench.modules.nets.frozen import Frozen
from srbench.modules.srtta.net import TYPES, DegradationClassifier, Preset
from srbench.weights import load_state, load_strict


class Detector(Frozen):
    """The classifier, frozen, and how it is asked.

    Args:
        preset: its size.
        threshold: of probabilities.
        reverse_channels: images are given as BGR.

    Raises:
        InputError: the preset or the threshold is impossible.
    """

    def __init__(self, preset: Preset, threshold: float, reverse_channels: bool) -> None:
        if not 0 <= threshold <= 1:
            where = "model.init_args.threshold"
            raise InputError(f"a threshold of {threshold:g} is impossible", where=where, remedy="use a number in [0,1]")
        super().__init__(DegradationClassifier(preset))
        self.threshold = threshold
        self.reverse_channels = reverse_channels

    def load(self, path: str | Path) -> None:
        """Loads a checkpoint of ours or the authors', strictly.

        Raises:
            InputError: it is another network's.
        """
        load_strict(self.net, load_state(path), where=path)

    def types(self, lq: Tensor) -> tuple[str, ...]:
        """What is found in (1,3,h,w): some of blur, noise, jpeg; nothing in a clean image."""
        net = cast(DegradationClassifier, self.net)
        return net.found(lq.flip(1) if self.reverse_channels else lq, self.threshold)


def checked_types(known: Sequence[str]) -> tuple[str, ...]:
    """The types that a user says were used.

    Raises:
        InputError: one is not known.
    """
    for one in known:
        if one not in TYPES:
            where = "model.init_args.known"
            raise InputError(f"{one!r} is no type of degradation", where=where, remedy=f"use {', '.join(TYPES)}")
    return tuple(known)
