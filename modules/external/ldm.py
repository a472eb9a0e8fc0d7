"""LDM-BSR, the latent diffusion model for blind super-resolution, on diffusers' networks."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from srbench import weight_files
from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules.external import ldm_networks
from srbench.modules.external.padding import Padding
from srbench.modules.fixed import FixedSR
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.stable_diffusion.precision import cast, guarded
from srbench.modules.one_by_one import OneByOneSR
from srbench.modules.whole_image import refuse_tiles
from srbench.weights import load_state

CATALOGUE = "ldm_bsr"
HUB = "CompVis/ldm-super-resolution-4x-openimages"
"""The same weights as diffusers writes them."""

_PADDING = Padding("multiple", 8)


class LDMSR(OneByOneSR, FixedSR):
    """LDM-BSR, blind x4 by latent diffusion (Rombach et al., CVPR 2022), on diffusers' networks.

    The noise in a latent of lq's own size is predicted from that latent beside lq in [-1,1], by DDIM; the autoencoder
    magnifies what comes out by 4. It is diffusers' ``LDMSuperResolutionPipeline`` with two differences. A picture given
    to that is first made smaller to sides divisible by 32; here lq is filled up by reflection at the right and the
    bottom to sides divisible by 8, which is what the UNet needs, and sr is cut out. And all that is drawn comes from
    the image's own generator, also with ``eta``, where the pipeline takes the process' own.

    Args:
        base: weights as diffusers writes them: a folder, or a repository in the hub's cache. CompVis' own file is given
            as ``weights``. With neither, the catalogue's ``ldm_bsr`` is taken, else :data:`HUB` of the hub's cache.
        size: ``tiny`` is for tests and trials.
        steps: of DDIM, 1 to 1000.
        eta: 0 draws nothing on the way (diffusers' default), 1 as much as DDPM (CompVis' notebook).
        half: number format; what overflows is computed again in float32 and remarked.
        allow_random_backbones: let random networks stand in; see :meth:`~srbench.module.SRModule.backbone`.
        kwargs: see :class:`~srbench.module.SRModule`.

    Raises:
        InputError: a value is impossible, or ``base`` and ``weights`` are both given.
    """

    unhashed: ClassVar[tuple[str, ...]] = ("weights", "base")
    needs_weights: ClassVar[bool] = False  # without any it refuses, or is stamped

    def __init__(
        self,
        *,
        base: str | None = None,
        size: ldm_networks.Size = "full",
        steps: int = 100,
        eta: float = 0.0,
        half: Literal["float32", "float16", "bfloat16"] = "float32",
        allow_random_backbones: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.scale != 4:
            raise InputError(f"LDM magnifies by 4, not {self.scale}", where="model.init_args.scale", remedy="use 4")
        if base is not None and self.weights is not None:
            raise InputError("base and weights are both given", where="model.init_args.base", remedy="give one of them")
        refuse_tiles(self.tile, "LDM", "its noise is drawn for the whole image")
        self.base, self.size = base, size
        self.sampling = sd.Sampling(steps, eta)
        self.half_format: torch.dtype = getattr(torch, half)
        self.allow_random_backbones = allow_random_backbones
        self.unet = Frozen(ldm_networks.make_unet(size))
        self.vqvae = Frozen(ldm_networks.make_vqvae(size))
        self.diffusion = ldm_networks.make_scheduler()

    @property
    def method(self) -> str:
        """The name in tables."""
        return "LDM"

    def parts(self) -> dict[str, nn.Module]:
        """``net``, which predicts the noise, and the autoencoder ``vae``."""
        return {"net": self.unet.net, "vae": self.vqvae.net}

    # ---------------------------------------------------------------------------------------------------- the weights

    def prepare(self) -> None:
        """Loads the networks, once.

        Raises:
            InputError: they are absent, damaged, or of another model.
        """
        if not self._prepared:
            base = None if self.weights is not None else self._base()
            if base is not None:
                self._load_folder(base)
                for role, sha256 in base.sha256().items():
                    self.rests_on(role, sha256=sha256)
        super().prepare()

    def _base(self) -> sd.Base | None:
        """The base that the config names; else the catalogue's file becomes ``weights``; None with a random network."""
        if self.base is not None:
            return _folder(sd.find_base(self.base), self.base)
        if self.size == "full" and weight_files.locate(CATALOGUE) is None:
            try:
                return _folder(sd.find_base(HUB), HUB)
            except InputError:
                pass  # the catalogue's words below name the file to fetch
        if self.size != "full" and self.allow_random_backbones:
            self.stamp("random_backbones")
            return None
        if self.size != "full":
            raise InputError(
                "a tiny LDM has no published weights",
                where="model.init_args.size",
                remedy="set model.init_args.allow_random_backbones true for a trial, or size to full",
            )
        found = self._published()
        self.weights = None if found is None else str(found)
        return None

    def _published(self) -> Path | None:
        try:
            return self.backbone(CATALOGUE)
        except InputError as error:
            raise InputError(
                f"{error.what} (nor is {HUB} in {weight_files.hub_cache()})",
                where=error.where,
                remedy=f"{error.remedy}, or huggingface-cli download {HUB}",
            ) from None

    def _load_folder(self, base: sd.Base) -> None:
        sd.fill(dict(self.unet.net.named_parameters()), base.part("unet"), where=base.place / "unet")
        sd.fill(dict(self.vqvae.net.named_parameters()), base.part("vqvae"), where=base.place / "vqvae")
        config = base.place / "scheduler" / "scheduler_config.json"
        if config.is_file():
            self.diffusion = ldm_networks.make_scheduler(json.loads(config.read_text(encoding="utf-8")))

    def load_upstream(self, path: str | Path) -> None:
        """Loads a file in CompVis' layout, strictly; the running average of the UNet where there is one.

        Raises:
            InputError: it is missing, unsafe, not finite, or of another model.
        """
        held = load_state(path, key=self.weights_key)
        if not any(name.startswith(ldm_networks.UNET_PREFIX) for name in held):
            raise InputError(
                f"it has no tensors named {ldm_networks.UNET_PREFIX}*",
                where=path,
                remedy="give CompVis' model.ckpt, or a folder of diffusers as model.init_args.base",
            )
        factor = float(held.get("scale_factor", torch.ones(())))
        if factor != 1.0:
            raise InputError(
                f"its latents are multiplied by {factor:g}", where=path, remedy="LDM-BSR's are not; give its own file"
            )
        unet, vqvae = self.unet.net, self.vqvae.net
        sd.fill(dict(unet.named_parameters()), ldm_networks.unet_tensors(held, unet), where=path)
        sd.fill(dict(vqvae.named_parameters()), ldm_networks.vqvae_tensors(held, self.size), where=path)

    def setup(self, stage: str) -> None:
        """Lightning's hook: the networks are there, in their number format."""
        super().setup(stage)
        for network in (self.unet, self.vqvae):
            cast(network.net, self.half_format)

    # ------------------------------------------------------------------------------------------------------- restoring

    def warm_up(self, batch: Batch) -> None:
        """One step on an accelerator, nothing elsewhere: a whole sampling would cost more than it makes right."""
        if self.device.type == "cuda":
            with sd.in_one_step(self):
                self.restore_image(batch["lq"][:1], "warm-up")

    @torch.no_grad()
    def restore_image(self, lq: Tensor, name: str) -> Tensor:
        """Restores one image, filled up to sides divisible by 8."""
        failed = functools.partial(self.remark, name)
        format = next(self.unet.net.parameters()).dtype

        def magnified(filled: Tensor) -> Tensor:
            make = functools.partial(self._sampled, filled * 2.0 - 1.0, name)
            latents = guarded(make, self.unet.net, format, "sampled", failed)
            decode = functools.partial(self._decoded, latents)
            return guarded(decode, self.vqvae.net, format, "decoded", failed)

        sr = _PADDING.around(magnified, lq, self.scale)
        return (sr * 0.5 + 0.5).clamp(0.0, 1.0)

    def _sampled(self, lq: Tensor, name: str) -> Tensor:
        """Latents (1,3,h,w) float32 from ``lq`` (1,3,h,w) in [-1,1], sides divisible by 8."""
        generator = self.generator(name)

        def predict(x_t: Tensor, step: int) -> Tensor:
            made = self.unet(torch.cat([x_t, lq], dim=1), step).sample
            assert isinstance(made, Tensor)
            return made

        def draw() -> Tensor:
            return sd.normal(lq, [generator])

        shown = functools.partial(self.shown, name=name)
        return sd.sample(predict, lq, draw, self.sampling, shown=shown, scheduler=self.diffusion)

    def _decoded(self, latents: Tensor) -> Tensor:
        made = self.vqvae.net.decode(latents.to(next(self.vqvae.net.parameters()).dtype)).sample  # type: ignore[operator]
        assert isinstance(made, Tensor)
        return made.float()


def _folder(base: sd.Base, given: str) -> sd.Base:
    if base.single:
        raise InputError(
            "it is a single file, not a folder of diffusers",
            where=given,
            remedy="give it as model.init_args.weights",
        )
    return base
