"""NRQM (Ma, Yang, Yang and Yang, CVIU 2017) and the perceptual index of PIRM 2018, as IQA-PyTorch computes them.

``nrqm`` takes the grey of YIQ and crops nothing. ``pi`` = (10 - NRQM + NIQE) / 2 takes the luma of BT.601 and crops 4
pixels itself, as the challenge did, so a protocol gives it a border of 0. The random forests run on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from srbench.errors import InputError
from srbench.images import Pixels
from srbench.metrics import ImageMetric, ImageScores, package
from srbench.metrics import niqe as niqe_family
from srbench.metrics.backends import batch, check_side, exact, optional, ready

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

PI_OPTIONS: dict[str, Any] = {"crop_border": 4, "color_space": "ycbcr"}
_FEWEST = 84  # a quarter of it still holds the 25 blocks of 5x5 whose singular values the third forest reads


def network(**options: Any) -> nn.Module:
    """IQA-PyTorch's NRQM with the regression forests of a located file.

    Args:
        options: ``crop_border`` and ``color_space`` where they are not IQA-PyTorch's 0 and ``yiq``.

    Raises:
        InputError: the file holds something else.
        MetricUnavailable: the package or the file is absent.
    """
    from srbench.weight_files import need

    path = need("nrqm")
    nrqm_arch = optional("pyiqa.archs.nrqm_arch")
    try:
        model: nn.Module = nrqm_arch.NRQM(pretrained_model_path=str(path), **options)
    except Exception as error:  # whatever another file makes scipy, or the constructor, stumble over
        raise _foreign(path) from error
    return model


def _foreign(path: Path) -> InputError:
    return InputError("this is no model of NRQM", where=path, remedy="srbench weights fetch nrqm")


def value(model: nn.Module, image: Tensor) -> float:
    """The score of one image, (1,3,H,W) in [0,1]; NaN where it has no texture, since NRQM then inverts zero."""
    import torch

    try:
        return float(model(image))
    except torch.linalg.LinAlgError:
        return math.nan


def _make(device: str) -> ImageScores:
    model = ready(network(), device)
    return _one_by_one(lambda image: value(model, image), device, _FEWEST, "nrqm")


def _make_pi(device: str) -> ImageScores:
    nrqm, niqe = ready(network(**PI_OPTIONS), device), ready(niqe_family.network(**PI_OPTIONS), device)
    border = 2 * PI_OPTIONS["crop_border"]

    def score(image: Tensor) -> float:
        return (10 - value(nrqm, image) + niqe_family.value(niqe, image)) / 2

    return _one_by_one(score, device, niqe_family.BLOCK + border, "pi")


def _one_by_one(score: Callable[[Tensor], float], device: str, fewest: int, metric: str) -> ImageScores:
    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        check_side(sr, fewest, metric)
        with exact():
            return [score(batch([image], device)) for image in sr]

    return scores


_no_reference = partial(ImageMetric, kind="no_reference", library=package("pyiqa"))

METRICS = (
    _no_reference("nrqm", higher_is_better=True, source="IQA-PyTorch's nrqm", weights=("nrqm",), make=_make),
    _no_reference("pi", higher_is_better=False, source="IQA-PyTorch's pi", weights=("nrqm", "niqe"), make=_make_pi),
)
