"""CasSR: Stable Diffusion controlled by lq and by a reference image of it (section 3.3)."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.images import file_sha256
from srbench.module import SRModule
from srbench.modules.cassr.captions import captioning
from srbench.modules.cassr.controls import Control, controls, copy_downward, freeze_unseen, make_controlnet
from srbench.modules.cassr.given import Given
from srbench.modules.cassr.multiple_attention import MultipleAttention, Order, check_attention
from srbench.modules.cassr.reference import Kind, Reference
from srbench.modules.cassr.wording import NEGATIVE, PROMPT, Wording
from srbench.modules.latent import LatentSR
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.stable_diffusion import canvas
from srbench.naming import safe_name, unknown_name

Adding = Literal["sum", "mean", "lq", "ref", "none"]
Features = Literal["before", "after"]
Unconditional = Literal["text", "text_and_images"]


class Subject(NamedTuple):
    """The image that is being restored.

    Attributes:
        name: of the image.
        ref: its reference on the canvas, (1,3,H,W) in [0,1]; None where it is lq itself.
    """

    name: str
    ref: Tensor | None


class CasSR(LatentSR):
    """Stage 2: one ControlNet for lq and reference, and attention to both in the UNet's upward path.

    The UNet is frozen; the ControlNet and the attentions train. The paper's code was never released, and its text
    leaves open what follows; each is an argument, and by default training starts from the UNet's own output.

    1. ``residual``: Eqs. 1 and 2 replace the tokens; by default they are added to, as by CoSeR's and PASD's attentions.
    2. ``norm``: a layer norm of the tokens. ``heads``: the self-attention's. ``zero_init``: an output of zero.
    3. ``order``: text and feed-forward layers come behind what the paper describes, as in the stock block.
    4. ``plain_block``: attention in the upward block without transformer too; by default not, since the paper speaks of
       places around a self-attention.
    5. ``add_to_skips``: whether L and R are added to the skips as well; by default their sum ("initially, these feature
       maps are directly added ... as part of the conditional term"; Fig. 6e leaves that alone).
    6. ``features``: attention sees L and R before or after the ControlNet's zero-initialised convolutions. Linear
       layers follow, so both can express the same, but after them two zeros meet: attention starts to learn three steps
       later, and without ``add_to_skips`` never. By default before.

    In windows, ControlNet and attention see the window's pixels of lq and reference; the text is the whole image's, and
    so is the making of the reference.

    Args:
        reference: see :class:`~srbench.modules.cassr.reference.Reference`.
        reference_model: makes the references that the data does not bring; by ``class_path``.
        share_base: hold the base once where that is stage 1 on the same one, unless something is offloaded.
        multi_attention: off leaves a ControlNet on two images (Fig. 6e).
        heads: of the attentions; None takes the self-attention's.
        residual: see above.
        norm: see above.
        zero_init: see above.
        order: see :data:`~srbench.modules.cassr.multiple_attention.Order`.
        plain_block: see above.
        add_to_skips: ``sum``, ``mean``, only of ``lq`` or ``ref``, or ``none``; the middle block likewise.
        features: see above.
        prompt: description of every image; may be empty.
        negative_prompt: the other side of classifier-free guidance; may be empty.
        unconditional: what that side lacks: ``text``, or ``text_and_images`` (the plain UNet's prediction).
        prompt_dropout: share of training samples whose prompt is emptied.
        captions: CSV with ``name`` and ``caption``, said before the prompt.
        captioner: a model of transformers instead of it, which sees the magnified lq.
        tokenizer: folder of the tokenizer; None looks in the base.
        family: of the base model.
        size: of the base model and the ControlNet's embedding.
        start: ``lr``: "we integrate the LR image into the initial noise".
        guidance: scale of classifier-free guidance, which the paper does not say.
        checkpointing: see :class:`~srbench.modules.latent.LatentSR`.
        name: the row's name.
        kwargs: see there.

    Raises:
        InputError: a value is impossible, or two contradict each other.
    """

    trains_on_lq_latents: ClassVar[bool] = False
    unhashed: ClassVar[tuple[str, ...]] = (*LatentSR.unhashed, "captions", "share_base")

    def __init__(
        self,
        *,
        reference: Kind = "scedit",
        reference_model: SRModule | None = None,
        share_base: bool = True,
        multi_attention: bool = True,
        heads: int | None = None,
        residual: bool = True,
        norm: bool = True,
        zero_init: bool = True,
        order: Order = "ref_self_lq_text",
        plain_block: bool = False,
        add_to_skips: Adding = "sum",
        features: Features = "before",
        prompt: str = PROMPT,
        negative_prompt: str = NEGATIVE,
        unconditional: Unconditional = "text",
        prompt_dropout: float = 0.0,
        captions: str | None = None,
        captioner: str | None = None,
        tokenizer: str | None = None,
        family: sd.Family = "sd15",
        size: sd.Size = "full",
        start: sd.Start = "lr",
        guidance: float = 7.5,
        checkpointing: bool = False,
        name: str = "CasSR",
        **kwargs: Any,
    ) -> None:
        known: dict[str, Any] = {"family": family, "size": size, "start": start, "guidance": guidance}
        super().__init__(**known, checkpointing=checkpointing, **kwargs)
        for argument, value, choices in (
            ("add_to_skips", add_to_skips, get_args(Adding)),
            ("features", features, get_args(Features)),
            ("unconditional", unconditional, get_args(Unconditional)),
        ):
            if value not in choices:
                raise unknown_name(argument, value, choices, where=f"model.init_args.{argument}")
        if plain_block and checkpointing:
            raise InputError(
                "recomputing the block without transformer would miss the attention behind it",
                where="model.init_args.checkpointing",
                remedy="set it or model.init_args.plain_block to false",
            )
        check_attention(multi_attention, add_to_skips != "none", features == "after", zero_init)
        self.add_to_skips, self.features, self.unconditional = add_to_skips, features, unconditional
        self.name = safe_name(name, kind="method name")
        self.captions = captions
        self.reference = Reference(reference, reference_model, share_base=share_base)
        said = {"prompt": prompt, "negative": negative_prompt, "tokenizer": tokenizer}
        wording: dict[str, Any] = {**said, "dropout": prompt_dropout, "captions": captioning(captions, captioner)}
        self.wording = Wording(family, size, **wording)
        self.controlnet = make_controlnet(self.unet, tiny=size == "tiny")
        if checkpointing:
            self.controlnet.enable_gradient_checkpointing()  # type: ignore[operator]
        design: dict[str, Any] = {"heads": heads, "residual": residual, "norm": norm, "zero_init": zero_init}
        self.attentions = (
            MultipleAttention(self.unet, **design, order=order, plain_block=plain_block) if multi_attention else None
        )
        if self.attentions is not None and add_to_skips == "none":
            freeze_unseen(self.controlnet, self.attentions.skips(self.unet), behind=features == "after")
        self._subject: Subject | None = None

    @property
    def method(self) -> str:
        """``name``."""
        return self.name

    def networks(self) -> dict[str, nn.Module]:
        """Also ``controlnet`` and ``attentions``."""
        own = {**super().networks(), "controlnet": self.controlnet}
        return own if self.attentions is None else {**own, "attentions": self.attentions}

    def load_base(self, base: sd.Base) -> None:
        """Also the text encoder; the ControlNet starts from the UNet's weights."""
        super().load_base(base)
        self.wording.load(self, base)
        copy_downward(self.unet, self.controlnet)

    def prepare(self) -> None:
        """Loads base and ``weights``, once; what makes references has its own."""
        if not self._prepared:
            super().prepare()
            self.reference.prepare(self)
            if self.captions is not None:
                self.rests_on("captions", sha256=file_sha256(self.captions))

    def setup(self, stage: str) -> None:
        """Lightning's hook: what makes references is ready too."""
        super().setup(stage)
        self.reference.setup()

    # -------------------------------------------------------------------------------------------------------- restoring

    def generator(self, name: str) -> torch.Generator:
        """Its own draws, apart from those of the reference's model for the same image."""
        return super().generator(f"{name}: second stage")

    def restore(self, batch: Batch) -> Tensor:
        """Restores the images of a batch one after the other, each with its reference."""
        made = []
        for i, name in enumerate(batch["name"]):
            one = Batch(lq=batch["lq"][i : i + 1], name=[name])
            if "ref" in batch:
                one["ref"] = batch["ref"][i : i + 1]
            self._subject = Subject(name, self._on_canvas(one))
            try:
                made.append(super().restore(one))
            finally:
                self._subject = None
        return torch.cat(made)

    def _on_canvas(self, one: Batch) -> Tensor | None:
        ref = self.reference.of(one, self)
        if ref is None:
            return None
        laid = canvas.lay(one["lq"], self.scale, short_side=self.short_side, name=one["name"][0])
        if tuple(ref.shape[-2:]) != laid.inner:
            ref = F.interpolate(ref, size=laid.inner, mode="bicubic", align_corners=False).clamp(0.0, 1.0)
        return canvas.lay(ref, 1, short_side=1).lq

    def conditions(self, lq: Tensor, lq_up: Tensor, z_lr: Tensor) -> Given:
        """Text, and the magnified lq with its reference on the canvas."""
        image = lq_up * 0.5 + 0.5
        subject = self._subject or Subject("image", None)
        text = self.wording.describing([subject.name], image)
        return self._given(text, image, subject.ref)

    def cropped(self, conditions: Given, window: sd.Window) -> Given:
        """Those of one window."""
        return conditions.cropped(window)

    def without_prompt(self, conditions: Given) -> Given:
        """The negative prompt in place of the other, and perhaps no images."""
        return conditions.unprompted(images=self.unconditional == "text")

    def training_conditions(self, batch: Batch, z_lr: Tensor | None) -> Given:
        """The same for a training batch, whose references the data brings or the model makes."""
        image = self.enlarged(batch["lq"]) * 0.5 + 0.5
        text = self.wording.learning(batch["name"], image, self.global_step, self.global_rank * len(image))
        return self._given(text, image, self.reference.of(batch, self))

    def _given(self, text: Tensor, image: Tensor, ref: Tensor | None) -> Given:
        images = (image,) if ref is None else (image, ref)  # one pass of the ControlNet where both are the same
        return Given(text, self.wording.opposite(), images)

    # ------------------------------------------------------------------------------------------------------- predicting

    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Given) -> Tensor:
        """The frozen UNet's prediction under the ControlNet, with attention to its features."""
        unet: Any = self.unet
        if not conditions.images:
            plain: Tensor = unet(x_t, t, conditions.text).sample
            return plain
        held = controls(self.controlnet, x_t, t, conditions.text, conditions.images)
        lq, ref = held[0], held[-1]
        with self._guiding(lq, ref):
            noise: Tensor = unet(x_t, t, conditions.text, **self._added(lq, ref)).sample
        return noise

    def _guiding(self, lq: Control, ref: Control) -> Any:
        if self.attentions is None:
            return nullcontext()
        if self.features == "before":
            return self.attentions.guiding(self.unet, ref.features, lq.features)
        return self.attentions.guiding(self.unet, ref.skips, lq.skips)

    def _added(self, lq: Control, ref: Control) -> dict[str, Any]:
        """What the UNet's skips and its middle block get on top."""
        if self.add_to_skips == "none":
            return {}
        share = 0.5 if self.add_to_skips == "mean" else 1.0
        chosen = {"lq": [lq], "ref": [ref]}.get(self.add_to_skips, [lq, ref])
        skips = [share * sum(maps[1:], maps[0]) for maps in zip(*(c.skips for c in chosen), strict=True)]
        mid = share * sum((c.mid for c in chosen[1:]), chosen[0].mid)
        return {"down_block_additional_residuals": skips, "mid_block_additional_residual": mid}
