"""Frechet distance between Inception features of all results and all references (Heusel et al., NeurIPS 2017).

Two ids, because the resize to 299 pixels decides the number: on IQA-PyTorch's calibration folders the official values
are 220.58 with one and 225.37 with another. ``fid_clean`` resizes as clean-fid does (Parmar, Zhang and Zhu, CVPR 2022;
IQA-PyTorch's default): Pillow's bicubic, each channel in floating point. ``fid_tf`` resizes as the TensorFlow graph of
the first papers did, which torch-fidelity keeps: bilinear without antialias, corners aligned at the origin only.
PyTorch's own bilinear resize (``legacy_pytorch``, the 225.37) is neither.

The network is TensorFlow's Inception of 2015 in torch-fidelity's port; sums and distance are torchmetrics', in float64.
With fewer images than features (2048) the covariances are singular and the value is biased upwards: it compares only
with one of as many images of the same crop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from srbench.errors import InputError
from srbench.images import Pixels
from srbench.metrics import SetMetric, SetScores, Vectors, package
from srbench.metrics.backends import building, exact, optional, ready, replaced

if TYPE_CHECKING:
    from torch import Tensor, nn

_SIDE, _FEATURES = 299, 2048
_LAYERS = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e",
    "Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool",
)  # fmt: skip


class InceptionDistance:
    """Features of images after one of the two resizes, and the distance of two sets of features.

    Args:
        network: (n,3,299,299) in [-1,1] to (n,2048).
        resize: (H,W,3) uint8 to (3,299,299) float32 in 0..255.
        device: where ``network`` is.
    """

    def __init__(self, network: nn.Module, resize: Callable[[Pixels], Tensor], device: str) -> None:
        self.network = network
        self.resize = resize
        self.device = device

    def describe(self, images: Sequence[Pixels]) -> Vectors:
        """One row of 2048 features per image."""
        import torch

        with exact(self.device):
            batch = torch.stack([self.resize(image) for image in images]).to(self.device)
            features: Vectors = self.network((batch - 128) / 128).float().cpu().numpy()
        return features

    def distance(self, sr: Vectors, gt: Vectors) -> float:
        """See :func:`frechet_distance`."""
        return frechet_distance(sr, gt)


def frechet_distance(sr: Vectors, gt: Vectors) -> float:
    """``|mean difference|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`` with unbiased covariances, in float64.

    Args:
        sr: (n,d) features, n >= 2; the order of rows changes nothing but the last digits.
        gt: (m,d), m >= 2.

    Raises:
        InputError: a side has fewer than two images, or holds NaN or infinity.
    """
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    for features in (sr, gt):
        _check(features)
    given = torch.nn.Identity()  # features come in, features go out
    given.num_features = sr.shape[1]
    # Every process holds the whole set by now: torchmetrics must not add the others' once more.
    metric = FrechetInceptionDistance(feature=given, sync_on_compute=False)
    for features, real in ((gt, True), (sr, False)):
        metric.update(torch.from_numpy(np.asarray(features, dtype=np.float64)), real=real)
    return float(metric.compute())


def inception(device: str) -> nn.Module:
    """TensorFlow's Inception up to its last pooling: (n,3,299,299) in [-1,1] to (n,2048).

    Raises:
        MetricUnavailable: its weights or torch-fidelity are absent.
        InputError: the file holds another network.
    """
    from torch import nn

    from srbench.weight_files import need
    from srbench.weights import load_state

    library = optional("torch_fidelity.feature_extractor_inceptionv3")
    path = need("inception")
    state = load_state(path)
    # Its constructor fetches the file, or unpickles one without restraint; it is handed what was read safely.
    with building(), replaced(library, load_state_dict_from_url=lambda *args, **kwargs: state):
        try:
            net = library.FeatureExtractorInceptionV3("srbench", [str(_FEATURES)])
        except RuntimeError as error:
            raise InputError(
                "it holds another network than TensorFlow's Inception",
                where=path,
                remedy="srbench weights check inception",
            ) from error
    return ready(nn.Sequential(*(getattr(net, name) for name in _LAYERS), nn.Flatten()), device)


def resize_clean(image: Pixels) -> Tensor:
    """(H,W,3) uint8 to (3,299,299) float32 in 0..255 as clean-fid does: Pillow's bicubic, clipped."""
    import torch

    planes = [Image.fromarray(image[..., c].astype(np.float32)) for c in range(3)]
    small = [plane.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC) for plane in planes]
    return torch.from_numpy(np.stack([np.asarray(plane).clip(0, 255) for plane in small]))


def resize_tf(image: Pixels) -> Tensor:
    """(H,W,3) uint8 to (3,299,299) float32 in 0..255 as TensorFlow 1's ``resize_bilinear``, by torch-fidelity."""
    import torch

    library = optional("torch_fidelity.interpolate_compat_tensorflow")
    planes = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None]
    small: Tensor = library.interpolate_bilinear_2d_like_tensorflow1x(planes, size=(_SIDE, _SIDE), align_corners=False)
    return small[0]


def _check(features: Vectors) -> None:
    if len(features) < 2:
        raise InputError(
            f"a covariance of {len(features)} image{'s' * (len(features) != 1)} does not exist",
            remedy="FID needs at least two images, and says little below a thousand",
        )
    if not np.isfinite(features).all():
        raise InputError("an image's Inception features hold NaN or infinity", remedy="srbench weights check inception")


def _metric(name: str, resize: Callable[[Pixels], Tensor], source: str) -> SetMetric:
    def make(device: str) -> SetScores:
        return InceptionDistance(inception(device), resize, device)

    library = f"{package('torchmetrics')} + {package('torch-fidelity')}"
    return SetMetric(name, "set_level", False, library, source, ("inception",), make=make)


METRICS = (
    _metric("fid_clean", resize_clean, "clean-fid; IQA-PyTorch's fid with its default mode"),
    _metric("fid_tf", resize_tf, "torch-fidelity; IQA-PyTorch's fid with mode legacy_tensorflow"),
)
