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
from srbench.metrics.backends import batch, check_side, exact, optional, ready, replaced

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

    nrqm_arch, ssim_arch = optional("pyiqa.archs.nrqm_arch"), optional("pyiqa.archs.ssim_arch")
    with replaced(nrqm_arch, gamma_gen_gauss=gaussian_shape), replaced(ssim_arch, filter2=filter_valid):
        try:
            return float(model(image))
        except torch.linalg.LinAlgError:
            return math.nan


def gaussian_shape(samples: Tensor) -> Tensor:
    """The shape of the generalised Gaussian that fits each row, from the table 0.03, 0.031, ..., 10.

    IQA-PyTorch compares every row with all 9,971 entries; the ratio falls with the shape, so a search does.

    Args:
        samples: (...,n).

    Returns:
        (...).
    """
    import torch

    shapes = torch.arange(0.03, 10.001, 0.001).to(samples)
    ratios = (torch.lgamma(1 / shapes) + torch.lgamma(3 / shapes) - 2 * torch.lgamma(2 / shapes)).exp()
    mean = samples.mean(dim=-1, keepdim=True)
    spread = (samples - mean).abs().mean(dim=-1).square()
    ratio = (samples.var(dim=-1) / (spread + 1e-7)).contiguous()
    after = torch.searchsorted(-ratios, -ratio).clamp(1, len(ratios) - 1)
    nearest = torch.where((ratio - ratios[after - 1]).abs() <= (ratio - ratios[after]).abs(), after - 1, after)
    return shapes[nearest.masked_fill(ratio.isnan(), 0)]


def filter_valid(planes: Tensor, window: Tensor, padding: str) -> Tensor:
    """Correlation with a window where it lies wholly inside, through the Fourier domain.

    Args:
        planes: (n,1,H,W).
        window: (1,1,k,k).
        padding: ``valid``, the only kind that NRQM asks for.

    Returns:
        (n,1,H-k+1,W-k+1).
    """
    import torch

    if padding != "valid" or min(planes.shape[-2:]) < window.shape[-1]:
        raise ValueError(f"filter_valid takes planes no smaller than the window, not {tuple(planes.shape)} ({padding})")
    size, lost = planes.shape[-2:], window.shape[-1] - 1
    product = torch.fft.rfft2(planes) * torch.fft.rfft2(window.to(planes), s=size).conj()
    whole = torch.fft.irfft2(product, s=size)
    return whole[..., : size[0] - lost, : size[1] - lost]


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
        with exact(device):
            return [score(batch([image], device)) for image in sr]

    return scores


_no_reference = partial(ImageMetric, kind="no_reference", library=package("pyiqa"))

METRICS = (
    _no_reference("nrqm", higher_is_better=True, source="IQA-PyTorch's nrqm", weights=("nrqm",), make=_make),
    _no_reference("pi", higher_is_better=False, source="IQA-PyTorch's pi", weights=("nrqm", "niqe"), make=_make_pi),
)
