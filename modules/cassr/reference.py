"""Where CasSR's second stage has its reference images from (Table 2)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.cassr.activation import CasSRActivation
from srbench.modules.cassr.shared_base import can_share, share
from srbench.naming import unknown_name

Kind = Literal["lq", "scedit", "controlnet", "external"]

_TUNERS = {"scedit": ("csc", "sc"), "controlnet": ("controlnet",)}


class Reference:
    """The images that stand beside lq: the data's own, or what a model makes of lq.

    The model is no part of its owner: not in its parameters, checkpoints or train mode. It follows to a device when it
    is used, and leaves it with ``offload``.

    Args:
        kind: ``lq``: lq itself, magnified; ``scedit`` or ``controlnet``: stage 1's; ``external``: any method's.
        model: makes those that the data does not bring; None if it brings all. ``lq`` drops it.
        share_base: let stage 1 work with its owner's base, see :func:`~srbench.modules.cassr.shared_base.can_share`.

    Raises:
        InputError: the model does not fit the kind.
    """

    def __init__(self, kind: Kind, model: SRModule | None = None, *, share_base: bool = True) -> None:
        if kind not in get_args(Kind):
            raise unknown_name("reference", kind, get_args(Kind), where="model.init_args.reference")
        _check(kind, model)
        self.kind: Kind = kind
        self.share_base = share_base
        self.model = None if model is None or kind == "lq" else model.eval().requires_grad_(False)

    def prepare(self, owner: SRModule) -> None:
        """Gets the model's weights; its marks and files become its owner's.

        Raises:
            InputError: some are absent, or it magnifies by another factor.
        """
        model = self.model
        if model is None:
            return
        if model.scale != owner.scale:
            raise InputError(
                f"the reference's model magnifies by {model.scale}, this one by {owner.scale}",
                where="model.init_args.reference_model.init_args.scale",
                remedy="give both the same scale",
            )
        if model.needs_weights and model.weights is None and any(True for _ in model.parameters()):
            owner.stamp("random_backbones")
        if self.share_base and can_share(model, owner):
            share(model, owner)
        model.prepare()
        owner.inherit(model, "reference")

    def setup(self) -> None:
        """Makes the model ready to restore; its owner is."""
        if self.model is not None:
            self.model.setup("test")

    @torch.no_grad()
    def of(self, batch: Batch, owner: SRModule) -> Tensor | None:
        """References (B,3,s*h,s*w) in [0,1] of a batch; None where they are lq itself.

        What the model draws is what it draws by itself for an image of that name; what it remarks is passed on.

        Raises:
            InputError: the data brings none and there is no model.
        """
        if self.kind == "lq":
            return None
        if "ref" in batch:
            return batch["ref"]
        model = self.model
        if model is None:
            raise InputError(
                "there is no reference image of it: the data brings none, and no model makes one",
                where=batch["name"][0],
                remedy="use data/triples.yaml with references that srbench predict made by "
                "methods/cassr/1_activation.yaml, or set model.init_args.reference_model, or reference to lq",
            )
        model.to(batch["lq"].device)
        model.repeat = owner.repeat
        model._remarks.clear()
        made = model.restore(batch)
        for name, texts in model._remarks.items():
            for text in texts:
                owner.remark(name, f"reference: {text}")
        if getattr(owner, "offload", False):
            model.to("cpu")
        return made


def _check(kind: Kind, model: SRModule | None) -> None:
    if model is None:
        if kind == "external":
            raise InputError(
                "an external reference needs a method that makes it",
                where="model.init_args.reference_model",
                remedy="give its class_path and init_args, such as srbench.modules.SpandrelSR",
            )
        return
    tuner = model.tuner if isinstance(model, CasSRActivation) else None
    if kind in _TUNERS and tuner not in _TUNERS[kind]:
        found = type(model).__name__ + (f" with tuner {tuner}" if tuner else "")
        raise InputError(
            f"reference {kind} is not what {found} makes",
            where="model.init_args.reference",
            remedy="set it to external for any method",
        )
