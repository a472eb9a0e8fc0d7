"""BRISQUE (Mittal, Moorthy and Bovik, TIP 2012), as IQA-PyTorch computes it: grey of YIQ, float32.

The support vectors come from IQA-PyTorch's file, or from the ``allmodel`` that the authors publish in libsvm's format.
Coefficients of up to 1024 cancel in a float32 sum, so the third decimal is noise: it depends on the order of the sum,
which the shape of the file's coefficients, the device and IQA-PyTorch's batch size decide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srbench.errors import InputError
from srbench.images import Pixels
from srbench.metrics import ImageMetric, ImageScores, package
from srbench.metrics.backends import batch, check_side, exact, optional

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = 36
GAMMA, RHO = 0.05, -153.591
"""Kernel width and offset of the authors' model; IQA-PyTorch has them in its code."""

_FEWEST = 14  # halved once, an image still has to hold the 7x7 window


def support_vectors(path: Path) -> tuple[Tensor, Tensor]:
    """Coefficients (n,), or (n,1) where a file holds them so, and support vectors (n,36), float32.

    Args:
        path: a pair of tensors that ``torch.save`` wrote (``brisque_svm_weights.pth``), or libsvm's text
            (``allmodel``).

    Raises:
        InputError: it is neither, or another model.
    """
    with path.open("rb") as file:
        is_text = file.read(8) == b"svm_type"
    if is_text:
        return _from_libsvm(path)
    import torch

    from srbench.weights import read_checkpoint

    held = read_checkpoint(path)
    if not (isinstance(held, tuple | list) and len(held) == 2 and all(isinstance(t, torch.Tensor) for t in held)):
        raise _foreign(path)
    coefficients, vectors = held[0].float(), held[1].float()
    count = coefficients.numel()
    if tuple(coefficients.shape) not in ((count,), (count, 1)) or vectors.shape != (count, FEATURES):
        raise _foreign(path)
    return coefficients, vectors


def _from_libsvm(path: Path) -> tuple[Tensor, Tensor]:
    import torch

    head, _, body = path.read_text(encoding="ascii", errors="replace").partition("\nSV\n")
    fields = dict(line.split(" ", 1) for line in head.splitlines() if " " in line)
    try:
        if (fields["kernel_type"], float(fields["gamma"]), float(fields["rho"])) != ("rbf", GAMMA, RHO):
            raise _foreign(path)
        rows = [line.split() for line in body.splitlines() if line.strip()]
        vectors = torch.zeros(len(rows), FEATURES, dtype=torch.float64)
        for i, (_, *pairs) in enumerate(rows):
            for pair in pairs:  # sparse: a value that is 0 is left out
                column, value = pair.split(":")
                vectors[i, int(column) - 1] = float(value)
        return torch.tensor([float(row[0]) for row in rows]), vectors.float()
    except (KeyError, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise _foreign(path) from error


def _foreign(path: Path) -> InputError:
    return InputError("this is no model of BRISQUE", where=path, remedy="srbench weights fetch brisque")


def _make(device: str) -> ImageScores:
    from srbench.weight_files import need

    path = need("brisque")
    brisque = optional("pyiqa.archs.brisque_arch").brisque
    coefficients, vectors = support_vectors(path)

    def score(image: Pixels) -> float:
        try:
            return float(brisque(batch([image], device), sv_coef=coefficients, sv=vectors, gamma=GAMMA, rho=RHO))
        except AssertionError:  # IQA-PyTorch's words for an image of one grey: there is no distribution to fit
            return math.nan

    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        check_side(sr, _FEWEST, "brisque")
        with exact(device):
            return [score(image) for image in sr]

    return scores


METRICS = (
    ImageMetric(
        "brisque",
        "no_reference",
        higher_is_better=False,
        library=package("pyiqa"),
        source="IQA-PyTorch's brisque",
        weights=("brisque",),
        make=_make,
    ),
)
