"""ReconstructionStage: the first stage of LWay and HR-aware, which learns to make lq again and makes no sr."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.errors import InputError
from srbench.modules.losses.reconstruction import Reconstruction, ReconstructionLoss
from srbench.modules.nets.lr_reconstruction import LRReconstruction
from srbench.modules.pixel import one_optimizer
from srbench.modules.without_sr import WithoutSR
from srbench.sampling import image_seed, run_seed


class ReconstructionStage(WithoutSR):
    """Trains the reconstruction of lq from gt and lq's own degradation by L_rec; a method gives the network.

    Every random number of a step (R's noise, the controller's n) is drawn from a generator that the run's seed, the
    step, the process and the images' names alone determine, so that a resumed run goes on as if it had not stopped. In
    validation nothing is restored; ``metrics/<set>/l_rec`` is logged.

    Args:
        net: the network.
        l1_weight: of L1 in L_rec; LWay's weights are not published, 1 is ours.
        lpips_weight: of LPIPS-vgg in L_rec; likewise.
        hf_weight: weight L_rec by the detail of lq (LWay's W), which LWay does in its second step alone.
        optimizer: factory over the trainable parameters; None takes HR-aware's Adam: 2e-4, betas 0.9 and 0.999.
        scheduler: factory over the optimiser, stepped after every training step; None keeps the rate constant.
        allow_random_backbones: let random weights stand in for absent ones; see
            :meth:`~srbench.module.SRModule.backbone`.
        kwargs: see :class:`~srbench.module.SRModule`.
    """

    def __init__(
        self,
        net: LRReconstruction,
        *,
        l1_weight: float = 1.0,
        lpips_weight: float = 1.0,
        hf_weight: bool = False,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        allow_random_backbones: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.net = net
        self.loss = ReconstructionLoss(l1_weight=l1_weight, lpips_weight=lpips_weight, hf_weight=hf_weight)
        self.optimizer_factory = optimizer or adam
        self.scheduler_factory = scheduler
        self.allow_random_backbones = allow_random_backbones
        self._backed = False

    def parts(self) -> dict[str, nn.Module]:
        """The parts of the network."""
        return self.net.parts()

    def setup(self, stage: str) -> None:
        """Lightning's hook: the losses have their networks."""
        super().setup(stage)
        if stage in ("fit", "validate") and not self._backed:
            self.load_backbones()
            self._backed = True
        degradation = getattr(getattr(self.trainer, "datamodule", None), "degradation", None)
        self.stamp(*getattr(degradation, "marks", ()))

    def load_backbones(self) -> None:
        """Fills what is frozen; a method with more of it overrides this.

        Raises:
            InputError: weights are absent; it says how to get them.
        """
        if self.loss.backbone is not None:
            self.loss.load(self.backbone(self.loss.backbone))

    def step_generator(self, batch: Batch) -> torch.Generator:
        """Where a training step draws from, on the CPU."""
        where = (type(self).__name__, str(self.global_step), str(self.global_rank), *batch["name"])
        return torch.Generator().manual_seed(image_seed(run_seed(), 0, "\n".join(where)))

    def reconstruct(self, batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """The reconstruction, not clamped, and its target, (B,3,h,w) both; ``generator`` draws what is random in it."""
        target = self.net.target(batch["lq"], batch["gt"])
        return self.net(target, self.net.image_features(batch["gt"]), None, generator), target

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """L_rec; its terms are logged as ``losses/l_l1`` and ``losses/l_lpips``."""
        made, target = self.reconstruct(batch, self.step_generator(batch))
        terms = self.loss(made, target)
        self.log_losses(terms, batch)
        return terms.total

    def log_losses(self, terms: Reconstruction, batch: Batch, **more: Tensor) -> None:
        """Logs the terms of L_rec and ``more`` below ``losses/``."""
        shown = {"l_l1": terms.l1, "l_lpips": terms.lpips, **more}
        given = {f"losses/{name}": value for name, value in shown.items() if value is not None}
        self.log_dict(given, prog_bar=True, batch_size=len(batch["name"]))

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:  # type: ignore[override]
        """Logs ``metrics/<set>/<name>`` for what :meth:`measures` gives.

        Raises:
            InputError: the set has no gt.
        """
        test_set = self.trainer.datamodule.val_sets[dataloader_idx].name  # type: ignore[attr-defined]
        if "gt" not in batch:
            raise InputError("its images have no gt to degrade", where=test_set, remedy="validate on a set with gt")
        self.log_dict(
            {f"metrics/{test_set}/{name}": value for name, value in self.measures(batch).items()},
            batch_size=len(batch["name"]),
            add_dataloader_idx=False,
            sync_dist=True,
        )

    def measures(self, batch: Batch) -> dict[str, Tensor]:
        """What validation logs of a batch, scalars by name."""
        made, target = self.reconstruct(batch, None)
        return {"l_rec": self.loss(made, target).total}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over what is trainable, with the scheduler at every step."""
        return one_optimizer(self, self.optimizer_factory, self.scheduler_factory)


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """HR-aware's optimiser for pre-training (section 5.1)."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.9, 0.999))
