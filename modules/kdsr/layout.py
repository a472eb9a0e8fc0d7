"""The tensors' names in the released files, ``KDSRT-rec.pth``, ``KDSRS-rec.pth`` and ``KDSRS-GAN.pth``, in ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.kdsr.net import RGB_MEAN

CONSTANTS = tuple(f"G.{sign}_mean.{part}" for sign in ("sub", "add") for part in ("weight", "bias"))
"""What these files hold beyond the networks: the mean colour, as 1x1 convolutions. Upstream loads the file of the
adversarial student without asking whether all of it fits; of what that could hide, nothing else is taken here."""

_NAMES = (
    (r"G\.head\.0\.", "generator.head."),
    (r"G\.body\.0\.body\.(\d+)\.da_conv1\.kernel\.", r"generator.blocks.\1.filter.kernel."),
    (r"G\.body\.0\.body\.(\d+)\.conv1\.", r"generator.blocks.\1.conv."),
    (r"G\.body\.1\.", "generator.after_blocks."),
    (r"G\.tail\.0\.(\d+)\.", r"generator.tail.\1."),
    (r"E(?:_st)?\.E\.", "encoder.features."),
    (r"E(?:_st)?\.(mlp|compress)\.", r"encoder.\1."),
)


def is_released(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the released names."""
    return "G.head.0.weight" in state


def from_released(state: Mapping[str, Tensor], scale: int, where: str | Path) -> dict[str, Tensor]:
    """The released names in ours; names that are not known pass unchanged, for the strict loading to refuse.

    Raises:
        InputError: the mean colour in it is another one.
    """
    _check_mean(state, where)
    last = f"generator.tail.{ {2: 2, 3: 2, 4: 4, 8: 6}[scale] }."
    renamed = {}
    for name, tensor in state.items():
        if name in CONSTANTS:
            continue
        if name.startswith("G.tail.1."):
            renamed[last + name.rpartition(".")[2]] = tensor
            continue
        for pattern, ours in _NAMES:
            name, found = re.subn(rf"^{pattern}", ours, name)
            if found:
                break
        renamed[name] = tensor
    return renamed


def _check_mean(state: Mapping[str, Tensor], where: str | Path) -> None:
    wanted = {"weight": torch.eye(3).view(3, 3, 1, 1), "bias": torch.tensor(RGB_MEAN)}
    for name in CONSTANTS:
        held, part = state.get(name), name.rpartition(".")[2]
        sign = -1 if name == "G.sub_mean.bias" else 1
        if held is not None and not torch.allclose(held.float(), sign * wanted[part], atol=1e-5):
            raise InputError(
                f"{name} is not the mean colour of images in [0,1]",
                where=where,
                remedy="give a file of KDSR-GAN, not of KDSR-classic",
            )
