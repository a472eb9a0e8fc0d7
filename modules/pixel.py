"""PixelSR: a network trained by the L1 distance to gt, the fidelity stage of most methods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.errors import InputError
from srbench.module import SRModule


class PixelSR(SRModule):
    """One network and the mean absolute error; a method gives the network.

    Args:
        net: maps lq (B,3,h,w) in [0,1] to sr, not clamped.
        optimizer: factory over the trainable parameters. None takes Adam as BasicSR's options for SRResNet and RRDB
            have it: rate 2e-4, betas 0.9 and 0.99.
        scheduler: factory over the optimiser, stepped after every training step; None keeps the rate constant.
        kwargs: see :class:`~srbench.module.SRModule`.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.net = net
        self.optimizer_factory = optimizer or adam
        self.scheduler_factory = scheduler

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w), clamped to [0,1]."""
        return self.net(lq).clamp(0.0, 1.0)

    def generate(self, batch: Batch) -> Tensor:
        """The network's output for a training batch, not clamped; a network that takes more than lq overrides it."""
        return self.net(batch["lq"])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The L1 loss between the network's output, not clamped, and gt; logged as ``losses/l_pix``.

        Raises:
            InputError: the network magnifies by another factor than the data.
        """
        loss = F.l1_loss(fitting(self.generate(batch), batch), batch["gt"])
        self.log("losses/l_pix", loss, prog_bar=True, batch_size=len(batch["name"]))
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over what is trainable, with the scheduler at every step."""
        return one_optimizer(self, self.optimizer_factory, self.scheduler_factory)


def one_optimizer(
    module: nn.Module, optimizer_factory: OptimizerFactory, scheduler_factory: SchedulerFactory | None
) -> OptimizerLRScheduler:
    """One optimiser over what is trainable in ``module``, with its scheduler, if any, at every step."""
    optimizer = optimizer_factory(p for p in module.parameters() if p.requires_grad)
    if scheduler_factory is None:
        return optimizer
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": scheduler_factory(optimizer), "interval": "step"},
    }


def fitting(sr: Tensor, batch: Batch) -> Tensor:
    """``sr``, when it has the size of gt.

    Raises:
        InputError: it has not.
    """
    if sr.shape != batch["gt"].shape:
        raise InputError(
            f"of lq {_size(batch['lq'])} the network makes {_size(sr)}, and gt is {_size(batch['gt'])}",
            where="model.init_args.net",
            remedy="set its scale, the model's and the data's to one value",
        )
    return sr


def _size(image: Tensor) -> str:
    return "x".join(map(str, image.shape))


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """BasicSR's usual optimiser: rate 2e-4, betas 0.9 and 0.99."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.9, 0.99))
