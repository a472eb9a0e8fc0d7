"""DASR's training: L1 or adversarial, beside the regression of what the predictor reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.images import file_sha256
from srbench.module import SRModule
from srbench.modules.dasr.net import DASRNet
from srbench.modules.dasr.targets import degradation_target
from srbench.modules.gan import AdversarialSR
from srbench.modules.pixel import PixelSR
from srbench.modules.whole_image import refuse_tiles
from srbench.naming import safe_name
from srbench.weights import load_state, load_strict

PREDICTOR = "dasr_predictor"
"""The predictor's file in the catalogue of outside weights."""


class _Regressing(SRModule):
    """What both stages share: the network, its two files, and the regression.

    ``weights`` is a checkpoint of ours, or the released ``net_g.pth``, which ``predictor`` completes. Training also
    starts from SRResNet's, copied into every expert, with a random predictor.

    Args:
        args: for the base class, behind the network.
        predictor: the released ``net_p.pth``; None takes the catalogue's ``dasr_predictor``. Not read with a
            checkpoint of ours.
        regression_weight: of the mean absolute error of the predicted degradation (released: 1). Above 0 training
            needs ``data.init_args.carry_degradation``.
        features: channels.
        blocks: residual blocks.
        experts: sets of filters in every convolution.
        allow_random_backbones: let a random predictor stand in where the released one is absent; the result is stamped.
        name: the row's name; None takes ``DASR``.
        scale: 2, 3 or 4.
        kwargs: for the base class; ``tile`` is refused, as the predictor looks at the whole image.

    Raises:
        InputError: ``tile`` is given, or another scale.
    """

    def __init__(
        self,
        *args: Any,
        predictor: str | None = None,
        regression_weight: float = 1.0,
        features: int = 64,
        blocks: int = 16,
        experts: int = 5,
        allow_random_backbones: bool = False,
        name: str | None = None,
        scale: int = 4,
        **kwargs: Any,
    ) -> None:
        refuse_tiles(kwargs.get("tile"), "DASR", "it mixes its experts by the degradation of the whole image")
        net = DASRNet(scale, features, blocks, experts)
        # PixelSR or AdversarialSR, which come next in a stage's order of classes, take the network.
        super().__init__(net, *args, scale=scale, **kwargs)  # type: ignore[misc, arg-type]
        self.allow_random_backbones = allow_random_backbones
        self.name = safe_name(name or "DASR", kind="method name")
        self.predictor = predictor
        self.regression_weight = regression_weight
        self._trains = False
        self._regression: Tensor | None = None

    @property
    def method(self) -> str:
        """``name``, else ``DASR``."""
        return self.name

    # ---------------------------------------------------------------------------------------------------------- loading

    def setup(self, stage: str) -> None:
        """Lightning's hook: the weights are there; to train, SRResNet's do."""
        self._trains = stage == "fit"
        super().setup(stage)

    def load_upstream(self, path: str | Path) -> None:
        """Loads a checkpoint of ours, or the released ``net_g.pth`` and beside it the predictor, strictly.

        Raises:
            InputError: a file is missing, or of another network; it says how to get it.
        """
        state = load_state(path, key=self.weights_key)
        net = self._net
        assert isinstance(net, DASRNet)
        if any(name.startswith("restorer.") for name in state):
            load_strict(net, state, where=path)
            return
        first = state.get("conv_first.weight")
        if self._trains and first is not None and first.dim() == 4:
            load_strict(net.restorer, net.restorer.copied(state), where=path)
            return
        load_strict(net.restorer, state, where=path)
        predictor = self.predictor or self.backbone(PREDICTOR)
        if predictor is not None:
            load_strict(net.predictor, load_state(predictor), where=predictor)
            self.rests_on("predictor", sha256=file_sha256(predictor))

    # --------------------------------------------------------------------------------------------------------- training

    def generate(self, batch: Batch) -> Tensor:
        """The network's output for a training batch, not clamped; keeps the regression's loss for the step.

        Raises:
            InputError: the batch does not know how its images were degraded.
        """
        net = self._net
        assert isinstance(net, DASRNet)
        sr, predicted = net.both(batch["lq"])
        self._regression = None
        if self.regression_weight:
            self._regression = self.regression_weight * F.l1_loss(predicted, _targets(batch))
        return sr

    def regression(self) -> dict[str, Tensor]:
        """The weighted loss of the last :meth:`generate`, once: ``l_regression``, or nothing where it has no weight."""
        held, self._regression = self._regression, None
        return {} if held is None else {"l_regression": held}


class DASR(_Regressing, PixelSR):
    """DASR trained by L1 and regression; also what tests the released network."""

    stage = "pixel"
    unhashed = (*PixelSR.unhashed, "predictor")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L1 plus regression; logged as ``losses/l_pix`` and ``losses/l_regression``."""
        loss = super().training_step(batch, batch_idx)
        for name, value in self.regression().items():
            self.log(f"losses/{name}", value, prog_bar=True, batch_size=len(batch["name"]))
            loss = loss + value
        return loss


class DASRGAN(_Regressing, AdversarialSR):
    """DASR as released: L1, perceptual, adversarial and regression losses (section 3.3)."""

    stage = "gan"
    unhashed = (*AdversarialSR.unhashed, "predictor")

    def generator_losses(self, sr: Tensor, gt: Any) -> dict[str, Tensor]:
        """Those of the base class and ``l_regression``."""
        return {**super().generator_losses(sr, gt), **self.regression()}


def _targets(batch: Batch) -> Tensor:
    if "degradation" not in batch:
        raise InputError(
            "DASR learns how lq was made, and this data does not say",
            where="data.init_args.carry_degradation",
            remedy="set it to true, with data that is degraded in training, or --model.init_args.regression_weight 0",
        )
    return torch.stack([degradation_target(recipe) for recipe in batch["degradation"]]).to(batch["lq"].device)
