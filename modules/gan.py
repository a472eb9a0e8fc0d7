"""AdversarialSR: a network trained by L1, perceptual and adversarial losses against a discriminator."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from lightning.pytorch.core.optimizer import LightningOptimizer, do_nothing_closure
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.datamodules.degradations.filtering import usm_sharpen
from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.losses.gan import GANLoss
from srbench.modules.losses.perceptual import BACKBONE, PerceptualLoss
from srbench.modules.pixel import adam, fitting
from srbench.weights import load_state, load_strict

Term = Literal["pix", "percep", "gan"]
"""The losses that compare with gt: L1, perceptual, and what the discriminator takes for real."""


class AdversarialSR(SRModule):
    """A generator ``net`` and a ``discriminator`` that learn in turns, as BasicSR's ``SRGANModel`` has them.

    In every step the generator first lowers ``pixel_weight`` x L1 + ``perceptual_weight`` x perceptual +
    ``gan_weight`` x adversarial loss with the discriminator fixed, then the discriminator learns from gt and from the
    detached output. A step of both counts as one step of the run. Logged are BasicSR's names, weights included:
    ``losses/l_g_pix``, ``l_g_percep``, ``l_g_gan``, ``l_d_real``, ``l_d_fake``, ``out_d_real``, ``out_d_fake``.

    Args:
        net: maps lq (B,3,h,w) in [0,1] to sr, not clamped.
        discriminator: maps images (B,3,H,W) in [0,1] to logits of any shape.
        optimizer: factory over the generator's trainable parameters; None takes Adam of rate 2e-4, betas 0.9, 0.99.
        discriminator_optimizer: over the discriminator's; None takes ``optimizer``.
        scheduler: factory over the generator's optimiser, stepped after every training step; None: constant rate.
        discriminator_scheduler: over the discriminator's; None takes ``scheduler``.
        pixel_weight: of the L1 loss; 0 leaves it out.
        perceptual: the perceptual loss; None takes its defaults.
        perceptual_weight: 0 leaves it out, and then no VGG19 is needed.
        gan: the adversarial loss; None takes its defaults.
        gan_weight: of the generator's adversarial loss.
        net_d_iters: the generator learns in every so many steps, the discriminator in all.
        net_d_init_iters: steps in which the discriminator learns alone first.
        sharpen: losses whose gt is sharpened by unsharp masking (Real-ESRGAN: ``pix`` and ``percep``). Upstream
            sharpens the crop that the patch is cut out of, so the patch's outer 25 pixels differ slightly.
        gradient_clip_val: largest norm of each network's gradient; None does not clip.
        discriminator_weights: checkpoint that the discriminator starts from, published or ours; of a run under a moving
            average it takes the average, as ``weights`` does.
        previous: config of the stage whose network this one starts from; ``fit`` refuses to start without ``weights``.
            None allows random weights.
        allow_random_backbones: let a random VGG19 stand in where its weights are absent; see
            :meth:`~srbench.module.SRModule.backbone`.
        kwargs: see :class:`~srbench.module.SRModule`.
    """

    unhashed: ClassVar[tuple[str, ...]] = ("weights", "previous", "discriminator_weights")

    def __init__(
        self,
        net: nn.Module,
        discriminator: nn.Module,
        *,
        optimizer: OptimizerFactory | None = None,
        discriminator_optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        discriminator_scheduler: SchedulerFactory | None = None,
        pixel_weight: float = 1.0,
        perceptual: PerceptualLoss | None = None,
        perceptual_weight: float = 1.0,
        gan: GANLoss | None = None,
        gan_weight: float = 0.1,
        net_d_iters: int = 1,
        net_d_init_iters: int = 0,
        sharpen: Sequence[Term] = (),
        gradient_clip_val: float | None = None,
        discriminator_weights: str | None = None,
        previous: str | None = None,
        allow_random_backbones: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if net_d_iters < 1 or net_d_init_iters < 0:
            raise InputError(
                f"net_d_iters {net_d_iters} with net_d_init_iters {net_d_init_iters} is impossible",
                where="model.init_args.net_d_iters",
                remedy="use net_d_iters >= 1 and net_d_init_iters >= 0",
            )
        self.automatic_optimization = False
        self.net = net
        self.discriminator = discriminator
        self.optimizer_factories = [optimizer or adam, discriminator_optimizer or optimizer or adam]
        self.scheduler_factories = [scheduler, discriminator_scheduler or scheduler]
        self.pixel_weight = pixel_weight
        self.perceptual = (perceptual or PerceptualLoss()) if perceptual_weight else None
        self.perceptual_weight = perceptual_weight
        self.gan = gan or GANLoss()
        self.gan_weight = gan_weight
        self.net_d_iters = net_d_iters
        self.net_d_init_iters = net_d_init_iters
        self.sharpen: Collection[Term] = tuple(sharpen)
        self.gradient_clip_val = gradient_clip_val
        self.discriminator_weights = discriminator_weights
        self.previous = previous
        self.allow_random_backbones = allow_random_backbones

    # ------------------------------------------------------------------------------------------------ what it restores

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w), clamped to [0,1]."""
        return self.net(lq).clamp(0.0, 1.0)

    def generate(self, batch: Batch) -> Tensor:
        """The network's output for a training batch, not clamped; a network that takes more than lq overrides it."""
        return self.net(batch["lq"])

    def parts(self) -> dict[str, nn.Module]:
        """``net``, ``discriminator`` and, where a perceptual loss is used, the frozen ``vgg``."""
        vgg = {} if self.perceptual is None else {"vgg": self.perceptual.vgg.net}
        return {"net": self.net, "discriminator": self.discriminator, **vgg}

    # -------------------------------------------------------------------------------------------------------- starting

    def configure_callbacks(self) -> list[Callback]:
        """Refuses what Lightning does not do for two optimisers, before it does so in its own words.

        Raises:
            InputError: the trainer is asked to clip gradients or to accumulate them.
        """
        trainer = self.trainer
        if trainer.state.fn == TrainerFn.FITTING and trainer.gradient_clip_val:
            raise InputError(
                "the trainer clips one optimiser's gradients only, and this stage has two",
                where="trainer.gradient_clip_val",
                remedy="leave it out and set --model.init_args.gradient_clip_val",
            )
        if trainer.state.fn == TrainerFn.FITTING and trainer.accumulate_grad_batches != 1:
            raise InputError(
                "gradients of two optimisers are not accumulated",
                where="trainer.accumulate_grad_batches",
                remedy="leave it out and set a larger --data.init_args.batch_size, or use more devices",
            )
        return []

    def setup(self, stage: str) -> None:
        """Lightning's hook: weights of the generator and, for training, of discriminator and VGG19 are there.

        Raises:
            InputError: one of them is absent; it names the command that brings it.
        """
        super().setup(stage)
        if stage != "fit":
            return
        if self.discriminator_weights is not None:
            state = load_state(self.discriminator_weights, part="discriminator")
            load_strict(self.discriminator, state, where=self.discriminator_weights)
        if self.perceptual is not None and self.perceptual.vgg.is_meta:
            self.perceptual.load(self._vgg_file())
        if isinstance(self.trainer.strategy, DDPStrategy):
            # While one network learns the other has no gradients, which DDP must be told before it wraps them.
            self.trainer.strategy._ddp_kwargs["find_unused_parameters"] = True

    def _vgg_file(self) -> Path | None:
        return self.backbone(BACKBONE)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The generator's optimiser and the discriminator's, each with its scheduler at every step."""
        networks = (self.net, self.discriminator)
        optimizers = [
            make(p for p in network.parameters() if p.requires_grad)
            for make, network in zip(self.optimizer_factories, networks, strict=True)
        ]
        schedulers = [
            {"scheduler": make(optimizer), "interval": "step"}
            for make, optimizer in zip(self.scheduler_factories, optimizers, strict=True)
            if make is not None
        ]
        return cast(OptimizerLRScheduler, (optimizers, schedulers))

    # -------------------------------------------------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """One turn of both networks.

        Returns:
            Every loss by name, detached, and their sum as ``loss``.

        Raises:
            InputError: the network magnifies by another factor than the data, or the discriminator cannot judge the
                patch's size.
        """
        of_net, of_discriminator = cast(list[LightningOptimizer], self.optimizers())
        step = self.global_step + 1
        sr = fitting(self.generate(batch), batch)
        gt = self._targets(batch["gt"])
        losses: dict[str, Tensor] = {}
        if step % self.net_d_iters == 0 and step > self.net_d_init_iters:
            with fixed(self.discriminator):
                losses = self.generator_losses(sr, gt)
                self._learn(_uncounted(of_net), losses)
        judged, outputs = self.discriminator_losses(sr.detach(), gt["gan"])
        self._learn(of_discriminator, judged)
        self._step_schedulers()
        losses = {name: loss.detach() for name, loss in (losses | judged).items()}
        shown = {f"losses/{name}": value for name, value in (losses | outputs).items()}
        self.log_dict(shown, prog_bar=False, batch_size=len(batch["name"]))
        return {**losses, "loss": torch.stack(list(losses.values())).sum()}

    def generator_losses(self, sr: Tensor, gt: dict[Term, Tensor]) -> dict[str, Tensor]:
        """What the generator pays, weighted: ``l_g_pix``, ``l_g_percep`` and ``l_g_gan``.

        Args:
            sr: its output (B,3,H,W), not clamped.
            gt: what each loss compares with.
        """
        losses = {}
        if self.pixel_weight:
            losses["l_g_pix"] = self.pixel_weight * F.l1_loss(sr, gt["pix"])
        if self.perceptual is not None:
            losses["l_g_percep"] = self.perceptual_weight * self.perceptual(sr, gt["percep"])
        losses["l_g_gan"] = self.gan_weight * self.gan.for_generator(self.discriminator(sr))
        return losses

    def discriminator_losses(self, sr: Tensor, gt: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the discriminator pays for real and for made images, and its mean logits ``out_d_...``."""
        real, fake = self.discriminator(gt), self.discriminator(sr)
        losses = {
            "l_d_real": self.gan.for_discriminator(real, real=True),
            "l_d_fake": self.gan.for_discriminator(fake, real=False),
        }
        return losses, {"out_d_real": real.detach().mean(), "out_d_fake": fake.detach().mean()}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lightning's hook, after gradients were unscaled: clips them."""
        if self.gradient_clip_val is not None:
            self.clip_gradients(optimizer, self.gradient_clip_val, "norm")

    def _learn(self, optimizer: LightningOptimizer, losses: dict[str, Tensor]) -> None:
        optimizer.zero_grad()
        self.manual_backward(torch.stack(list(losses.values())).sum())
        optimizer.step()

    def _step_schedulers(self) -> None:
        held = self.lr_schedulers() or []
        for scheduler in held if isinstance(held, list) else [held]:
            cast(Any, scheduler).step()  # none of them waits for a metric

    def _targets(self, gt: Tensor) -> dict[Term, Tensor]:
        sharp = torch.stack([usm_sharpen(image) for image in gt]) if self.sharpen else gt
        terms: tuple[Term, ...] = ("pix", "percep", "gan")
        return {term: sharp if term in self.sharpen else gt for term in terms}


@contextmanager
def fixed(network: nn.Module) -> Iterator[None]:
    """Gradients flow through ``network`` and stay out of its parameters."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _uncounted(optimizer: LightningOptimizer) -> LightningOptimizer:
    """The optimiser, whose steps of this batch do not count: Lightning counts every optimiser's, and so twice."""
    optimizer._on_before_step = optimizer._on_after_step = do_nothing_closure
    return optimizer
