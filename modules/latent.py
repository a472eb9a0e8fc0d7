"""LatentSR: a method that makes images with Stable Diffusion, under conditions of its own."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.stable_diffusion import canvas
from srbench.modules.nets.stable_diffusion.codec import Codec
from srbench.modules.nets.stable_diffusion.contract import LatentMethod
from srbench.modules.nets.stable_diffusion.latent_store import LatentStore
from srbench.modules.nets.stable_diffusion.precision import bring, cast, guarded
from srbench.modules.nets.stable_diffusion.trained_state import load_trained_state
from srbench.modules.nets.stable_diffusion.training import drawn_steps, sample_generators
from srbench.modules.one_by_one import OneByOneSR
from srbench.modules.pixel import one_optimizer

Half = Literal["float32", "float16", "bfloat16"]


class LatentSR(LatentMethod, OneByOneSR):
    """A base model, the way it is sampled and trained; a method gives what the noise is predicted from.

    Images are restored one by one, in any size from which sr has 64 pixels or more on each side: lq is laid on a canvas
    (enlarged to ``short_side``, filled up by reflection until the sides divide by 64; sr is cut out of it), magnified
    bicubically and encoded; latents are sampled, the noise of overlapping windows mixed and the scheduler's step taken
    on the whole (StableSR's aggregation sampling); they are decoded in tiles and their colours corrected. Everything
    drawn comes from the image's own generator. Memory grows with window and tile. It trains by the squared error of the
    noise at uniformly drawn steps, on crops whose sides divide by 8.

    Args:
        base: a folder as diffusers writes it, a single file in the original layout, or a repository in the hub's cache;
            None takes the family's file of the catalogue (``srbench weights list``).
        family: ``sd15`` or ``sd21`` (the 512-pixel base).
        size: ``tiny`` is for tests and trials.
        steps: of DDIM; this and the next four as in :class:`~srbench.modules.nets.stable_diffusion.Sampling`.
        eta: 0 for DDIM, 1 for as much noise as DDPM.
        start: ``noise``, ``lr`` or ``guided``.
        guided_steps: steps whose noise leads to lq, with ``guided``.
        start_step: of 1000, the noise that ``lr`` adds; None takes the first step's.
        guidance: scale of classifier-free guidance; 1 is none.
        latent_tile: side of a window in latent cells (8 pixels); None samples the whole at once.
        latent_overlap: of neighbouring windows.
        vae_tile: side in pixels of what is encoded or decoded at once; None takes the whole.
        vae_overlap: of neighbouring tiles.
        short_side: pixels that the shorter side of the canvas has at least.
        colour: ``none``, ``adain`` or ``wavelet``.
        half: number format of the base in testing; what overflows is computed again in float32 and remarked.
        slicing: compute attention in slices, slower and smaller.
        offload: keep on the accelerator only the network that is at work.
        checkpointing: recompute the UNet's blocks in the backward pass.
        latents: folder where latents of training images are kept, for data that comes again (fixed crops, pictures made
            beforehand); see :class:`~srbench.modules.nets.stable_diffusion.latent_store.LatentStore`.
        optimizer: factory; None takes AdamW of rate 1e-4.
        scheduler: factory, stepped after every training step; None keeps the rate constant.
        allow_random_backbones: let random networks stand in; see :meth:`~srbench.module.SRModule.backbone`.
        unet_changes: arguments of the UNet that a method has different.
        fresh: parts of names of UNet tensors that the base does not give.
        kwargs: see :class:`~srbench.module.SRModule`.

    Attributes:
        weights_may_hold_base: whether a file given as ``weights`` can have the base in it.

    Raises:
        InputError: a value is impossible, or it is made to be run at full size and its base is absent.
    """

    unhashed: ClassVar[tuple[str, ...]] = ("weights", "base", "offload", "slicing", "latents")
    weights_may_hold_base: ClassVar[bool] = False
    borrowed: bool = False  # its networks are another method's, which has loaded the base

    def __init__(
        self,
        *,
        base: str | None = None,
        family: sd.Family = "sd21",
        size: sd.Size = "full",
        steps: int = 50,
        eta: float = 0.0,
        start: sd.Start = "noise",
        guided_steps: int = 1,
        start_step: int | None = None,
        guidance: float = 1.0,
        latent_tile: int | None = 64,
        latent_overlap: int = 32,
        vae_tile: int | None = 1280,
        vae_overlap: int = 280,
        short_side: int = 512,
        colour: sd.Colour = "none",
        half: Half = "float32",
        slicing: bool = False,
        offload: bool = False,
        checkpointing: bool = False,
        latents: str | None = None,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        allow_random_backbones: bool = False,
        unet_changes: Mapping[str, Any] | None = None,
        fresh: Sequence[str] = (),
        scale: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(scale=scale, **kwargs)
        if sd.MULTIPLE % scale:
            raise InputError(
                f"scale {scale} does not divide 64", where="model.init_args.scale", remedy="use 1, 2, 4, 8"
            )
        sd.check_tile(latent_tile, latent_overlap, name="latent_tile", multiple=8)
        sd.check_tile(vae_tile, vae_overlap, name="vae_tile", multiple=8)
        self.base, self.family, self.size = base, family, size
        self.sampling = sd.Sampling(steps, eta, start, guided_steps, start_step)
        self.guidance = guidance
        self.latent_tile, self.latent_overlap = latent_tile, latent_overlap
        self.short_side, self.colour = short_side, colour
        self.half_format: torch.dtype = getattr(torch, half)
        self.format = torch.float32  # until it is set up for testing
        self.slicing, self.offload = slicing, offload
        self.optimizer_factory = optimizer or adamw
        self.scheduler_factory = scheduler
        self.allow_random_backbones = allow_random_backbones
        self.fresh = tuple(fresh)
        sd.expect_base(self)
        self.unet = sd.keep_trained_state(sd.make_unet(family, size, **(unet_changes or {})).requires_grad_(False))
        self.vae = Codec(size, vae_tile, vae_overlap, None if latents is None else LatentStore(latents))
        self.diffusion = sd.make_scheduler()
        if checkpointing:
            self.unet.enable_gradient_checkpointing()  # type: ignore[operator]
        # A method may wrap blocks of the UNet; the base is loaded by the names from before.
        self._stock = dict(self.unet.named_parameters())

    def networks(self) -> dict[str, nn.Module]:
        """The named networks that predict the noise; tables print their parameters together."""
        return {"unet": self.unet}

    # -------------------------------------------------------------------------------------------------------- the base

    def parts(self) -> dict[str, nn.Module]:
        """``net``, all :meth:`networks` together; each of them; and the autoencoder ``vae``."""
        networks = self.networks()
        return {"net": nn.ModuleDict(networks), **networks, "vae": self.vae.net}

    def prepare(self) -> None:
        """Loads the base, then ``weights``, once.

        Raises:
            InputError: the base is absent, damaged, or of another family.
        """
        if not self._prepared and not self.borrowed:
            base = sd.need_base(self, self.base, self.family, self.size)
            if base is not None:
                self.load_base(base)
                for role, sha256 in base.sha256().items():
                    self.rests_on(role, sha256=sha256)
        super().prepare()

    def load_base(self, base: sd.Base) -> None:
        """Takes what it needs of a base model; a method that needs its text encoder too extends it."""
        sd.fill(self._stock, base.unet(self.family, self.size), where=base.place, fresh=self.fresh)
        sd.fill(dict(self.vae.net.named_parameters()), base.vae(self.size), where=base.place)

    def setup(self, stage: str) -> None:
        """Lightning's hook: the base is there, and in its number format for testing."""
        super().setup(stage)
        self.format = torch.float32 if stage == "fit" else self.half_format
        cast(self.unet, self.format)
        self.vae.use(self.format)
        if self.slicing:
            self.unet.set_attention_slice("auto")  # type: ignore[operator]

    def load_upstream(self, path: str | Path) -> None:
        """Loads a checkpoint of ours, strictly: what the stage trains. A method with a published file extends it.

        Raises:
            InputError: it is another checkpoint.
        """
        if not load_trained_state(self, path):
            self.load_published(path)

    def load_published(self, path: str | Path) -> None:
        """Loads the authors' own checkpoint; none is published of most methods."""
        raise InputError(
            f"it is no checkpoint that srbench wrote, and {self.method} reads no other",
            where=path,
            remedy="give a checkpoint of srbench fit",
        )

    # -------------------------------------------------------------------------------------------------------- restoring

    def warm_up(self, batch: Batch) -> None:
        """One step on an accelerator, nothing elsewhere: a whole sampling would cost more than it makes right."""
        if self.device.type == "cuda":
            with sd.in_one_step(self):
                self.restore_image(batch["lq"][:1], "warm-up")

    @torch.no_grad()
    def restore_image(self, lq: Tensor, name: str) -> Tensor:
        """Restores one image on its canvas."""
        laid = canvas.lay(lq, self.scale, short_side=self.short_side, name=name)
        lq_up = canvas.enlarged(laid.lq, self.scale)
        generator, failed = self.generator(name), functools.partial(self.remark, name)
        rest = dict(self.named_children()).keys() - {"vae"}
        self._bring({"vae"})
        z_lr = self.vae.encode(lq_up, generator, failed)
        self._bring(rest)
        z_sr = self._sampled(laid, lq_up, z_lr, generator, name)
        self._bring({"vae"})
        made = self.vae.decode(z_sr, failed)
        sr = sd.corrected(laid.cut(made) * 0.5 + 0.5, laid.cut(lq_up) * 0.5 + 0.5, self.colour)
        return laid.sized(sr).clamp(0.0, 1.0)

    def _sampled(
        self, laid: canvas.Canvas, lq_up: Tensor, z_lr: Tensor, generator: torch.Generator, name: str
    ) -> Tensor:
        state = generator.get_state()

        def make() -> Tensor:
            generator.set_state(state)
            held, shape = self.conditions(laid.lq, lq_up, z_lr), (z_lr.shape[-2], z_lr.shape[-1])
            overlap = self.latent_overlap
            predict = sd.aggregated(self._guided, self.cropped, held, shape, tile=self.latent_tile, overlap=overlap)
            shown = functools.partial(self.shown, name=name)
            return sd.sample(predict, z_lr, lambda: sd.normal(z_lr, [generator]), self.sampling, shown=shown)

        return guarded(make, self.unet, self.format, "sampled", functools.partial(self.remark, name))

    def _guided(self, x_t: Tensor, step: int, held: sd.Conditions) -> Tensor:
        t = torch.full((len(x_t),), step, device=x_t.device)
        predicted = self.predict_noise(x_t, t, held).float()
        if self.guidance == 1.0:
            return predicted
        other = self.predict_noise(x_t, t, self.without_prompt(held)).float()
        return other + self.guidance * (predicted - other)

    def _bring(self, working: set[str]) -> None:
        bring(dict(self.named_children()), working, self.device, offload=self.offload)

    # --------------------------------------------------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean squared error of the predicted noise; logged as ``losses/l_eps``.

        Raises:
            InputError: gt is smaller than 64 pixels, or its sides are not divisible by 8.
        """
        gt = canvas.trainable(batch["gt"])
        part = batch_idx % (self._trainer.accumulate_grad_batches if self._trainer else 1)
        generators = sample_generators(len(gt), rank=self.global_rank, step=self.global_step, part=part)
        t = drawn_steps(generators).to(gt.device)
        z_gt = self.encoded(gt * 2.0 - 1.0, generators)
        noise = sd.normal(z_gt, generators)
        z_lr = self.encoded(self.enlarged(batch["lq"]), generators) if self.trains_on_lq_latents else None
        held = self.training_conditions(batch, z_lr)
        loss = F.mse_loss(self.predict_noise(sd.noised(self.diffusion, z_gt, noise, t), t, held).float(), noise)
        self.log("losses/l_eps", loss, prog_bar=True, batch_size=len(gt))
        return loss

    def enlarged(self, lq: Tensor) -> Tensor:
        """``lq`` (B,3,h,w) in [0,1] magnified bicubically to (B,3,s*h,s*w) in [-1,1]."""
        return canvas.enlarged(lq, self.scale)

    def encoded(self, image: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Scaled latents (B,4,H/8,W/8) of training images (B,3,H,W) in [-1,1], each drawn by its own generator."""
        return self.vae.training_latents(image, generators)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over what is trainable, with the scheduler at every step."""
        return one_optimizer(self, self.optimizer_factory, self.scheduler_factory)


def adamw(parameters: Any) -> torch.optim.Optimizer:
    """AdamW of rate 1e-4, SCEdit's and diffusers' usual one."""
    return torch.optim.AdamW(parameters, lr=1e-4)
