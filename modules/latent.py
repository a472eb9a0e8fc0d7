"""LatentSR: a method that makes images with Stable Diffusion, under conditions of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from tqdm import tqdm

from srbench.contracts import Batch, OptimizerFactory, SchedulerFactory
from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.stable_diffusion import canvas
from srbench.modules.pixel import one_optimizer
from srbench.sampling import image_seed, run_seed
from srbench.weights import check_finite, check_fit, read_checkpoint

Half = Literal["float32", "float16", "bfloat16"]
Conditions = Any


class LatentSR(SRModule):
    """A base model, the way it is sampled and trained; a method gives what the noise is predicted from.

    Images are restored one by one. Lq is laid on a canvas (:mod:`~srbench.modules.nets.stable_diffusion.canvas`), the
    canvas is magnified bicubically and encoded, latents are sampled with the noise of overlapping windows mixed and one
    step of the scheduler on the whole (StableSR's aggregation sampling), decoded in tiles, and their colours corrected.
    Everything that is drawn comes from the image's own generator. Memory grows with the window and the tile.

    It trains by the squared error of the predicted noise at uniformly drawn steps. What a training sample draws
    depends on the run's seed, the step and its place in the batch of all processes.

    Args:
        base: the base model: a folder as diffusers writes it, a single file in the original layout, or a repository in
            the hub's cache. None takes the family's file of the catalogue (``srbench weights list``).
        family: ``sd15`` or ``sd21`` (the 512-pixel base).
        size: ``tiny`` is for tests and trials.
        steps: of DDIM.
        eta: 0 for DDIM, 1 for as much noise as DDPM.
        start: ``noise``, ``lr`` or ``guided``; see :class:`~srbench.modules.nets.stable_diffusion.Sampling`.
        guided_steps: steps whose noise leads to lq, with ``guided``.
        start_step: of 1000, the noise that ``lr`` adds; None takes the first step's.
        guidance: scale of classifier-free guidance; 1 is none.
        latent_tile: side of a window in latent cells (8 pixels); None samples the whole at once.
        latent_overlap: of neighbouring windows.
        vae_tile: side in pixels of a tile that is encoded or decoded at once; None takes the whole.
        vae_overlap: of neighbouring tiles.
        short_side: pixels that the shorter side of the canvas has at least.
        colour: ``none``, ``adain`` or ``wavelet``.
        half: number format of the base model in testing; what overflows is computed again in float32 and remarked.
        slicing: compute attention in slices, slower and smaller.
        offload: keep on the accelerator only the network that is at work.
        checkpointing: recompute the UNet's blocks in the backward pass.
        optimizer: factory; None takes AdamW of rate 1e-4.
        scheduler: factory, stepped after every training step; None keeps the rate constant.
        allow_random_backbones: let random networks stand in; see :meth:`~srbench.module.SRModule.backbone`.
        unet_changes: arguments of the UNet that a method has different.
        fresh: parts of names of UNet tensors that the base does not give.
        kwargs: see :class:`~srbench.module.SRModule`.

    Raises:
        InputError: a value is impossible.
    """

    stochastic: ClassVar[bool] = True
    unhashed: ClassVar[tuple[str, ...]] = ("weights", "offload", "slicing")
    trains_on_lq_latents: ClassVar[bool] = True
    """Whether :meth:`training_conditions` looks at the latents of lq."""

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
        self.vae_tile, self.vae_overlap = vae_tile, vae_overlap
        self.short_side, self.colour = short_side, colour
        self.half_precision = half
        self.slicing, self.offload = slicing, offload
        self.optimizer_factory = optimizer or adamw
        self.scheduler_factory = scheduler
        self.allow_random_backbones = allow_random_backbones
        self.fresh = tuple(fresh)
        self.unet = sd.keep_trained_state(sd.make_unet(family, size, **(unet_changes or {})).requires_grad_(False))
        self.vae = Frozen(sd.make_vae(size))
        self.diffusion = sd.make_scheduler()
        if checkpointing:
            self.unet.enable_gradient_checkpointing()  # type: ignore[operator]
        # A method may wrap blocks of the UNet; the base is loaded by the names from before.
        self._stock = dict(self.unet.named_parameters())

    # ------------------------------------------------------------------------------------------------ a method gives

    @abstractmethod
    def conditions(self, lq: Tensor, lq_up: Tensor, z_lr: Tensor) -> Conditions:
        """What does not change during the sampling of one image.

        Args:
            lq: (1,3,H/s,W/s) in [0,1], as it lies on the canvas.
            lq_up: (1,3,H,W) in [-1,1], magnified bicubically; sides divisible by 64.
            z_lr: (1,4,H/8,W/8), its scaled latents.
        """

    @abstractmethod
    def cropped(self, conditions: Conditions, window: sd.Window) -> Conditions:
        """The conditions of one window, in latent cells; ``window.scaled(8)`` is that of ``lq_up``.

        It is asked for once per image and window, and never where one window covers the canvas.
        """

    @abstractmethod
    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """The noise (B,4,h,w) in ``x_t`` (B,4,h,w) at steps ``t`` (B,) of 0 to 999."""

    @abstractmethod
    def training_conditions(self, batch: Batch, z_lr: Tensor | None) -> Conditions:
        """The conditions of a training batch; ``z_lr`` (B,4,h,w) is None unless ``trains_on_lq_latents``."""

    def without_prompt(self, conditions: Conditions) -> Conditions:
        """The conditions of the other prediction of classifier-free guidance, the empty or negative prompt's."""
        raise InputError(
            f"{self.method} knows no classifier-free guidance", where="model.init_args.guidance", remedy="set it to 1"
        )

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
        if not self._prepared:
            base = sd.need_base(self, self.base, self.family, self.size)
            if base is not None:
                self.load_base(base)
        super().prepare()

    def load_base(self, base: sd.Base) -> None:
        """Takes what it needs of a base model; a method that needs its text encoder too extends it."""
        sd.fill(self._stock, base.unet(self.family, self.size), where=base.place, fresh=self.fresh)
        sd.fill(dict(self.vae.net.named_parameters()), base.vae(self.size), where=base.place)

    def setup(self, stage: str) -> None:
        """Lightning's hook: the base is there, and in its number format for testing."""
        super().setup(stage)
        if stage == "fit":
            return
        for net in (self.unet, self.vae.net):
            cast(net, self.format)
        if self.slicing:
            self.unet.set_attention_slice("auto")  # type: ignore[operator]

    @property
    def format(self) -> torch.dtype:
        """The number format of the base model in testing."""
        held = getattr(torch, self.half_precision)
        assert isinstance(held, torch.dtype)
        return held

    def load_upstream(self, path: str | Path) -> None:
        """Loads a checkpoint of ours, strictly: what the stage trains. A method with a published file extends it.

        Raises:
            InputError: it is another checkpoint.
        """
        held = read_checkpoint(path)
        if "pytorch-lightning_version" not in held:
            self.load_published(path)
            return
        state = held["state_dict"]
        check_finite(state, where=path)
        check_fit(self, state, where=path)
        self.load_state_dict(state)

    def load_published(self, path: str | Path) -> None:
        """Loads the authors' own checkpoint; none is published of most methods."""
        raise InputError(
            f"it is no checkpoint that srbench wrote, and {self.method} reads no other",
            where=path,
            remedy="give a checkpoint of srbench fit",
        )

    # -------------------------------------------------------------------------------------------------------- restoring

    def upscale(self, lq: Tensor) -> Tensor:
        """Restores ``lq`` (B,3,h,w) in [0,1] to (B,3,s*h,s*w) in [0,1], each image as if it were named ``image``."""
        return self.restore({"lq": lq, "name": ["image"] * len(lq)})

    def restore(self, batch: Batch) -> Tensor:
        """Restores the images of a batch one after the other."""
        pairs = zip(batch["lq"], batch["name"], strict=True)
        return torch.cat([self._restored_image(image[None], name) for image, name in pairs])

    def warm_up(self, batch: Batch) -> None:
        """One step on an accelerator, nothing elsewhere: a whole sampling would cost more than it makes right."""
        if self.device.type == "cuda":
            whole, self.sampling = self.sampling, sd.Sampling(1)
            self._restored_image(batch["lq"][:1], "warm-up")
            self.sampling = whole

    @torch.no_grad()
    def _restored_image(self, lq: Tensor, name: str) -> Tensor:
        laid = canvas.lay(lq, self.scale, short_side=self.short_side)
        lq_up = canvas.enlarged(laid.lq, self.scale)
        generator = self.generator(name)
        z_lr = sd.drawn(self._guarded(lambda: self._moments(lq_up), name, "encoded"), [generator])
        z_sr = self._sampled(laid.lq, lq_up, z_lr, generator, name)
        made = self._guarded(lambda: self._decoded(z_sr), name, "decoded")
        sr = sd.corrected(laid.cut(made) * 0.5 + 0.5, laid.cut(lq_up) * 0.5 + 0.5, self.colour)
        return laid.sized(sr).clamp(0.0, 1.0)

    def _sampled(self, lq: Tensor, lq_up: Tensor, z_lr: Tensor, generator: torch.Generator, name: str) -> Tensor:
        held = self.conditions(lq, lq_up, z_lr)
        predict = self._predictor(held, z_lr.shape[-2], z_lr.shape[-1])

        def draw() -> Tensor:
            return sd.normal(z_lr, [generator])

        return sd.sample(predict, z_lr, draw, self.sampling, shown=lambda steps: self._shown(steps, name))

    def _predictor(self, held: Conditions, height: int, width: int) -> Any:
        cuts = list(sd.windows(height, width, self.latent_tile, self.latent_overlap))
        parts = {cut: held if len(cuts) == 1 else self.cropped(held, cut) for cut in cuts}

        def predict(x_t: Tensor, step: int) -> Tensor:
            def part(window: sd.Window) -> Tensor:
                return self._guided(window.of(x_t), step, parts[window])

            return sd.blended(part, height, width, tile=self.latent_tile, overlap=self.latent_overlap)

        return predict

    def _guided(self, x_t: Tensor, step: int, held: Conditions) -> Tensor:
        t = torch.full((len(x_t),), step, device=x_t.device)
        with self._autocast():
            predicted = self.predict_noise(x_t, t, held).float()
            if self.guidance == 1.0:
                return predicted
            other = self.predict_noise(x_t, t, self.without_prompt(held)).float()
        return other + self.guidance * (predicted - other)

    def _moments(self, image: Tensor) -> Tensor:
        return sd.moments(self.vae.net, image, tile=self.vae_tile, overlap=self.vae_overlap)

    def _decoded(self, latents: Tensor) -> Tensor:
        return sd.decoded(self.vae.net, latents, tile=self.vae_tile, overlap=self.vae_overlap)

    def _guarded(self, make: Any, name: str, what: str) -> Tensor:
        """What the autoencoder makes; where half precision overflows, made again in float32."""
        with self._autocast():
            made = make()
        if self.half_precision == "float32" or bool(torch.isfinite(made).all()):
            return made
        self.remark(name, f"not finite in {self.half_precision}: {what} in float32")
        cast(self.vae.net, torch.float32)
        try:
            return make()
        finally:
            cast(self.vae.net, self.format)

    def _autocast(self) -> Any:
        if self.half_precision == "float32" or self.training:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.format)

    def _shown(self, steps: Sequence[int], name: str) -> Iterator[int]:
        hidden = rank_zero_only.rank != 0 or getattr(self._trainer, "progress_bar_callback", None) is None
        yield from tqdm(steps, desc=name, leave=False, disable=hidden)

    # --------------------------------------------------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean squared error of the predicted noise; logged as ``losses/l_eps``.

        Raises:
            InputError: gt is smaller than 64 pixels, or its sides are not divisible by 8.
        """
        gt = fit_for_latents(batch["gt"])
        generators = self._generators(len(gt))
        t = torch.stack([torch.randint(sd.TRAIN_STEPS, (), generator=g) for g in generators]).to(gt.device)
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

    @torch.no_grad()
    def encoded(self, image: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Scaled latents of ``image`` (B,3,H,W) in [-1,1], drawn."""
        return sd.drawn(sd.moments(self.vae.net, image), generators)

    def _generators(self, count: int) -> list[torch.Generator]:
        first = self.global_rank * count
        places = (f"training sample {first + i}" for i in range(count))
        return [torch.Generator().manual_seed(image_seed(run_seed(), self.global_step, place)) for place in places]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser over what is trainable, with the scheduler at every step."""
        return one_optimizer(self, self.optimizer_factory, self.scheduler_factory)


def cast(net: nn.Module, format: torch.dtype) -> None:
    """Puts the floating-point tensors of ``net`` into another number format, in place."""
    net._apply(lambda t: t.to(format) if t.is_floating_point() else t)


def fit_for_latents(image: Tensor) -> Tensor:
    """``image`` (B,3,H,W), when it can be encoded.

    Raises:
        InputError: a side is below 64 pixels or not divisible by 8.
    """
    height, width = image.shape[-2:]
    if min(height, width) < canvas.SMALLEST or height % sd.FACTOR or width % sd.FACTOR:
        raise InputError(
            f"training images of {height}x{width} cannot be encoded",
            where="data.init_args.patch_size",
            remedy="use 64 or more, divisible by 8; published models train on 512",
        )
    return image


def adamw(parameters: Any) -> torch.optim.Optimizer:
    """AdamW of rate 1e-4, SCEdit's and diffusers' usual one."""
    return torch.optim.AdamW(parameters, lr=1e-4)
