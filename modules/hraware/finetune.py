"""HRAwareFinetune: stage 2, a trained network adapted to the unlabelled lq of one test set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.adaptation_signs import warn_of_blindness
from srbench.modules.adapted import AdaptedSR
from srbench.modules.hraware.controller import BACKBONE, Controller, NEval, SMode
from srbench.modules.hraware.far import FeatureAlignment
from srbench.modules.hraware.far_encoder import CLIPLayer, FarEncoder, FarEncoderName, make_encoder
from srbench.modules.hraware.network import load_pretrained, network
from srbench.modules.losses.reconstruction import ReconstructionLoss
from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.lr_reconstruction import LRReconstruction, Preset, ReconSpace, enlarged, sizes_of
from srbench.modules.nets.modulated_reconstructor import EntryKind
from srbench.modules.stage_checkpoint import need_maker, need_options, need_stage
from srbench.weights import checkpoint_marks

MAKES_PRETRAINED = "methods/hraware/1_pretrain.yaml"

WEIGHT_KEY = "far_weight"
"""Entry of our checkpoints: lambda_ft, where it was set by the first step."""


class HRAwareFinetune(AdaptedSR):
    """Stage 2 of HR-aware: a trained network adapts to one test set's lq, under the frozen reconstruction of stage 1.

    The loss is L_rec(R(s E_deg(lq), E_img(sr)), lq) + lambda_ft Phi_far(sr), lowered by the network that makes sr
    alone.

    E_deg, E_img, R, T_a and T_m are those of stage 1 and frozen, with CLIP. R's noise is left out. ``preset``,
    ``recon_space``, ``entry``, ``demodulate``, ``use_s``, ``far_encoder`` and ``clip_layer`` must be those of stage 1,
    see :class:`~srbench.modules.hraware.pretrain.HRAwarePretrain`. A stage 1 that makes lq again no better than its
    mean colour (too short a training for its average) is warned of: FAR alone then moves the network, which collapses.

    Args:
        model: the method whose network is adapted, see :class:`~srbench.modules.adapted.AdaptedSR`.
        pretrained: checkpoint of stage 1; None needs ``allow_random_backbones``, and is marked.
        use_s: the controller (Table 2).
        use_far: FAR (Table 2); a stage 1 with FAR may be used without.
        s_mode_ft: ``hqi`` is Eq. 8, s = n + HQI; ``one_minus_hqi`` is the other row of Table 4.
        s_detach: no gradient through s to the network; otherwise it can raise its own HQI.
        hf_weight: weight L_rec by the detail of lq, as LWay does in this stage; HR-aware does not say so.
        l1_weight: of L1 in L_rec; not published, 1 is ours.
        lpips_weight: of LPIPS-vgg in L_rec; likewise.
        far_weight: lambda_ft, which is not published; None sets it at the first step so that FAR adds ``far_share`` of
            L_rec, and a checkpoint keeps it.
        far_share: see there.
        kwargs: see :class:`~srbench.modules.adapted.AdaptedSR`.

    Raises:
        InputError: a choice is unknown, or a weight negative.
    """

    suffix = "-HRaware"

    def __init__(
        self,
        model: SRModule,
        *,
        pretrained: str | None = None,
        preset: Preset = "paper",
        recon_space: ReconSpace = "lr",
        entry: EntryKind = "unshuffle",
        demodulate: bool = True,
        use_s: bool = True,
        use_far: bool = True,
        far_encoder: FarEncoderName = "clip",
        clip_layer: CLIPLayer = "layer2",
        s_mode_ft: SMode = "hqi",
        n_eval: NEval = 0,
        s_detach: bool = True,
        hf_weight: bool = False,
        l1_weight: float = 1.0,
        lpips_weight: float = 1.0,
        far_weight: float | None = None,
        far_share: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, **kwargs)
        if min(far_share, far_share if far_weight is None else far_weight) < 0:
            raise InputError(
                "the weight of FAR is negative", where="model.init_args.far_weight", remedy="use 0 or more, or null"
            )
        self.pretrained = pretrained
        self.options: dict[str, Any] = {
            "preset": preset,
            "recon_space": recon_space,
            "entry": entry,
            "demodulate": demodulate,
            "use_s": use_s,
            **({"far_encoder": far_encoder, "clip_layer": clip_layer} if use_far else {}),
        }
        self.far_weight = far_weight
        self.far_share = far_share
        self.loss = ReconstructionLoss(l1_weight=l1_weight, lpips_weight=lpips_weight, hf_weight=hf_weight)
        with torch.device("meta"):
            self.reconstruction = Frozen(self._network())
            if use_far:
                self.far_encoder = Frozen(self._encoder())
                self.far = Frozen(self._alignment())
        self.use_far = use_far
        embedding = sizes_of(preset).embedding
        self.controller = Controller(s_mode_ft, embedding=embedding, n_eval=n_eval, detach=s_detach) if use_s else None

    def parts(self) -> dict[str, nn.Module]:
        """The adapted network as ``net``; the frozen ``e_deg``, ``e_img``, ``r_entry``, ``r``, ``far`` and encoder."""
        far = {"far": self.far.net, "far_encoder": self.far_encoder.net} if self.use_far else {}
        return {**super().parts(), **self._reconstruction.parts(), **far}

    def fill(self) -> None:
        """Gives the frozen networks stage 1's values, and the published ones to what stands behind them.

        Raises:
            InputError: weights are absent, or of another stage or other options; it says how to get them.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # where they stay random they are the same in every process
            net = self._network()
            far = self._alignment() if self.use_far else None
        if self.pretrained is None and self.allow_random_backbones:
            self.stamp("random_backbones")
        else:
            path = need_stage(self.pretrained, MAKES_PRETRAINED)
            need_maker(path, "HRAwarePretrain", MAKES_PRETRAINED)
            need_options(path, self.options)
            load_pretrained(path, net, far)
            self.stamp(*checkpoint_marks(path))
        self.reconstruction.put(net)
        if self.loss.backbone is not None:
            self.loss.load(self.backbone(self.loss.backbone))
        if self.controller is not None:
            self.controller.load(self.backbone(BACKBONE))
        if far is not None:
            self.far.put(far)
            encoder = self._encoder()
            encoder.fill(self.backbone(encoder.backbone))
            self.far_encoder.put(encoder)

    def objective(self, batch: Batch, sr: Tensor) -> Mapping[str, Tensor]:
        """``l_l1`` and ``l_lpips`` of L_rec, and ``l_far``, weighted; ``s/mean`` and ``far/phi`` are logged too."""
        lq, net, count = batch["lq"], self._reconstruction, len(batch["name"])
        target, features = net.target(lq, sr), net.image_features(sr)
        s = None
        if self.controller is not None:
            s = self.controller(enlarged(lq, sr), sr, self.step_generator(batch))
            self.log("s/mean", s.mean(), batch_size=count)
        made = net(target, features, s)
        if self.global_step == 0 and self.pretrained is not None:
            warn_of_blindness(made, target)
        terms = self.loss(made, target)
        losses = {"l_l1": terms.l1, "l_lpips": terms.lpips}
        if self.use_far:
            phi = self.far(features, self.far_encoder(sr)).mean()
            if self.far_weight is None:
                self.far_weight = self._balanced(terms.total, phi)
            self.log("far/phi", phi, batch_size=count)
            losses["l_far"] = self.far_weight * phi
        return {name: loss for name, loss in losses.items() if loss is not None}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: lambda_ft goes with the weights."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[WEIGHT_KEY] = self.far_weight

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: lambda_ft as the first step set it, unless the config says another."""
        super().on_load_checkpoint(checkpoint)
        if self.far_weight is None:
            self.far_weight = checkpoint.get(WEIGHT_KEY)

    @property
    def _reconstruction(self) -> LRReconstruction:
        held = self.reconstruction.net
        assert isinstance(held, LRReconstruction)
        return held

    def _network(self) -> LRReconstruction:
        names = ("recon_space", "entry", "demodulate")
        return network(self.options["preset"], scale=self.scale, **{name: self.options[name] for name in names})

    def _encoder(self) -> FarEncoder:
        return make_encoder(self.options["far_encoder"], self.options["clip_layer"])

    def _alignment(self) -> FeatureAlignment:
        encoder = self.far_encoder.net
        assert isinstance(encoder, FarEncoder)
        return FeatureAlignment(sizes_of(self.options["preset"]).features, encoder.channels)

    def _balanced(self, rec: Tensor, phi: Tensor) -> float:
        """The lambda that makes FAR ``far_share`` of L_rec, the same in every process."""
        pair = torch.stack([rec.detach(), phi.detach()])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(pair)
        return self.far_share * float(pair[0] / pair[1].clamp_min(torch.finfo(pair.dtype).tiny))
