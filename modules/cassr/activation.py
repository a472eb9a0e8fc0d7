"""CasSR's image activation: SCEdit on Stable Diffusion 1.5 makes the reference image of an lq (section 3.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules.cassr.controls import controls, copy_downward, make_controlnet
from srbench.modules.cassr.given import Given
from srbench.modules.cassr.skip_tuners import HINT_WIDTHS, Kernel, SkipTuners, edited_skips, skip_shapes
from srbench.modules.cassr.wording import NEGATIVE, PROMPT, Wording
from srbench.modules.latent import LatentSR
from srbench.modules.nets import stable_diffusion as sd
from srbench.naming import safe_name
from srbench.weights import load_state, load_strict

Tuner = Literal["csc", "sc", "controlnet"]
TINY_HINT_WIDTHS = (4, 4, 4, 4, 4, 4, 8)


class CasSRActivation(LatentSR):
    """Stage 1: a frozen Stable Diffusion whose skips are edited by trained tuners, or controlled by a ControlNet.

    Its images are the references that stage 2 trains on: ``srbench predict`` writes them. Only the tuners train.

    In windows, a hint is the window's part of the whole image's; a ControlNet sees the window's pixels alone.

    Args:
        tuner: ``csc``: each skip is edited with a hint of the magnified lq (SCEdit's controllable tuner); ``sc``:
            without hints, so that lq enters by the initial noise alone (``start: lr``); ``controlnet``: a ControlNet on
            the magnified lq, the other row of Table 2.
        hint_kernel: 1 (28,824,400 parameters, 7.9 % of SD 2.1's ControlNet, SCEdit's headline) or 3 (99,111,760, the
            released YAML). CasSR does not say which.
        tuner_ratio: of the tuners' inner channels.
        tuner_strength: what their change is multiplied by.
        prompt: description of every image, in training and testing.
        negative_prompt: of classifier-free guidance.
        prompt_dropout: share of training samples whose prompt is emptied.
        tokenizer: folder of the tokenizer; None looks in the base.
        family: of the base model.
        size: of the base model and the hints.
        start: see :class:`~srbench.modules.latent.LatentSR`.
        guidance: see there; 7.5 is scepter's default.
        checkpointing: see there.
        name: the row's name.
        kwargs: see there.
    """

    trains_on_lq_latents: ClassVar[bool] = False

    def __init__(
        self,
        *,
        tuner: Tuner = "csc",
        hint_kernel: Kernel = 1,
        tuner_ratio: float = 1.0,
        tuner_strength: float = 1.0,
        prompt: str = PROMPT,
        negative_prompt: str = NEGATIVE,
        prompt_dropout: float = 0.0,
        tokenizer: str | None = None,
        family: sd.Family = "sd15",
        size: sd.Size = "full",
        start: sd.Start = "lr",
        guidance: float = 7.5,
        checkpointing: bool = False,
        name: str = "CasSR-activation",
        **kwargs: Any,
    ) -> None:
        known: dict[str, Any] = {"family": family, "size": size, "start": start, "guidance": guidance}
        super().__init__(**known, checkpointing=checkpointing, **kwargs)
        if tuner not in ("csc", "sc", "controlnet"):
            raise InputError(
                f"there is no tuner '{tuner}'", where="model.init_args.tuner", remedy="use csc, sc or controlnet"
            )
        if tuner == "sc" and start == "noise":
            raise InputError(
                "tuners without hints never see lq unless it is in the initial noise",
                where="model.init_args.start",
                remedy="set it to lr or guided, or model.init_args.tuner to csc",
            )
        self.tuner = tuner
        self.name = safe_name(name, kind="method name")
        self.wording = Wording(
            family, size, prompt=prompt, negative=negative_prompt, dropout=prompt_dropout, tokenizer=tokenizer
        )
        self.tuners: nn.Module
        if tuner == "controlnet":
            self.tuners = make_controlnet(self.unet, tiny=size == "tiny")
            if checkpointing:
                self.tuners.enable_gradient_checkpointing()  # type: ignore[operator]
        else:
            stem = HINT_WIDTHS if size == "full" else TINY_HINT_WIDTHS
            settings: dict[str, Any] = {"kernel": hint_kernel, "ratio": tuner_ratio, "strength": tuner_strength}
            self.tuners = SkipTuners(*skip_shapes(self.unet), hinted=tuner == "csc", stem=stem, **settings)

    @property
    def method(self) -> str:
        """``name``."""
        return self.name

    def networks(self) -> dict[str, nn.Module]:
        """Also the ``tuners``, or the ControlNet under its own name."""
        return {**super().networks(), "controlnet" if self.tuner == "controlnet" else "tuners": self.tuners}

    def load_base(self, base: sd.Base) -> None:
        """Also the text encoder; a ControlNet starts from the UNet's weights."""
        super().load_base(base)
        self.wording.load(self, base)
        if self.tuner == "controlnet":
            copy_downward(self.unet, self.tuners)

    def load_published(self, path: str | Path) -> None:
        """Loads tuners that scepter has saved.

        Raises:
            InputError: the file holds others.
        """
        if not isinstance(self.tuners, SkipTuners):
            super().load_published(path)
            return
        state = load_state(path, key=self.weights_key)
        load_strict(self.tuners, self.tuners.rename_upstream(state), where=path)

    # ------------------------------------------------------------------------------------------------------- predicting

    def conditions(self, lq: Tensor, lq_up: Tensor, z_lr: Tensor) -> Given:
        """Text, and hints of the magnified lq, made once."""
        image = lq_up * 0.5 + 0.5
        return self._seeing(image, self.wording.describing(["image"], image))

    def training_conditions(self, batch: Batch, z_lr: Tensor | None) -> Given:
        """The same for a training batch."""
        image = self.enlarged(batch["lq"]) * 0.5 + 0.5
        first = self.global_rank * len(image)
        return self._seeing(image, self.wording.learning(batch["name"], image, self.global_step, first))

    def cropped(self, conditions: Given, window: sd.Window) -> Given:
        """Those of one window."""
        return conditions.cropped(window)

    def without_prompt(self, conditions: Given) -> Given:
        """The negative prompt in place of the other; the image stays, as in scepter's code."""
        return conditions.unprompted()

    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Given) -> Tensor:
        """The frozen UNet's prediction with edited skips, or under the ControlNet."""
        unet: Any = self.unet
        if isinstance(self.tuners, SkipTuners):
            with edited_skips(unet, self.tuners, conditions.hints):
                noise: Tensor = unet(x_t, t, conditions.text).sample
            return noise
        [control] = controls(self.tuners, x_t, t, conditions.text, conditions.images)
        added = {"down_block_additional_residuals": control.skips, "mid_block_additional_residual": control.mid}
        controlled: Tensor = unet(x_t, t, conditions.text, **added).sample
        return controlled

    def _seeing(self, image: Tensor, text: Tensor) -> Given:
        given = Given(text, self.wording.opposite())
        if isinstance(self.tuners, SkipTuners):
            return given._replace(hints=self.tuners.hints(image))
        return given._replace(images=(image,))
