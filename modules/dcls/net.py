"""DCLS's networks, with the released names: an estimator of the kernel, and a restorer on two paths."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.dcls.least_squares import LeastSquares

FILTERS: dict[int, tuple[int, ...]] = {11: (7, 3, 3, 1), 21: (11, 7, 5, 1), 31: (11, 9, 7, 5, 3)}
"""Side of the kernel -> sides of the filters that it is composed of (21 isotropic, 31 anisotropic x4, 11 x2)."""

_HELD = 16  # channels between these filters


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.1)


def _he(module: nn.Module, gain: float) -> None:
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data.mul_(gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """x + conv(leaky(conv(x)))."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        _he(self, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,h,w) to the same."""
        return x + self.conv2(F.leaky_relu(self.conv1(x), 0.1))


class ChannelAttention(nn.Module):
    """Channels weighted by what their means say."""

    def __init__(self, features: int, reduction: int = 4) -> None:
        super().__init__()
        inner = features // reduction
        self.conv_du = nn.Sequential(
            nn.Conv2d(features, inner, 1), nn.ReLU(), nn.Conv2d(inner, features, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,h,w) to the same."""
        return x * self.conv_du(x.mean((2, 3), keepdim=True))


class DualBlock(nn.Module):
    """The two paths once more: deblurred features, which also see the others, and primitive ones (DPCAB)."""

    def __init__(self, clear: int, primitive: int) -> None:
        super().__init__()
        self.body1, self.body2 = (
            nn.Sequential(nn.Conv2d(n, n, 3, padding=1), _leaky(), nn.Conv2d(n, n, 3, padding=1))
            for n in (clear, primitive)
        )
        self.CA_body1 = nn.Sequential(
            _leaky(), nn.Conv2d(clear + primitive, clear, 3, padding=1), ChannelAttention(clear)
        )
        self.CA_body2 = ChannelAttention(primitive)

    def forward(self, clear: Tensor, primitive: Tensor) -> tuple[Tensor, Tensor]:
        """(B,C,h,w) and (B,C',h,w) to the same."""
        first, second = self.body1(clear), self.body2(primitive)
        return clear + self.CA_body1(torch.cat([first, second], 1)), primitive + self.CA_body2(second)


class DualGroup(nn.Module):
    """Blocks of both paths (DPCAG).

    Around them the paper has a skip. The released code adds its blocks' output to itself, as they overwrite the list
    that held the input, so the output is doubled; the released weights were trained so, and it is followed.
    """

    def __init__(self, clear: int, primitive: int, blocks: int) -> None:
        super().__init__()
        self.body = nn.ModuleList(DualBlock(clear, primitive) for _ in range(blocks))

    def forward(self, clear: Tensor, primitive: Tensor) -> tuple[Tensor, Tensor]:
        """(B,C,h,w) and (B,C',h,w) to the same."""
        for block in self.body:
            clear, primitive = block(clear, primitive)
        return 2 * clear, 2 * primitive


class Estimator(nn.Module):
    """Reads from lq the kernel at its size, as a product of small filters (DDLK).

    Args:
        features: channels.
        latent: numbers that the filters are made of.
        side: of the kernel, one of :data:`FILTERS`.
    """

    def __init__(self, features: int = 64, latent: int = 256, side: int = 21) -> None:
        super().__init__()
        self.side = side
        self.filters = FILTERS[side]
        self.head = nn.Sequential(nn.Conv2d(3, features, 7, padding=3))
        self.body = nn.Sequential(nn.Sequential(*(ResidualBlock(features) for _ in range(3))))
        self.tail = nn.Sequential(
            *(nn.Conv2d(features, features, 3), _leaky(), nn.Conv2d(features, features, 3)),
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(features, latent, 1), nn.Flatten()),
        )
        ends = (0, len(self.filters) - 1)
        self.dec = nn.ModuleList(
            nn.Linear(latent, _HELD * (3 if i in ends else _HELD) * f**2) for i, f in enumerate(self.filters)
        )
        _he(self, 1.0)

    def forward(self, lq: Tensor) -> Tensor:
        """The kernel of ``lq`` (B,3,h,w), (B,1,side,side) of sum 1."""
        first = self.head(lq)
        latent = self.tail(self.body(first) + first)
        return self._composed([layer(latent) for layer in self.dec], len(lq))

    def _composed(self, values: list[Tensor], batch: int) -> Tensor:
        """The filters of every image, one behind the other, on an image of one bright pixel."""
        kernel = values[0].new_ones(1, 3 * batch, 1, 1)
        for i, (held, side) in enumerate(zip(values, self.filters, strict=True)):
            inner, outer = (3 if i == 0 else _HELD), (3 if i == len(values) - 1 else _HELD)
            weight = held.reshape(batch * outer, inner, side, side)
            kernel = F.conv2d(kernel, weight, padding=0 if i else self.side - 1, groups=batch)
        kernel = kernel.view(batch, 3, self.side, self.side).flip((2, 3)).mean(1, keepdim=True)
        return kernel / kernel.sum((2, 3), keepdim=True)


class Restorer(nn.Module):
    """Features, deblurred by the kernel on one path and as they are on the other, to sr.

    Args:
        scale: 2, 3 or 4.
        features: channels.
        blocks: in a group.
        groups: of both paths.
        reduction: channels of the other path are a ``reduction``-th.
    """

    def __init__(self, scale: int, features: int, blocks: int, groups: int, reduction: int = 4) -> None:
        super().__init__()
        less = features // reduction
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.feature_block = nn.Sequential(*(ResidualBlock(features) for _ in range(3)))
        self.head1 = nn.Conv2d(features, less, 3, padding=1)
        self.head2 = LeastSquares(features, reduction)
        self.body = nn.ModuleList(DualGroup(features, less, blocks) for _ in range(groups))
        self.fusion = nn.Conv2d(features + less, features, 3, padding=1)
        steps = {2: [2], 3: [3], 4: [2, 2]}[scale]
        pairs = ((nn.Conv2d(features, features * s**2, 3, padding=1), nn.PixelShuffle(s)) for s in steps)
        self.upscale = nn.Sequential(*(layer for pair in pairs for layer in pair), nn.Conv2d(features, 3, 3, padding=1))

    def forward(self, lq: Tensor, kernel: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) by ``kernel`` (B,1,k,k) to (B,3,s*h,s*w), clamped to [0,1]."""
        first = self.conv_first(lq)
        features = self.feature_block(first)
        clear, primitive = self.head2(features, kernel), self.head1(features)
        for group in self.body:
            clear, primitive = group(clear, primitive)
        # Clamped inside the network, in training too: as released.
        return self.upscale(self.fusion(torch.cat([primitive, clear], 1)) + first).clamp(0.0, 1.0)


class DCLSNet(nn.Module):
    """Estimator and restorer; at x4 13,626,187 parameters with kernels of 21, 19,054,027 with kernels of 31.

    Args:
        scale: 2, 3 or 4.
        side: of the kernel: 21 (isotropic blur), 31 (anisotropic, x4), 11 (anisotropic, x2).
        features: channels.
        blocks: in a group.
        groups: of the restorer.
        latent: numbers that the estimator's filters are made of.

    Raises:
        InputError: another scale or side, or fewer than 16 features.
    """

    def __init__(
        self, scale: int = 4, side: int = 21, features: int = 64, blocks: int = 10, groups: int = 5, latent: int = 256
    ) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise InputError(f"DCLS has no x{scale}", where="model.init_args.scale", remedy="use scale 2, 3 or 4")
        if side not in FILTERS:
            known = ", ".join(map(str, FILTERS))
            raise InputError(f"DCLS has no kernel of {side}", where="model.init_args.side", remedy=f"use {known}")
        if features < 16:
            raise InputError(
                f"{features} features leave none to a quarter of a quarter of them, which DCLS weighs channels by",
                where="model.init_args.features",
                remedy="use 16 or more",
            )
        self.restorer = Restorer(scale, features, blocks, groups)
        self.estimator = Estimator(features, latent, side)

    def both(self, lq: Tensor) -> tuple[Tensor, Tensor]:
        """Sr of ``lq`` (B,3,h,w) in [0,1], and the kernel (B,1,side,side), which learns nothing from sr."""
        kernel = self.estimator(lq)
        return self.restorer(lq, kernel.detach()), kernel

    def forward(self, lq: Tensor) -> Tensor:
        """Upscales ``lq`` (B,3,h,w) in [0,1] to (B,3,scale*h,scale*w) in [0,1]."""
        return self.both(lq)[0]

    @staticmethod
    def rename_upstream(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The released names (``Restorer.``, ``Estimator.``) in ours."""
        return {name[:1].lower() + name[1:]: tensor for name, tensor in state.items()}
