"""SRTTAClassifier: stage 1, a network that tells what an image was degraded by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.errors import InputError
from srbench.modules.pixel import one_optimizer
from srbench.modules.srtta.net import TYPES, DegradationClassifier, Preset, labels
from srbench.modules.without_sr import WithoutSR
from srbench.weights import load_state, load_strict

UNKNOWN = (
    "set --data.init_args.degradation srbench.datamodules.degradations.Corruptions with "
    "--data.init_args.carry_degradation true"
)


class SRTTAClassifier(WithoutSR):
    """The degradation classifier of SRTTA: blur, noise and JPEG, each present or not, by binary cross-entropy.

    It learns from lq alone, whose recipes say what was done (``carry_degradation``): their kind's name holds ``blur``,
    ``noise`` or ``jpeg``. Validation takes recipes too, or else the name of the set, such as ``DIV2K-C-GaussianBlur``.
    It makes no sr: give its checkpoint to :class:`~srbench.modules.srtta.SRTTA`. Logged are ``losses/l_types``, and in
    validation ``metrics/<set>/accuracy``, the share of images of which all three are right.

    Args:
        preset: ``resnet50`` from ImageNet's weights as released, or ``small`` for trials with random ones.
        optimizer: factory over all parameters; None takes the released Adam of rate 1e-3.
        scheduler: factory over the optimiser, stepped after every training step; None keeps the rate constant.
        allow_random_backbones: start from random weights where ImageNet's are absent; see
            :meth:`~srbench.module.SRModule.backbone`.
        kwargs: see :class:`~srbench.module.SRModule`; ``scale`` says nothing here, the data's is 2.
    """

    what = "the classifier"
    remedy = "give its checkpoint to methods/srtta/test.yaml and test that; validate it by srbench validate"
    stage = "classifier"

    def __init__(
        self,
        *,
        preset: Preset = "resnet50",
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        allow_random_backbones: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.preset = preset
        self.optimizer_factory = optimizer or adam
        self.scheduler_factory = scheduler
        self.allow_random_backbones = allow_random_backbones
        self.net = DegradationClassifier(preset)

    def prepare(self) -> None:
        """Gives the network ImageNet's values, once, unless it starts from a checkpoint.

        Raises:
            InputError: they are absent.
        """
        if not self._prepared and self.weights is None:
            self._start()
        super().prepare()

    def _start(self) -> None:
        if self.preset == "resnet50":
            if (path := self.backbone("resnet50")) is not None:
                load_strict(self.net.backbone, load_state(path), where=path)
            return
        self.stay_random(self.preset, published="resnet50")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean binary cross-entropy of the three types.

        Raises:
            InputError: the batch does not say what was done to its images.
        """
        loss = F.binary_cross_entropy_with_logits(self.net(batch["lq"]), self.truth(batch))
        self.log("losses/l_types", loss, prog_bar=True, batch_size=len(batch["name"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:  # type: ignore[override]
        """Logs ``metrics/<set>/accuracy``; nothing is restored, so nothing is scored.

        Raises:
            InputError: neither recipes nor the set's name say what was done to the images.
        """
        test_set = self.trainer.datamodule.val_sets[dataloader_idx].name  # type: ignore[attr-defined]
        right = (torch.sigmoid(self.net(batch["lq"])) > 0.5) == (self.truth(batch, test_set) > 0.5)
        self.log(
            f"metrics/{test_set}/accuracy",
            right.all(dim=1).float().mean(),
            batch_size=len(batch["name"]),
            add_dataloader_idx=False,
            sync_dist=True,
            prog_bar=True,
        )

    def truth(self, batch: Batch, test_set: str = "") -> Tensor:
        """What was done to a batch's images: (B,3) of 0 and 1, for blur, noise and JPEG.

        Args:
            batch: with recipes in ``degradation``, or without.
            test_set: the set's name, which is asked where there are none.

        Raises:
            InputError: nobody knows.
        """
        recipes = batch.get("degradation")
        if recipes is None:
            if not any(name in test_set.lower() for name in (*TYPES, "original")):
                raise InputError(
                    "it is not known what was done to these images", where=test_set or "data", remedy=UNKNOWN
                )
            kinds = [test_set] * len(batch["name"])
        else:
            kinds = [str(recipe.get("kind", "")) for recipe in recipes]
            if unnamed := [name for name, kind in zip(batch["name"], kinds, strict=True) if not kind]:
                raise InputError("its recipe does not name what was done", where=unnamed[0], remedy=UNKNOWN)
        return torch.tensor([labels(kind) for kind in kinds], device=batch["lq"].device)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over all parameters, with the scheduler at every step."""
        return one_optimizer(self, self.optimizer_factory, self.scheduler_factory)


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The released optimiser (``scripts/train_classifier.sh``): Adam, rate 1e-3, betas 0.9 and 0.999."""
    return torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.999))
