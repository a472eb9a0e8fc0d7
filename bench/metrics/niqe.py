"""NIQE (Mittal, Soundararajan and Bovik, SPL 2013), as IQA-PyTorch computes it.

Grey of YIQ rounded to whole numbers, blocks of 96x96, float64. MATLAB's numbers are others (7.20 against 15.75 on the
first image of IQA-PyTorch's calibration), but the tables of the field come from here.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srbench.errors import InputError
from srbench.images import Pixels
from srbench.metrics import ImageMetric, ImageScores, package
from srbench.metrics.backends import batch, check_side, exact, optional, ready

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

BLOCK = 96


def network(**options: Any) -> nn.Module:
    """IQA-PyTorch's NIQE with the parameters of a located file.

    The authors' ``modelparameters.mat`` and IQA-PyTorch's ``niqe_modelparameters.mat`` hold the same two arrays.

    Args:
        options: ``crop_border`` and ``color_space`` where they are not IQA-PyTorch's 0 and ``yiq``.

    Raises:
        InputError: the file holds something else.
        MetricUnavailable: the package or the file is absent.
    """
    from srbench.weight_files import need

    path = need("niqe")
    niqe_arch = optional("pyiqa.archs.niqe_arch")
    _check(path)
    model: nn.Module = niqe_arch.NIQE(pretrained_model_path=str(path), **options)
    return model


def _check(path: Path) -> None:
    from scipy.io import loadmat

    try:
        held = {name: value.shape for name, value in loadmat(path).items() if name.endswith("_prisparam")}
    except Exception as error:  # scipy raises whatever a file that is none makes it stumble over
        raise _foreign(path) from error
    if held != {"mu_prisparam": (1, 36), "cov_prisparam": (36, 36)}:
        raise _foreign(path)


def _foreign(path: Path) -> InputError:
    return InputError("these are no parameters of NIQE", where=path, remedy="srbench weights fetch niqe")


def value(model: nn.Module, image: Tensor) -> float:
    """The score of one image, (1,3,H,W) in [0,1].

    NaN where the definition divides zero by zero: on an image without any texture (one colour, all black) no block has
    a distribution to fit, and IQA-PyTorch stops with an error.
    """
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"cov\(\): degrees of freedom")  # of no block at all; NaN says it
        try:
            return float(model(image))
        except torch.linalg.LinAlgError:
            return math.nan


def _make(device: str) -> ImageScores:
    model = ready(network(), device)

    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        check_side(sr, BLOCK, "niqe")
        with exact(device):  # one by one: in a batch, a textureless image would fail its neighbours too
            return [value(model, batch([image], device)) for image in sr]

    return scores


METRICS = (
    ImageMetric(
        "niqe",
        "no_reference",
        higher_is_better=False,
        library=package("pyiqa"),
        source="IQA-PyTorch's niqe",
        weights=("niqe",),
        make=_make,
    ),
)
