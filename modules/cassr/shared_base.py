"""One base model in memory for both of CasSR's stages, where the second makes its references by the first."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch

from srbench.module import SRModule
from srbench.modules.cassr.activation import CasSRActivation
from srbench.modules.cassr.controls import copy_downward

_ALIKE = ("base", "family", "size", "slicing")


def can_share(model: SRModule, owner: Any) -> TypeGuard[CasSRActivation]:
    """Whether ``model`` may work with the UNet, autoencoder and text encoder of ``owner``.

    It is stage 1 of the same base, in the number format that its owner will have, and neither moves networks off the
    accelerator. Both leave the UNet frozen, and as it is between two predictions: tuners and attentions are put in for
    the length of one.

    Args:
        model: makes references.
        owner: stage 2.
    """
    return (
        isinstance(model, CasSRActivation)
        and not (model._prepared or model.offload or owner.offload)
        and all(getattr(model, name) == getattr(owner, name) for name in _ALIKE)
        and model.wording.prompts.folder == owner.wording.prompts.folder
        and model.half_format == (torch.float32 if owner.is_fitting else owner.half_format)
    )


def share(model: CasSRActivation, owner: Any) -> None:
    """Gives ``model`` the networks of ``owner``, whose base is loaded; its own are let go of."""
    model.unet, model._stock = owner.unet, owner._stock
    model.vae.put(owner.vae.net)
    model.wording.prompts = owner.wording.prompts
    if model.tuner == "controlnet":
        copy_downward(model.unet, model.tuners)
    model.borrowed = True
