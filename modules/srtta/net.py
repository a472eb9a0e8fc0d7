"""The degradation classifier's network, in the released key layout."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError

Preset = Literal["resnet50", "small"]

TYPES = ("blur", "noise", "jpeg")
"""What is told apart, in the order of the network's outputs."""


class DegradationClassifier(nn.Module):
    """ResNet-50 with its 1000 outputs, a linear layer to 128, length 1, a linear layer to 3 (``model/classifier.py``).

    Images go in as they are, in [0,1], without ImageNet's mean and deviation.

    Args:
        preset: ``resnet50`` as released, or ``small``, a thin one of four blocks for trials.
        features: length of the normalised vector.
    """

    def __init__(self, preset: Preset = "resnet50", features: int = 128) -> None:
        super().__init__()
        self.backbone = _backbone(preset)
        self.head = nn.Linear(1000, features)
        self.classifier = nn.Linear(features, len(TYPES))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B,3) of :data:`TYPES` for images (B,3,h,w) in [0,1], of any size."""
        return self.classifier(F.normalize(self.head(self.backbone(images)), dim=1))

    @torch.no_grad()
    def found(self, image: Tensor, threshold: float = 0.5) -> tuple[str, ...]:
        """The types whose probability in (1,3,h,w) is above ``threshold``; none for a clean image."""
        probabilities = torch.sigmoid(self(image))[0]
        return tuple(name for name, p in zip(TYPES, probabilities.tolist(), strict=True) if p > threshold)


def labels(kind: str) -> tuple[float, ...]:
    """Which of :data:`TYPES` a degradation's name speaks of, as 0 and 1.

    >>> labels("BlurJPEG"), labels("Original")
    ((1.0, 0.0, 1.0), (0.0, 0.0, 0.0))
    """
    return tuple(float(name in kind.lower()) for name in TYPES)


def _backbone(preset: str) -> nn.Module:
    from torchvision.models.resnet import Bottleneck, ResNet  # slow to import, and not every command needs it

    sizes: dict[str, dict[str, Any]] = {
        "resnet50": {"layers": [3, 4, 6, 3]},
        "small": {"layers": [1, 1, 1, 1], "width_per_group": 8},
    }
    if preset not in sizes:
        raise InputError(f"there is no classifier {preset!r}", where="preset", remedy="use resnet50 or small")
    return ResNet(Bottleneck, **sizes[preset])
