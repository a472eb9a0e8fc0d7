"""The network that says what is in an image: RAM, or RAM with the low-rank additions DAPE or REE."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.dacesr.extractor import DAPE, RAM, extractor, meta_tagger
from srbench.modules.nets import lora
from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.ram import RAMTagger
from srbench.naming import unknown_name

Kind = Literal["none", "ram", "dape", "ree"]
"""``none``: no condition; ``ram``: plain RAM; ``dape``, ``ree``: RAM with these additions."""

Embedding = Literal["representation", "logits"]
"""RE (B,145,512), the paper's choice, or LE (B,4585)."""

MAKES_REE = "methods/dacesr/1_ree.yaml"


class ConditionEncoder(nn.Module):
    """The frozen encoder; it has no values until :meth:`load`, and is in no checkpoint, optimiser or train mode.

    Args:
        kind: which network.
        embedding: what it gives.
        size: sizes of the tagger, a name of :data:`srbench.modules.nets.ram.PRESETS`.
        additions: file of the low-rank additions. None takes the catalogue's file for ``dape``; for ``ree``, which was
            never published, there is none.

    Raises:
        InputError: a name is unknown, or additions are given to a network without.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        embedding: Embedding = "representation",
        size: str = "swin_large",
        additions: str | None = None,
    ) -> None:
        super().__init__()
        for what, value, valid in (("encoder", kind, Kind), ("embedding", embedding, Embedding)):
            if value not in get_args(valid):
                raise unknown_name(what, value, get_args(valid), where=f"model.init_args.{what}")
        if additions is not None and kind in ("none", "ram"):
            raise InputError(
                f"encoder {kind} takes no low-rank additions",
                where="model.init_args.additions",
                remedy="leave it out, or set model.init_args.encoder to dape or ree",
            )
        self.kind, self.embedding, self.additions = kind, embedding, additions
        self.size = size
        self.frozen = None if kind == "none" else Frozen(self._needed(meta_tagger(size, low_rank=False)))

    def load(self, module: SRModule) -> None:
        """Fills the network, once, for a stage that may let random values stand in and is stamped then.

        Raises:
            InputError: weights are absent or unfit; it names the command that brings them.
        """
        if self.frozen is None or not self.frozen.is_meta:
            return
        net = extractor(module, self.size, self._source(module))
        lora.merge(net, keep=False)
        self.frozen.put(self._needed(net).to(module.device))

    @torch.no_grad()
    def forward(self, lq: Tensor) -> Tensor | None:
        """The embedding of images (B,3,h,w) in [0,1]; None without an encoder."""
        if self.frozen is None:
            return None
        net = self.frozen.net
        assert isinstance(net, RAMTagger)
        tokens = net.representation(net.prepared(lq))
        return net.logits(tokens) if self.embedding == "logits" else tokens

    def parts(self) -> dict[str, nn.Module]:
        """The network under its kind's name."""
        return {} if self.frozen is None else {self.kind: self.frozen.net}

    def _needed(self, net: RAMTagger) -> RAMTagger:
        """Without the tagging head, where only the representation is asked for."""
        if self.embedding == "representation":
            for part in ("tagging_head", "fc", "wordvec_proj", "label_embed"):
                delattr(net, part)
        return net

    def _source(self, module: SRModule) -> str:
        """What :func:`~srbench.modules.dacesr.extractor.extractor` calls the encoder."""
        if self.additions is not None and Path(self.additions).is_file():
            return self.additions
        if self.kind == RAM or (self.kind == DAPE and self.additions is None):
            return self.kind
        if self.additions is None and module.allow_random_backbones:
            module.stamp("random_backbones")  # plain RAM in its place
            return RAM
        raise InputError(
            "this stage is conditioned by low-rank additions to RAM, which are not here",
            where=self.additions or "model.init_args.additions",
            remedy=f"run srbench fit --config {MAKES_REE} and give its checkpoint by --model.init_args.additions, or "
            "set --model.init_args.encoder to ram or none and additions to null",
        )
