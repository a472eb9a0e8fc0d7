"""Stage 2: Stable Diffusion's UNet, steered by the adapter and modulated by its features."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory
from srbench.errors import InputError
from srbench.images import file_sha256
from srbench.modules.deedsr.adapter import DegradationAwareAdapter
from srbench.modules.deedsr.attended import Context, Prompt, attended, check_switches, learning
from srbench.modules.deedsr.degradation_words import in_words
from srbench.modules.deedsr.learner import DegradationLearner, load_learner
from srbench.modules.deedsr.modulators import Modulators
from srbench.modules.deedsr.sizes import SIZES, fitted
from srbench.modules.deedsr.upstream import Official, is_official, split
from srbench.modules.latent import LatentSR
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.frozen import Frozen
from srbench.naming import safe_name
from srbench.weights import checkpoint_marks, load_state, load_strict

MAKES_LEARNER = "methods/deedsr/1_learner.yaml"


class Steering(NamedTuple):
    """What does not change during the sampling of an image.

    Attributes:
        z_lr: latents of the enlarged lq, (B,4,h,w).
        degradation: the learner's vector of the whole lq, (B,D); None without a learner.
        text: embedding of the prompt, (B,77,C), where it takes the place of the adapter's tokens.
    """

    z_lr: Tensor
    degradation: Tensor | None
    text: Tensor | None


class DeeDSR(LatentSR):
    """The adapter, the modulators and the UNet's cross-attentions learn; the rest of the base and the learner do not.

    The adapter sees the time, so it runs at every step and for every window; the learner's vector is of the whole image
    and made once.

    Of the latents of lq the paper says no range, and the released code has three: its training never sets them (a
    KeyError), its test encodes lq in [0,1], its logger in [-1,1]. Here it is [-1,1] everywhere. The released learner is
    left in train mode, where its normalisation drifts; here it is in evaluation mode always.

    Of the cross-attentions the released code trains everything named ``attn2``, the paper (section 3.3) queries, keys
    and values alone; the code is followed.

    Args:
        learner: checkpoint of stage 1, or any other file with its encoder; see
            :func:`~srbench.modules.deedsr.learner.load_learner`. Not needed with a whole model in ``weights``.
        learner_preset: sizes of that encoder; None takes those of ``size``.
        context: width, at full size, of what the cross-attentions attend to. 512: the adapter's tokens as they are, so
            that keys and values, which the base has for 1024, start from random ones; the paper's total of parameters
            and the released code say this. 1024: the tokens are projected, and the base's keys and values kept (OURS).
        prompt: ``image``, the adapter's tokens. For the ablations of Table 3 a text in their place, with ``context``
            1024: ``empty``, variant (2), or ``degradation``, variant (4), which says in words how lq was made and needs
            ``data.init_args.carry_degradation``.
        aware: with learner and DA blocks; False for variants (1) and (4).
        local: with modulators; False for variant (3).
        tokenizer: of the texts, see :class:`~srbench.modules.nets.stable_diffusion.TextPrompts`.
        name: the row's name; None takes the method's.
        family: of the base.
        size: of the base, and of everything else.
        optimizer: factory; None takes Adam of rate 1e-5, the paper's.
        kwargs: for the base class.

    Raises:
        InputError: a value is unknown, or two contradict each other.
    """

    weights_may_hold_base: ClassVar[bool] = True  # the released layout
    unhashed: ClassVar[tuple[str, ...]] = (*LatentSR.unhashed, "learner")

    def __init__(
        self,
        *,
        learner: str | None = None,
        learner_preset: str | None = None,
        context: Context = 512,
        prompt: Prompt = "image",
        aware: bool = True,
        local: bool = True,
        tokenizer: str | None = None,
        name: str | None = None,
        family: sd.Family = "sd21",
        size: sd.Size = "full",
        optimizer: OptimizerFactory | None = None,
        **kwargs: Any,
    ) -> None:
        check_switches(context, prompt, aware=aware, learner=learner)
        held = SIZES.get(size, SIZES["full"])  # the base class refuses another
        changes, fresh = attended(context, prompt, held.adapter.context)
        optimizer = optimizer or adam
        super().__init__(family=family, size=size, optimizer=optimizer, unet_changes=changes, fresh=fresh, **kwargs)
        for parameter in learning(self.unet):
            parameter.requires_grad_(True)
        encoder = _same_learner(learner_preset or held.learner) if aware else None
        sizes = held.adapter if encoder is None else fitted(held.adapter, encoder)
        self.learner_path = learner
        self.learner = None if encoder is None else Frozen(encoder)
        self.adapter = DegradationAwareAdapter(sizes, aware=aware, local=local, context=prompt == "image")
        self.modulators = Modulators(self.unet, sizes.out_channels, held.hidden) if local else None
        if self.modulators is not None:
            self.modulators.attach(self.unet)
        self.prompt, self.context = prompt, context
        self.texts = None if prompt == "image" else sd.TextPrompts(family, size, tokenizer)
        self._said = [""]
        self.name = safe_name(name or "DeeDSR", kind="method name")

    @property
    def method(self) -> str:
        """``name``."""
        return self.name

    def networks(self) -> dict[str, nn.Module]:
        """UNet, adapter, modulators and learner: together the 1,067,025,796 parameters of Table 4, there in 2^20."""
        learner = None if self.learner is None else self.learner.net
        texts = None if self.texts is None else self.texts.encoder.net
        held = {"adapter": self.adapter, "modulators": self.modulators, "learner": learner, "texts": texts}
        return {**super().networks(), **{name: net for name, net in held.items() if net is not None}}

    # ---------------------------------------------------------------------------------------------------------- weights

    def prepare(self) -> None:
        """Loads learner, base and ``weights``, once; or a whole model in the released layout, which has them all.

        Raises:
            InputError: something is absent or unfit; it says what brings it.
        """
        if self._prepared:
            return
        if self.weights is not None and Path(self.weights).is_file() and is_official(self._state(self.weights)):
            super(LatentSR, self).prepare()
            return
        self._load_learner()
        super().prepare()

    def load_base(self, base: sd.Base) -> None:
        """Takes UNet and autoencoder of a base, and its text encoder where the prompt is a text."""
        super().load_base(base)
        if self.texts is not None:
            self.texts.load(self, base)

    def load_upstream(self, path: str | Path) -> None:
        """Loads a checkpoint of ours, or a whole model in the layout of the released code, strictly.

        Raises:
            InputError: it is another checkpoint.
        """
        state = self._state(path)
        if is_official(state):
            self._take(split(state, self.unet.config, self.vae.net.config, self.adapter.size.heads), path)  # type: ignore[arg-type]
        else:
            load_strict(self, state, where=path)

    def _state(self, path: str | Path) -> dict[str, Tensor]:
        return load_state(path, key=self.weights_key, part="")

    def _take(self, official: Official, path: str | Path) -> None:
        if self.learner is None or self.modulators is None or self.context != 512:
            raise InputError(
                "it is a whole DeeDSR, and this is a variant of it",
                where=path,
                remedy="leave model.init_args.aware, local, prompt and context at their defaults",
            )
        sd.fill(dict(self.unet.named_parameters()), official.unet, where=path)
        sd.fill(dict(self.vae.net.named_parameters()), official.vae, where=path)
        load_strict(self.adapter, official.adapter, where=path)
        load_strict(self.modulators, official.modulators, where=path)
        load_strict(self.learner.net, official.learner, where=path)

    def _load_learner(self) -> None:
        if self.learner is None:
            return
        if self.learner_path is not None and Path(self.learner_path).is_file():
            assert isinstance(self.learner.net, DegradationLearner)
            load_learner(self.learner.net, self.learner_path)
            self.stamp(*checkpoint_marks(self.learner_path))
            self.rests_on("learner", sha256=file_sha256(self.learner_path))
            return
        if self.learner_path is None and self.allow_random_backbones:
            self.stamp("random_backbones")
            return
        raise InputError(
            "this stage is told the degradation by the encoder of stage 1, which is not here",
            where=self.learner_path or "model.init_args.learner",
            remedy=f"run srbench fit --config {MAKES_LEARNER} and give its checkpoint by --model.init_args.learner, or "
            "for a trial set that to null and --model.init_args.allow_random_backbones to true",
        )

    # --------------------------------------------------------------------------------------------------------- steering

    def restore(self, batch: Batch) -> Tensor:
        """Restores the images of a batch one after the other, each under its own prompt."""
        if self.texts is None:
            return super().restore(batch)
        made = []
        for i, text in enumerate(self._texts(batch)):
            self._said = [text]
            made.append(super().restore({"lq": batch["lq"][i : i + 1], "name": batch["name"][i : i + 1]}))
        return torch.cat(made)

    def conditions(self, lq: Tensor, lq_up: Tensor, z_lr: Tensor) -> Steering:
        """What the adapter is given; see :class:`~srbench.modules.latent.LatentSR`."""
        return Steering(z_lr, self._degradation(lq), self._embedded(self._said))

    def training_conditions(self, batch: Batch, z_lr: Tensor | None) -> Steering:
        """The same of a training batch."""
        assert z_lr is not None
        text = None if self.texts is None else self._embedded(self._texts(batch))
        return Steering(z_lr, self._degradation(batch["lq"]), text)

    def cropped(self, conditions: Steering, window: sd.Window) -> Steering:
        """The adapter sees a window of the latents, under the whole image's degradation."""
        return conditions._replace(z_lr=window.of(conditions.z_lr))

    def predict_noise(self, x_t: Tensor, t: Tensor, conditions: Steering) -> Tensor:
        """The noise (B,4,h,w) in ``x_t`` at steps ``t`` (B,)."""
        guidance = self.adapter(conditions.z_lr, t, conditions.degradation)
        if self.modulators is not None:
            self.modulators.local = guidance.local
        context = conditions.text if guidance.context is None else guidance.context
        predicted: Tensor = self.unet(x_t, t, encoder_hidden_states=context).sample
        return predicted

    @torch.no_grad()
    def _degradation(self, lq: Tensor) -> Tensor | None:
        if self.learner is None:
            return None
        with torch.autocast(lq.device.type, enabled=False):
            vector: Tensor = self.learner(lq.float())
        return vector

    def _embedded(self, texts: list[str]) -> Tensor | None:
        return None if self.texts is None else self.texts.embed(texts)

    def _texts(self, batch: Batch) -> list[str]:
        if self.prompt == "empty":
            return [""] * len(batch["lq"])
        if "degradation" not in batch:
            raise InputError(
                "the prompt says how lq was made, and this data does not know",
                where="data.init_args.carry_degradation",
                remedy="set it to true, with data that is degraded in training or made by srbench data make",
            )
        return [in_words(recipe) for recipe in batch["degradation"]]


def _same_learner(preset: str) -> DegradationLearner:
    # It is in no checkpoint: a random one must be the same in every run and process.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DegradationLearner(preset)


def adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam of rate 1e-5 (section 4.1; the released code takes AdamW)."""
    return torch.optim.Adam(parameters, lr=1e-5)
