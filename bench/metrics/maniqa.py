"""MANIQA (Yang et al., CVPRW 2022), by IQA-PyTorch: ``maniqa_koniq`` is its ``maniqa``, ``maniqa_pipal`` the other.

The mean over 20 crops of 224 pixels on a regular grid; before 0.1.12 the library drew them at random, so papers of
2024 cannot be matched to the last digit. An image with a side of 224 pixels or fewer is enlarged until that side has
225 (bilinear); a side below 32 is refused here, since a narrow strip would grow beyond any memory. SeeSR and OSEDiff
report the PIPAL weights, most others KonIQ's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

from srbench.images import Pixels
from srbench.metrics import ImageMetric, ImageScores, package
from srbench.metrics.backends import batch, building, check_side, exact, floats, optional, ready, replaced

if TYPE_CHECKING:
    from torch import nn

_SCALES = {"maniqa_koniq": 0.8, "maniqa_pipal": 0.13}
"""Factor of the residual branches: IQA-PyTorch's setting for KonIQ, and its constructor's default."""

_FEWEST = 32


def network(weights: str) -> nn.Module:
    """IQA-PyTorch's MANIQA with the located weights, on the CPU.

    Args:
        weights: ``maniqa_koniq`` or ``maniqa_pipal``.

    Raises:
        InputError: the file holds another network.
        MetricUnavailable: the package or the file is absent.
    """
    from srbench.weight_files import need
    from srbench.weights import load_state, load_strict

    path = need(weights)
    maniqa_arch = optional("pyiqa.archs.maniqa_arch")
    # The constructor would fetch a ViT, all of whose weights the checkpoint holds too.
    bare = SimpleNamespace(create_model=lambda name, pretrained: optional("timm").create_model(name, pretrained=False))
    with building(), replaced(maniqa_arch, timm=bare):
        model: nn.Module = maniqa_arch.MANIQA(pretrained=False, scale=_SCALES[weights])
    load_strict(model, load_state(path), where=path)
    return model


def _make(device: str, *, weights: str) -> ImageScores:
    model = ready(network(weights), device)

    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        check_side(sr, _FEWEST, weights)
        with exact(device):  # the crops of one image are a batch of their own
            return [value for image in sr for value in floats(model(batch([image], device)))]

    return scores


METRICS = tuple(
    ImageMetric(
        name,
        "no_reference",
        higher_is_better=True,
        library=package("pyiqa"),
        source=f"IQA-PyTorch's {theirs}",
        weights=(name,),
        make=partial(_make, weights=name),
    )
    for name, theirs in (("maniqa_koniq", "maniqa"), ("maniqa_pipal", "maniqa-pipal"))
)
