"""Tuners of a UNet's skip connections: SCEdit (arXiv 2312.11392), which CasSR activates images with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from srbench.errors import InputError

Kernel = Literal[1, 3]

HINT_WIDTHS = (16, 16, 32, 32, 96, 96, 256)
"""Widths of the convolutions that bring an RGB image to the latents' size; those before 32, 96 and 256 halve it."""


class SCTuner(nn.Module):
    """What a tuner adds to one skip: per pixel, down to ``ratio`` times its channels, GELU, and up again.

    Zero when it is made, so that training starts from the network as it is.

    Args:
        width: channels of the skip.
        ratio: of the channels in between; the released code has 1.
    """

    def __init__(self, width: int, ratio: float = 1.0) -> None:
        super().__init__()
        inner = int(width * ratio)
        self.down = nn.Linear(width, inner)
        self.up = nn.Linear(inner, width)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, skip: Tensor) -> Tensor:
        """The change of ``skip`` (B,C,H,W)."""
        return self.up(F.gelu(self.down(skip.movedim(1, -1)))).movedim(-1, 1)


class HintNet(nn.Module):
    """From an image to a hint for every skip: a stem of 3x3 convolutions, then a chain of zero-initialised ones.

    Args:
        widths: channels of the skips, the first one first.
        strides: by how much each skip is smaller than the one before it.
        kernel: of the chain. SCEdit's 7.9 % of a ControlNet's parameters are those of 1; the released YAML says 3.
        stem: see :data:`HINT_WIDTHS`.
    """

    def __init__(
        self, widths: Sequence[int], strides: Sequence[int], kernel: Kernel = 1, stem: Sequence[int] = HINT_WIDTHS
    ) -> None:
        super().__init__()
        if kernel not in (1, 3):
            raise InputError(f"there is no kernel {kernel}", where="model.init_args.hint_kernel", remedy="use 1 or 3")
        layers: list[nn.Module] = []
        before = 3
        for i, width in enumerate(stem):
            shrinks = i > 0 and i % 2 == 0
            layers += [nn.Conv2d(before, width, 3, padding=1, stride=2 if shrinks else 1), nn.SiLU()]
            before = width
        self.stem = nn.Sequential(*layers[:-1])
        self.chain = nn.ModuleList()
        for width, stride in zip(widths, strides, strict=True):
            conv = nn.Conv2d(before, width, kernel, padding=kernel // 2, stride=stride)
            nn.init.zeros_(conv.weight)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            self.chain.append(nn.Sequential(nn.SiLU(), conv))
            before = width

    def forward(self, image: Tensor) -> list[Tensor]:
        """Hints of ``image`` (B,3,8h,8w) RGB in [0,1] for latents (B,4,h,w), one of each skip's size."""
        hint = self.stem(image)
        hints = []
        for link in self.chain:
            hint = link(hint)
            hints.append(hint)
        return hints


class SkipTuners(nn.Module):
    """The tuners of all skips of a UNet, with hints of an image (CSC-Tuner) or without (SC-Tuner).

    SD 1.5 has 12 skips: 19,680,000 parameters without hints, 28,824,400 with hints of kernel 1, 99,111,760 of kernel 3.
    Equal to scepter's ``CSCTuners`` (commit 9f5b439) on equal weights. Not conditioned on time, so an image's hints are
    made once. All hints but the first come out of zero-initialised layers behind zero-initialised layers: their weights
    start to learn one step after the biases before them.

    Args:
        widths: channels of the skips, the first one first; see :func:`skip_shapes`.
        strides: by how much each is smaller than the one before it.
        hinted: whether there are hints.
        kernel: of the hints' chain.
        ratio: of the tuners' inner channels.
        strength: what their change is multiplied by.
        stem: widths of the hints' stem.
    """

    def __init__(
        self,
        widths: Sequence[int],
        strides: Sequence[int],
        *,
        hinted: bool = True,
        kernel: Kernel = 1,
        ratio: float = 1.0,
        strength: float = 1.0,
        stem: Sequence[int] = HINT_WIDTHS,
    ) -> None:
        super().__init__()
        self.strength = strength
        self.tuners = nn.ModuleList(SCTuner(width, ratio) for width in widths)
        self.hint_net = HintNet(widths, strides, kernel, stem) if hinted else None

    def hints(self, image: Tensor) -> list[Tensor] | None:
        """The hints of ``image`` (B,3,8h,8w) in [0,1]; None for tuners without."""
        return None if self.hint_net is None else self.hint_net(image)

    def forward(self, index: int, skip: Tensor, hints: Sequence[Tensor] | None) -> Tensor:
        """Skip number ``index`` (B,C,H,W), edited: s + strength (h + tuner(s + h)), h being 0 without hints."""
        tuner = self.tuners[index]
        if hints is None:
            return skip + self.strength * tuner(skip)
        return skip + self.strength * (hints[index] + tuner(skip + hints[index]))

    def rename_upstream(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Maps the names of scepter's ``CSCTuners``, whose tuners stand in the order of the upward path."""
        last = len(self.tuners) - 1
        renamed = {}
        for name, tensor in state.items():
            head, _, rest = name.removeprefix("model.").removeprefix("0.").partition(".")
            if head == "lsc_tuner_blocks":
                place, _, inner = rest.partition(".tuner_op.")
                name = f"tuners.{last - int(place)}.{inner.replace('ln1', 'down').replace('ln2', 'up')}"
            elif head in ("pre_hint_blocks", "dense_hint_blocks"):
                name = f"hint_net.{'stem' if head.startswith('pre') else 'chain'}.{rest}"
            renamed[name] = tensor
        return renamed


def skip_shapes(unet: nn.Module) -> tuple[list[int], list[int]]:
    """Channels of a diffusers UNet's skips, and by how much each is smaller than the one before it.

    Args:
        unet: ``UNet2DConditionModel``.

    Returns:
        Of SD 1.5: 320 x 4, 640 x 3, 1280 x 5; 2 at the fourth, seventh and tenth, else 1.
    """
    config: Any = unet.config
    widths, strides = [config.block_out_channels[0]], [1]
    for block, width in zip(unet.down_blocks, config.block_out_channels, strict=True):  # type: ignore[arg-type]
        widths += [width] * len(block.resnets)
        strides += [1] * len(block.resnets)
        if block.downsamplers is not None:
            widths.append(width)
            strides.append(2)
    return widths, strides


@contextmanager
def edited_skips(unet: nn.Module, tuners: SkipTuners, hints: Sequence[Tensor] | None) -> Iterator[None]:
    """Within it, ``unet`` reads every skip as ``tuners`` edit it; the middle block's output stays as it is.

    Args:
        unet: ``UNet2DConditionModel``.
        tuners: for its skips.
        hints: of the images (B or 1, ...), see :meth:`SkipTuners.hints`.
    """
    blocks: list[Any] = list(unet.up_blocks)  # type: ignore[arg-type]
    first = sum(len(block.resnets) for block in blocks)
    handles = []
    for block in blocks:
        first -= len(block.resnets)
        handles.append(block.register_forward_pre_hook(_editor(tuners, hints, first), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _editor(tuners: SkipTuners, hints: Sequence[Tensor] | None, first: int) -> Any:
    def edit(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        skips: tuple[Tensor, ...] = kwargs["res_hidden_states_tuple"]
        edited = tuple(tuners(first + i, skip, hints) for i, skip in enumerate(skips))
        return args, {**kwargs, "res_hidden_states_tuple": edited}

    return edit
