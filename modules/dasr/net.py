"""DASR's networks: the predictor of the degradation, and SRResNet with convolutions mixed of experts for each image."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.dasr.targets import SIZE as DEGRADATION_SIZE


class ExpertConv(nn.Module):
    """A 3x3 convolution whose filters are a weighted sum of ``experts``, with other weights for every image.

    Args:
        inner: channels of the input.
        outer: channels of the output.
        experts: how many sets of filters there are.
    """

    def __init__(self, inner: int, outer: int, experts: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, outer, inner, 3, 3))
        self.bias = nn.Parameter(torch.zeros(experts, outer))
        for expert in self.weight.data:  # as SRResNet: He's (fan in) times 0.1
            nn.init.kaiming_normal_(expert).mul_(0.1)

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """Filters ``x`` (B,inner,h,w) by ``mix`` (B,experts), to (B,outer,h,w)."""
        batch, _, height, width = x.shape
        weight = (mix @ self.weight.flatten(1)).view(-1, *self.weight.shape[2:])
        bias = (mix @ self.bias).flatten()
        out = F.conv2d(x.reshape(1, -1, height, width), weight, bias, padding=1, groups=batch)
        return out.view(batch, -1, height, width)


class ExpertBlock(nn.Module):
    """x + conv(relu(conv(x))), both mixed of experts."""

    def __init__(self, features: int, experts: int) -> None:
        super().__init__()
        self.conv1 = ExpertConv(features, features, experts)
        self.conv2 = ExpertConv(features, features, experts)

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """(B,features,h,w) and (B,experts) to (B,features,h,w)."""
        return x + self.conv2(F.relu(self.conv1(x, mix)), mix)


class ExpertSRResNet(nn.Module):
    """SRResNet of mixed convolutions, with the names of the released ``net_g.pth``; 7,587,855 parameters at x4.

    Args:
        scale: 2, 3 or 4.
        features: channels.
        blocks: residual blocks.
        experts: sets of filters in every convolution.

    Raises:
        InputError: another scale.
    """

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16, experts: int = 5) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise InputError(f"DASR has no x{scale}", where="model.init_args.scale", remedy="use scale 2, 3 or 4")
        self.scale = scale
        self.step = 2 if scale == 4 else scale
        self.conv_first = ExpertConv(3, features, experts)
        self.body = nn.ModuleList(ExpertBlock(features, experts) for _ in range(blocks))
        self.upconv1 = ExpertConv(features, features * self.step**2, experts)
        self.upconv2 = ExpertConv(features, features * 4, experts) if scale == 4 else None
        self.conv_hr = ExpertConv(features, features, experts)
        self.conv_last = ExpertConv(features, 3, experts)

    def forward(self, lq: Tensor, mix: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] by ``mix`` (B,experts) to (B,3,scale*h,scale*w), not clamped."""
        x = F.leaky_relu(self.conv_first(lq, mix), 0.1)
        for block in self.body:
            x = block(x, mix)
        x = F.leaky_relu(F.pixel_shuffle(self.upconv1(x, mix), self.step), 0.1)
        if self.upconv2 is not None:
            x = F.leaky_relu(F.pixel_shuffle(self.upconv2(x, mix), 2), 0.1)
        x = self.conv_last(F.leaky_relu(self.conv_hr(x, mix), 0.1), mix)
        return x + F.interpolate(lq, scale_factor=self.scale, mode="bilinear", align_corners=False)

    def copied(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """SRResNet's tensors, copied into every expert, as the released training starts."""
        experts = self.conv_first.weight.shape[0]
        return {name: t.unsqueeze(0).repeat(experts, *[1] * t.dim()) for name, t in state.items()}


class DegradationPredictor(nn.Module):
    """Reads from an image how it was degraded, with the names of the released ``net_p.pth``; 468,143 parameters.

    Args:
        features: channels.
        experts: how many weights to give.
    """

    def __init__(self, features: int = 64, experts: int = 5) -> None:
        super().__init__()
        channels = [3, *[features] * 5, DEGRADATION_SIZE]
        layers: list[nn.Module] = []
        for i, (inner, outer) in enumerate(pairwise(channels)):
            layers += [nn.Conv2d(inner, outer, 5, stride=2 if i == 3 else 1, padding=2), nn.LeakyReLU(0.2)]
        self.ConvNet = nn.Sequential(*layers)
        # No activation between the two, in the released code as in the paper's Fig. 2.
        self.MappingNet = nn.Sequential(nn.Linear(DEGRADATION_SIZE, 15), nn.Linear(15, experts))

    def forward(self, lq: Tensor) -> tuple[Tensor, Tensor]:
        """From ``lq`` (B,3,h,w) the degradation (B,33) as ``targets.py`` orders it, and the mix (B,experts)."""
        degradation = self.ConvNet(lq).mean((2, 3))
        return degradation, self.MappingNet(degradation)


class DASRNet(nn.Module):
    """Predictor and SRResNet of experts together, 8,055,998 parameters at x4.

    Args:
        scale: 2, 3 or 4.
        features: channels of both.
        blocks: residual blocks.
        experts: sets of filters in every convolution.
    """

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16, experts: int = 5) -> None:
        super().__init__()
        self.restorer = ExpertSRResNet(scale, features, blocks, experts)
        self.predictor = DegradationPredictor(features, experts)

    def both(self, lq: Tensor) -> tuple[Tensor, Tensor]:
        """Sr of ``lq`` (B,3,h,w), not clamped, and the predicted degradation (B,33)."""
        degradation, mix = self.predictor(lq)
        return self.restorer(lq, mix), degradation

    def forward(self, lq: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] to (B,3,scale*h,scale*w), not clamped."""
        return self.both(lq)[0]
