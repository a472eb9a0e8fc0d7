"""Latents of training images on disk, for data that comes again: fixed crops, or pictures made beforehand.

A file is named after the exact pixels and the exact autoencoder it belongs to, so it can never be taken for another's,
whatever crops, flips or degradations the data has; data that never repeats finds nothing and says so.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from srbench.atomic import write_whole
from srbench.errors import InputError
from srbench.modules.nets.stable_diffusion.autoencoder import moments
from srbench.weights import state_sha256

LIMIT = 200_000
"""Files that are written at most: 26 GB of 512-pixel images."""

_PATIENCE = 2000


class LatentStore:
    """Means and log-variances of encoded images, a file each.

    Args:
        folder: where they lie; made when the first is written. May be shared by processes and runs.
        limit: files that this process writes at most.

    Attributes:
        found: images whose latents were there.
        made: images that were encoded.
    """

    def __init__(self, folder: str | Path, limit: int = LIMIT) -> None:
        self.folder = Path(folder)
        self.limit = limit
        self.found = self.made = 0
        self._autoencoder = ""
        self._said = False

    def moments(self, vae: Any, image: Tensor) -> Tensor:
        """Mean and log-variance (B,8,H/8,W/8) float32 of ``image`` (B,3,H,W) in [-1,1]: read, else made and written.

        Raises:
            InputError: a file is damaged, or none can be written.
        """
        self._autoencoder = self._autoencoder or state_sha256(vae)
        places = [self._place(one, image.device) for one in image]
        held = [_read(place) if place.is_file() else None for place in places]
        lost = [i for i, one in enumerate(held) if one is None]
        if lost:
            for i, one in zip(lost, moments(vae, image[lost]), strict=True):
                held[i] = one
                if self.made < self.limit:
                    write_whole(places[i], _bytes(one), durable=False)
                self.made += 1
        self.found += len(held) - len(lost)
        if self.made >= _PATIENCE and not (self.found or self._said):
            self._said = True
            rank_zero_warn(f"{self.folder}: none of {self.made} images came twice; these latents save nothing")
        return torch.stack([one.to(image.device) for one in held if one is not None])

    def _place(self, image: Tensor, device: torch.device) -> Path:
        half = str(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else "float32"
        digest = hashlib.sha256(f"{self._autoencoder} {device.type} {half} {tuple(image.shape)}".encode())
        digest.update(image.detach().float().cpu().contiguous().numpy().data)
        name = digest.hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"


def _bytes(held: Tensor) -> bytes:
    from safetensors.torch import save

    return save({"moments": held.detach().float().cpu().contiguous()})


def _read(place: Path) -> Tensor:
    from safetensors.torch import load_file

    try:
        return load_file(place)["moments"]
    except Exception as error:  # safetensors raises its own
        raise InputError("these latents are damaged", where=place, remedy="delete the file") from error
