"""DISTS (Ding, Ma, Wang and Simoncelli, TPAMI 2020), by torchmetrics' network, built once.

No resize: the authors' demonstration shrinks to 256 pixels first, IQA-PyTorch and so the field's tables do not. The
weights alpha and beta come with torchmetrics; the backbone is torchvision's file.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from srbench.images import Pixels
from srbench.metrics import ImageMetric, ImageScores, package
from srbench.metrics.backends import batch, building, exact, floats, optional, passes, ready, reference, replaced

if TYPE_CHECKING:
    from torch import nn


def network() -> nn.Module:
    """DISTS with torchvision's VGG16, on the CPU.

    Raises:
        InputError: the file holds another network.
        MetricUnavailable: the file is absent.
    """
    from srbench.weight_files import need
    from srbench.weights import load_state, load_strict

    path = need("vgg16")
    dists, torchvision = optional("torchmetrics.functional.image.dists"), optional("torchvision.models.vgg")
    prefix = "features."
    state = {name.removeprefix(prefix): t for name, t in load_state(path).items() if name.startswith(prefix)}
    with building():
        vgg = SimpleNamespace(features=torchvision.make_layers(torchvision.cfgs["D"]))  # without its classifier
        load_strict(vgg.features, state, where=path)
        with replaced(dists, vgg16=lambda **_: vgg):  # its own would download, and it takes no path
            model: nn.Module = dists.DISTSNetwork()
    return model


def _make(device: str) -> ImageScores:
    model = ready(network(), device)

    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        gt = reference(gt)
        with exact(device):
            parts = [model(batch(a, device), batch(b, device)) for a, b in passes(sr, gt)]
            return [value for part in parts for value in floats(part)]

    return scores


METRICS = (
    ImageMetric(
        "dists",
        "full_reference",
        higher_is_better=False,
        library=package("torchmetrics"),
        source="IQA-PyTorch's dists",
        weights=("vgg16",),
        make=_make,
    ),
)
