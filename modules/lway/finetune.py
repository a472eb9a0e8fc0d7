"""LWayFinetune: step 2, a trained network adapted to the unlabelled lq of one test set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.module import SRModule
from srbench.modules.adaptation_signs import warn_of_blindness
from srbench.modules.adapted import AdaptedSR
from srbench.modules.losses.reconstruction import ReconstructionLoss
from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.lr_reconstruction import (
    LRReconstruction,
    Preset,
    ReconSpace,
    lr_reconstruction,
    sizes_of,
)
from srbench.modules.nets.modulated_reconstructor import EntryKind
from srbench.modules.stage_checkpoint import need_maker, need_options, need_stage
from srbench.weights import checkpoint_marks, load_state, load_strict

MAKES_PRETRAINED = "methods/lway/1_pretrain.yaml"


class LWayFinetune(AdaptedSR):
    """Step 2 of LWay: a trained network adapts to one test set's lq, under the frozen reconstruction of step 1.

    The loss is W L_rec(R(E_deg(lq), sr), lq), lowered by the network that makes sr alone (HR-aware, Eq. 3, has it
    without W).

    E_deg and R are those of step 1 and frozen; R's noise is left out. ``preset``, ``recon_space``, ``entry`` and
    ``demodulate`` must be those of step 1, see :class:`~srbench.modules.lway.pretrain.LWayPretrain`.

    Args:
        model: the method whose network is adapted, see :class:`~srbench.modules.adapted.AdaptedSR`.
        pretrained: checkpoint of step 1; None needs ``allow_random_backbones``, and is marked.
        hf_weight: weight L_rec by W, the detail of lq (the authors' answers; which wavelet is ours).
        l1_weight: of L1 in L_rec; not published, 1 is ours.
        lpips_weight: of LPIPS-vgg in L_rec; likewise.
        kwargs: see :class:`~srbench.modules.adapted.AdaptedSR`.
    """

    suffix = "-LWay"

    def __init__(
        self,
        model: SRModule,
        *,
        pretrained: str | None = None,
        preset: Preset = "paper",
        recon_space: ReconSpace = "hr",
        entry: EntryKind = "unshuffle",
        demodulate: bool = True,
        hf_weight: bool = True,
        l1_weight: float = 1.0,
        lpips_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, **kwargs)
        self.pretrained = pretrained
        self.preset = preset
        self.options: dict[str, Any] = {"recon_space": recon_space, "entry": entry, "demodulate": demodulate}
        self.loss = ReconstructionLoss(l1_weight=l1_weight, lpips_weight=lpips_weight, hf_weight=hf_weight)
        with torch.device("meta"):
            self.reconstruction = Frozen(self._network())

    def parts(self) -> dict[str, nn.Module]:
        """The adapted network as ``net``; the frozen ``e_deg`` and ``r``, and ``r_entry`` in the space lr."""
        return {**super().parts(), **self._reconstruction.parts()}

    def fill(self) -> None:
        """Gives E_deg and R step 1's values, and LPIPS the published ones.

        Raises:
            InputError: weights are absent, or of another stage or other options; it says how to get them.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # where they stay random they are the same in every process
            net = self._network()
        if self.pretrained is None and self.allow_random_backbones:
            self.stamp("random_backbones")
        else:
            path = need_stage(self.pretrained, MAKES_PRETRAINED)
            need_maker(path, "LWayPretrain", MAKES_PRETRAINED)
            need_options(path, {"preset": self.preset, **self.options})
            load_strict(net, load_state(path, part="net"), where=path)
            self.stamp(*checkpoint_marks(path))
        self.reconstruction.put(net)
        if self.loss.backbone is not None:
            self.loss.load(self.backbone(self.loss.backbone))

    def objective(self, batch: Batch, sr: Tensor) -> Mapping[str, Tensor]:
        """``l_l1`` and ``l_lpips`` of L_rec, weighted."""
        net = self._reconstruction
        target = net.target(batch["lq"], sr)
        made = net(target, net.image_features(sr))
        if self.global_step == 0 and self.pretrained is not None:
            warn_of_blindness(made, target)
        terms = self.loss(made, target)
        losses = {"l_l1": terms.l1, "l_lpips": terms.lpips}
        return {name: loss for name, loss in losses.items() if loss is not None}

    @property
    def _reconstruction(self) -> LRReconstruction:
        held = self.reconstruction.net
        assert isinstance(held, LRReconstruction)
        return held

    def _network(self) -> LRReconstruction:
        chosen = {**self.options, "space": self.options["recon_space"], "scale": self.scale}
        chosen.pop("recon_space")
        return lr_reconstruction(sizes_of(self.preset), **chosen)
