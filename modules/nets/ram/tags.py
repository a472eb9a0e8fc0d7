"""Tags as sets of indices, how alike two of them are, and the published list of tags with its thresholds."""

from __future__ import annotations

import math
from collections.abc import Set
from pathlib import Path

import torch
from torch import Tensor

from srbench.errors import InputError

TAGS = "ram_tags"
"""The list of tags, by its name in the weights catalogue."""

THRESHOLDS = "ram_thresholds"
"""The thresholds of the tags, likewise."""


def tag_sets(logits: Tensor, thresholds: Tensor) -> list[frozenset[int]]:
    """Which tags each image has: those whose probability is strictly above the tag's threshold.

    Args:
        logits: (B,T).
        thresholds: (T,) in [0,1]; a tag of 1 never fires.
    """
    fired = torch.sigmoid(logits.float()) > thresholds.to(logits.device)
    return [frozenset(torch.nonzero(row).flatten().tolist()) for row in fired]


def jaccard(one: Set[int], other: Set[int]) -> float:
    """Text similarity: common tags over all tags (DACESR, Eq. 1), from 0 to 1.

    Two images without any tag are told the same thing of: 1, as in DACESR's script.

    >>> jaccard({1, 2, 3}, {2, 3, 4}), jaccard(set(), {1}), jaccard(set(), set())
    (0.5, 0.0, 1.0)
    """
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def read_tags(path: Path, count: int) -> list[str]:
    """The names of the tags, one on each line.

    Raises:
        InputError: there are not ``count`` of them, or one occurs twice.
    """
    tags = _lines(path)
    if len(tags) != count or len(set(tags)) != count:
        raise InputError(
            f"{len(tags)} tags, {len(set(tags))} of them different, where the tagger has {count}",
            where=path,
            remedy=f"fetch it again: srbench weights fetch {TAGS}",
        )
    return tags


def read_thresholds(path: Path, count: int) -> Tensor:
    """The thresholds of the tags, (count,) float32, one on each line.

    Raises:
        InputError: there are not ``count`` numbers in [0,1].
    """
    remedy = f"fetch it again: srbench weights fetch {THRESHOLDS}"
    try:
        values = [float(line) for line in _lines(path)]
    except ValueError as error:
        raise InputError(f"it is no list of numbers ({error})", where=path, remedy=remedy) from error
    if len(values) != count or not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
        raise InputError(f"{len(values)} thresholds, not {count} from 0 to 1", where=path, remedy=remedy)
    return torch.tensor(values)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"it cannot be read ({error})", where=path, remedy="check the file") from error
