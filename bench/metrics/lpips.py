"""LPIPS v0.1 (Zhang, Isola, Efros, Shechtman and Wang, CVPR 2018), by the authors' package.

The linear heads come with the package, the backbone is torchvision's file. The package takes [-1,1]; IQA-PyTorch and
torchmetrics give the same digits from [0,1], which they scale themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from srbench.images import Pixels, luma_y219
from srbench.metrics import ImageMetric, ImageScores, package
from srbench.metrics.backends import batch, building, check_side, exact, floats, optional, passes, ready, reference

if TYPE_CHECKING:
    from torch import Tensor, nn

_BACKBONES = {"alex": "alexnet", "vgg": "vgg16"}
_FEWEST = {"alex": 31, "vgg": 16}  # below, a pooling layer is left without a pixel

ToTensor = Callable[[Sequence[Pixels], str], "Tensor"]


def network(net: str) -> nn.Module:
    """LPIPS with its heads and torchvision's backbone, on the CPU.

    Args:
        net: ``alex`` or ``vgg``.

    Raises:
        InputError: the file holds another network.
        MetricUnavailable: the package or the file is absent.
    """
    from srbench.weight_files import need
    from srbench.weights import load_state, load_strict

    path = need(_BACKBONES[net])
    lpips = optional("lpips")
    with building():
        model = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    held = load_state(path)
    features = {name: tensor for name, tensor in held.items() if name.startswith("features.")}
    # The package cuts torchvision's ``features`` into slices and keeps the layers' numbers: features.3 is slice2.3.
    slices = {f"features.{name.split('.', 1)[1]}": name for name in model.net.state_dict()}
    load_strict(model.net, {slices.get(name, name): tensor for name, tensor in features.items()}, where=path)
    return cast("nn.Module", model)


def signed_rgb(images: Sequence[Pixels], device: str) -> Tensor:
    """(n,3,H,W) in [-1,1], as the package wants it."""
    return batch(images, device) * 2 - 1


def dacesr_luma(images: Sequence[Pixels], device: str) -> Tensor:
    """What DACESR's scorer feeds: Y of BT.601 in float32, as 2 Y/255 - 0.5, so in [-0.37,1.34]; (n,1,H,W).

    The package's scaling layer spreads the one channel over three. From BGR or RGB, the luma is the same.
    """
    import torch

    planes = np.stack([luma_y219(image) for image in images]).astype(np.float32)
    return torch.from_numpy(planes * 2 / 255 - 0.5).float()[:, None].to(device)


def _make(device: str, *, net: str, to_tensor: ToTensor, metric: str) -> ImageScores:
    model = ready(network(net), device)

    def scores(sr: Sequence[Pixels], gt: Sequence[Pixels] | None) -> list[float]:
        gt = reference(gt)
        check_side(sr, _FEWEST[net], metric)
        with exact(device):
            parts = [model(to_tensor(a, device), to_tensor(b, device)) for a, b in passes(sr, gt)]
            return [value for part in parts for value in floats(part)]

    return scores


def _metric(name: str, net: str, to_tensor: ToTensor, source: str) -> ImageMetric:
    return ImageMetric(
        name,
        "full_reference",
        higher_is_better=False,
        library=package("lpips"),
        source=source,
        weights=(_BACKBONES[net],),
        make=partial(_make, net=net, to_tensor=to_tensor, metric=name),
    )


METRICS = (
    _metric("lpips_alex", "alex", signed_rgb, "lpips.LPIPS(net='alex'), IQA-PyTorch's lpips"),
    _metric("lpips_vgg", "vgg", signed_rgb, "lpips.LPIPS(net='vgg'), IQA-PyTorch's lpips-vgg"),
    _metric(
        "lpips_dacesr_yml",
        "alex",
        dacesr_luma,
        "DACESR 0e98c32 basicsr/metrics/lpips.py as its yml calls it: Y alone, range [-0.5,1.5] by mistake",
    ),
)
