"""AdaptedSR: a trained network of any method, adapted to the unlabelled lq of one test set."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.module import SRModule
from srbench.modules import oracle
from srbench.modules.adaptation_signs import Drift
from srbench.modules.given_method import GivenMethod
from srbench.modules.pixel import one_optimizer
from srbench.modules.weight_average import LossWatch, WeightAverage
from srbench.naming import safe_name
from srbench.sampling import image_seed, run_seed

EarlyStop = Literal["none", "oracle"]

KEY = "adaptation"
"""Entry of our checkpoints: what a resumed adaptation goes on from."""


class AdaptedSR(SRModule):
    """A network that learns from the lq of the images it will restore; nothing else moves.

    A method gives :meth:`objective`. The network's moving average is what is validated, saved and tested; before the
    first step it is the given network, so that no steps reproduce the given network's images bit for bit. Checkpoints
    hold the adapted network under ``net.``: they are also ``weights`` of the adapted method itself. A loss or weight
    that is not finite, or a loss ``limit`` times above that of the first ten steps, ends the adaptation: the given
    weights are put back, and every restoration's notes say so. No loss shows a network that lowers it by making other
    images, and the average hides it for long: ``adapt/psnr_to_base``, logged beside the losses, is the PSNR between sr
    of the network without its average and of the given one; a run that ends below 20 dB warns.

    Args:
        model: the method whose network is adapted, by class path; its ``scale`` is this one's.
        weights: its checkpoint, of whatever kind it takes.
        weights_key: entry of that file; None leaves the choice to ``model``.
        optimizer: factory over the network's parameters; None takes Adam of rate 2e-6, betas 0.9 and 0.999, the lower
            end of HR-aware's range (section 5.1) and one of the two rates of LWay's authors.
        scheduler: factory over the optimiser, stepped after every step; None keeps the rate constant.
        ema_decay: of the moving average; both papers have 0.999, with which 600 steps leave 55 % of the given weights.
        train_mode: let batch norms and stochastic depth behave as in training; the papers do not say.
        early_stop: ``oracle`` keeps the average that was best on validated gt and marks everything made of it, as
            Table 1 of HR-aware did; ``none`` keeps the last.
        monitor: the metric that the oracle looks at, of the protocol that scores validation.
        monitor_mode: whether low (``min``) or high values of it are good.
        limit: a loss above so many times the largest of the first ten steps counts as diverging; None never.
        name: the row's name; None takes the adapted method's and the class's ``suffix``.
        allow_random_backbones: random networks may stand in for absent ones, the adapted one too; for tests and trials.
        kwargs: see :class:`~srbench.module.SRModule`; a ``tile`` is the adapted method's.

    Raises:
        InputError: ``model`` has another scale, or a setting is impossible.
    """

    stage = "finetune"
    suffix = "-adapted"
    unhashed = ("weights", "pretrained", "previous")

    def __init__(
        self,
        model: SRModule,
        *,
        weights: str | None = None,
        weights_key: str | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        ema_decay: float = 0.999,
        train_mode: bool = False,
        early_stop: EarlyStop = "none",
        monitor: str = "lpips_alex",
        monitor_mode: Literal["min", "max"] = "min",
        limit: float | None = 10.0,
        name: str | None = None,
        allow_random_backbones: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(weights=weights or model.weights, weights_key=weights_key, **kwargs)
        self.name = None if name is None else safe_name(name, kind="method name")
        self.optimizer_factory = optimizer or adam
        self.scheduler_factory = scheduler
        self.ema_decay = ema_decay
        self.train_mode = train_mode
        self.early_stop: EarlyStop = early_stop
        self.monitor = monitor
        self.monitor_mode = monitor_mode
        self.watch = LossWatch(limit)
        self.drift = Drift()
        self.allow_random_backbones = allow_random_backbones
        self.stochastic = model.stochastic  # type: ignore[misc]  # of this instance
        held = self.hparams.get("model")  # a file's place is no part of what a record is of, nor of a checkpoint
        if isinstance(held, dict):
            held.get("init_args", {}).pop("weights", None)
        model._remarks = self._remarks
        self.given = GivenMethod(model, self.scale, self.tile, self.tile_overlap)
        self.net: nn.Module | None = self.given.network() if self.given.is_built else None
        self.averaged: WeightAverage | None = None
        self.note = ""
        self._broken = False
        self._filled = False
        self._resumed: dict[str, Any] | None = None
        if early_stop == "oracle":
            self.stamp("oracle")

    @abstractmethod
    def objective(self, batch: Batch, sr: Tensor) -> Mapping[str, Tensor]:
        """The weighted losses by name, scalars, of a batch and of sr (B,3,s*h,s*w) in [0,1]; their sum is lowered."""

    def fill(self) -> None:
        """Gives what the objective looks through its weights; called once, before training."""

    @property
    def base(self) -> SRModule:
        """The method whose network is adapted."""
        return self.given.method

    @property
    def method(self) -> str:
        """``name``, else the adapted method's name and the class's ``suffix``."""
        return self.name or f"{self.base.method}{self.suffix}"

    def parts(self) -> dict[str, nn.Module]:
        """The adapted network as ``net``."""
        if self.net is None:
            self.prepare()
        return {"net": self.base.parts()["net"] if self.net is None else self.net}

    def prepare(self) -> None:
        """Gives the adapted method its weights, once; without any they come from a checkpoint, or stay random."""
        if self._prepared:
            return
        self._prepared = True
        self.given.load(self.weights, self.weights_key)
        self.weights_sha256 = self.base.weights_sha256
        self.inherit(self.base, "model")
        if self.given.is_built:
            self.net = self.given.network()

    def setup(self, stage: str) -> None:
        """Lightning's hook: the adapted network has its weights, and in training the objective its own."""
        super().setup(stage)
        if stage == "fit" and not self._filled:
            self._filled = True
            self.fill()

    def step_generator(self, batch: Batch) -> torch.Generator:
        """Where a training step draws from, on the CPU; the run's seed, step, process and images determine it."""
        where = (type(self).__name__, str(self.global_step), str(self.global_rank), *batch["name"])
        return torch.Generator().manual_seed(image_seed(run_seed(), 0, "\n".join(where)))

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w), as the adapted method does."""
        return self.base.upscale(lq)

    def restore(self, batch: Batch) -> Tensor:
        """As the adapted method restores a batch, tiles included; an adaptation given up is remarked."""
        if self.base.device != self.device:
            self.base.to(self.device)
        self.base.repeat = self.repeat
        for name in batch["name"] if self.note else ():
            self.remark(name, self.note)
        return self.base.restore(batch)

    def train(self, mode: bool = True) -> AdaptedSR:
        """As Lightning's; the network stays in evaluation mode unless told otherwise by ``train_mode``."""
        super().train(mode)
        if self.net is not None and not self.train_mode:
            self.net.eval()
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the objective's losses, logged as ``losses/<name>`` beside ``adapt/psnr_to_base``.

        Raises:
            InputError: there is a gt in the batch, or the adapted method lets no gradient through.
        """
        oracle.refuse_gt(batch, self.early_stop)
        given = self.drift.given(self, self.averaged, batch["lq"])
        sr = self.upscale(batch["lq"])
        self.given.need_gradient(sr)
        losses = self.objective(batch, sr)
        shown = {f"losses/{k}": v for k, v in losses.items()}
        if given is not None:
            shown["adapt/psnr_to_base"] = sr.new_tensor(self.drift.seen(sr, given))
        self.log_dict(shown, prog_bar=True, batch_size=len(batch["name"]))
        loss = torch.stack(list(losses.values())).sum()
        if self.watch.is_usual(float(loss.detach()), self.trainer.global_step):
            return loss
        self._broken = True  # told behind the step, so that all processes give up in the same one
        return torch.stack([p.sum() for p in self._net.parameters() if p.requires_grad]).sum() * 0.0

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over the adapted network, with the scheduler at every step."""
        return one_optimizer(self._net, self.optimizer_factory, self.scheduler_factory)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's hook: behind every step the average follows, or everything goes back to the given weights."""
        super().optimizer_step(*args, **kwargs)
        assert self.averaged is not None
        broken = self._broken or not self.averaged.is_finite()
        if self.trainer.strategy.reduce_boolean_decision(broken, all=False):
            self._give_up(f"the adaptation diverged at step {self.trainer.global_step + 1}: the given weights are used")
        else:
            self.averaged.follow()

    def on_fit_start(self) -> None:
        """Lightning's hook, behind the restoring of a checkpoint: the average starts at the network, or goes on.

        Raises:
            InputError: there are no weights to adapt, they are not float32, or an oracle has nothing to look at.
        """
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # so it is meant
        if self.weights is None and not self._restored:
            self.given.need_leave(self.allow_random_backbones)
            self.stamp("random_backbones")
        self.given.need_float32()
        self.train(self.training)
        self.averaged = WeightAverage(self._net, self.ema_decay, self._resumed)
        self.watch.usual = float((self._resumed or {}).get("usual", 0.0))
        if oracle.chooses_by_gt(self.trainer):
            self.stamp("oracle")
        if self.early_stop == "oracle":
            oracle.need_images(self.trainer)

    def on_train_end(self) -> None:
        """Lightning's hook: what is tested in this process is what the checkpoint holds."""
        if self.averaged is not None:
            self.averaged.settle()

    def on_fit_end(self) -> None:
        """Lightning's hook: a run of no steps, or one that was given up, leaves its checkpoint too; others may warn."""
        if self.trainer.global_step and not self.note:
            self.drift.warn()
            return
        for callback in self.trainer.checkpoint_callbacks:
            if folder := getattr(callback, "dirpath", None):
                self.trainer.save_checkpoint(Path(folder) / "last.ckpt")

    def on_validation_epoch_start(self) -> None:
        """Lightning's hook: the average is validated; behind it training goes on with its own weights."""
        if self.averaged is not None:
            self.averaged.swap()

    on_validation_epoch_end = on_validation_epoch_start

    def on_validation_end(self) -> None:
        """Lightning's hook: the oracle compares; a look at all images before the first step is step 0 of the curve.

        Raises:
            InputError: its metric was not computed.
        """
        trainer = self.trainer
        oracle.log_first_look(trainer)
        if self.early_stop == "oracle" and self.averaged is not None and oracle.is_whole(trainer):
            value = oracle.seen(trainer, self.monitor)
            self.averaged.judge(value, trainer.global_step, low_is_good=self.monitor_mode == "min")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: the chosen weights are the checkpoint's; what training needs to go on stands beside."""
        super().on_save_checkpoint(checkpoint)
        if self.averaged is None:
            return
        checkpoint["state_dict"] = {f"net.{k}": v for k, v in self.averaged.chosen.items()}
        checkpoint[KEY] = {**self.averaged.state(), "usual": self.watch.usual, "note": self.note}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: the network is built if it has to be, and what was noted comes back.

        Raises:
            InputError: see :meth:`~srbench.module.SRModule.on_load_checkpoint`.
        """
        held = checkpoint.get(KEY, {})
        where = str(getattr(self._trainer, "ckpt_path", None) or type(self).__name__)
        state = {k.removeprefix("net."): v for k, v in checkpoint["state_dict"].items() if k.startswith("net.")}
        self.given.build(state, where)
        self.net = self.given.network().to(self.device)
        super().on_load_checkpoint(checkpoint)
        self.note = str(held.get("note", ""))
        self._resumed = held or None

    def _give_up(self, why: str) -> None:
        assert self.averaged is not None
        self.averaged.reset()
        self.note = why
        self.trainer.should_stop = True
        self._broken = False
        if self.trainer.is_global_zero:
            print(why)


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam of rate 2e-6, betas 0.9 and 0.999."""
    return torch.optim.Adam(parameters, lr=2e-6, betas=(0.9, 0.999))
