"""The perceptual loss: how far apart two images lie in the features of VGG19."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.frozen import Frozen
from srbench.naming import unknown_name
from srbench.weights import load_state, load_strict

BACKBONE = "vgg19"
"""Its weights' name in the catalogue."""

LAYERS = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
"""Real-ESRGAN's layers and weights (``train_realesrgan_x4plus.yml``), which BSRGAN, SwinIR-GAN and DACESR share."""

_CONVOLUTIONS = (2, 2, 4, 4, 4)


class VGG19Features(nn.Module):
    """The convolutions of torchvision's VGG19 up to the last layer asked for, under its names ``features.<i>``.

    Args:
        layers: names such as ``conv5_4``, block and convolution counted from 1; their outputs before the ReLU.

    Raises:
        InputError: VGG19 has no such layer.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Sequence[str]) -> None:
        super().__init__()
        from torchvision.models import vgg19  # costs seconds to import

        places = vgg19_convolutions()
        for layer in layers:
            if layer not in places:
                raise unknown_name("layer of VGG19", layer, places, where="PerceptualLoss.layers")
        self.places = {places[layer]: layer for layer in layers}
        with torch.device("meta"):
            self.features = vgg19(weights=None).features[: max(self.places, default=0) + 1]
        for name, values in zip(("mean", "std"), _imagenet(), strict=True):
            self.register_buffer(name, values, persistent=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Features by layer of images (B,3,H,W) RGB in [0,1]."""
        x = (image - self.mean) / self.std
        found = {}
        for place, layer in enumerate(self.features):
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)  # not in place: what was found stays as it was
            if place in self.places:
                found[self.places[place]] = x
        return found


class PerceptualLoss(nn.Module):
    """Weighted distances between VGG19's features of two images, as BasicSR's ``PerceptualLoss`` has them.

    Its network is frozen, in no checkpoint, and without values until :meth:`load`.

    Args:
        layers: weight of each layer; None takes :data:`LAYERS`.
        criterion: ``l1`` or ``l2``, both means over all elements of a layer.

    Raises:
        InputError: a layer or criterion is unknown.
    """

    def __init__(self, layers: Mapping[str, float] | None = None, criterion: Literal["l1", "l2"] = "l1") -> None:
        super().__init__()
        if criterion not in ("l1", "l2"):
            raise InputError(f"'{criterion}' is no criterion", where="PerceptualLoss.criterion", remedy="use l1 or l2")
        self.layers = dict(LAYERS if layers is None else layers)
        self.distance = F.l1_loss if criterion == "l1" else F.mse_loss
        self.vgg = Frozen(VGG19Features(list(self.layers)))

    def load(self, path: Path | None) -> None:
        """Fills the network: from torchvision's file, or, where there is none, with the random weights of a fixed seed.

        Raises:
            InputError: the file is damaged or another network's.
        """
        net = VGG19Features(list(self.layers)).to_empty(device="cpu")
        net.mean, net.std = _imagenet()
        if path is None:
            draw_values(net)
        else:
            load_strict(net, _of_features(load_state(path), net), where=path)
        self.vgg.put(net)

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        """The scalar loss between sr and gt, both (B,3,H,W) in [0,1]; no gradient goes to gt."""
        made = self.vgg(sr)
        with torch.no_grad():
            wanted = self.vgg(gt)
        return torch.stack([w * self.distance(made[name], wanted[name]) for name, w in self.layers.items()]).sum()


def vgg19_convolutions() -> dict[str, int]:
    """Where VGG19's convolutions stand in torchvision's ``features``.

    >>> {name: place for name, place in vgg19_convolutions().items() if name in ("conv1_1", "conv1_2", "conv5_4")}
    {'conv1_1': 0, 'conv1_2': 2, 'conv5_4': 34}
    """
    places, place = {}, 0
    for block, count in enumerate(_CONVOLUTIONS, 1):
        for number in range(1, count + 1):
            places[f"conv{block}_{number}"] = place
            place += 2  # a ReLU behind each
        place += 1  # a pooling behind each block
    return places


def _imagenet() -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of ImageNet's colours, (1,3,1,1) each."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)


def draw_values(net: nn.Module) -> None:
    """He initialisation, the same in every run, process and resume; the run's own random numbers stay as they are."""
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        if parameter.dim() > 1:
            spread = (2.0 / parameter[0].numel()) ** 0.5
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * spread)
        else:
            parameter.data.zero_()


def _of_features(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Without the classifier and the convolutions behind the last one used; anything else foreign stays, and fails."""
    last = len(net.features)  # type: ignore[arg-type]

    def unused(name: str) -> bool:
        part, _, rest = name.partition(".")
        return part == "classifier" or (part == "features" and int(rest.split(".")[0]) >= last)

    return {name: tensor for name, tensor in state.items() if not unused(name)}
