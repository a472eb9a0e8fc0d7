"""MUSIQ (Ke, Wang, Wang, Milanfar and Yang, ICCV 2021), by IQA-PyTorch, trained on KonIQ-10k.

Scores from 0 to 100, within 2 % of the authors' TensorFlow release.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from srbench.images import Pixels
from srbench.metrics import ImageMetric, ImageScores, package
from srbench.metrics.backends import batch, building, exact, floats, optional, passes, ready

if TYPE_CHECKING:
    from torch import nn


def network() -> nn.Module:
    """IQA-PyTorch's MUSIQ with the located weights, on the CPU.

    Raises:
        InputError: the file holds another network.
        MetricUnavailable: the package or the file is absent.
    """
    from srbench.weight_files import need
    from srbench.weights import load_state, load_strict

    path = need("musiq_koniq")
    musiq_arch = optional("pyiqa.archs.musiq_arch")
    with building():
        model: nn.Module = musiq_arch.MUSIQ(pretrained=False)
    load_strict(model, load_state(path), where=path)
    return model


def _make(device: str) -> ImageScores:
    model = ready(network(), device)

    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        with exact(device):
            return [value for (images,) in passes(sr) for value in floats(model(batch(images, device)))]

    return scores


METRICS = (
    ImageMetric(
        "musiq",
        "no_reference",
        higher_is_better=True,
        library=package("pyiqa"),
        source="IQA-PyTorch's musiq",
        weights=("musiq_koniq",),
        make=_make,
    ),
)
