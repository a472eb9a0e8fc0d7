"""SRTTA: adapts a trained network to the degradation of each image, while it is tested."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from srbench.contracts import Batch, OptimizerFactory
from srbench.errors import InputError
from srbench.images import file_sha256
from srbench.module import SRModule
from srbench.modules.given_method import GivenMethod
from srbench.modules.per_image import PerImageSR
from srbench.modules.srtta.adaptation import Adaptation, is_finite
from srbench.modules.srtta.detector import Detector, checked_types
from srbench.modules.srtta.layout import layout_of
from srbench.modules.srtta.net import Preset
from srbench.modules.srtta.order import Order, Reset
from srbench.modules.srtta.preservation import clean_images, clean_sha256
from srbench.modules.srtta.second_degradation import LEAST
from srbench.modules.srtta.settings import LEARNING, Learning
from srbench.naming import safe_name
from srbench.weights import checkpoint_marks


class SRTTA(PerImageSR):
    """Test-time adaptation by second-order degradation (Deng et al., NeurIPS 2023) of any network with a body.

    A classifier says whether an image is blurred, noisy or compressed. Its patches are degraded once more in these
    ways, and for ten steps the network's deep features of both are drawn together; only the body moves, and the half of
    it that matters most for clean images goes back after every step. An image in which nothing is found gets the given
    network's own sr, and so does one below 11 pixels a side or one on which the adaptation diverges: both are remarked.

    Args:
        model: the method whose network adapts, by class path; its ``scale`` is this one's.
        weights: its checkpoint, of whatever kind it takes.
        weights_key: entry of that file; None leaves the choice to ``model``.
        classifier: checkpoint of :class:`~srbench.modules.srtta.SRTTAClassifier`, or the authors' ``classifier.pt``.
        classifier_preset: its size.
        reverse_channels: give it images as BGR; the released code does, after training on RGB.
        threshold: of its probabilities.
        known: what was done to the images, where one knows: any of ``blur``, ``noise``, ``jpeg``, or an empty list for
            clean ones. No classifier is needed then. None asks the classifier.
        clean_lq: folder of clean lq of this scale (Set5's in the paper), on which the importance of weights is found.
        learning: the numbers of the adaptation.
        reset: when learning starts anew: with every ``image``; with every test set (``domain``), or never within a run
            (``lifelong``), so that sr depends on the images before it, one process is needed, and an interrupted test
            starts over.
        body: modules of the network that adapt; None looks it up, see :mod:`srbench.modules.srtta.layout`.
        tail: the module behind its upsampler, whose input is compared; goes with ``body``.
        optimizer: factory over the body's parameters; None takes the released Adam of rate 5e-5.
        name: the row's name; None takes the given method's with ``-SRTTA``.
        allow_random_backbones: let a random classifier stand in for an absent one, for tests and trials.
        kwargs: see :class:`~srbench.module.SRModule`; a ``tile`` is the given method's.

    Raises:
        InputError: an argument is out of range, or ``model`` has another scale or learns by itself.
    """

    needs_weights: ClassVar[bool] = True
    unhashed: ClassVar[tuple[str, ...]] = ("weights", "classifier", "clean_lq")

    def __init__(
        self,
        model: SRModule,
        *,
        weights: str | None = None,
        weights_key: str | None = None,
        classifier: str | None = None,
        classifier_preset: Preset = "resnet50",
        reverse_channels: bool = False,
        threshold: float = 0.5,
        known: list[str] | None = None,
        clean_lq: str | None = None,
        learning: Learning = LEARNING,
        reset: Reset = "image",
        body: list[str] | None = None,
        tail: str | None = None,
        optimizer: OptimizerFactory | None = None,
        name: str | None = None,
        allow_random_backbones: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(weights=weights or model.weights, weights_key=weights_key, **kwargs)
        if isinstance(model, PerImageSR):
            remedy = "give a method with a trained network"
            raise InputError(f"{type(model).__name__} learns by itself", where="model.init_args.model", remedy=remedy)
        self.name = None if name is None else safe_name(name, kind="method name")
        self.classifier = classifier
        self.known = None if known is None else checked_types(known)
        self.clean_lq = clean_lq
        self.learning = learning
        self.order = Order(reset)
        self.body = body
        self.tail = tail
        self.optimizer_factory = optimizer or adam
        self.allow_random_backbones = allow_random_backbones
        model._remarks = self._remarks
        self.given = GivenMethod(model, self.scale, self.tile, self.tile_overlap)
        self.detector = None if known is not None else Detector(classifier_preset, threshold, reverse_channels)
        self._adaptation: Adaptation | None = None

    @property
    def base(self) -> SRModule:
        """The given method; its network stays as it was given."""
        return self.given.method

    @property
    def method(self) -> str:
        """``name``, else the given method's name with ``-SRTTA``, and ``-lifelong`` where nothing is ever reset."""
        return self.name or f"{self.base.method}-SRTTA{'-lifelong' if self.order.reset == 'lifelong' else ''}"

    def parts(self) -> dict[str, nn.Module]:
        """The given network as ``net``, and the ``classifier`` unless types are known."""
        net = {"net": self.base.parts()["net"]}
        return net if self.detector is None else {**net, "classifier": self.detector.net}

    # -------------------------------------------------------------------------------------------------------- starting

    def prepare(self) -> None:
        """Gives the network and the classifier their weights, once.

        A network without weights stays random, and what it makes is marked.

        Raises:
            InputError: the classifier or the clean images are missing, a file does not fit, or the network has no body.
        """
        if self._prepared:
            return
        self._prepared = True
        self.given.load(self.weights, self.weights_key)
        self.given.need_float32()
        self.weights_sha256 = self.base.weights_sha256
        self.inherit(self.base, "model")
        if not self.weights:
            self.stamp("random_backbones")
        layout_of(self.base.parts()["net"], self.body, self.tail)
        if self.detector is not None:
            self._load(self.detector)
        if self.learning.preserved:
            self.rests_on("clean_lq", sha256=clean_sha256(self.clean_lq))

    def _load(self, detector: Detector) -> None:
        if self.classifier is not None and Path(self.classifier).is_file():
            detector.load(self.classifier)
            self.stamp(*checkpoint_marks(self.classifier))
            self.rests_on("classifier", sha256=file_sha256(self.classifier))
        elif self.allow_random_backbones:
            self.stamp("random_backbones")
        else:
            raise InputError(
                "SRTTA asks a classifier what was done to an image, and there is none",
                where=self.classifier or "model.init_args.classifier",
                remedy="run srbench fit --config methods/srtta/1_classifier.yaml, take the authors' (srbench weights "
                "list), or say what is known, as in --model.init_args.known '[noise, jpeg]'",
            )

    def on_test_start(self) -> None:
        """Lightning's hook: learning starts at the given weights.

        Raises:
            InputError: images must come one after the other, and there are several processes.
        """
        self.order.start(self.trainer.world_size)
        if self._adaptation is not None:
            self._adaptation.reset()

    on_predict_start = on_validation_start = on_test_start

    def on_test_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Lightning's hook: says when learning starts anew.

        Raises:
            InputError: images must come one after the other, and the first ones do not come.
        """
        first = self.trainer.datamodule.test_sets[dataloader_idx].names[0]  # type: ignore[attr-defined]
        self._next(dataloader_idx, batch["name"][0] == first)

    on_predict_batch_start = on_test_batch_start

    def on_validation_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Lightning's hook: validation leaves no image out."""
        self._next(dataloader_idx, batch_idx == 0)

    def _next(self, test_set: int, is_first: bool) -> None:
        if self.order.begins(test_set, is_first) and self._adaptation is not None:
            self._adaptation.reset()

    # -------------------------------------------------------------------------------------------------------- learning

    def warm_up(self, batch: Batch) -> None:
        """Finds out which weights matter, which is no image's own time."""
        with torch.inference_mode(False), torch.enable_grad():
            self._ready()

    def learn(self, lq: Tensor, name: str, generator: torch.Generator) -> Tensor:
        """As the base class says; what is drawn depends on the image's name, seed and types alone."""
        types = self._types(lq)
        if not types:
            return self._made(self.base, lq, name)
        if min(lq.shape[-2:]) < LEAST:
            size = f"{lq.shape[-1]}x{lq.shape[-2]}"
            self.remark(name, f"{size} pixels are too few to adapt to, the given weights are used")
            return self._made(self.base, lq, name)
        adaptation = self._ready()
        if self.order.reset == "image":
            adaptation.reset()
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        for i in self.shown(range(self.learning.iterations), name):
            if not adaptation.step(*self.learning.pairs(lq, types, rng)):
                return self._given_up(adaptation, lq, name, f"at step {i + 1}")
        sr = self._made(adaptation.student, lq, name)
        return sr if is_finite([sr]) else self._given_up(adaptation, lq, name, "in the end")

    def _types(self, lq: Tensor) -> tuple[str, ...]:
        if self.detector is None:
            assert self.known is not None
            return self.known
        return self.detector.types(lq)

    def _ready(self) -> Adaptation:
        if self._adaptation is None:
            if self.base.device != self.device:
                self.base.to(self.device)
            net = self.base.parts()["net"]
            layout = layout_of(net, self.body, self.tail)
            made = Adaptation(self.base, layout, self.optimizer_factory, self.learning)
            if self.learning.preserved:
                made.keep(clean_images(self.clean_lq))
            self._adaptation = made
        return self._adaptation

    @torch.no_grad()
    def _made(self, method: SRModule, lq: Tensor, name: str) -> Tensor:
        method.repeat = self.repeat
        return method.restore({"lq": lq, "name": [name]})

    def _given_up(self, adaptation: Adaptation, lq: Tensor, name: str, when: str) -> Tensor:
        adaptation.reset()
        self.remark(name, f"the adaptation diverged {when}, the given weights are used")
        return self._made(self.base, lq, name)


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The released optimiser: Adam, rate 5e-5, betas 0.9 and 0.999."""
    return torch.optim.Adam(parameters, lr=5e-5, betas=(0.9, 0.999))
