"""HRAwarePretrain: stage 1, the reconstruction network with the controller s, and FAR's maps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules.hraware.controller import BACKBONE, Controller, NEval
from srbench.modules.hraware.far import ConstantAlignment, FeatureAlignment
from srbench.modules.hraware.far_encoder import CLIPLayer, FarEncoder, FarEncoderName, make_encoder
from srbench.modules.hraware.network import load_pretrained, network
from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.lr_reconstruction import Preset, ReconSpace, enlarged, sizes_of
from srbench.modules.nets.modulated_reconstructor import EntryKind
from srbench.modules.reconstruction import ReconstructionStage

WEIGHT_KEY = "far_weight"
"""Entry of our checkpoints: lambda_pt, where it was set by the first step."""


class HRAwarePretrain(ReconstructionStage):
    """Stage 1 of HR-aware: lq is made again from gt and an embedding of lq's degradation, in pre-training on pairs.

    The loss is L_rec(R(s E_deg(lq), E_img(gt)), lq) + lambda_pt Phi_far(gt) (Eq. 5).

    It updates E_deg, E_img, R, T_a and T_m, and makes no sr: the second stage takes its checkpoint. Beside the losses
    ``far/phi``, ``far/constant`` (the same without e_im, see
    :class:`~srbench.modules.hraware.far.ConstantAlignment`), ``far/weight`` and ``s/mean`` are logged; in validation,
    beside ``l_rec``, ``far_clean`` (of gt), ``far_degraded`` (of the enlarged lq) and ``far_constant`` (of gt).

    What the paper leaves open is an argument; see also :class:`~srbench.modules.reconstruction.ReconstructionStage`.

    Args:
        preset: ``paper``, or ``small`` for trials on a CPU.
        recon_space: ``lr`` reconstructs lq itself, of gt 4 times as large, as Eq. 1 and "loss in LR space" have it;
            ``hr`` the enlarged lq, as LWay's authors say of theirs. No lq patch may be below 22 pixels.
        entry: how R comes from gt's size to lq's in the space ``lr``: ``unshuffle`` or ``strided``.
        demodulate: StyleGAN2's demodulation in R, which takes the common size out of an embedding but for a bias.
        use_s: the controller (Table 2); without it s is 1.
        use_far: FAR (Table 2).
        far_encoder: ``clip``, ``vgg19`` or ``edsr`` (Table 3).
        clip_layer: which map of CLIP's RN50; the paper does not say.
        n_eval: the controller's n in validation, 0 or ``sample``.
        s_detach: no gradient through s; here it could reach nothing that learns.
        far_weight: lambda_pt, which is not published. None sets it at the first step so that FAR adds ``far_share`` of
            L_rec; a checkpoint keeps it.
        far_share: see there.
        scale: magnification from lq to gt.
        kwargs: see :class:`~srbench.modules.reconstruction.ReconstructionStage`.

    Raises:
        InputError: a choice is unknown, or a weight negative.
    """

    method = "HR-aware"
    stage = "pretrain"
    remedy = "give its checkpoint to methods/hraware/2_finetune.yaml and test that; validate it by srbench validate"

    def __init__(
        self,
        *,
        preset: Preset = "paper",
        recon_space: ReconSpace = "lr",
        entry: EntryKind = "unshuffle",
        demodulate: bool = True,
        use_s: bool = True,
        use_far: bool = True,
        far_encoder: FarEncoderName = "clip",
        clip_layer: CLIPLayer = "layer2",
        n_eval: NEval = 0,
        s_detach: bool = True,
        far_weight: float | None = None,
        far_share: float = 0.1,
        scale: int = 4,
        **kwargs: Any,
    ) -> None:
        net = network(preset, recon_space=recon_space, entry=entry, scale=scale, demodulate=demodulate)
        super().__init__(net, scale=scale, **kwargs)
        if min(far_share, far_share if far_weight is None else far_weight) < 0:
            raise InputError(
                "the weight of FAR is negative", where="model.init_args.far_weight", remedy="use 0 or more, or null"
            )
        self.far_weight = far_weight
        self.far_share = far_share
        self.far_choice: tuple[FarEncoderName, CLIPLayer] = (far_encoder, clip_layer)
        self.controller: Controller | None = None
        if use_s:
            self.controller = Controller("one_minus_hqi", embedding=net.e_deg.embedding, n_eval=n_eval, detach=s_detach)
        self.far: FeatureAlignment | None = None
        if use_far:
            with torch.device("meta"):
                encoder = make_encoder(*self.far_choice)
            self.far = FeatureAlignment(sizes_of(preset).features, encoder.channels)
            self.far_constant = ConstantAlignment(encoder.channels)
            self.far_encoder = Frozen(encoder)

    def parts(self) -> dict[str, nn.Module]:
        """``e_deg``, ``e_img``, ``r_entry``, ``r``, ``far`` with its rival ``far_constant``, and the frozen encoder."""
        parts = super().parts()
        if self.far is not None:
            parts |= {"far": self.far, "far_constant": self.far_constant, "far_encoder": self.far_encoder.net}
        return parts

    # -------------------------------------------------------------------------------------------------------- starting

    def load_backbones(self) -> None:
        """Fills both LPIPS and the encoder that FAR looks through."""
        super().load_backbones()
        if self.controller is not None:
            self.controller.load(self.backbone(BACKBONE))
        if self.far is not None:
            encoder = make_encoder(*self.far_choice)
            encoder.fill(self.backbone(encoder.backbone))
            self.far_encoder.put(encoder)

    def load_upstream(self, path: str | Path) -> None:
        """Takes the networks of an earlier run of this stage."""
        load_pretrained(path, self.net, self.far)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: lambda_pt goes with the weights."""
        checkpoint[WEIGHT_KEY] = self.far_weight
        super().on_save_checkpoint(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: lambda_pt as the first step set it, unless the config says another."""
        super().on_load_checkpoint(checkpoint)
        if self.far_weight is None:
            self.far_weight = checkpoint.get(WEIGHT_KEY)

    # -------------------------------------------------------------------------------------------------------- training

    def reconstruct(self, batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """As the base's; without a generator R's noise and n are 0."""
        made, target, _ = self._reconstruct(batch, generator)
        return made, target

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L_rec + lambda_pt Phi_far (Eq. 5), logged as ``losses/l_l1``, ``losses/l_lpips`` and ``losses/l_far``.

        What the constants cost is added too, but their gradient reaches nothing else and the value is taken out again.
        """
        made, target, features = self._reconstruct(batch, self.step_generator(batch))
        terms = self.loss(made, target)
        if self.far is None:
            self.log_losses(terms, batch)
            return terms.total
        with torch.no_grad():
            wanted = self.encoded(batch["gt"])
        self.far.calibrate(features, wanted)
        phi = self.far(features, wanted).mean()
        constant = self.far_constant(wanted, self.far.in_use()).mean()
        weight = self._weight(terms.total, phi)
        shown = {"phi": phi, "constant": constant, "weight": phi.new_tensor(weight)}
        self.log_dict({f"far/{name}": value for name, value in shown.items()}, batch_size=len(batch["name"]))
        self.log_losses(terms, batch, l_far=weight * phi)
        return terms.total + weight * phi + (constant - constant.detach())

    def encoded(self, image: Tensor) -> Tensor:
        """The established encoder's features e_cl of images (B,3,H,W) in [0,1].

        Raises:
            InputError: the images are too small for it.
        """
        least = cast(FarEncoder, self.far_encoder.net).min_side
        if min(image.shape[-2:]) < least:
            raise InputError(
                f"an image of {image.shape[-2]}x{image.shape[-1]} is too small for FAR's encoder",
                where="gt",
                remedy=f"both sides must have {least} pixels or more",
            )
        features: Tensor = self.far_encoder(image)
        return features

    def _reconstruct(self, batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        lq, gt = batch["lq"], batch["gt"]
        target, features = self.net.target(lq, gt), self.net.image_features(gt)
        s = None
        if self.controller is not None:
            s = self.controller(enlarged(lq, gt), gt, generator)
            if self.training:
                self.log("s/mean", s.mean(), batch_size=len(batch["name"]))
        noise = generator if self.training else None
        return self.net(target, features, s, noise), target, features

    def _weight(self, rec: Tensor, phi: Tensor) -> float:
        """lambda_pt; where it is open, it is set so that FAR is ``far_share`` of L_rec, the same in every process."""
        if self.far_weight is None:
            pair = torch.stack([rec.detach(), phi.detach()])
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(pair)
            ratio = float(pair[0] / pair[1])
            if not math.isfinite(ratio):  # images without anything in them; the next step will do
                return 0.0
            self.far_weight = self.far_share * ratio
        return self.far_weight

    # ------------------------------------------------------------------------------------------------------ validation

    def measures(self, batch: Batch) -> dict[str, Tensor]:
        """``l_rec``, and Phi_far of gt, of the enlarged lq, and of gt without e_im."""
        sampled = self.controller is not None and self.controller.n_eval == "sample"
        made, target, features = self._reconstruct(batch, self.generator(batch["name"][0]) if sampled else None)
        found = {"l_rec": self.loss(made, target).total}
        if self.far is not None:
            gt, lq_up = batch["gt"], enlarged(batch["lq"], batch["gt"])
            wanted = self.encoded(gt)
            found["far_clean"] = self.far(features, wanted).mean()
            found["far_constant"] = self.far_constant(wanted, self.far.in_use()).mean()
            found["far_degraded"] = self.far(self.net.image_features(lq_up), self.encoded(lq_up)).mean()
        return found
