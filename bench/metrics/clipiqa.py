"""CLIP-IQA (Wang, Chan and Loy, AAAI 2023), by IQA-PyTorch: CLIP's RN50 without position embedding.

The mean over five pairs of prompts, where the paper takes one. Scores from 0 to 1. CLIP's file is a TorchScript
archive; its tensors are read without the program in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from srbench.errors import InputError
from srbench.images import Pixels
from srbench.metrics import ImageMetric, ImageScores, package
from srbench.metrics.backends import batch, building, check_side, exact, floats, optional, passes, ready, replaced
from srbench.torchscript import read_tensors

if TYPE_CHECKING:
    from torch import nn

_FEWEST = 32  # RN50 halves five times
_NO_WEIGHTS = {"input_resolution", "context_length", "vocab_size"}  # three numbers that the archive keeps as tensors


def network() -> nn.Module:
    """IQA-PyTorch's CLIP-IQA on the located CLIP, on the CPU in float32.

    Raises:
        InputError: the file is damaged or holds something else.
        MetricUnavailable: the package, or one of its own, or the file is absent.
    """
    from srbench.weight_files import need

    path = need("clip_rn50")
    clipiqa_arch, clip_model = optional("pyiqa.archs.clipiqa_arch"), optional("pyiqa.archs.clip_model")
    tensors = {name: t for name, t in read_tensors(path).items() if name not in _NO_WEIGHTS}
    with building():
        try:
            clip = clip_model.build_model(tensors).float()
        except (KeyError, RuntimeError) as error:  # names are missing, or do not fit the network they describe
            raise InputError("this is no CLIP", where=path, remedy="srbench weights fetch clip_rn50") from error
        with replaced(clipiqa_arch, load=lambda backbone, device: clip):  # its own would compile the archive
            model: nn.Module = clipiqa_arch.CLIPIQA(pretrained=False)
    return model


def _make(device: str) -> ImageScores:
    model = ready(network(), device)

    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        check_side(sr, _FEWEST, "clipiqa")
        with exact(device):
            return [value for (images,) in passes(sr) for value in floats(model(batch(images, device)))]

    return scores


METRICS = (
    ImageMetric(
        "clipiqa",
        "no_reference",
        higher_is_better=True,
        library=package("pyiqa"),
        source="IQA-PyTorch's clipiqa",
        weights=("clip_rn50",),
        make=_make,
    ),
)
